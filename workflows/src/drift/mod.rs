//! Drift: what is really there, and what is done where that is not as the ledger has it. Each scan
//! is a run, `site`; what people decide about its findings is one long run, `decisions`.
//!
//! `scan.rs` looks and judges nothing. `meaning.rs` says what a decision comes to, before anything is
//! written; `decisions.rs` is the run that holds them, `act.rs` what is done at the vendors'.

use stead_core::context::Context;
use stead_core::definition::{Admission, Admitted, Definition, Ending};
use stead_core::run::execution;
use stead_schemas::command::drift::{DECISIONS, KIND};
use stead_schemas::failure::Failure;
use stead_schemas::refusal::Refusal;
use stead_schemas::step::vmids::PLATFORM;

mod act;
mod decisions;
mod meaning;
mod scan;

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: KIND,
    public: true,
    verbs: &["adopt", "destroy", "ignore", "repair", "scan"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit,
};

async fn run(cx: Context) -> Result<Ending, Failure> {
    match cx.name().as_str() {
        DECISIONS => decisions::run(cx).await,
        _ => scan::run(cx).await,
    }
}

fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    // It is about everybody's things: whoever gives commands for one owner only has no say in it.
    if admission.owner.as_str() != PLATFORM {
        let words = "drift is the platform's own: the owner is `stead`";
        return Err(Refusal::new("drift.owner", words).field("owner"));
    }
    match admission.verb {
        "scan" => scan::admit(admission),
        _ => decisions::admit(admission),
    }
}
