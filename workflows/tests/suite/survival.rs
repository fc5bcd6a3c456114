//! The machine: every step fails once, in every way, and the world is empty or complete.

use serde_json::json;
use stead_schemas::event::Outcome;

use crate::stage::{Stage, Trouble};

/// Makes a workspace, works with it, deletes it; whatever is refused or fails is left at that.
fn a_life(stage: &mut Stage) {
    let created = stage.workspace("create", "dev", json!({})).expect("create is let in");
    if matches!(created, Outcome::Failed(_)) {
        assert!(stage.world.names().is_empty(), "a failed create leaves {:?}", stage.world);
        return;
    }
    for (verb, fields) in [
        ("resize", json!({ "storage_quota_gb": 60, "cpu_cores": 2 })),
        ("stop", json!({})),
        ("start", json!({})),
    ] {
        stage.workspace(verb, "dev", fields).expect("it is let in");
    }
    assert_eq!(stage.world.names().len(), 4, "{:?}", stage.world);
    let deleted = stage.workspace("delete", "dev", json!({})).expect("it is let in");
    assert!(matches!(deleted, Outcome::Done(_)), "{deleted:?}");
    assert!(stage.world.names().is_empty(), "a delete leaves {:?}", stage.world);
}

fn steps_of_a_life() -> usize {
    let mut stage = Stage::new(Trouble::default());
    a_life(&mut stage);
    stage.asked
}

#[test]
fn every_step_fails_for_good_once() {
    let steps = steps_of_a_life();
    assert!(steps > 20, "{steps}");
    for fail_at in 0..steps {
        for after_effect in [false, true] {
            let trouble = Trouble { fail_at: Some(fail_at), after_effect, ..Trouble::default() };
            let mut stage = Stage::new(trouble);
            a_life(&mut stage);
            stage.everything_replays();
        }
    }
}

#[test]
fn every_step_is_carried_out_twice_and_every_transition_is_crashed_at() {
    let steps = steps_of_a_life();
    for fail_at in (0..steps).map(Some).chain([None]) {
        let trouble = Trouble { fail_at, twice: true, crash: true, ..Trouble::default() };
        a_life(&mut Stage::new(trouble));
    }
}
