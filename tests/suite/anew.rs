//! A run that lives long begins anew, again and again, while its engine is killed: it keeps what it
//! carries over, and whoever looks at it sees one life.

use serde_json::{Value, json};
use stead_schemas::dispatch::Accepted;
use stead_schemas::event::{Event, Outcome};
use stead_schemas::ids::RunId;

use crate::stage::{Desk, Stage};

/// How often it is to begin anew.
const BEGINNINGS: usize = 3;
/// After so many commands the engine is killed. A history begins anew behind two hundred transitions,
/// so that each kill strikes elsewhere.
const COMMANDS_OF_A_LIFE: usize = 67;
/// More than that many were never needed: a run that does not begin anew is found out.
const COMMANDS_MAX: usize = 2_000;

async fn asked(john: &Desk, verb: &str, fields: Value) -> Accepted {
    let mut all = json!({ "name": "long" });
    all.as_object_mut().expect("fields").extend(fields.as_object().expect("fields").clone());
    john.ask("schedule", verb, all).await.unwrap_or_else(|refusal| panic!("{verb}: {refusal}"))
}

/// A schedule that waits for the next year, and was triggered once.
async fn schedule(john: &Desk) -> RunId {
    let command = json!({ "kind": "probe", "name": "p", "verb": "start" });
    let created = asked(john, "create", json!({ "cron": "0 0 1 1 *", "command": command })).await;
    let triggered = asked(john, "trigger", json!({ "id": "at-first" })).await;
    let outcome = john.outcome(&triggered).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    created.run
}

/// How often the run has begun anew.
async fn beginnings(john: &Desk, run: &RunId) -> usize {
    let history = john.history(run).await.expect("the log can be read");
    let mut last = 0;
    for transition in &history {
        assert_eq!(transition.n, last + 1, "no transition is missing");
        last = transition.n;
    }
    let events = history.iter().flat_map(|transition| &transition.events);
    events.filter(|event| matches!(event, Event::ContinuedAsNew(_))).count()
}

/// Gives the schedule one note after the other until it has begun anew often enough, and kills the
/// engine in between. Returns the last note.
async fn a_long_life(stage: &mut Stage, john: &Desk, run: &RunId) -> String {
    for number in 1..COMMANDS_MAX {
        let note = format!("note {number}");
        if number % COMMANDS_OF_A_LIFE == 0 {
            // It may be on its way, in the log or answered.
            let given = asked(john, "update", json!({ "note": note }));
            let killed = async {
                stage.kill_engine(0);
                stage.start_engine(0);
            };
            tokio::join!(given, killed);
            if beginnings(john, run).await >= BEGINNINGS {
                return note;
            }
        } else {
            asked(john, "update", json!({ "note": note })).await;
        }
    }
    panic!("it began anew less than {BEGINNINGS} times")
}

/// What a person is told who gives these words.
async fn told(stage: &Stage, words: &[&str]) -> String {
    let said = stage.verb(words).await;
    let both = String::from_utf8_lossy(&[&said.stdout[..], &said.stderr].concat()).into_owned();
    assert!(said.status.success(), "{words:?}: {both}");
    both
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_begins_anew_is_one_run_to_everybody_though_its_engine_dies() {
    let mut stage = Stage::start().await;
    let john = stage.desk("john").await;
    let run = schedule(&john).await;
    let note = a_long_life(&mut stage, &john, &run).await;

    let view = john.view(&run).await.view;
    assert_eq!(view["schedule"]["note"], note, "{view:#}");
    assert_eq!(view["counts"]["triggered"], 1, "{view:#}");
    let again = asked(&john, "trigger", json!({ "id": "at-first" })).await;
    assert!(again.repeated && again.run == run, "{again:?}");
    assert!(matches!(john.outcome(&again).await, Outcome::Done(_)));

    let shown = told(&stage, &["run", "show", run.as_str()]).await;
    assert!(shown.contains("active") && shown.contains("long"), "{shown}");
    let why = told(&stage, &["run", "why", run.as_str()]).await;
    assert!(why.contains("the firing of"), "{why}");
    let transitions = john.history(&run).await.expect("the log can be read").len();
    let replayed = told(&stage, &["replay", run.as_str()]).await;
    assert!(replayed.contains(&format!("the chain of {transitions} transitions is whole")));
    let anew = replayed.matches("the run goes on with what it carries").count();
    assert_eq!(anew, beginnings(&john, &run).await);
    told(&stage, &["audit", "verify"]).await;

    let deleted = asked(&john, "delete", json!({})).await;
    assert!(matches!(john.outcome(&deleted).await, Outcome::Done(_)));
    assert_eq!(deleted.run, run);
    stage.finish().await;
}
