//! The four timeouts, and attempts that are used up.

use std::time::Duration;

use serde_json::json;
use stead_runtime::inbound::Inbound;
use stead_schemas::dispatch::{Caller, RunOrder, StepReply};
use stead_schemas::failure::{Class, Failure};
use tokio::time::Instant;

use crate::desk::{Desk, on_simulated_time};

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn attempts_that_are_used_up_pause_the_run_with_the_reason() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("patient").await;
        for _ in 0..3 {
            desk.failed(&desk.step("test.first"), Class::VendorDown).await;
            desk.pass(seconds(9)).await;
        }
        assert!(desk.steps().is_empty());
        let view = desk.view(&run).await;
        assert_eq!(view.summary.state.word(), "paused");
        let words = &view.waiting[0].words;
        assert!(words.contains("step 1 was tried 3 times"), "{words}");
        assert!(words.contains("made to fail"), "{words}");
        assert_eq!(desk.order(&run, RunOrder::Retry { step: None }).await, "done");
        // It counts from the beginning again.
        desk.failed(&desk.step("test.first"), Class::VendorDown).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "running");
        desk.pass(seconds(9)).await;
        desk.done(&desk.step("test.first")).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "completed");
    });
}

#[test]
fn the_next_attempt_comes_after_the_pauses_that_the_step_asks_for() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        desk.start("patient").await;
        for (early, late) in [(1_950, 2_100), (3_950, 4_100)] {
            desk.failed(&desk.step("test.first"), Class::VendorDown).await;
            desk.pass(Duration::from_millis(early)).await;
            assert!(desk.steps().is_empty(), "not before half of the pause");
            desk.pass(Duration::from_millis(late)).await;
        }
        desk.step("test.first");
    });
}

#[test]
fn pauses_double_and_those_of_two_runs_that_failed_together_differ() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        for name in ["one", "two"] {
            desk.command_to(Caller::Api, "pair", name, name).await;
        }
        let mut pauses = [Vec::new(), Vec::new()];
        for full in [200, 400, 800, 1_600, 3_200, 6_400] {
            let steps = desk.steps();
            assert_eq!(steps.len(), 2, "{steps:?}");
            for (step, pauses) in steps.iter().zip(&mut pauses) {
                desk.failed(step, Class::VendorDown).await;
                pauses.extend(desk.pauses());
            }
            let last = pauses.each_ref().map(|pauses| *pauses.last().expect("it is published"));
            assert!(last.iter().all(|pause| (full / 2..=full).contains(pause)), "{full}: {last:?}");
            desk.pass(Duration::from_millis(full + 10)).await;
        }
        assert_ne!(pauses[0], pauses[1]);
    });
}

#[test]
fn a_step_that_is_cancelled_just_before_its_attempt_s_limit_has_its_whole_grace() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("patient").await;
        let first = desk.step("test.first");
        for _ in 0..7 {
            desk.answer(&first, StepReply::Heartbeat { progress: None }).await;
            desk.pass(seconds(4)).await;
        }
        // Two seconds of the thirty are left; the grace is ten.
        assert_eq!(desk.order(&run, RunOrder::Cancel).await, "done");
        desk.pass(seconds(8)).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "running");
        desk.pass(seconds(3)).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "failed");
    });
}

#[test]
fn a_step_that_was_tried_for_an_hour_pauses_the_run() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        for _ in 0..400 {
            if let Some(step) = desk.steps().pop() {
                desk.failed(&step, Class::VendorDown).await;
            }
            desk.pass(seconds(20)).await;
        }
        let view = desk.view(&run).await;
        assert_eq!(view.summary.state.word(), "paused");
        assert_eq!(desk.events(&run).await.last(), Some(&"run-paused"));
        let since = view.waiting[0].since.since(view.summary.started);
        assert!((seconds(3500)..=seconds(3600)).contains(&since), "{since:?}");
    });
}

#[test]
fn attempts_begin_anew_with_another_owner_and_the_time_does_not() {
    on_simulated_time(async {
        let mut desk = Desk::new().await;
        let pair = desk.start("pair").await;
        for _ in 0..80 {
            fail_all(&desk).await;
            desk.pass(seconds(20)).await;
        }
        let patient = desk.start("patient").await;
        for _ in 0..2 {
            fail_all(&desk).await;
            desk.pass(seconds(9)).await;
        }
        desk.owner.abort();
        desk = desk.next_owner().await;
        // The third failure of three, which this owner takes for the first.
        fail_all(&desk).await;
        assert_eq!(desk.view(&patient).await.summary.state.word(), "running");
        for _ in 0..105 {
            desk.pass(seconds(20)).await;
            fail_all(&desk).await;
        }
        let view = desk.view(&pair).await;
        assert_eq!(view.summary.state.word(), "paused");
        let since = view.waiting[0].since.since(view.summary.started);
        assert!((seconds(3500)..=seconds(3600)).contains(&since), "{since:?}");
    });
}

/// Whatever has been asked for comes to nothing.
async fn fail_all(desk: &Desk) {
    desk.settle().await;
    for step in desk.steps() {
        desk.failed(&step, Class::VendorDown).await;
    }
}

#[test]
fn lasting_trouble_pauses_the_run_where_the_workflow_wants_that() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("patient").await;
        desk.failed(&desk.step("test.first"), Class::Permanent).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "paused");
        let skip = RunOrder::Skip { step: 1, answer: json!({}) };
        assert_eq!(desk.order(&run, skip).await, "done");
        assert_eq!(desk.view(&run).await.summary.state.word(), "completed");
    });
}

#[test]
fn a_step_that_no_worker_begins_with_fails() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("patient").await;
        let step = desk.step("test.first");
        assert!(step.tell_start);
        for _ in 0..12 {
            desk.answer(&step, StepReply::Queued).await;
            assert_eq!(desk.view(&run).await.waiting[0].reason, "queued");
            desk.pass(seconds(5)).await;
        }
        desk.failed(&step, Class::Cancelled).await;
        let view = desk.view(&run).await;
        assert_eq!(view.summary.state.word(), "failed");
        let words = format!("{:?}", view.outcome);
        assert!(words.contains("began with it within 1 min"), "{words}");
    });
}

#[test]
fn waiting_for_a_worker_is_no_attempt() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        for _ in 0..5000 {
            desk.pass(seconds(1)).await;
            let step = desk.steps().pop().expect("it is offered again and again");
            desk.unheard(&step).await;
        }
        let view = desk.view(&run).await;
        assert_eq!((view.summary.state.word(), &*view.waiting[0].reason), ("running", "no-worker"));
        desk.pass(seconds(1)).await;
        desk.failed(&desk.step("test.first"), Class::VendorDown).await;
        assert_eq!(desk.view(&run).await.waiting[0].reason, "retrying", "that was the first try");
    });
}

#[test]
fn waiting_in_a_worker_s_queue_is_no_time_in_which_it_was_tried() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let step = desk.step("test.first");
        for _ in 0..1000 {
            desk.answer(&step, StepReply::Queued).await;
            desk.pass(seconds(5)).await;
        }
        desk.failed(&step, Class::VendorDown).await;
        assert_eq!(desk.view(&run).await.waiting[0].reason, "retrying");
    });
}

#[test]
fn what_another_entity_takes_for_a_command_is_no_time_in_which_it_was_tried() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("parent").await;
        let mut sent = Vec::new();
        for _ in 0..1000 {
            desk.pass(seconds(5)).await;
            sent.extend(desk.commands());
        }
        assert!(sent.len() > 100, "it is asked for again and again");
        let (address, reply) = (sent.remove(0).1, Failure::new(Class::Retry, "made to fail"));
        let reply = StepReply::Failed(reply);
        desk.say(Inbound::Answer { address, attempt: 0, proof: None, reply }).await;
        assert_eq!(desk.view(&run).await.waiting[0].reason, "retrying");
    });
}

#[test]
fn time_with_no_engine_is_no_time_in_which_it_was_tried() {
    on_simulated_time(async {
        let mut desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.step("test.first");
        desk.owner.abort();
        desk.pass(seconds(4000)).await;
        desk = desk.next_owner().await;
        let taken_over = Instant::now();
        fail_all(&desk).await;
        assert_eq!(desk.view(&run).await.waiting[0].reason, "retrying", "that was the first try");
        while desk.view(&run).await.summary.state.word() == "running" {
            desk.pass(seconds(20)).await;
            fail_all(&desk).await;
        }
        // Half of the hour may have been spent by the owner before; half is its own.
        let tried = taken_over.elapsed();
        assert!((seconds(1700)..=seconds(1800)).contains(&tried), "{tried:?}");
        let words = desk.view(&run).await.waiting.remove(0).words;
        assert!(words.contains("since this engine took over, without success"), "{words}");
    });
}

#[test]
fn a_step_that_a_worker_had_begun_with_is_given_its_time_to_begin_again_by_the_next_owner() {
    on_simulated_time(async {
        let mut desk = Desk::new().await;
        let run = desk.start("patient").await;
        // Three attempts at which a worker is, for more than a minute.
        for attempt in 1..=3 {
            let step = desk.step("test.first");
            for _ in 0..4 {
                desk.answer(&step, StepReply::Heartbeat { progress: None }).await;
                desk.pass(seconds(5)).await;
            }
            if attempt < 3 {
                desk.failed(&step, Class::VendorDown).await;
                desk.pass(seconds(8)).await;
            }
        }
        assert_eq!(desk.view(&run).await.summary.state.word(), "running");
        desk.owner.abort();
        desk = desk.next_owner().await;
        desk.settle().await;
        let step = desk.step("test.first");
        for _ in 0..11 {
            desk.pass(seconds(5)).await;
            desk.answer(&step, StepReply::Queued).await;
            assert_eq!(desk.cancels(), []);
        }
        desk.pass(seconds(6)).await;
        assert_eq!(desk.cancels(), std::slice::from_ref(&step.address), "that was its minute");
        desk.pass(seconds(11)).await;
        let words = format!("{:?}", desk.view(&run).await.outcome);
        assert!(words.contains("began with it within 1 min"), "{words}");
        assert!(words.contains("since this engine took over"), "{words}");
    });
}

#[test]
fn an_attempt_that_takes_too_long_is_stopped_and_another_one_made() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        desk.start("patient").await;
        let first = desk.step("test.first");
        for _ in 0..6 {
            desk.answer(&first, StepReply::Heartbeat { progress: None }).await;
            desk.pass(seconds(5)).await;
        }
        assert_eq!(desk.cancels(), std::slice::from_ref(&first.address));
        assert!(desk.steps().is_empty(), "its worker is given time to stop");
        desk.failed(&first, Class::Cancelled).await;
        desk.pass(seconds(9)).await;
        assert_ne!(desk.step("test.first").attempt, first.attempt);
    });
}

#[test]
fn an_attempt_that_does_not_stop_is_not_waited_for() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("patient").await;
        let first = desk.step("test.first");
        for _ in 0..9 {
            desk.answer(&first, StepReply::Heartbeat { progress: None }).await;
            desk.pass(seconds(5)).await;
        }
        let second = desk.step("test.first");
        desk.done(&first).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "running");
        desk.done(&second).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "completed");
    });
}

#[test]
fn a_step_may_be_silent_for_as_long_as_it_says() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        desk.start("patient").await;
        desk.step("test.first");
        desk.pass(seconds(7)).await;
        assert!(desk.steps().is_empty());
        desk.pass(seconds(2)).await;
        desk.step("test.first");
    });
}

#[test]
fn workers_that_die_again_and_again_pause_the_run() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("patient").await;
        for _ in 0..3 {
            desk.step("test.first");
            desk.pass(seconds(9)).await;
        }
        assert!(desk.steps().is_empty());
        assert_eq!(desk.view(&run).await.summary.state.word(), "paused");
    });
}
