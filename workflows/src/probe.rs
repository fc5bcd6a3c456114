//! The probe: six steps that do nothing, one after the other, through the whole path. It shows
//! that a platform is alive, and how fast.

use serde_json::{Value, json};
use stead_core::context::Context;
use stead_core::definition::{Admission, Admitted, Definition, Ending};
use stead_core::run::execution;
use stead_schemas::command::fields::Fields;
use stead_schemas::failure::Failure;
use stead_schemas::refusal::Refusal;
use stead_schemas::step::probe::Noop;

/// How many steps a probe makes.
pub const STEPS: u32 = 6;

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: "probe",
    public: true,
    verbs: &["start"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit,
};

async fn run(cx: Context) -> Result<Ending, Failure> {
    let start = cx.next_command().await;
    cx.show("running", &Value::Null);
    for number in 1..=STEPS {
        cx.step(Noop { number }).await?;
    }
    cx.show("done", &Value::Null);
    let result = json!({ "steps": STEPS });
    cx.complete(&start, Ok(result.clone()));
    Ok(Ending::Completed(result))
}

fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    Fields::of(admission.fields).finish()?;
    if admission.living.is_some() {
        return Err(Refusal::new("probe.exists", "a probe of this name is running").field("name"));
    }
    Ok(Admitted { payload: json!({}), begins: true, interrupts: false })
}
