//! A calendar: says what a cron expression means in a time zone to whoever is no schedule and
//! needs to know. The door makes the plan, as it does for schedules: the rules of zones change
//! with the build, and the answer is a fact of the history of whoever asked.

use stead_core::context::Context;
use stead_core::definition::{Admission, Admitted, Definition, Ending};
use stead_core::run::execution;
use stead_schemas::failure::Failure;
use stead_schemas::refusal::Refusal;
use stead_schemas::step::schedule::CALENDAR;

use crate::schedule::admit::admit_plan;

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: CALENDAR,
    public: false,
    verbs: &["plan"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit,
};

async fn run(cx: Context) -> Result<Ending, Failure> {
    loop {
        let command = cx.next_command().await;
        cx.complete(&command, Ok(command.payload.clone()));
        if !cx.has_command() {
            return Ok(Ending::Completed(command.payload));
        }
    }
}

fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    Ok(Admitted { begins: true, ..admit_plan(admission)? })
}
