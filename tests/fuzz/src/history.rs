//! A run's history, one transition a line: however damaged, a replay ends in words, and the ledger
//! tells of it what can be told.

use stead_core::ledger::Ledger;
use stead_core::run::Run;
use stead_schemas::transition::Transition;
use stead_workflows::WORKFLOWS;

/// Tries one input.
pub fn target(bytes: &[u8]) {
    let mut run: Option<Run> = None;
    let mut ledger: Option<Ledger> = None;
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(transition) = Transition::decode(line) else { return };
        let key = transition.run.key();
        let Some(workflow) = WORKFLOWS.iter().find(|known| known.kind == key.kind()) else {
            return;
        };
        let ledger = ledger.get_or_insert_with(|| Ledger::new(transition.run.clone()));
        ledger.take(&transition);
        let run = run.get_or_insert_with(|| Run::new(*workflow, transition.run.clone()));
        if let Err(divergence) = run.replay(&transition) {
            assert!(!divergence.to_string().is_empty());
            return;
        }
    }
}
