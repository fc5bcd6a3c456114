//! Runs that wait for long are not in memory, and nobody can tell.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use stead_runtime::env::Tuning;
use stead_runtime::inbound::Inbound;
use stead_runtime::memory::MemoryArchive;
use stead_runtime::owner::Stopped;
use stead_runtime::ports::ReplyTo;
use stead_schemas::dispatch::{
    Caller, EntityCommand, OutcomeQuery, OutsideAnswer, RunOrder, StepReply, TurnEpoch,
};
use stead_schemas::event::{ByHand, Event, Signal, SignalReceived};
use stead_schemas::failure::Class;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::public::RunState;

use crate::desk::{Desk, on_simulated_time};

/// Longer than a run may wait in memory.
const LONG: Duration = Duration::from_secs(30);

fn command(kind: &str) -> EntityCommand {
    EntityCommand {
        kind: kind.into(),
        owner: Owner::new("john").unwrap(),
        name: "x".into(),
        verb: "start".into(),
        fields: Map::new(),
        id: "another".into(),
        by: Caller::Api,
    }
}

/// Whether the entity's run is in memory: then the door needs no log to answer.
async fn is_in_memory(desk: &Desk, kind: &str) -> bool {
    desk.log.set_away(true);
    desk.say(Inbound::Rehearse(command(kind), ReplyTo("door".into()))).await;
    let answered = !desk.replies("door").is_empty();
    desk.log.set_away(false);
    desk.pass(Duration::from_secs(1)).await;
    assert_eq!(desk.replies("door").is_empty(), answered, "it is answered once, sooner or later");
    answered
}

#[test]
fn a_run_that_waits_for_long_leaves_the_memory_and_others_do_not() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        desk.command("nap", "id-1").await;
        desk.command("listener", "id-2").await;
        desk.command("guest", "id-3").await;
        desk.command("pair", "id-4").await;
        assert!(is_in_memory(&desk, "nap").await, "it has only just begun");
        desk.pass(LONG).await;
        assert!(!is_in_memory(&desk, "nap").await);
        assert!(!is_in_memory(&desk, "listener").await);
        assert!(is_in_memory(&desk, "guest").await, "somebody may report any moment");
        assert!(is_in_memory(&desk, "pair").await, "a worker is at it");
    });
}

#[test]
fn it_comes_back_for_its_timer_and_fires_it_once() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("nap").await;
        desk.pass(Duration::from_secs(3_590)).await;
        assert!(!desk.events(&run).await.contains(&"timer-fired"));
        desk.pass(Duration::from_secs(11)).await;
        let events = desk.events(&run).await;
        assert_eq!(events.iter().filter(|event| **event == "timer-fired").count(), 1);
        assert_eq!(events.last(), Some(&"run-completed"));
    });
}

#[test]
fn a_clock_that_jumps_makes_no_timer_late() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let away = desk.start("nap").await;
        desk.pass(LONG).await;
        desk.jump(-60_000);
        let there = desk.start("clock").await;
        desk.pass(Duration::from_secs(5)).await;
        desk.jump(3_600_000 + 60_000);
        desk.pass(Duration::from_secs(5)).await;
        for run in [away, there] {
            assert!(desk.events(&run).await.contains(&"timer-fired"), "{run}");
        }
    });
}

#[test]
fn a_timer_that_is_set_between_two_jumps_is_not_late() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        // Just behind a look at the clocks, so that the next one sees the sum of both jumps.
        desk.pass(Duration::from_millis(3_010)).await;
        desk.jump(-60_000);
        let run = desk.start("nap").await;
        desk.jump(30_000);
        desk.pass(Duration::from_secs(3_600 - 30 + 4)).await;
        assert!(desk.events(&run).await.contains(&"timer-fired"));
    });
}

#[test]
fn a_timer_that_comes_due_while_the_log_is_away_fires_later() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("nap").await;
        desk.pass(LONG).await;
        desk.log.set_away(true);
        desk.pass(Duration::from_secs(3_600)).await;
        desk.log.set_away(false);
        desk.pass(Duration::from_secs(2)).await;
        assert_eq!(desk.events(&run).await.last(), Some(&"run-completed"));
    });
}

#[test]
fn histories_that_cannot_be_read_keep_no_other_run_from_coming_back() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let mut naps = Vec::new();
        // As many as are read at once.
        for number in 0..64 {
            let name = format!("nap-{number}");
            desk.command_to(Caller::Api, "nap", &name, &name).await;
            naps.push(EntityKey::of("nap", &Owner::new("john").unwrap(), &name).run(1));
        }
        let other = desk.start("listener").await;
        desk.pass(LONG).await;
        desk.log.set_unreadable(naps.clone());
        desk.pass(Duration::from_secs(3_600)).await;
        desk.order_unanswered(&other, RunOrder::Pause).await;
        desk.pass(Duration::from_secs(1)).await;
        assert_eq!(desk.replies("operator").len(), 1, "it came back");
        desk.log.set_unreadable([]);
        desk.pass(Duration::from_secs(1)).await;
        for nap in &naps {
            assert_eq!(desk.events(nap).await.last(), Some(&"run-completed"));
        }
    });
}

#[test]
fn it_comes_back_for_an_order_and_what_comes_meanwhile_keeps_its_turn() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("listener").await;
        desk.pass(LONG).await;
        assert_eq!(desk.view(&run).await.summary.state, RunState::Running);
        assert!(!is_in_memory(&desk, "listener").await, "a question does not bring it back");
        desk.pass(LONG).await;
        desk.log.set_away(true);
        let signal = RunOrder::Signal(Signal { name: "go".into(), payload: json!(7) });
        desk.order_unanswered(&run, RunOrder::Pause).await;
        desk.order_unanswered(&run, RunOrder::Resume).await;
        desk.order_unanswered(&run, signal).await;
        desk.log.set_away(false);
        desk.pass(Duration::from_secs(2)).await;
        let events = desk.events(&run).await;
        let orders = ["run-paused", "run-resumed", "signal-received"];
        let found = events.iter().copied().filter(|event| orders.contains(event));
        assert_eq!(found.collect::<Vec<_>>(), orders);
        assert_eq!(events.last(), Some(&"run-completed"));
    });
}

#[test]
fn whoever_waits_for_its_end_is_told_and_a_stray_report_is_not_wanted() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("nap").await;
        desk.pass(LONG).await;
        let report = OutsideAnswer {
            run: run.clone(),
            step: "test.await".into(),
            reply: StepReply::Done(json!({})),
        };
        desk.say(Inbound::Outside(report, ReplyTo("guest".into()))).await;
        assert_eq!(desk.replies("guest"), [br#""not-waiting""#]);
        let query = OutcomeQuery { run: run.clone(), command: "id-1".into(), within_ms: 7_200_000 };
        desk.say(Inbound::Outcome(query, ReplyTo("waiter".into()))).await;
        desk.pass(Duration::from_secs(3_600)).await;
        let told: Value = serde_json::from_slice(&desk.replies("waiter")[0]).unwrap();
        assert_eq!(told, json!({ "done": "rested" }));
    });
}

#[test]
fn a_repeated_command_is_recognised_while_its_run_is_away() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("nap").await;
        desk.pass(LONG).await;
        desk.replies("caller");
        desk.command("nap", "id-1").await;
        desk.command("nap", "id-2").await;
        let replies: Vec<Value> = desk
            .replies("caller")
            .iter()
            .map(|reply| serde_json::from_slice(reply).unwrap())
            .collect();
        assert_eq!(replies[0]["accepted"]["repeated"], json!(true), "{replies:?}");
        assert_eq!(replies[1]["refused"]["code"], json!("pair.exists"), "{replies:?}");
        assert_eq!(desk.events(&run).await.iter().filter(|one| **one == "run-started").count(), 1);
    });
}

#[test]
fn who_finds_that_somebody_else_wrote_meanwhile_stops() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("listener").await;
        desk.pass(LONG).await;
        let order = ByHand { by: Caller::Api, why: "a test".into(), id: None };
        let signal = Signal { name: "go".into(), payload: json!(1) };
        let signal = SignalReceived { signal, order };
        desk.append_of_another_build(&run, vec![Event::SignalReceived(signal)]).await;
        desk.order_unanswered(&run, RunOrder::Pause).await;
        assert_eq!(desk.owner.await.unwrap(), Stopped::Fenced);
    });
}

#[test]
fn the_epoch_of_the_log_turns_under_a_run_that_is_away() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("nap").await;
        desk.command("pair", "id-2").await;
        let first = desk.step("test.first");
        desk.done(&first).await;
        desk.done(&desk.step("test.second")).await;
        desk.pass(LONG).await;
        for _ in 0..3 {
            let asked = TurnEpoch { from: 0, anew: true };
            desk.say(Inbound::Turn(asked, ReplyTo("turner".into()))).await;
            desk.pass(Duration::from_secs(1)).await;
        }
        let last = desk.replies("turner").pop().unwrap();
        let last: Value = serde_json::from_slice(&last).unwrap();
        assert_eq!(last["epoch"], json!(1), "{last}");
        assert!(!is_in_memory(&desk, "nap").await);
        assert_eq!(desk.order(&run, RunOrder::Terminate).await, "done");
        desk.settle().await;
        assert_eq!(desk.events(&run).await.last(), Some(&"run-terminated"));
    });
}

#[test]
fn an_owner_that_begins_does_not_keep_what_only_waits() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        desk.start("nap").await;
        desk.pass(LONG).await;
        let run: RunId = desk.run("nap");
        desk.owner.abort();
        let (log, archive) = (desk.log.clone(), Arc::new(MemoryArchive::default()));
        let tuning = Tuning { idle_after: Duration::ZERO, ..Tuning::default() };
        let next = Desk::with(log.clone(), log, archive, tuning).await;
        next.settle().await;
        assert!(!is_in_memory(&next, "nap").await);
        next.pass(Duration::from_secs(3_700)).await;
        assert_eq!(next.events(&run).await.last(), Some(&"run-completed"));
    });
}

#[test]
fn those_that_are_held_up_are_listed_without_all_the_others() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        desk.start("nap").await;
        let held_up = desk.start("pair").await;
        desk.failed(&desk.step("test.first"), Class::VendorDown).await;
        let only = std::slice::from_ref(&held_up);
        assert_eq!(desk.held_up().await, only, "it is tried again and again");
        desk.pass(Duration::from_secs(60)).await;
        assert_eq!(desk.held_up().await, only, "and the other has left the memory");
        desk.order(&held_up, RunOrder::Pause).await;
        assert_eq!(desk.held_up().await, only);
        desk.order(&held_up, RunOrder::Terminate).await;
        assert_eq!(desk.held_up().await, []);
    });
}
