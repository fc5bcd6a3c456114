//! A run that asks another one for its whole work, and what becomes of that one.

use std::time::Duration;

use serde_json::json;
use stead_runtime::inbound::Inbound;
use stead_runtime::ports::{EventLog, ReplyTo};
use stead_schemas::dispatch::{Caller, RunOrder, StepReply, StepRequest};
use stead_schemas::event::{Event, Outcome, StepCompleted};
use stead_schemas::failure::Class;
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::Owner;

use crate::desk::{Desk, on_simulated_time};

#[test]
fn a_parent_goes_on_when_its_child_is_done() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let parent = desk.start("parent").await;
        desk.carry_over().await;
        desk.done(&desk.step("test.first")).await;
        desk.done(&desk.step("test.second")).await;
        desk.carry_over().await;
        assert_eq!(desk.view(&parent).await.summary.state.word(), "completed");
    });
}

#[test]
fn a_parent_that_is_cancelled_waits_until_its_child_is_taken_back() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let parent = desk.start("parent").await;
        desk.carry_over().await;
        desk.done(&desk.step("test.first")).await;
        let second = desk.step("test.second");
        desk.cancel(&parent).await;
        desk.carry_over().await;
        assert_eq!(
            desk.cancels(),
            std::slice::from_ref(&second.address),
            "the child's step is stopped"
        );
        desk.failed(&second, Class::Cancelled).await;
        let undo = desk.step("test.undo-first");
        assert_eq!(desk.view(&parent).await.summary.state.word(), "running");
        desk.done(&undo).await;
        desk.carry_over().await;
        assert_eq!(desk.view(&parent).await.summary.state.word(), "failed");
        let key = EntityKey::of("pair", &Owner::new("john").expect("a name"), "child");
        assert_eq!(desk.view(&key.run(1)).await.summary.state.word(), "failed");
    });
}

#[test]
fn a_child_is_cancelled_once_however_often_its_parent_asks_while_the_log_is_away() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let parent = desk.start("parent").await;
        desk.carry_over().await;
        let first = desk.step("test.first");
        desk.cancel(&parent).await;
        let (cancel, ..) = desk.commands().pop().expect("the child is called back");
        desk.log.set_away(true);
        desk.done(&first).await;
        for _ in 0..3 {
            desk.say(Inbound::Command(cancel.clone(), ReplyTo("step".into()))).await;
        }
        desk.log.set_away(false);
        desk.pass(Duration::from_secs(1)).await;
        let events = desk.events(&first.address.run).await;
        let cancels = events.iter().filter(|event| **event == "cancel-requested").count();
        assert_eq!(cancels, 1, "{events:?}");
        desk.failed(&desk.step("test.second"), Class::Cancelled).await;
        desk.done(&desk.step("test.undo-first")).await;
    });
}

#[test]
fn a_child_outlives_a_parent_that_is_terminated_and_is_listed_as_what_stays() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let parent = desk.start("parent").await;
        desk.carry_over().await;
        let first = desk.step("test.first");
        assert_eq!(desk.order(&parent, RunOrder::Terminate).await, "done");
        desk.carry_over().await;
        let recorded = desk.log.read_run(&parent).await.unwrap().pop().unwrap();
        let last = String::from_utf8(recorded.bytes).unwrap();
        assert!(last.contains("pair.start"), "{last}");
        assert!(desk.cancels().iter().all(|stopped| stopped.run == parent));
        desk.done(&first).await;
        desk.done(&desk.step("test.second")).await;
        let key = EntityKey::of("pair", &Owner::new("john").expect("a name"), "child");
        assert_eq!(desk.view(&key.run(1)).await.summary.state.word(), "completed");
    });
}

#[test]
fn a_parent_waits_for_a_child_that_another_build_must_go_on_with() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let key = EntityKey::of("pair", &Owner::new("john").expect("a name"), "child");
        desk.command_to(Caller::Api, "pair", "child", "id-1").await;
        desk.owner.abort();
        let done = StepCompleted { seq: 1, answer: serde_json::json!({}), attempts: 1, met: None };
        desk.append_of_another_build(&key.run(1), vec![Event::StepCompleted(done)]).await;
        let after = Desk::on(desk.log.clone()).await;
        after.settle().await;
        assert_eq!(after.view(&key.run(1)).await.waiting[0].reason, "human", "it is parked");
        let parent = after.start("parent").await;
        after.carry_over().await;
        let view = after.view(&parent).await;
        assert_eq!((view.summary.state.word(), &*view.waiting[0].reason), ("running", "retrying"));
        assert!(view.waiting[0].words.contains("the run is parked"), "{:?}", view.waiting);
    });
}

#[test]
fn a_child_that_is_over_needs_no_cancel() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let parent = desk.start("parent").await;
        desk.carry_over().await;
        let key = EntityKey::of("pair", &Owner::new("john").expect("a name"), "child");
        assert_eq!(desk.order(&key.run(1), RunOrder::Terminate).await, "done");
        desk.cancel(&parent).await;
        desk.carry_over().await;
        assert_eq!(desk.view(&parent).await.summary.state.word(), "failed");
    });
}

#[test]
fn a_command_that_comes_after_its_cancel_is_not_taken_in() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let parent = desk.start("parent").await;
        let (late, ..) = desk.commands().pop().expect("the command for the child");
        desk.cancel(&parent).await;
        desk.carry_over().await;
        let state = desk.view(&parent).await.summary.state.word();
        assert_eq!(state, "running", "an owner before may have let it in");
        for _ in 0..15 {
            desk.pass(Duration::from_secs(1)).await;
            desk.carry_over().await;
        }
        assert_eq!(desk.view(&parent).await.summary.state.word(), "failed", "nothing to take back");
        let come = || desk.say(Inbound::Command(late.clone(), ReplyTo("step".into())));
        come().await;
        assert!(desk.steps().is_empty(), "nobody wants it any more");
        let key = late.key();
        assert!(desk.events(&key.run(1)).await.is_empty());
        desk.command_to(Caller::Api, "pair", "child", "id-2").await;
        assert_eq!(desk.step("test.first").address.run, key.run(1), "others are let in");
        come().await;
        let started = desk.events(&key.run(1)).await;
        assert_eq!(started.iter().filter(|name| **name == "command-accepted").count(), 1);
    });
}

/// The child is at its first step, and its parent has come to an end that is not its own.
async fn goes_on_alone(desk: &Desk, first: &StepRequest) {
    assert!(!desk.cancels().contains(&first.address), "nobody stops the child");
    desk.done(first).await;
    desk.done(&desk.step("test.second")).await;
    let child = desk.view(&first.address.run).await;
    assert_eq!(child.summary.state.word(), "completed");
    let events = desk.events(&first.address.run).await;
    assert!(!events.contains(&"cancel-requested"), "{events:?}");
}

/// While a worker is at this step.
async fn eleven_seconds_pass(desk: &Desk, first: &StepRequest) {
    for _ in 0..11 {
        desk.answer(first, StepReply::Heartbeat { progress: None }).await;
        desk.pass(Duration::from_secs(1)).await;
    }
}

/// The step that is asked for by this name; others may be, too.
fn asked(desk: &Desk, name: &str) -> StepRequest {
    desk.steps().into_iter().find(|step| step.step == name).expect("it is asked for")
}

#[test]
fn a_detached_child_is_done_for_its_parent_as_soon_as_it_is_accepted() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let parent = desk.start("hasty").await;
        assert!(desk.steps().is_empty(), "it is not accepted yet");
        desk.carry_over().await;
        let steps = desk.steps();
        let names: Vec<&str> = steps.iter().map(|step| step.step.as_str()).collect();
        assert_eq!(names, ["test.first", "other.strange"]);
        desk.done(&steps[1]).await;
        assert_eq!(desk.view(&parent).await.summary.state.word(), "completed");
        goes_on_alone(&desk, &steps[0]).await;
    });
}

#[test]
fn a_detached_child_outlives_a_parent_that_is_cancelled_or_terminated() {
    for (order, state) in [(RunOrder::Cancel, "failed"), (RunOrder::Terminate, "terminated")] {
        on_simulated_time(async {
            let desk = Desk::new().await;
            let parent = desk.start("hasty").await;
            desk.carry_over().await;
            let first = asked(&desk, "test.first");
            assert_eq!(desk.order(&parent, order).await, "done");
            eleven_seconds_pass(&desk, &first).await;
            desk.carry_over().await;
            let view = desk.view(&parent).await;
            assert_eq!(view.summary.state.word(), state);
            assert!(view.left.iter().all(|left| left.step != "pair.start"), "{:?}", view.left);
            goes_on_alone(&desk, &first).await;
        });
    }
}

#[test]
fn a_child_that_was_asked_for_plainly_outlives_its_parent_and_its_work_is_waited_for() {
    for (order, state, left) in [
        (None, "completed", vec![]),
        (Some(RunOrder::Cancel), "failed", vec![]),
        (Some(RunOrder::Terminate), "terminated", vec!["pair.start"]),
    ] {
        on_simulated_time(async {
            let desk = Desk::new().await;
            let parent = desk.start("plain").await;
            desk.carry_over().await;
            let first = desk.step("test.first");
            assert_eq!(desk.view(&parent).await.summary.state.word(), "running");
            if let Some(order) = order {
                assert_eq!(desk.order(&parent, order).await, "done");
                desk.carry_over().await;
                assert_eq!(desk.view(&parent).await.summary.state.word(), state);
            }
            goes_on_alone(&desk, &first).await;
            desk.carry_over().await;
            let view = desk.view(&parent).await;
            assert_eq!(view.summary.state.word(), state);
            assert_eq!(view.left.into_iter().map(|left| left.step).collect::<Vec<_>>(), left);
        });
    }
}

#[test]
fn a_child_goes_on_when_its_parent_has_stopped_waiting() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let parent = desk.start("racer").await;
        desk.carry_over().await;
        let first = desk.step("test.first");
        eleven_seconds_pass(&desk, &first).await;
        let outcome = desk.view(&parent).await.outcome;
        assert_eq!(outcome, Some(Outcome::Done(json!(false))), "it has waited in vain");
        desk.carry_over().await;
        goes_on_alone(&desk, &first).await;
    });
}
