//! A run's history, one transition a line: however damaged, a replay ends in words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use stead_core::run::Run;
use stead_schemas::transition::Transition;
use stead_workflows::WORKFLOWS;

fuzz_target!(|bytes: &[u8]| {
    let mut run: Option<Run> = None;
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(transition) = Transition::decode(line) else { return };
        let key = transition.run.key();
        let Some(workflow) = WORKFLOWS.iter().find(|known| known.kind == key.kind()) else {
            return;
        };
        let run = run.get_or_insert_with(|| Run::new(*workflow, transition.run.clone()));
        if let Err(divergence) = run.replay(&transition) {
            assert!(!divergence.to_string().is_empty());
            return;
        }
    }
});
