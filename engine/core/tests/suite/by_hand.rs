//! What people do to a run by hand: pause, skip, edit, abandon, terminate, signal.

use serde_json::{Value, json};
use stead_core::context::Context;
use stead_core::definition::{Ending, Execution};
use stead_core::run::execution;
use stead_schemas::dispatch::Caller;
use stead_schemas::event::{
    ByHand, Event, RunPaused, RunResumed, Signal, SignalReceived, StepEdited, StepRetried,
    StepSkipped, TerminateRequested, UndoAbandoned,
};
use stead_schemas::step::probe::Noop;

use crate::desk::{Desk, by_hand};

fn two_steps(cx: Context) -> Execution {
    execution(async move {
        cx.show("busy", &json!({ "vmid": 7 }));
        let both = cx.operation(async {
            cx.step(Noop { number: 1 }).undo(Noop { number: 11 }).await?;
            cx.step(Noop { number: 2 }).undo(Noop { number: 12 }).await
        });
        both.await.map(|_| Ending::Completed(Value::Null))
    })
}

fn terminate(desk: &mut Desk) -> String {
    desk.fact(Event::TerminateRequested(TerminateRequested { order: by_hand("enough") }))
}

#[test]
fn a_paused_run_takes_facts_in_and_no_deadline_counts_the_pause() {
    let (mut desk, _) = Desk::start(two_steps);
    let pause = |seq| Event::RunPaused(RunPaused { seq, order: by_hand("wait") });
    assert_eq!(desk.fact(pause(None)), "");
    assert_eq!(desk.fact(pause(None)), "not legal");
    assert_eq!(desk.done(1), "2: probe.noop 2");
    let resume = Event::RunResumed(RunResumed { order: by_hand("go on") });
    assert_eq!(desk.fact(resume.clone()), "");
    let open = &desk.run.folded().steps[&2];
    // Scheduled at 3 s, inside the pause; resumed at 4 s.
    assert_eq!((open.paused.as_secs(), open.tried_since.since(open.since).as_secs()), (1, 1));
    assert_eq!(desk.fact(resume), "not legal");
}

#[test]
fn a_skipped_step_is_done_for_the_workflow() {
    let (mut desk, _) = Desk::start(two_steps);
    assert!(desk.run.check_answer(1, &json!([1])).is_err());
    assert!(desk.run.check_answer(1, &json!({})).is_ok());
    let skip = |seq| {
        Event::StepSkipped(StepSkipped { seq, answer: json!({}), order: by_hand("done by hand") })
    };
    assert_eq!(desk.fact(skip(1)), "2: probe.noop 2");
    assert_eq!(desk.fact(skip(1)), "not legal");
    assert_eq!(desk.failed(2), "undo 3: probe.noop 12");
    assert_eq!(desk.fact(skip(3)), "not legal");
}

#[test]
fn an_edited_step_asks_for_something_else_and_is_tried_anew() {
    let (mut desk, _) = Desk::start(two_steps);
    assert!(desk.run.check_request(1, &json!({ "number": "x" })).is_err());
    let request = json!({ "number": 9 });
    let edit = StepEdited { seq: 1, request: request.clone(), order: by_hand("wrong number") };
    assert_eq!(desk.fact(Event::StepEdited(edit)), "");
    assert_eq!(desk.run.folded().steps[&1].step.request, request);
    let retry = Event::StepRetried(StepRetried { seq: 1, order: by_hand("now") });
    assert_eq!(desk.fact(retry), "");
    assert_eq!(desk.run.folded().steps[&1].tried_since.to_string(), "1970-01-01T00:00:03.000Z");
    assert_eq!(desk.done(1), "2: probe.noop 2");
}

#[test]
fn an_abandoned_undo_is_listed_and_the_others_go_on() {
    let (mut desk, _) = Desk::start(two_steps);
    desk.done(1);
    assert_eq!(desk.failed(2), "undo 3: probe.noop 12");
    let abandon =
        |seq| Event::UndoAbandoned(UndoAbandoned { seq, order: by_hand("the node burnt down") });
    assert_eq!(desk.fact(abandon(3)), "undo 4: probe.noop 11");
    assert_eq!(desk.run.folded().left[0].request, json!({ "number": 12 }));
    assert_eq!(desk.done(4), "failed probe.noop: no");
}

#[test]
fn a_terminated_run_lists_what_it_leaves() {
    let (mut desk, _) = Desk::start(two_steps);
    desk.done(1);
    assert_eq!(
        terminate(&mut desk),
        "terminated, left [probe.noop step under way; probe.noop undo not begun; probe.noop undo \
         not begun] view {\"vmid\":7}"
    );
    assert_eq!(desk.done(2), "not legal");
    assert_eq!(terminate(&mut desk), "not legal");
}

#[test]
fn a_signal_waits_until_somebody_wants_it_even_if_the_run_begins_anew() {
    let (mut desk, _) = Desk::start(|cx| {
        execution(async move {
            if cx.carried::<bool>()?.is_none() {
                cx.step(Noop { number: 1 }).await?;
                return Ok(Ending::ContinueAsNew(json!(true)));
            }
            let said: u32 = cx.signal("go").await?;
            Ok(Ending::Completed(json!(said)))
        })
    });
    let signal = |name: &str, payload| {
        let signal = Signal { name: name.into(), payload };
        Event::SignalReceived(SignalReceived { signal, order: by_hand("now") })
    };
    let awaited = |desk: &Desk| desk.run.awaited().into_iter().map(|awaited| awaited.name);
    assert_eq!(desk.fact(signal("stop", json!(1))), "");
    assert_eq!(awaited(&desk).count(), 0, "it is at a step");
    assert_eq!(desk.done(1), "continued-as-new");
    assert!(awaited(&desk).eq(["go"]));
    assert_eq!(desk.fact(signal("go", json!(7))), "completed 7");
}

#[test]
fn a_cancel_ends_the_wait_for_a_signal() {
    let (mut desk, _) = Desk::start(|cx| {
        execution(async move {
            let asked = cx.operation(async {
                cx.step(Noop { number: 1 }).undo(Noop { number: 11 }).await?;
                cx.signal::<u32>("go").await
            });
            asked.await.map(|said| Ending::Completed(json!(said)))
        })
    });
    assert_eq!(desk.done(1), "");
    assert_eq!(desk.run.awaited().len(), 1);
    assert_eq!(desk.cancel(), "change-marked, undo 2: probe.noop 11");
    assert_eq!(desk.run.awaited(), []);
    assert_eq!(desk.done(2), "failed it was cancelled: no");
}

#[test]
fn an_order_of_the_same_id_acts_once() {
    let (mut desk, _) = Desk::start(two_steps);
    let order = ByHand { by: Caller::Api, why: "wait".into(), id: Some("a".into()) };
    assert_eq!(desk.fact(Event::RunPaused(RunPaused { seq: None, order: order.clone() })), "");
    assert_eq!(desk.fact(Event::RunResumed(RunResumed { order })), "not legal");
    assert!(desk.run.folded().knows_order("a"));
}
