//! Steps that were done, but not at once.

use std::collections::BTreeMap;

use serde_json::json;
use stead_schemas::dispatch::Caller;
use stead_schemas::event::{Event, Outcome, StepCompleted};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION};

use super::{alone, answered, asked, run, started, step};
use crate::story::explain::{Kind, explain};

/// What is said of a step that took so many attempts, and what is said to be unknown.
fn check(attempts: u32, met: Option<&str>, told: &str, unknown: &[&str]) {
    let met = met.map(|words| Failure::new(Class::Ambiguous, words).at("one.step"));
    let done = StepCompleted { seq: 1, answer: json!({}), attempts, met };
    let events = vec![
        started("workspace", "dev"),
        asked("c1", "create", Caller::Api),
        step(1, "one.step", false),
        Event::StepCompleted(done),
        answered("c1", Outcome::Done(json!({}))),
    ];
    let at = Timestamp::from_millis(1_800_000_000_000);
    let (engine, prev) = (String::new(), String::new());
    let history = [Transition { v: VERSION, run: run(), n: 1, at, engine, prev, events }];
    let views = BTreeMap::new();
    let explained = explain(&alone(&history, &views)).expect("a history");
    let cause = explained.cause.expect("a cause");
    assert_eq!((cause.kind, &*cause.words), (Kind::Attempts, told));
    assert_eq!(explained.not_known.len(), unknown.len(), "{:?}", explained.not_known);
    for (found, words) in explained.not_known.iter().zip(unknown) {
        assert!(found.contains(words), "{found}");
    }
}

#[test]
fn what_stood_in_the_way_of_a_step_is_named_and_what_is_not_known_of_it() {
    let late = "the worker fell silent for 6 s; its answer came too late";
    check(
        2,
        Some(late),
        "it was done only at the last of 2 attempts, after 0 ms; before that: the worker fell \
         silent for 6 s; its answer came too late",
        &[],
    );
    check(
        3,
        Some("no route"),
        "it was done only at the last of 3 attempts, after 0 ms; before that: no route",
        &["what the attempts before that met"],
    );
    check(
        1,
        Some("it took longer than 30 s"),
        "it was done only after 0 ms; before that: it took longer than 30 s",
        &[],
    );
    let none = "it was done only at the last of 2 attempts, after 0 ms";
    check(2, None, none, &["what the earlier attempts met"]);
}
