//! A crew that digs for one house, with a scaffold that is gone when it is done. It ends with the
//! house's operation: whoever no longer wants the garden calls it back.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_core::context::Context;
use stead_core::definition::{Admission, Admitted, Definition, Ending};
use stead_core::run::execution;
use stead_schemas::dispatch::Route;
use stead_schemas::event::RunStarted;
use stead_schemas::failure::Failure;
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::Owner;
use stead_schemas::refusal::Refusal;
use stead_schemas::step::{Done, Step};

use crate::pages::{Unmake, make, named};

/// The kind.
const KIND: &str = "crew";

/// Sent for by a house, gone when its work is done.
pub(crate) const CREW: Definition = Definition {
    kind: KIND,
    public: false,
    verbs: &["dig"],
    signals: &[],
    execute: |cx| execution(crew(cx)),
    admit,
};

/// Digs, for as long as it takes.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Dig {
    /// Whose house it is.
    pub owner: Owner,
    /// Which.
    pub house: String,
    /// How long that takes.
    pub takes_ms: u64,
}

impl Step for Dig {
    const NAME: &'static str = "crew.dig";
    type Answer = Done;

    fn route(&self) -> Route {
        Route::Entity { kind: KIND.into(), owner: self.owner.clone(), name: self.house.clone() }
    }
}

/// The crew of a house.
pub(crate) fn crew_of(house: &RunStarted) -> EntityKey {
    EntityKey::of(KIND, &house.owner, &house.name)
}

async fn crew(cx: Context) -> Result<Ending, Failure> {
    let command = cx.next_command().await;
    let order: Dig = command.read()?;
    cx.show("digging", &Value::Null);
    let scaffold = named(&cx, "scaffold");
    let dug = cx.operation(async {
        make(&cx, &scaffold).await?;
        cx.sleep(Duration::from_millis(order.takes_ms), "it is dug").await;
        make(&cx, &named(&cx, "heap")).await
    });
    let dug = dug.await;
    if dug.is_ok() {
        for thing in [named(&cx, "heap"), scaffold] {
            // Where it was abandoned the thing stays.
            cx.take_back(Unmake { thing, marker: cx.run().to_string() }).await.ok();
        }
    }
    cx.complete(&command, dug.map(|_| json!({})));
    Ok(Ending::Completed(Value::Null))
}

fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let payload = Value::Object(admission.fields.clone());
    Ok(Admitted { payload, begins: true, interrupts: false })
}
