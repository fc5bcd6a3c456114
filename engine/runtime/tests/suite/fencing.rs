//! Two who think that they own a partition; and one who comes after.

use std::time::Duration;

use stead_runtime::owner::Stopped;
use stead_runtime::ports::{Append, EventLog};
use stead_schemas::dispatch::{Caller, Route, RunOrder};
use stead_schemas::event::{CancelRequested, Event, Signal, StepCompleted, StepScheduled};
use stead_schemas::failure::Class;
use stead_schemas::ids::RunId;
use stead_schemas::policy::StepPolicy;

use tokio::sync::watch;

use crate::desk::{Desk, PARTITION, on_simulated_time};

#[test]
fn an_owner_that_loses_an_append_stops_and_says_nothing_more() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let step = desk.step("test.first");
        // Somebody else writes to the history.
        let stranger = Append {
            partition: PARTITION,
            epoch: 0,
            run: run.clone(),
            expected: desk.log.read_run(&run).await.unwrap()[0].seq,
            commit: "stranger".into(),
            bytes: b"{}".to_vec(),
        };
        desk.log.append(stranger).await.unwrap();
        desk.done(&step).await;
        assert!(desk.steps().is_empty(), "the append was refused, so nothing follows from it");
        assert_eq!(desk.owner.await.unwrap(), Stopped::Fenced);
    });
}

#[test]
fn an_owner_finds_out_that_somebody_else_writes_to_its_partition() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        desk.start("pair").await;
        desk.pass(Duration::from_secs(60)).await;
        // A run that this owner knows nothing of, begun by one who believes to be the owner, too.
        let before = Desk::on(desk.log.clone()).await;
        before.settle().await;
        before.start("nap").await;
        desk.pass(Duration::from_secs(6)).await;
        assert_eq!(desk.owner.await.unwrap(), Stopped::Fenced);
        assert!(!before.owner.is_finished());
    });
}

#[test]
fn an_owner_that_nothing_reaches_any_more_stops_and_says_why() {
    on_simulated_time(async {
        let mut desk = Desk::new().await;
        desk.settle().await;
        desk.hang_up();
        desk.settle().await;
        assert_eq!(desk.owner.await.unwrap(), Stopped::Deaf);
    });
}

#[test]
fn an_owner_whose_lease_is_over_says_nothing_more() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        desk.start("pair").await;
        let step = desk.step("test.first");
        // As after a freeze: the answer and the end of the lease are there at the same time.
        desk.lease.end();
        desk.done(&step).await;
        assert!(desk.steps().is_empty());
        assert_eq!(desk.log.len(PARTITION), 2, "the claim and the first transition");
        assert_eq!(desk.owner.await.unwrap(), Stopped::LeaseOver);
    });
}

#[test]
fn an_owner_whose_lease_ends_while_it_reads_the_log_says_nothing() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        desk.start("pair").await;
        desk.step("test.first");
        desk.owner.abort();
        let frozen = Desk::on(desk.log.clone()).await;
        frozen.lease.end();
        frozen.settle().await;
        assert!(frozen.steps().is_empty());
        assert!(frozen.published().is_empty());
        assert_eq!(frozen.owner.await.unwrap(), Stopped::LeaseOver);
    });
}

#[test]
fn an_owner_that_is_to_go_waits_no_longer_for_a_silent_log_than_a_lease_lasts() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        desk.settle().await;
        desk.log.set_away(true);
        desk.start("pair").await;
        desk.stop.send_replace(true);
        desk.pass(Duration::from_secs(4)).await;
        assert!(desk.owner.is_finished());
        assert!(desk.replies("caller").is_empty() && desk.steps().is_empty());
        assert_eq!(desk.owner.await.unwrap(), Stopped::Unacknowledged);
    });
}

#[test]
fn an_owner_whose_lease_ends_while_it_hands_over_tells_nobody() {
    on_simulated_time(async {
        for asked in [true, false] {
            let mut desk = Desk::new().await;
            desk.settle().await;
            desk.log.set_away(true);
            desk.start("pair").await;
            if asked {
                desk.stop.send_replace(true);
                desk.settle().await;
                desk.lease.end();
            } else {
                // The engine has lost the lease, and has let go of the owner.
                desk.lease.end();
                desk.stop = watch::channel(false).0;
                desk.settle().await;
            }
            desk.log.set_away(false);
            desk.settle().await;
            // Who comes after may have read the log before this append was in it.
            assert!(desk.replies("caller").is_empty());
            assert!(desk.steps().is_empty());
        }
    });
}

#[test]
fn whoever_comes_after_goes_on_where_the_log_ends() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.done(&desk.step("test.first")).await;
        desk.step("test.second");
        desk.owner.abort();
        let after = Desk::on(desk.log.clone()).await;
        after.settle().await;
        let second = after.step("test.second");
        after.done(&second).await;
        assert_eq!(after.view(&run).await.summary.state.word(), "completed");
        // The command is still known.
        after.command("pair", "id-1").await;
        let reply = String::from_utf8(after.replies("caller").remove(0)).unwrap();
        assert!(reply.contains("\"repeated\":true"), "{reply}");
    });
}

#[test]
fn what_was_done_for_an_owner_before_is_undone_when_its_workers_have_had_their_time() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let first = desk.step("test.first");
        // Another owner asks again, and has not heard yet that the first step was answered.
        let between = Desk::on(desk.log.clone()).await;
        between.settle().await;
        between.step("test.first");
        desk.done(&first).await;
        let after = Desk::on(desk.log.clone()).await;
        after.settle().await;
        let second = after.step("test.second");
        after.failed(&second, Class::Permanent).await;
        assert_eq!(after.cancels(), std::slice::from_ref(&second.address));
        after.pass(Duration::from_secs(11)).await;
        assert!(after.steps().is_empty(), "a worker is at the first step for the one between");
        assert_eq!(after.cancels(), std::slice::from_ref(&first.address));
        let words = &after.view(&run).await.waiting[0].words;
        assert!(words.contains("a worker may still be at what is undone"), "{words}");
        after.pass(Duration::from_secs(11)).await;
        after.done(&after.step("test.undo-first")).await;
        assert_eq!(after.view(&run).await.summary.state.word(), "failed");
        assert!(after.cancels().is_empty());
    });
}

#[test]
fn a_cancel_holds_for_every_owner_that_comes_after() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let first = desk.step("test.first");
        desk.cancel(&run).await;
        desk.owner.abort();
        // One that is gone before the grace is over, and one that sees it through.
        let between = Desk::on(desk.log.clone()).await;
        between.pass(Duration::from_secs(9)).await;
        assert!(between.steps().is_empty(), "nobody wants it any more");
        between.owner.abort();
        let after = Desk::on(desk.log.clone()).await;
        after.pass(Duration::from_secs(9)).await;
        assert!(after.steps().is_empty(), "neither is it sent again, nor undone at once");
        assert_eq!(after.cancels(), std::slice::from_ref(&first.address), "its worker is told");
        let waiting = after.view(&run).await.waiting.remove(0);
        assert_eq!(waiting.reason, "running");
        assert!(waiting.words.contains("is given its time to stop"), "{}", waiting.words);
        let retry = RunOrder::Retry { step: Some(first.address.seq) };
        assert_eq!(after.order(&run, retry).await, "run.nothing-to-retry");
        after.pass(Duration::from_secs(2)).await;
        after.done(&after.step("test.undo-first")).await;
        assert_eq!(after.view(&run).await.summary.state.word(), "failed");
        let events = after.events(&run).await;
        assert_eq!(events.iter().filter(|name| **name == "step-cancelled").count(), 1);
    });
}

#[test]
fn a_child_that_is_called_back_is_called_back_by_the_next_owner_too() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let parent = desk.start("parent").await;
        desk.carry_over().await;
        let first = desk.step("test.first");
        desk.owner.abort();
        // The cancel came into the log; what its owner would have done next did not.
        let (by, command) = (Caller::Api, Some("id-1".into()));
        let cancel = CancelRequested { by, why: "a test".into(), command, id: None };
        desk.append_of_another_build(&parent, vec![Event::CancelRequested(cancel)]).await;
        let after = Desk::on(desk.log.clone()).await;
        after.settle().await;
        after.carry_over().await;
        assert!(after.cancels().contains(&first.address), "the child's worker is told to stop");
        after.step("test.first");
        after.pass(Duration::from_secs(11)).await;
        after.done(&after.step("test.undo-first")).await;
        after.carry_over().await;
        assert_eq!(after.view(&parent).await.summary.state.word(), "failed");
    });
}

#[test]
fn a_step_that_is_cancelled_before_it_could_be_sent_is_not_sent() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let first = desk.step("test.first");
        desk.log.set_away(true);
        let go = Signal { name: "go".into(), payload: serde_json::Value::Null };
        desk.order_unanswered(&run, RunOrder::Signal(go)).await;
        desk.done(&first).await;
        desk.cancel_unanswered(&run).await;
        desk.log.set_away(false);
        desk.settle().await;
        desk.done(&desk.step("test.undo-first")).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "failed");
    });
}

#[test]
fn what_a_second_worker_did_is_undone_when_the_first_has_had_its_time() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let silent = desk.step("test.first");
        desk.pass(Duration::from_secs(60)).await;
        let again = desk.steps().pop().unwrap();
        assert_eq!(again.address, silent.address);
        desk.done(&again).await;
        desk.failed(&desk.step("test.second"), Class::Permanent).await;
        assert!(desk.steps().is_empty());
        assert!(desk.cancels().contains(&silent.address));
        desk.pass(Duration::from_secs(11)).await;
        desk.done(&desk.step("test.undo-first")).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "failed");
    });
}

#[test]
fn what_no_command_has_asked_for_is_undone_when_its_workers_have_had_their_time_as_well() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("clock").await;
        desk.pass(Duration::from_secs(3601)).await;
        let silent = desk.step("test.first");
        desk.pass(Duration::from_secs(60)).await;
        desk.done(&desk.steps().pop().unwrap()).await;
        desk.failed(&desk.step("test.second"), Class::Permanent).await;
        assert!(desk.steps().is_empty());
        assert!(desk.cancels().contains(&silent.address));
        desk.pass(Duration::from_secs(11)).await;
        desk.done(&desk.step("test.undo-first")).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "failed");
    });
}

#[test]
fn a_step_that_is_skipped_is_undone_when_its_worker_has_had_its_time() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let first = desk.step("test.first");
        let answer = serde_json::json!({});
        assert_eq!(desk.order(&run, RunOrder::Skip { step: 1, answer }).await, "done");
        desk.failed(&desk.step("test.second"), Class::Permanent).await;
        assert!(desk.steps().is_empty(), "a worker may still be at the first step");
        assert!(desk.cancels().contains(&first.address));
        desk.pass(Duration::from_secs(11)).await;
        desk.step("test.undo-first");
    });
}

#[test]
fn an_answer_that_was_meant_for_the_owner_before_changes_nothing() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let before = desk.step("test.first");
        desk.owner.abort();
        let after = Desk::on(desk.log.clone()).await;
        after.settle().await;
        let step = after.step("test.first");
        // Both are first attempts. This one's worker may be at it while a failure is undone.
        after.failed(&before, Class::Permanent).await;
        assert_eq!(after.view(&run).await.summary.state.word(), "running");
        after.done(&step).await;
        after.step("test.second");
    });
}

#[test]
fn nothing_is_undone_while_a_worker_may_be_at_it_for_the_owner_before() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        desk.start("pair").await;
        desk.step("test.first");
        desk.owner.abort();
        let after = Desk::on(desk.log.clone()).await;
        after.settle().await;
        let step = after.step("test.first");
        after.failed(&step, Class::Permanent).await;
        assert_eq!(after.cancels().len(), 1, "whoever is at it is told to stop");
        assert!(after.steps().is_empty());
        after.pass(Duration::from_secs(11)).await;
        after.step("test.undo-first");
    });
}

#[test]
fn what_an_owner_may_not_have_told_is_told_by_the_next_and_no_more() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let nap = desk.start("nap").await;
        desk.pass(Duration::from_secs(60)).await;
        let pair = desk.start("pair").await;
        desk.done(&desk.step("test.first")).await;
        desk.done(&desk.step("test.second")).await;
        // As if it had been appended, and the owner frozen before it could say so.
        desk.published();
        desk.owner.abort();
        let after = Desk::on(desk.log.clone()).await;
        after.settle().await;
        let told = after.published();
        let of = |run: &RunId| told.iter().filter(|subject| subject.contains(run.as_str())).count();
        assert!(told.contains(&format!("stead.evt.john.pair.{pair}.run-completed")), "{told:?}");
        assert!(!told.contains(&format!("stead.evt.john.pair.{pair}.run-started")), "{told:?}");
        assert_eq!(of(&nap), 0, "{told:?}");
    });
}

#[test]
fn a_run_that_this_build_would_continue_otherwise_is_parked_and_others_go_on() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let nap = desk.start("nap").await;
        desk.owner.abort();
        // A transition of another build: this one asks for something else here.
        let done = StepCompleted { seq: 1, answer: serde_json::json!({}), attempts: 1, met: None };
        let next = StepScheduled {
            seq: 2,
            step: "test.third".into(),
            route: Route::Worker,
            request: serde_json::json!({ "size": 3 }),
            within_ms: 0,
            undo: false,
            detached: false,
            policy: StepPolicy::default(),
        };
        let decided = vec![Event::StepCompleted(done), Event::StepScheduled(next)];
        desk.append_of_another_build(&run, decided).await;
        let after = Desk::on(desk.log.clone()).await;
        after.settle().await;
        assert!(after.steps().is_empty());
        let waiting = after.view(&run).await.waiting.remove(0);
        assert_eq!(waiting.reason, "human");
        let both =
            [r#""step":"test.third","request":{"size":3}"#, r#""step":"test.second","request":{}"#];
        assert!(both.iter().all(|request| waiting.words.contains(request)), "{}", waiting.words);
        after.pass(Duration::from_secs(3601)).await;
        assert_eq!(after.view(&nap).await.summary.state.word(), "completed");
    });
}

#[test]
fn a_history_that_was_altered_is_not_continued() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.owner.abort();
        desk.append_forged(&run, 2, "not the digest of the one before").await;
        let after = Desk::on(desk.log.clone()).await;
        after.settle().await;
        assert!(after.steps().is_empty());
        let words = after.view(&run).await.waiting.remove(0).words;
        assert!(words.contains("does not follow the one before it"), "{words}");
    });
}
