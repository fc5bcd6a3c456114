//! Steps seen through: retries, silence, deadlines, cancels, undo.

use std::time::Duration;

use serde_json::{Value, json};
use stead_runtime::inbound::Inbound;
use stead_runtime::ports::{EventLog, ReplyTo};
use stead_schemas::dispatch::{OutsideAnswer, OutsideReply, RunOrder, StepAddress, StepReply};
use stead_schemas::failure::Class;
use stead_schemas::proof::Proof;

use crate::desk::{Desk, PARTITION, on_simulated_time};

#[test]
fn nothing_is_sent_before_the_append_is_acknowledged() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        desk.settle().await;
        desk.log.set_away(true);
        let run = desk.start("pair").await;
        desk.pass(Duration::from_secs(20)).await;
        assert!(desk.steps().is_empty());
        assert!(desk.replies("caller").is_empty());
        desk.log.set_away(false);
        desk.pass(Duration::from_secs(20)).await;
        assert_eq!(desk.steps()[0].address.run, run);
        assert_eq!(desk.replies("caller").len(), 1);
    });
}

#[test]
fn a_run_takes_one_append_for_each_step() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.done(&desk.step("test.first")).await;
        desk.done(&desk.step("test.second")).await;
        assert_eq!(desk.log.read_run(&run).await.unwrap().len(), 3);
        let view = desk.view(&run).await;
        assert_eq!(view.summary.state.word(), "completed");
    });
}

#[test]
fn failure_does_not_grow_history() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let before = desk.log.len(PARTITION);
        for _ in 0..40 {
            let step = desk.steps().pop().expect("it is tried again");
            desk.failed(&step, Class::VendorDown).await;
            let waiting = desk.view(&run).await.waiting.remove(0);
            assert_eq!((&*waiting.reason, &*waiting.words), ("retrying", "made to fail"));
            desk.pass(Duration::from_secs(31)).await;
        }
        assert_eq!(desk.log.len(PARTITION), before);
    });
}

#[test]
fn while_a_step_is_tried_again_it_shows_what_the_attempt_before_met() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let shown = async || desk.view(&run).await.waiting.remove(0).words;
        desk.failed(&desk.step("test.first"), Class::VendorDown).await;
        desk.pass(Duration::from_secs(2)).await;
        let again = desk.step("test.first");
        assert_eq!(shown().await, "made to fail");
        let before = "; the attempt before: made to fail";
        desk.answer(&again, StepReply::Queued).await;
        assert!(shown().await.ends_with(before), "{}", shown().await);
        desk.answer(&again, StepReply::Heartbeat { progress: Some("half".into()) }).await;
        assert_eq!(shown().await, format!("half{before}"));
    });
}

#[test]
fn a_silent_worker_is_taken_for_dead_and_its_late_answer_changes_nothing() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let first = desk.step("test.first");
        desk.pass(Duration::from_secs(5)).await;
        let (kept, _) = (desk.log.len(PARTITION), desk.published());
        desk.answer(&first, StepReply::Heartbeat { progress: Some("half".into()) }).await;
        assert_eq!(desk.view(&run).await.waiting[0].words, "half");
        assert_eq!(desk.published(), [format!("stead.evt.john.pair.{run}.step-progress")]);
        assert_eq!(desk.log.len(PARTITION), kept, "it is shown, and not kept");
        desk.pass(Duration::from_secs(5)).await;
        assert!(desk.steps().is_empty(), "it was heard of five seconds ago");
        desk.pass(Duration::from_secs(2)).await;
        let second = desk.step("test.first");
        assert_ne!(second.attempt, first.attempt);
        desk.failed(&first, Class::Permanent).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "running");
        desk.done(&second).await;
        desk.step("test.second");
    });
}

#[test]
fn no_worker_is_said_within_a_second() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let step = desk.step("test.first");
        desk.unheard(&step).await;
        let waiting = desk.view(&run).await.waiting.remove(0);
        assert_eq!((waiting.reason.as_str(), waiting.attempts), ("no-worker", 0));
        assert!(waiting.words.contains("no worker listens for test steps"), "{}", waiting.words);
        desk.pass(Duration::from_secs(1)).await;
        assert!(!desk.steps().is_empty(), "it looks again");
    });
}

#[test]
fn a_lasting_failure_takes_back_what_was_done() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.done(&desk.step("test.first")).await;
        desk.failed(&desk.step("test.second"), Class::Permanent).await;
        desk.done(&desk.step("test.undo-first")).await;
        let view = desk.view(&run).await;
        assert_eq!(view.summary.state.word(), "failed");
        let outcome = serde_json::to_value(view.outcome).unwrap();
        assert_eq!(outcome["failed"]["step"], json!("test.second"));
    });
}

#[test]
fn a_step_that_fails_is_taken_back_too() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        desk.start("pair").await;
        desk.failed(&desk.step("test.first"), Class::Permanent).await;
        desk.step("test.undo-first");
    });
}

#[test]
fn an_undo_that_fails_for_good_waits_for_a_person_and_goes_on() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.failed(&desk.step("test.first"), Class::Permanent).await;
        for _ in 0..3 {
            desk.failed(&desk.step("test.undo-first"), Class::Permanent).await;
            assert_eq!(desk.view(&run).await.waiting[0].reason, "human");
            desk.pass(Duration::from_secs(61)).await;
        }
        desk.done(&desk.step("test.undo-first")).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "failed");
    });
}

#[test]
fn a_step_has_so_much_time_and_a_little_grace() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.done(&desk.step("test.first")).await;
        let second = desk.step("test.second");
        for _ in 0..14 {
            desk.pass(Duration::from_secs(4)).await;
            desk.answer(&second, StepReply::Heartbeat { progress: None }).await;
        }
        assert!(desk.cancels().is_empty());
        desk.pass(Duration::from_secs(5)).await;
        assert_eq!(desk.cancels(), std::slice::from_ref(&second.address));
        assert!(desk.steps().is_empty(), "the worker has ten seconds to come to an end");
        desk.pass(Duration::from_secs(11)).await;
        desk.done(&desk.step("test.undo-first")).await;
        let outcome = serde_json::to_value(desk.view(&run).await.outcome).unwrap();
        assert_eq!(outcome["failed"]["class"], json!("timed-out"));
    });
}

#[test]
fn a_cancel_reaches_the_worker_and_then_everything_is_taken_back() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let first = desk.step("test.first");
        desk.cancel(&run).await;
        assert_eq!(desk.cancels(), std::slice::from_ref(&first.address));
        desk.failed(&first, Class::Cancelled).await;
        desk.done(&desk.step("test.undo-first")).await;
        let outcome: Value = serde_json::to_value(desk.view(&run).await.outcome).unwrap();
        assert_eq!(outcome["failed"]["words"], json!("it was cancelled: a test"));
        assert_eq!(desk.order(&run, RunOrder::Cancel).await, "run.over");
    });
}

#[test]
fn a_timer_fires_once_and_not_early() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("nap").await;
        desk.pass(Duration::from_secs(3599)).await;
        assert!(!desk.events(&run).await.contains(&"timer-fired"));
        desk.pass(Duration::from_secs(2)).await;
        let fired = desk.events(&run).await.iter().filter(|name| **name == "timer-fired").count();
        assert_eq!(fired, 1);
        assert_eq!(desk.view(&run).await.summary.state.word(), "completed");
    });
}

#[test]
fn a_command_of_the_same_id_acts_once() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        desk.settle().await;
        desk.log.set_away(true);
        for _ in 0..3 {
            desk.command("pair", "same").await;
        }
        assert!(desk.replies("caller").is_empty(), "nothing is in the log");
        desk.log.set_away(false);
        desk.pass(Duration::from_secs(20)).await;
        assert_eq!(desk.replies("caller").len(), 3);
        let run = desk.run("pair");
        let accepted =
            desk.events(&run).await.iter().filter(|name| **name == "command-accepted").count();
        assert_eq!(accepted, 1);
        desk.command("pair", "another").await;
        let refused = String::from_utf8(desk.replies("caller").remove(0)).unwrap();
        assert!(refused.contains("pair.exists"), "{refused}");
    });
}

#[test]
fn a_step_whose_answer_waits_for_an_append_is_not_sent_again() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let first = desk.step("test.first");
        desk.log.set_away(true);
        desk.cancel_unanswered(&run).await;
        desk.failed(&first, Class::Permanent).await;
        desk.pass(Duration::from_secs(60)).await;
        assert!(desk.steps().is_empty(), "that attempt would outlive the undo");
        desk.log.set_away(false);
        desk.pass(Duration::from_secs(1)).await;
        desk.step("test.undo-first");
    });
}

#[test]
fn however_much_comes_in_timers_fire_and_an_owner_stops_when_it_is_asked_to() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("nap").await;
        desk.flood().await;
        tokio::time::advance(Duration::from_secs(3_601)).await;
        desk.settle().await;
        assert_eq!(desk.events(&run).await.last(), Some(&"run-completed"));
        desk.stop.send_replace(true);
        desk.settle().await;
        assert!(desk.owner.is_finished());
    });
}

#[test]
fn a_command_that_a_later_one_of_the_same_run_has_overtaken_is_refused() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let asking = desk.run("nap");
        let step = |seq| StepAddress { run: asking.clone(), seq };
        desk.command_of("pair", &step(7)).await;
        desk.answers();
        // It was given up, and what takes it back has come first.
        desk.command_of("pair", &step(3)).await;
        let words = format!("{:?}", desk.answers());
        assert!(words.contains("has given a later command"), "{words}");
        let after = Desk::on(desk.log.clone()).await;
        after.settle().await;
        after.command_of("pair", &step(3)).await;
        let words = format!("{:?}", after.answers());
        assert!(words.contains("has given a later command"), "{words}");
    });
}

#[test]
fn how_far_it_is_outside_is_told_and_not_written() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("guest").await;
        let say = async |step: &str, reply: StepReply| {
            let answer = OutsideAnswer { run: run.clone(), step: step.to_owned(), reply };
            desk.say(Inbound::Outside(answer, ReplyTo("guest".into()))).await;
            serde_json::from_slice::<OutsideReply>(&desk.replies("guest")[0]).unwrap()
        };
        let at = |words: &str| StepReply::Heartbeat { progress: Some(words.to_owned()) };
        desk.published();
        let before = desk.log.len(PARTITION);
        assert_eq!(say("test.await", at("mounting")).await, OutsideReply::Accepted);
        assert_eq!(say("test.other", at("mounting")).await, OutsideReply::NotWaiting);
        let told = desk.published();
        assert!(told.len() == 1 && told[0].ends_with(".step-progress"), "{told:?}");
        let waiting = desk.view(&run).await.waiting.remove(0);
        assert_eq!(waiting.reason, "outside");
        assert!(waiting.words.ends_with("; so far: mounting"), "{}", waiting.words);
        assert_eq!(desk.log.len(PARTITION), before);
        assert_eq!(say("test.await", StepReply::Done(json!({}))).await, OutsideReply::Accepted);
        assert_eq!(desk.view(&run).await.summary.state.word(), "completed");
        assert_eq!(say("test.await", at("late")).await, OutsideReply::NotWaiting);
    });
}

#[test]
fn that_nobody_listened_says_nothing_of_the_next_attempt() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let step = desk.step("test.first");
        desk.unheard(&step).await;
        desk.unheard(&step).await;
        assert_eq!(desk.view(&run).await.waiting[0].attempts, 0);
        desk.pass(Duration::from_secs(1)).await;
        let next = desk.step("test.first");
        desk.unheard(&step).await;
        assert_eq!(desk.view(&run).await.waiting[0].reason, "running", "a worker is at it");
        desk.done(&next).await;
        desk.step("test.second");
    });
}

#[test]
fn an_undo_is_tried_for_ever() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.done(&desk.step("test.first")).await;
        desk.failed(&desk.step("test.second"), Class::Permanent).await;
        // For more than an hour it fails, and for another one its workers die.
        for fails in [true, false] {
            for _ in 0..200 {
                let undo = desk.steps().pop().filter(|_| fails);
                if let Some(undo) = undo {
                    desk.failed(&undo, Class::VendorDown).await;
                }
                desk.pass(Duration::from_secs(20)).await;
            }
            assert_eq!(desk.view(&run).await.summary.state.word(), "running", "{fails}");
        }
        desk.pass(Duration::from_secs(7)).await;
        desk.done(&desk.steps().pop().expect("it is tried again")).await;
        assert_eq!(desk.view(&run).await.summary.state.word(), "failed", "and taken back");
    });
}

#[test]
fn an_answer_that_does_not_prove_its_attempt_is_refused() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let step = desk.step("test.first");
        let (address, attempt) = (step.address.clone(), step.attempt);
        let forged = Some(Proof::new("guessed".into()));
        let done = StepReply::Done(json!({}));
        let tries = [(attempt, forged.clone()), (0, forged), (attempt, None), (0, None)];
        for (attempt, proof) in tries {
            let (address, reply) = (address.clone(), done.clone());
            desk.say(Inbound::Answer { address, attempt, proof, reply }).await;
            assert_eq!(desk.view(&run).await.waiting[0].reason, "running");
        }
        let (address, proof) = (address.clone(), Some(Proof::default()));
        desk.say(Inbound::NoListener { address, attempt, proof }).await;
        assert_eq!(desk.view(&run).await.waiting[0].reason, "running");
        assert!(desk.steps().is_empty(), "nothing came of it");
        desk.done(&step).await;
        let next = desk.step("test.second");
        assert_ne!(next.proof, step.proof, "each attempt has its own");
    });
}

#[test]
fn an_answer_to_an_earlier_attempt_proves_nothing() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        desk.start("pair").await;
        let first = desk.step("test.first");
        desk.failed(&first, Class::Retry).await;
        desk.pass(Duration::from_secs(60)).await;
        let again = desk.steps().pop().expect("another attempt");
        desk.done(&first).await;
        assert!(desk.steps().iter().all(|step| step.step == "test.first"), "it is replayed");
        desk.done(&again).await;
        desk.step("test.second");
    });
}
