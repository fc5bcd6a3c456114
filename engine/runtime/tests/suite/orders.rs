//! What people do to a run by hand: each order is an event or is refused in words.

use std::time::Duration;

use serde_json::{Map, Value, json};
use stead_core::size::SIGNALS_MAX;
use stead_runtime::inbound::Inbound;
use stead_runtime::ports::ReplyTo;
use stead_schemas::dispatch::{OrderRun, RunOrder, StepReply};
use stead_schemas::event::{Event, Signal, StepEdited, StepSkipped};
use stead_schemas::failure::Class;

use crate::desk::{Desk, by_hand, on_simulated_time};

#[test]
fn an_order_is_done_only_once_it_is_in_the_log_however_often_it_is_given() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.log.set_away(true);
        for _ in 0..2 {
            let order =
                OrderRun { run: run.clone(), by: by_hand(Some("o-1")), order: RunOrder::Pause };
            desk.say(Inbound::Order(order, ReplyTo("operator".into()))).await;
        }
        assert!(desk.replies("operator").is_empty(), "it is in memory alone");
        desk.log.set_away(false);
        desk.settle().await;
        assert_eq!(desk.replies("operator").len(), 2);
        assert_eq!(desk.events(&run).await.iter().filter(|name| **name == "run-paused").count(), 1);
    });
}

#[test]
fn a_paused_run_begins_no_attempt_until_it_is_resumed() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let first = desk.step("test.first");
        assert_eq!(desk.order(&run, RunOrder::Pause).await, "done");
        assert_eq!(desk.order(&run, RunOrder::Pause).await, "run.paused-already");
        // What is under way goes on to its end; what follows from it waits.
        desk.done(&first).await;
        desk.pass(Duration::from_secs(3600)).await;
        assert!(desk.steps().is_empty());
        let view = desk.view(&run).await;
        assert_eq!((view.summary.state.word(), &*view.waiting[0].reason), ("paused", "paused"));
        assert_eq!(view.waiting[0].words, "it is paused: a test");
        assert_eq!(desk.order(&run, RunOrder::Resume).await, "done");
        assert_eq!(desk.order(&run, RunOrder::Resume).await, "run.not-paused");
        // The second step may take a minute, and the hour of the pause does not count.
        desk.done(&desk.step("test.second")).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "completed");
    });
}

#[test]
fn a_paused_run_waits_for_a_worker_that_takes_longer_than_the_step_may() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.done(&desk.step("test.first")).await;
        let second = desk.step("test.second");
        assert_eq!(desk.order(&run, RunOrder::Pause).await, "done");
        // It may take a minute. An owner that looked at it all the time would not get through this.
        for _ in 0..20 {
            desk.answer(&second, StepReply::Heartbeat { progress: None }).await;
            desk.pass(Duration::from_secs(4)).await;
        }
        assert_eq!(desk.view(&run).await.summary.state.word(), "paused");
        desk.done(&second).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "completed");
    });
}

#[test]
fn a_paused_run_stays_paused_under_another_owner() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.failed(&desk.step("test.first"), Class::VendorDown).await;
        desk.order(&run, RunOrder::Pause).await;
        let again = Desk::on(desk.log.clone()).await;
        again.pass(Duration::from_secs(60)).await;
        assert!(again.steps().is_empty());
        assert_eq!(again.order(&run, RunOrder::Resume).await, "done");
        again.step("test.first");
    });
}

#[test]
fn a_timer_of_a_paused_run_fires_when_it_is_resumed() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("nap").await;
        desk.order(&run, RunOrder::Pause).await;
        desk.pass(Duration::from_secs(7200)).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "paused");
        desk.order(&run, RunOrder::Resume).await;
        desk.settle().await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "completed");
    });
}

#[test]
fn a_cancel_lets_a_paused_run_go_on_to_be_taken_back() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.done(&desk.step("test.first")).await;
        let second = desk.step("test.second");
        desk.order(&run, RunOrder::Pause).await;
        desk.failed(&second, Class::VendorDown).await;
        desk.pass(Duration::from_secs(60)).await;
        assert_eq!(desk.order(&run, RunOrder::Cancel).await, "done");
        desk.done(&desk.step("test.undo-first")).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "failed");
        let events = desk.events(&run).await;
        assert!(events.contains(&"run-resumed"), "{events:?}");
    });
}

#[test]
fn a_cancel_asks_nobody_anew_for_what_a_worker_of_the_owner_before_may_be_at() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.step("test.first");
        desk.order(&run, RunOrder::Pause).await;
        let again = Desk::on(desk.log.clone()).await;
        assert_eq!(again.order(&run, RunOrder::Cancel).await, "done");
        assert!(again.steps().is_empty(), "the worker is told to stop, and has its time");
        again.pass(Duration::from_secs(10)).await;
        again.done(&again.step("test.undo-first")).await;
        assert_eq!(again.view(&run).await.summary.state.word(), "failed");
    });
}

#[test]
fn a_cancelled_step_that_nobody_listens_to_is_over_when_its_grace_is() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let first = desk.step("test.first");
        assert_eq!(desk.order(&run, RunOrder::Cancel).await, "done");
        // The server's word that nobody listens was on its way.
        desk.unheard(&first).await;
        desk.pass(Duration::from_secs(10)).await;
        desk.done(&desk.step("test.undo-first")).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "failed");
    });
}

#[test]
fn the_deadline_of_a_report_from_outside_stands_still_and_then_runs_on() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("guest").await;
        desk.pass(Duration::from_secs(20)).await;
        desk.order(&run, RunOrder::Pause).await;
        desk.pass(Duration::from_secs(600)).await;
        desk.order(&run, RunOrder::Resume).await;
        desk.pass(Duration::from_secs(35)).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "running");
        desk.pass(Duration::from_secs(10)).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "failed");
    });
}

#[test]
fn a_step_that_waits_is_tried_at_once() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let step = desk.step("test.first");
        let retry = |step| RunOrder::Retry { step };
        assert_eq!(desk.order(&run, retry(None)).await, "run.nothing-to-retry");
        assert_eq!(desk.order(&run, retry(Some(7))).await, "step.not-open");
        desk.failed(&step, Class::VendorDown).await;
        assert_eq!(desk.order(&run, retry(None)).await, "done");
        assert_ne!(desk.step("test.first").attempt, step.attempt);
    });
}

#[test]
fn a_skipped_step_is_done_and_its_worker_told_to_stop() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let first = desk.step("test.first");
        let skip = |step, answer| RunOrder::Skip { step, answer };
        assert_eq!(desk.order(&run, skip(1, json!([7]))).await, "step.answer-invalid");
        assert_eq!(desk.order(&run, skip(2, json!({}))).await, "step.not-open");
        assert_eq!(desk.order(&run, skip(1, json!({}))).await, "done");
        assert_eq!(desk.cancels(), std::slice::from_ref(&first.address));
        desk.step("test.second");
        desk.failed(&first, Class::Permanent).await;
        assert_eq!(desk.view(&run).await.waiting[0].what, "test.second");
    });
}

#[test]
fn what_a_step_is_skipped_with_is_what_the_workflow_goes_on_with() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("relay").await;
        desk.step("test.shape");
        let (step, answer) = (1, json!({ "made": 7 }));
        let skip = RunOrder::Skip { step, answer: answer.clone() };
        assert_eq!(desk.order(&run, skip).await, "done");
        assert_eq!(desk.step("test.use").request, answer);
        // It is the same for whoever goes on from the log.
        let again = Desk::on(desk.log.clone()).await;
        again.settle().await;
        let second = again.step("test.use");
        assert_eq!(second.request, answer);
        again.done(&second).await;
        assert_eq!(again.view(&run).await.summary.state.word(), "completed");
        let skipped = StepSkipped { seq: step, answer, order: by_hand(None) };
        assert!(again.history(&run).await.contains(&Event::StepSkipped(skipped)));
    });
}

#[test]
fn an_edited_step_asks_workers_for_something_else_under_any_owner() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("relay").await;
        let first = desk.step("test.shape");
        assert_eq!(first.request, json!({ "size": 1 }));
        desk.failed(&first, Class::VendorDown).await;
        let fields = Map::from_iter([("size".to_owned(), json!(5))]);
        assert_eq!(desk.order(&run, RunOrder::Edit { step: 1, fields }).await, "done");
        let request = json!({ "size": 5 });
        assert_eq!(desk.step("test.shape").request, request, "it is tried now, as it is edited");
        let again = Desk::on(desk.log.clone()).await;
        again.settle().await;
        let shape = again.step("test.shape");
        assert_eq!(shape.request, request);
        again.answer(&shape, StepReply::Done(json!({ "made": 5 }))).await;
        again.done(&again.step("test.use")).await;
        assert_eq!(again.view(&run).await.summary.state.word(), "completed");
        let edited = StepEdited { seq: 1, request, order: by_hand(None) };
        assert!(again.history(&run).await.contains(&Event::StepEdited(edited)));
    });
}

#[test]
fn an_edit_is_refused_while_somebody_is_at_work_and_where_it_does_not_fit() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let edit = |field: &str| RunOrder::Edit {
            step: 1,
            fields: Map::from_iter([(field.to_owned(), json!(1))]),
        };
        assert_eq!(desk.order(&run, edit("node")).await, "step.under-way");
        desk.failed(&desk.step("test.first"), Class::VendorDown).await;
        assert_eq!(desk.order(&run, edit("node")).await, "step.field-unknown");
    });
}

#[test]
fn an_undo_that_is_edited_in_the_moment_of_a_cancel_is_tried_on() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("lenient").await;
        desk.done(&desk.step("test.first")).await;
        desk.failed(&desk.step("test.second"), Class::Permanent).await;
        desk.failed(&desk.step("test.undo-first"), Class::VendorDown).await;
        desk.log.set_away(true);
        desk.command("lenient", "another").await;
        let edit = RunOrder::Edit { step: 3, fields: Map::new() };
        for order in [RunOrder::Cancel, edit] {
            desk.order_unanswered(&run, order).await;
        }
        // Its next try comes due meanwhile, and waits for what it is edited to.
        desk.pass(Duration::from_secs(70)).await;
        assert!(desk.steps().is_empty());
        desk.log.set_away(false);
        desk.settle().await;
        let events = desk.events(&run).await;
        assert!(events.ends_with(&["command-accepted", "cancel-requested", "step-edited"]));
        desk.done(&desk.step("test.undo-first")).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "failed");
    });
}

#[test]
fn an_undo_that_cannot_succeed_is_abandoned_and_listed() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.done(&desk.step("test.first")).await;
        let abandon = |step| RunOrder::Abandon { step };
        assert_eq!(desk.order(&run, abandon(2)).await, "step.no-undo");
        desk.failed(&desk.step("test.second"), Class::Permanent).await;
        desk.failed(&desk.step("test.undo-first"), Class::Permanent).await;
        assert_eq!(desk.view(&run).await.waiting[0].reason, "human");
        assert_eq!(
            desk.order(&run, RunOrder::Skip { step: 3, answer: json!({}) }).await,
            "step.is-undo"
        );
        assert_eq!(desk.order(&run, abandon(3)).await, "done");
        let view = desk.view(&run).await;
        assert_eq!(view.summary.state.word(), "failed");
        assert_eq!(view.left[0].step, "test.undo-first");
    });
}

#[test]
fn a_terminated_run_stops_its_steps_and_says_what_it_leaves() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.done(&desk.step("test.first")).await;
        let second = desk.step("test.second");
        assert_eq!(desk.order(&run, RunOrder::Terminate).await, "done");
        assert_eq!(desk.cancels(), [second.address]);
        let view = desk.view(&run).await;
        assert_eq!(view.summary.state.word(), "terminated");
        let left: Vec<_> = view.left.iter().map(|left| (&*left.step, &*left.why)).collect();
        assert_eq!(
            left,
            [("test.second", "step under way"), ("test.undo-first", "undo not begun")]
        );
        assert!(view.commands[0].outcome.is_some(), "whoever gave the command is told");
        assert_eq!(desk.order(&run, RunOrder::Terminate).await, "run.over");
        // The name is free again.
        desk.command("pair", "id-2").await;
        desk.step("test.first");
    });
}

#[test]
fn a_signal_reaches_the_workflow_and_an_unknown_one_is_refused() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("listener").await;
        let signal = |name: &str| RunOrder::Signal(Signal { name: name.into(), payload: json!(7) });
        assert_eq!(desk.order(&run, signal("stop")).await, "run.signal-unknown");
        assert_eq!(desk.order(&run, signal("go")).await, "done");
        let view = desk.view(&run).await;
        assert_eq!(view.summary.state.word(), "completed");
    });
}

#[test]
fn an_order_that_is_repeated_acts_once() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        assert_eq!(desk.order_as(&run, RunOrder::Pause, Some("a")).await, "done");
        assert_eq!(desk.order_as(&run, RunOrder::Pause, Some("a")).await, "done");
        assert_eq!(desk.order_as(&run, RunOrder::Resume, Some("b")).await, "done");
        assert_eq!(desk.order_as(&run, RunOrder::Resume, Some("b")).await, "done");
        let events = desk.events(&run).await;
        let of = |name| events.iter().filter(|event| **event == name).count();
        assert_eq!((of("run-paused"), of("run-resumed")), (1, 1));
        desk.answer(&desk.step("test.first"), StepReply::Done(json!({}))).await;
    });
}

#[test]
fn an_edit_that_no_worker_could_read_is_refused_and_so_is_one_of_a_step_that_asks_for_nothing() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let edit = |size: Value| {
            let fields = Map::from_iter([("size".to_owned(), size)]);
            RunOrder::Edit { step: 1, fields }
        };
        let (relay, bare) = (desk.start("relay").await, desk.start("bare").await);
        for step in desk.steps() {
            desk.failed(&step, Class::VendorDown).await;
        }
        assert_eq!(desk.order(&relay, edit(json!("much"))).await, "step.request-invalid");
        assert_eq!(desk.order(&relay, edit(json!(2))).await, "done");
        assert_eq!(desk.order(&bare, edit(json!(2))).await, "step.not-editable");
    });
}

#[test]
fn an_order_that_comes_while_the_end_of_its_run_is_written_is_too_late() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.done(&desk.step("test.first")).await;
        let second = desk.step("test.second");
        desk.log.set_away(true);
        desk.done(&second).await;
        desk.order_unanswered(&run, RunOrder::Pause).await;
        assert!(desk.replies("operator").is_empty(), "nobody knows yet");
        desk.log.set_away(false);
        desk.settle().await;
        let replies = desk.replies("operator");
        assert_eq!(replies.len(), 1, "whoever gave it is told");
        assert!(replies[0].windows(14).any(|word| word == b"run.order-late"), "{replies:?}");
        assert_eq!(desk.view(&run).await.summary.state.word(), "completed");
    });
}

#[test]
fn signals_that_a_run_does_not_take_are_refused_once_there_are_too_many_or_too_much() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let go = |payload| RunOrder::Signal(Signal { name: "go".into(), payload });
        for n in 0..SIGNALS_MAX {
            assert_eq!(desk.order(&run, go(json!(n))).await, "done");
        }
        assert_eq!(desk.order(&run, go(json!(1))).await, "run.signals-full");
        let run = desk.start("nap").await;
        let large = || go(json!("x".repeat(60 * 1024)));
        assert_eq!(desk.order(&run, large()).await, "done");
        // One is on its way into the log, and one waits behind it.
        desk.log.set_away(true);
        desk.order_unanswered(&run, go(json!(1))).await;
        desk.order_unanswered(&run, large()).await;
        assert_eq!(desk.order(&run, large()).await, "run.signals-full");
        desk.log.set_away(false);
        desk.settle().await;
        assert_eq!(desk.replies("operator").len(), 2);
        assert_eq!(desk.order(&run, large()).await, "run.signals-full");
        assert_eq!(desk.order(&run, go(json!(1))).await, "done", "there is room for a small one");
    });
}
