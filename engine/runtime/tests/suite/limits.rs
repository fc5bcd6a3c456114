//! Steps that the site limits: who is sent, who waits and says for what, and what becomes of
//! places when messages, workers and owners are lost.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stead_runtime::env::Tuning;
use stead_runtime::inbound::{Inbound, LimitsReply};
use stead_runtime::keeper::{LEASE, RENEW};
use stead_runtime::memory::MemoryLog;
use stead_runtime::ports::ReplyTo;
use stead_schemas::dispatch::{Caller, RunOrder, StepAddress, StepReply, StepRequest};
use stead_schemas::failure::Class;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::limit::Limit;
use stead_schemas::owner::Owner;
use stead_schemas::proof::Proof;
use stead_schemas::public::Waiting;
use tokio::time::Instant;

use crate::desk::{Desk, on_simulated_time};

fn first(at_once: u32) -> Limit {
    Limit {
        name: "firsts".into(),
        steps: vec!["test.first".into(), "test.undo-first".into()],
        per: None,
        at_once: Some(at_once),
        per_minute: None,
    }
}

fn run(name: &str) -> RunId {
    EntityKey::of("pair", &Owner::new("john").expect("a name"), name).run(1)
}

async fn start(desk: &Desk, name: &str) {
    desk.command_to(Caller::Api, "pair", name, name).await;
    desk.carry_places().await;
}

/// An owner, and three runs of which one is at its first step.
async fn three() -> (Arc<MemoryLog>, Desk, StepRequest) {
    let log = Arc::new(MemoryLog::new(1));
    let desk = Desk::limited(log.clone(), &[first(1)]).await;
    for name in ["a", "b", "c"] {
        start(&desk, name).await;
    }
    let step = desk.step("test.first");
    assert_eq!(step.address.run, run("a"));
    (log, desk, step)
}

/// Which runs were asked for their first step since the last look.
fn firsts(desk: &Desk) -> Vec<RunId> {
    let steps = desk.steps().into_iter().filter(|step| step.step == "test.first");
    steps.map(|step| step.address.run).collect()
}

fn skip(step: u32) -> RunOrder {
    RunOrder::Skip { step, answer: json!({}) }
}

const fn terminate(_: u32) -> RunOrder {
    RunOrder::Terminate
}

async fn waits(desk: &Desk, name: &str) -> Waiting {
    desk.view(&run(name)).await.waiting.remove(0)
}

#[test]
fn the_next_one_is_sent_when_one_is_done_and_waiting_is_no_attempt() {
    on_simulated_time(async {
        let (_, desk, step) = three().await;
        desk.pass_in_line(RENEW * 2).await;
        let waiting = waits(&desk, "c").await;
        assert_eq!((&*waiting.reason, waiting.attempts), ("limit", 0));
        let words = "its turn at \"firsts\": second of 2, 1 at once; at work: john/a";
        assert_eq!(waiting.words, words);
        desk.done(&step).await;
        desk.carry_places().await;
        let steps: Vec<String> = desk.steps().into_iter().map(|step| step.step).collect();
        assert_eq!(steps, ["test.second", "test.first"]);
        assert_eq!(waits(&desk, "b").await.reason, "running");
        let words = "its turn at \"firsts\": first of 1, 1 at once; at work: john/b";
        desk.pass_in_line(RENEW * 2).await;
        assert_eq!(waits(&desk, "c").await.words, words);
    });
}

#[test]
fn who_has_a_place_and_who_waits_is_shown_in_order() {
    on_simulated_time(async {
        let (_, desk, _) = three().await;
        desk.say(Inbound::Limits(ReplyTo("asker".into()))).await;
        let views: LimitsReply = serde_json::from_slice(&desk.replies("asker")[0]).unwrap();
        let names = |places: &[stead_schemas::limit::PlaceView]| -> Vec<String> {
            places.iter().map(|place| place.name.clone()).collect()
        };
        let key = &views[0].keys[0];
        assert_eq!(
            (names(&key.at_work), names(&key.waiting)),
            (vec!["a".into()], vec!["b".into(), "c".into()])
        );
    });
}

#[test]
fn what_no_limit_counts_says_nothing_to_any_keeper() {
    on_simulated_time(async {
        let desk = Desk::limited(
            Arc::new(MemoryLog::new(1)),
            &[Limit { steps: vec!["other.*".into()], ..first(1) }],
        )
        .await;
        desk.start("pair").await;
        desk.done(&desk.step("test.first")).await;
        desk.step("test.second");
        assert!(desk.places().is_empty());
    });
}

#[test]
fn a_lost_message_costs_a_renewal() {
    on_simulated_time(async {
        let log = Arc::new(MemoryLog::new(1));
        let desk = Desk::limited(log, &[first(1)]).await;
        desk.command_to(Caller::Api, "pair", "a", "a").await;
        assert_eq!(desk.places().len(), 1, "it is lost");
        desk.pass(RENEW).await;
        desk.carry_places().await;
        desk.step("test.first");
    });
}

#[test]
fn whoever_rests_or_is_over_gives_its_place_back() {
    let check = |order: RunOrder| {
        on_simulated_time(async move {
            let (_, desk, step) = three().await;
            desk.failed(&step, Class::VendorDown).await;
            desk.carry_places().await;
            let next = desk.step("test.first");
            assert_eq!(next.address.run, run("b"), "a failed attempt is over");
            assert_eq!(desk.order(&run("c"), order).await, "done");
            desk.carry_places().await;
            desk.done(&next).await;
            desk.carry_places().await;
            // What is cancelled is taken back, in its turn.
            for step in desk.steps() {
                let undo = (step.step == "test.undo-first").then_some(step);
                if let Some(undo) = undo {
                    desk.done(&undo).await;
                }
            }
            desk.pass_in_line(Duration::from_secs(35)).await;
            let again = desk.steps().into_iter().filter(|step| step.step == "test.first");
            let again: Vec<RunId> = again.map(|step| step.address.run).collect();
            assert!(!again.is_empty() && again.iter().all(|again| *again == run("a")), "{again:?}");
        });
    };
    check(RunOrder::Pause);
    check(RunOrder::Cancel);
    check(RunOrder::Terminate);
}

#[test]
fn what_is_edited_while_it_waits_stands_in_line_again() {
    on_simulated_time(async {
        let (_, desk, step) = three().await;
        let seq = waits(&desk, "b").await.seq;
        let edit = RunOrder::Edit { step: seq, fields: serde_json::Map::new() };
        assert_eq!(desk.order(&run("b"), edit).await, "done");
        desk.carry_places().await;
        desk.done(&step).await;
        let mut sent = Vec::new();
        for _ in 0..2 {
            desk.pass_in_line(RENEW * 2).await;
            let firsts = desk.steps().into_iter().filter(|step| step.step == "test.first");
            for first in firsts.collect::<Vec<_>>() {
                desk.done(&first).await;
                sent.push(first.address.run);
            }
        }
        assert!(sent.contains(&run("b")) && sent.contains(&run("c")), "{sent:?}");
    });
}

#[test]
fn an_undo_goes_before_what_has_waited_for_longer() {
    on_simulated_time(async {
        let (_, desk, step) = three().await;
        desk.done(&step).await;
        desk.carry_places().await;
        let steps = desk.steps();
        assert_eq!(steps[1].address.run, run("b"));
        desk.failed(&steps[0], Class::Permanent).await;
        desk.carry_places().await;
        assert!(desk.steps().is_empty(), "the undo waits, too");
        desk.done(&steps[1]).await;
        desk.carry_places().await;
        let names: Vec<_> =
            desk.steps().into_iter().map(|step| (step.step, step.address.run)).collect();
        let wanted =
            [("test.second".to_owned(), run("b")), ("test.undo-first".to_owned(), run("a"))];
        assert_eq!(names, wanted, "not the one that has waited for longer");
    });
}

#[test]
fn a_new_owner_gives_no_place_before_it_has_heard_of_all_that_are_held() {
    on_simulated_time(async {
        let (log, desk, step) = three().await;
        desk.owner.abort();
        let after = Desk::limited(log, &[first(1)]).await;
        after.pass_in_line(LEASE - RENEW).await;
        assert!(after.steps().is_empty());
        assert!(waits(&after, "b").await.words.contains("hears first who is at work"));
        // The worker is still at it: that is a place, and the step is asked for again.
        after.answer(&step, StepReply::Heartbeat { progress: None }).await;
        after.carry_places().await;
        let again = after.step("test.first");
        assert_eq!(again.address, step.address);
        for _ in 0..10 {
            after.pass_in_line(Duration::from_secs(2)).await;
            after.answer(&again, StepReply::Heartbeat { progress: None }).await;
        }
        assert!(after.steps().is_empty(), "nobody else has begun");
        after.done(&again).await;
        after.carry_places().await;
        assert_eq!(after.steps().len(), 2);
    });
}

#[test]
fn what_nobody_is_at_is_given_after_a_lease() {
    on_simulated_time(async {
        let (log, desk, _) = three().await;
        desk.owner.abort();
        let after = Desk::limited(log, &[first(2)]).await;
        after.pass_in_line(LEASE + RENEW).await;
        assert_eq!(after.steps().len(), 2);
    });
}

#[test]
fn waiting_is_no_time_in_which_it_was_tried() {
    on_simulated_time(async {
        let (_, desk, step) = three().await;
        more_than_an_hour_in_line(&desk, &step).await;
        desk.done(&step).await;
        desk.carry_places().await;
        let next = desk.steps().pop().expect("the next one's turn");
        assert_eq!(next.address.run, run("b"));
        desk.failed(&next, Class::VendorDown).await;
        assert_eq!(waits(&desk, "b").await.reason, "retrying", "and not paused");
    });
}

/// One is at work, and the others wait.
async fn more_than_an_hour_in_line(desk: &Desk, step: &StepRequest) {
    for _ in 0..1_850 {
        desk.pass(Duration::from_secs(2)).await;
        desk.carry_places().await;
        desk.answer(step, StepReply::Heartbeat { progress: None }).await;
    }
}

#[test]
fn waiting_under_the_owner_before_is_no_time_in_which_it_was_tried_either() {
    on_simulated_time(async {
        let (_, desk, step) = three().await;
        more_than_an_hour_in_line(&desk, &step).await;
        desk.owner.abort();
        let after = desk.next_owner().await;
        let mut failed = BTreeSet::new();
        while failed.len() < 3 {
            after.pass_in_line(RENEW).await;
            for step in after.steps() {
                after.failed(&step, Class::VendorDown).await;
                failed.insert(step.address.run);
            }
        }
        for name in ["a", "b", "c"] {
            let reason = waits(&after, name).await.reason;
            assert!(["retrying", "limit"].contains(&&*reason), "{name}: {reason}");
        }
    });
}

/// Words that nobody was sent, to attempts that there are and that there are not.
#[test]
fn whoever_forges_a_workers_word_passes_no_limit() {
    on_simulated_time(async {
        let (_, desk, step) = three().await;
        for name in ["b", "c"] {
            let address = StepAddress { run: run(name), ..step.address.clone() };
            for attempt in [0, 1, 7, step.attempt] {
                for proof in ["", "guessed", step.proof.word()] {
                    let (address, proof) = (address.clone(), Some(Proof::new(proof.into())));
                    let reply = StepReply::Heartbeat { progress: None };
                    desk.say(Inbound::Answer { address, attempt, proof, reply }).await;
                }
            }
        }
        desk.pass_in_line(RENEW * 2).await;
        assert!(firsts(&desk).is_empty());
        assert_eq!(waits(&desk, "b").await.reason, "limit");
        desk.done(&step).await;
        desk.carry_places().await;
        assert_eq!(firsts(&desk), [run("b")]);
    });
}

#[test]
fn what_a_limit_lets_begin_in_a_minute_is_spread_over_it() {
    on_simulated_time(async {
        let rate = Limit { at_once: None, per_minute: Some(4), ..first(1) };
        let desk = Desk::limited(Arc::new(MemoryLog::new(1)), &[rate]).await;
        for name in ["a", "b", "c", "d"] {
            start(&desk, name).await;
        }
        let began = Instant::now();
        let mut begun = Vec::new();
        while begun.len() < 4 {
            desk.pass_in_line(Duration::from_millis(250)).await;
            for step in desk.steps().into_iter().filter(|step| step.step == "test.first") {
                begun.push(began.elapsed().as_secs());
                desk.done(&step).await;
            }
            if begun.len() == 2 {
                assert!(waits(&desk, "d").await.words.contains("4 a minute"));
            }
        }
        let quarters: Vec<u64> = begun.iter().map(|seconds| seconds / 15).collect();
        assert_eq!(quarters, [0, 1, 2, 3], "{begun:?}");
    });
}

#[test]
fn a_place_is_kept_until_a_worker_that_was_told_to_stop_has_answered_or_had_its_time() {
    let grace = Tuning::default().grace;
    let check = |order: fn(u32) -> RunOrder, has_answered: bool| {
        on_simulated_time(async move {
            let (_, desk, step) = three().await;
            assert_eq!(desk.order(&run("a"), order(step.address.seq)).await, "done");
            assert_eq!(desk.cancels(), std::slice::from_ref(&step.address));
            // Longer than a place is kept of whose holder nobody hears.
            desk.pass_in_line(grace - RENEW).await;
            desk.answer(&step, StepReply::Heartbeat { progress: None }).await;
            let (address, attempt) = (step.address.clone(), step.attempt);
            let reply = StepReply::Done(json!({}));
            desk.say(Inbound::Answer { address, attempt, proof: None, reply }).await;
            desk.carry_places().await;
            assert_eq!(firsts(&desk), []);
            match has_answered {
                true => desk.done(&step).await,
                false => desk.pass_in_line(RENEW + Duration::from_millis(250)).await,
            }
            desk.carry_places().await;
            assert_eq!(firsts(&desk), [run("b")]);
        });
    };
    assert!(grace - RENEW > LEASE);
    for order in [skip, terminate] {
        check(order, true);
        check(order, false);
    }
}

#[test]
fn where_two_workers_may_be_at_it_the_word_of_one_gives_no_place_back() {
    on_simulated_time(async {
        let (_, desk, _) = three().await;
        desk.pass_in_line(Tuning::default().silence + RENEW).await;
        let again = desk.step("test.first");
        assert_eq!(desk.order(&run("a"), skip(again.address.seq)).await, "done");
        desk.done(&again).await;
        desk.pass_in_line(Duration::from_secs(5)).await;
        assert_eq!(firsts(&desk), [], "the one that fell silent has its time, too");
        desk.pass_in_line(Tuning::default().grace).await;
        assert_eq!(firsts(&desk), [run("b")]);
    });
}

/// The next one's turn comes only when whoever may be at the first step of `a` has had its time.
async fn is_kept_for_its_time(desk: &Desk) {
    desk.pass_in_line(LEASE + RENEW).await;
    assert_eq!(firsts(desk), [], "somebody may be at it still");
    desk.pass_in_line(Tuning::default().grace - LEASE).await;
    assert_eq!(firsts(desk), [run("b")]);
}

#[test]
fn a_place_is_kept_for_a_worker_that_fell_silent_though_nobody_heard_the_next_attempt() {
    for order in [skip, terminate] {
        on_simulated_time(async move {
            let (_, desk, _) = three().await;
            desk.pass_in_line(Tuning::default().silence + RENEW).await;
            let again = desk.step("test.first");
            desk.unheard(&again).await;
            assert_eq!(desk.order(&run("a"), order(again.address.seq)).await, "done");
            is_kept_for_its_time(&desk).await;
        });
    }
}

#[test]
fn a_place_is_kept_for_a_worker_of_the_owner_before_that_is_told_to_stop() {
    for order in [skip, terminate] {
        on_simulated_time(async move {
            let (log, desk, step) = three().await;
            desk.owner.abort();
            let after = Desk::limited(log, &[first(1)]).await;
            after.settle().await;
            assert_eq!(after.order(&run("a"), order(step.address.seq)).await, "done");
            is_kept_for_its_time(&after).await;
        });
    }
}

#[test]
fn what_is_wanted_with_high_priority_overtakes_in_the_line() {
    on_simulated_time(async {
        let (_, desk, step) = three().await;
        let high = json!({ "priority": "high" });
        desk.command_with("pair", "d", high).await;
        desk.carry_places().await;
        desk.pass_in_line(RENEW * 2).await;
        assert!(waits(&desk, "d").await.words.contains("first of 3"));
        desk.done(&step).await;
        desk.carry_places().await;
        assert_eq!(firsts(&desk), [run("d")]);
    });
}

#[test]
fn what_a_run_asks_of_others_is_wanted_as_much_as_the_run_itself() {
    let next_after = |priority: &'static str| {
        let next = Arc::new(std::sync::Mutex::new(Vec::new()));
        let found = Arc::clone(&next);
        on_simulated_time(async move {
            let (_, desk, step) = three().await;
            desk.pass_in_line(RENEW).await;
            let fields = json!({ "priority": priority });
            desk.command_with("parent", "p", fields).await;
            desk.carry_over().await;
            desk.carry_places().await;
            desk.done(&step).await;
            desk.carry_places().await;
            *found.lock().unwrap() = firsts(&desk);
        });
        next.lock().unwrap().clone()
    };
    assert_eq!(next_after("normal"), [run("b")]);
    assert_eq!(next_after("high"), [run("child")]);
}
