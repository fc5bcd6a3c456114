//! The spans of histories: each thing that was done has one, beneath what it was done for.

use std::collections::BTreeMap;

use serde_json::json;
use stead_core::trace::Tracing;
use stead_schemas::dispatch::{Caller, StepAddress};
use stead_schemas::event::{
    CommandAccepted, CommandCompleted, Event, Outcome, RunFailed, RunTerminated, StepCancelled,
    StepCompleted, StepFailed,
};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::Owner;
use stead_schemas::time::Timestamp;
use stead_schemas::trace::{Span, SpanId, TraceId, TraceParent};
use stead_schemas::transition::{Transition, VERSION};

use super::{accepted, command_completed, started, step_scheduled};

const LIFE: &str = include_str!("../../../../schemas/tests/golden/workspace-life.jsonl");

/// The spans of a history whose transitions hold one event each, a millisecond apart.
fn told(events: Vec<Event>) -> Vec<Span> {
    let run = EntityKey::of("pages", &Owner::new("john").unwrap(), "x").run(1);
    let mut tracing = Tracing::default();
    let transitions = events.into_iter().zip(1..).map(|(event, n)| Transition {
        v: VERSION,
        run: run.clone(),
        n,
        at: Timestamp::from_millis(i64::try_from(n).unwrap()),
        engine: "e".into(),
        prev: String::new(),
        events: vec![event],
    });
    transitions.collect::<Vec<_>>().iter().flat_map(|one| tracing.take(one)).collect()
}

/// Each span as `name < parent's name, milliseconds, error`.
fn check(events: Vec<Event>, lines: &[&str]) {
    let spans = told(events);
    let names: BTreeMap<SpanId, &str> =
        spans.iter().map(|span| (span.id, span.name.as_str())).collect();
    let line = |span: &Span| {
        let parent = span.parent.map_or("", |id| names.get(&id).copied().unwrap_or("?"));
        let (from, to) = (span.begun_ns / 1_000_000, span.ended_ns / 1_000_000);
        let error = span.error.as_deref().unwrap_or("well");
        format!("{} < {parent}, {from} to {to}, {error}", span.name)
    };
    assert_eq!(spans.iter().map(line).collect::<Vec<_>>(), lines);
}

fn done(seq: u32) -> Event {
    Event::StepCompleted(StepCompleted { seq, answer: json!({}), attempts: 1, met: None })
}

fn cancelled() -> Failure {
    Failure::new(Class::Cancelled, "somebody wanted it")
}

#[test]
fn each_step_of_a_recorded_life_has_a_span_beneath_its_command() {
    let mut tracing = Tracing::default();
    let history: Vec<Transition> =
        LIFE.lines().map(|line| Transition::decode(line.as_bytes()).unwrap()).collect();
    let spans: Vec<Span> = history.iter().flat_map(|one| tracing.take(one)).collect();
    let run = &history[0].run;
    let by_id: BTreeMap<SpanId, &Span> = spans.iter().map(|span| (span.id, span)).collect();
    assert_eq!(by_id.len(), spans.len(), "no id is given twice");
    let mut steps = 0;
    for event in history.iter().flat_map(|one| &one.events) {
        let Event::StepScheduled(step) = event else { continue };
        let address = StepAddress { run: run.clone(), seq: step.seq };
        let span = by_id[&SpanId::of_step(&address)];
        assert_eq!((span.trace, &span.name), (TraceId::of(run), &step.step));
        let command = by_id[&span.parent.expect("a parent")];
        assert!(command.name.starts_with("workspace."), "{command:?}");
        assert!(command.begun_ns <= span.begun_ns && span.ended_ns <= command.ended_ns);
        assert_eq!(command.parent, Some(SpanId::of_run(run)));
        steps += 1;
    }
    assert!(steps > 10, "{steps} steps are no life");
    let root = by_id[&SpanId::of_run(run)];
    assert_eq!((root.parent, &*root.name), (None, "workspace"));
}

#[test]
fn a_step_is_beneath_the_command_that_is_carried_out_and_not_one_that_waits() {
    check(
        vec![
            started(),
            step_scheduled(1),
            done(1),
            accepted(1),
            accepted(2),
            step_scheduled(2),
            done(2),
            command_completed(1),
            step_scheduled(3),
            done(3),
            command_completed(2),
        ],
        &[
            "probe.noop < ?, 2 to 3, well",
            "probe.noop < pages.go, 6 to 7, well",
            "pages.go < ?, 4 to 8, well",
            "probe.noop < pages.go, 9 to 10, well",
            "pages.go < ?, 5 to 11, well",
        ],
    );
}

#[test]
fn a_run_that_is_cancelled_ends_with_an_error_and_so_does_what_it_was_at() {
    let failed = CommandCompleted { id: "1".into(), outcome: Outcome::Failed(cancelled()) };
    check(
        vec![
            started(),
            accepted(1),
            step_scheduled(1),
            step_scheduled(2),
            Event::StepFailed(StepFailed { seq: 1, failure: cancelled().at("s"), attempts: 2 }),
            Event::StepCancelled(StepCancelled { seq: 2 }),
            Event::CommandCompleted(failed),
            Event::RunFailed(RunFailed { failure: cancelled() }),
        ],
        &[
            "probe.noop < pages.go, 3 to 5, s: somebody wanted it",
            "probe.noop < pages.go, 4 to 6, the step was cancelled",
            "pages.go < pages, 2 to 7, somebody wanted it",
            "pages < , 1 to 8, somebody wanted it",
        ],
    );
}

#[test]
fn whatever_is_open_ends_with_a_run_that_is_terminated() {
    let ended = RunTerminated { why: "no hope".into(), left: vec![], view: ().into() };
    check(
        vec![started(), accepted(1), step_scheduled(1), Event::RunTerminated(ended)],
        &[
            "probe.noop < pages.go, 3 to 4, no hope",
            "pages.go < pages, 2 to 4, no hope",
            "pages < , 1 to 4, no hope",
        ],
    );
}

#[test]
fn a_command_that_another_run_gave_names_the_step_that_gave_it() {
    let run = EntityKey::of("pages", &Owner::new("jane").unwrap(), "y").run(1);
    let step = StepAddress { run, seq: 4 };
    let Event::CommandAccepted(usual) = accepted(1) else { unreachable!("it is one") };
    let given = CommandAccepted { by: Caller::Run(step.clone()), ..usual };
    let spans = told(vec![started(), Event::CommandAccepted(given), command_completed(1)]);
    assert_eq!(spans[0].asked_by, Some(TraceParent::of_step(&step)));
}
