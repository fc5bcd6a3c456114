//! Histories that real runs left behind replay for ever.

use std::fs;
use std::path::Path;

use stead_core::ledger::Ledger;
use stead_core::run::Run;
use stead_schemas::event::Event;
use stead_schemas::transition::Transition;
use stead_workflows::WORKFLOWS;

#[test]
fn recorded_histories_replay() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/tests/golden");
    let mut replayed = 0;
    for file in fs::read_dir(folder).expect("the folder is there").flatten() {
        let text = fs::read_to_string(file.path()).expect("it can be read");
        let mut run: Option<Run> = None;
        for line in text.lines() {
            let transition = Transition::decode(line.as_bytes()).expect("an old shape decodes");
            let run = run.get_or_insert_with(|| {
                let key = transition.run.key();
                let workflow = WORKFLOWS.iter().find(|known| known.kind == key.kind());
                Run::new(*workflow.expect("the workflow is there"), transition.run.clone())
            });
            let replayed = run.replay(&transition);
            assert!(replayed.is_ok(), "{}: {}", file.path().display(), replayed.unwrap_err());
        }
        replayed += 1;
    }
    assert!(replayed >= 4, "{replayed}");
}

#[test]
fn lives_that_are_over_hold_nothing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/tests/golden");
    let mut touched = 0;
    for file in fs::read_dir(folder).expect("the folder is there").flatten() {
        let text = fs::read_to_string(file.path()).expect("it can be read");
        let transitions = text.lines().map(|line| Transition::decode(line.as_bytes()));
        let history: Vec<_> = transitions.map(|one| one.expect("an old shape decodes")).collect();
        let mut ledger = Ledger::new(history[0].run.clone());
        for transition in &history {
            ledger.take(transition);
            touched += ledger.held().len();
        }
        let events = history.iter().flat_map(|transition| &transition.events);
        let place = file.path();
        assert!(ledger.unread().is_empty(), "{}: {:?}", place.display(), ledger.unread());
        if events.into_iter().any(Event::is_last) {
            assert_eq!(ledger.held(), [], "{}", place.display());
        }
    }
    assert!(touched > 20, "they made something: {touched}");
}
