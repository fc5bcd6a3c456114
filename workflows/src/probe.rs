//! The probe: steps that do nothing, one after the other, through the whole path, and a wait if one
//! is asked for. It shows that a platform is alive, how fast, and how many runs it holds.

use core::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_core::combine::{Either, race};
use stead_core::context::Context;
use stead_core::definition::{Admission, Admitted, Definition, Ending};
use stead_core::run::execution;
use stead_schemas::command::fields::Fields;
use stead_schemas::command::probe::STEPS_MAX;
use stead_schemas::failure::Failure;
use stead_schemas::refusal::Refusal;
use stead_schemas::step::probe::Noop;

/// How many steps a probe makes if nothing is said.
pub const STEPS: u32 = 6;

/// The signal that ends the wait, as the command of this name does.
const FINISH: &str = "finish";

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: "probe",
    public: true,
    verbs: &["finish", "start"],
    signals: &[FINISH],
    execute: |cx| execution(run(cx)),
    admit,
};

/// What a probe is to do. What is as always is not written.
#[derive(Default, Serialize, Deserialize)]
struct Order {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    steps: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wait_seconds: Option<u32>,
}

async fn run(cx: Context) -> Result<Ending, Failure> {
    let start = cx.next_command().await;
    let order: Order = start.read()?;
    let steps = order.steps.unwrap_or(STEPS);
    cx.show("running", &Value::Null);
    for number in 1..=steps {
        cx.step(Noop { number }).await?;
    }
    if let Some(seconds) = order.wait_seconds {
        wait(&cx, Duration::from_secs(seconds.into())).await;
    }
    cx.show("done", &Value::Null);
    let result = json!({ "steps": steps });
    cx.complete(&start, Ok(result.clone()));
    Ok(Ending::Completed(result))
}

async fn wait(cx: &Context, span: Duration) {
    cx.show("waiting", &Value::Null);
    let finish = cx.next_command_within(span, "it was asked to wait");
    if let Either::Second(Some(finish)) = race(cx.signal::<Value>(FINISH), finish).await {
        cx.complete(&finish, Ok(json!({})));
    }
}

fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    match admission.verb {
        "finish" => admit_finish(admission),
        _ => admit_start(admission),
    }
}

fn admit_start(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let mut fields = Fields::of(admission.fields);
    let steps = fields.optional_number("steps")?;
    let wait_seconds = fields.optional_number("wait_seconds")?;
    fields.finish()?;
    if steps.is_some_and(|steps| steps > STEPS_MAX) {
        let words = "a probe makes at most 10000 steps";
        return Err(Refusal::new("parameter.out-of-range", words).field("steps"));
    }
    if admission.living.is_some() {
        return Err(Refusal::new("probe.exists", "a probe of this name is running").field("name"));
    }
    let order = Order { steps, wait_seconds };
    let payload = serde_json::to_value(order).unwrap_or_default();
    Ok(Admitted { payload, begins: true, interrupts: false })
}

fn admit_finish(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    Fields::of(admission.fields).finish()?;
    if admission.living.is_none_or(|living| living.phase != "waiting") {
        return Err(Refusal::new("probe.not-waiting", "no probe of this name waits").field("name"));
    }
    Ok(Admitted { payload: json!({}), begins: false, interrupts: false })
}
