//! Runs that do not go on: what holds them up is the cause, and what nobody tells is not known.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stead_schemas::dispatch::Caller;
use stead_schemas::event::{Event, Outcome};
use stead_schemas::ids::RunId;
use stead_schemas::public::RunView;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION};

use super::{alone, answered, asked, john, run, started, step};
use crate::story::explain::{Case, Explanation, Kind, explain};

const PARKED: &str = "it is parked: the workflow has a bug, and panicked: index out of bounds";
const UNTAKEN: &str = "the log does not take its transition 2";

fn begun() -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000)
}

fn of(run: RunId, events: Vec<Event>) -> Vec<Transition> {
    let (engine, prev) = (String::new(), String::new());
    vec![Transition { v: VERSION, run, n: 1, at: begun(), engine, prev, events }]
}

/// A create that is under way at this step.
fn open(name: &str) -> Vec<Transition> {
    let create = asked("c1", "create", Caller::Api);
    of(run(), vec![started("workspace", "dev"), create, step(1, name, false)])
}

/// What a run waits for, as an engine tells it: the number of the step, the reason, the words.
fn view(run: &RunId, waits: &[(u32, &str, &str)]) -> (RunId, RunView) {
    let waiting = waits.iter().map(|(seq, reason, words)| {
        json!({
            "seq": seq, "what": "something", "reason": reason, "words": words, "since": begun(),
            "attempts": 0,
        })
    });
    let waiting: Vec<Value> = waiting.collect();
    let view = json!({
        "summary": {
            "run": run, "kind": run.key().kind(), "owner": "john", "name": "dev",
            "state": "running", "phase": "creating", "waiting": "", "started": begun(),
            "updated": begun(), "transitions": 1,
        },
        "view": {}, "waiting": waiting, "commands": [], "outcome": null,
    });
    (run.clone(), serde_json::from_value(view).expect("a view"))
}

fn explained(
    history: &[Transition],
    related: &[Vec<Transition>],
    views: impl IntoIterator<Item = (RunId, RunView)>,
) -> Explanation {
    let views: BTreeMap<_, _> = views.into_iter().collect();
    explain(&Case { related, ..alone(history, &views) }).expect("a history")
}

#[test]
fn a_run_that_is_parked_while_a_command_is_open_is_explained_by_that() {
    let history = open("vault.pin-secrets");
    for (reason, words) in [("human", PARKED), ("log", UNTAKEN)] {
        let explanation = explained(&history, &[], [view(&run(), &[(0, reason, words)])]);
        let cause = explanation.cause.expect("a cause");
        assert_eq!((cause.kind, cause.n, cause.step), (Kind::Waits, 1, None));
        assert!(cause.words.ends_with(&format!("{reason}: {words}")), "{}", cause.words);
        assert!(explanation.verdict.contains("create, asked at"), "{}", explanation.verdict);
        assert!(explanation.verdict.contains("is not over"), "{}", explanation.verdict);
    }
}

#[test]
fn a_run_that_is_parked_before_it_took_its_next_command_in_is_explained_by_that() {
    let create = asked("c1", "create", Caller::Api);
    let done = answered("c1", Outcome::Done(json!({})));
    let history = of(run(), vec![started("workspace", "dev"), create, done]);
    let well = explained(&history, &[], [view(&run(), &[])]);
    assert_eq!((well.cause, well.verdict.as_str()), (None, "nothing went wrong in 1 transition"));
    let parked = explained(&history, &[], [view(&run(), &[(0, "human", PARKED)])]);
    assert_eq!(parked.verdict, "it does not go on where its history ends");
    let cause = parked.cause.expect("a cause");
    assert!(cause.words.ends_with(PARKED), "{}", cause.words);
}

#[test]
fn an_entity_that_is_parked_explains_the_run_that_waits_for_it() {
    let history = open("home.attach");
    let key = stead_schemas::ids::EntityKey::of("home", &john(), "home");
    let waits = |words| {
        let (of_home, of_run) = ((0, "human", words), (1, "entity", ""));
        [view(&key.run(1), &[of_home]), view(&run(), &[of_run])]
    };
    // It has taken the command in, or it has not.
    let reply = Caller::Run(stead_schemas::dispatch::StepAddress { run: run(), seq: 1 });
    let taken = of(key.run(1), vec![started("home", "home"), asked("h1", "attach", reply)]);
    let not_taken = of(key.run(1), vec![started("home", "home")]);
    for related in [taken, not_taken] {
        let explanation = explained(&history, &[related], waits(PARKED));
        let cause = explanation.cause.expect("a cause");
        assert_eq!(cause.run, key.run(1));
        assert!(cause.words.ends_with(PARKED), "{}", cause.words);
        let then: Vec<_> = explanation.chain.iter().map(|link| link.run.clone()).collect();
        assert_eq!(then, [run()], "told once: {:?}", explanation.chain);
    }
}

#[test]
fn where_no_engine_tells_what_an_open_command_waits_for_that_is_said() {
    let explanation = explained(&open("vault.pin-secrets"), &[], []);
    assert_eq!(explanation.cause, None);
    assert!(explanation.verdict.contains("is not over"), "{}", explanation.verdict);
    let [words] = &explanation.not_known[..] else { panic!("{:?}", explanation.not_known) };
    assert!(words.contains(&format!("what {} waits for", run())), "{words}");
    let told = explanation.told(80);
    assert!(told.contains("not known") && !told.contains("nothing went wrong"), "{told}");
}

#[test]
fn where_an_engine_tells_that_a_command_gets_on_nothing_is_wrong() {
    let waits = view(&run(), &[(1, "running", "")]);
    let explanation = explained(&open("vault.pin-secrets"), &[], [waits]);
    assert_eq!(explanation.cause, None);
    assert_eq!(explanation.verdict, "nothing went wrong in 1 transition; create goes on");
    assert!(explanation.not_known.is_empty(), "{:?}", explanation.not_known);
}

#[test]
fn a_run_that_is_over_waits_for_nothing() {
    // Commands that were not answered when it ended are no longer waited for.
    let mut history = open("vault.pin-secrets");
    let done = Event::RunCompleted(stead_schemas::event::RunCompleted { result: json!({}) });
    history[0].events.push(done);
    let explanation = explained(&history, &[], []);
    assert!(explanation.not_known.is_empty(), "{:?}", explanation.not_known);
    assert!(explanation.verdict.starts_with("nothing went wrong"), "{}", explanation.verdict);
}
