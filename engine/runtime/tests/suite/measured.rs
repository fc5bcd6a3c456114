//! What gauges say when something is not as it should be. What is shown from the start is nought
//! whether or not anybody moves it: each of these must move. `tests/counters.rs` is the same for what
//! only grows.

use std::sync::Arc;
use std::time::Duration;

use stead_schemas::dispatch::{RunOrder, StepReply};
use stead_schemas::failure::Class;

use crate::counted::COUNTED;
use crate::desk::Desk;
use crate::kinds::without;
use crate::parked::diverged;
use crate::shown::shown;

fn near(found: f64, wanted: f64, what: &str) {
    assert!((found - wanted).abs() < 0.5, "{what} is {found}, not {wanted}");
}

#[test]
fn what_the_log_does_not_take_is_named_and_measured() {
    shown(|shown| async move {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.pass(COUNTED).await;
        near(shown.of("stead_append_oldest_seconds"), 0.0, "what is not taken");
        // Nobody heard of the attempts before.
        let first = desk.steps().pop().expect("it is tried again");
        desk.log.set_away(true);
        desk.done(&first).await;
        desk.pass(Duration::from_secs(60)).await;
        let waiting = desk.view(&run).await.waiting.remove(0);
        assert_eq!((&*waiting.reason, &*waiting.what), ("log", "the run"));
        assert_eq!(waiting.words, "the log does not take its transition 2");
        let oldest = shown.of("stead_append_oldest_seconds");
        assert!((50.0..=60.0).contains(&oldest), "{oldest}");
        assert_eq!(shown.waiting(), [("log", 1.0)]);
        desk.log.set_away(false);
        desk.settle().await;
        let second = desk.step("test.second");
        desk.answer(&second, StepReply::Heartbeat { progress: None }).await;
        assert_eq!(desk.view(&run).await.waiting[0].reason, "running");
        desk.pass(COUNTED).await;
        near(shown.of("stead_append_oldest_seconds"), 0.0, "what is not taken");
    });
}

#[test]
fn an_undo_that_is_owed_is_counted_until_it_is_done() {
    shown(|shown| async move {
        let desk = Desk::new().await;
        desk.start("pair").await;
        desk.done(&desk.step("test.first")).await;
        desk.failed(&desk.step("test.second"), Class::Permanent).await;
        let undo = desk.step("test.undo-first");
        desk.failed(&undo, Class::Permanent).await;
        desk.pass(Duration::from_secs(120)).await;
        near(shown.of("stead_undo_open"), 1.0, "undo owed");
        let oldest = shown.of("stead_undo_oldest_seconds");
        assert!((100.0..=121.0).contains(&oldest), "{oldest}");
        desk.owner.abort();
        desk.pass(COUNTED).await;
        near(shown.of("stead_undo_open"), 0.0, "undo owed, when it is another owner's");
    });
}

#[test]
fn a_run_whose_attempts_are_used_up_is_counted_with_the_system_that_it_tried() {
    shown(|shown| async move {
        let desk = Desk::new().await;
        let run = desk.start("patient").await;
        for paused in [0, 0, 1] {
            desk.failed(&desk.step("test.first"), Class::VendorDown).await;
            assert_eq!(shown.count("stead_runs_paused_total", "test"), paused);
            desk.pass(Duration::from_secs(9)).await;
        }
        assert_eq!(desk.view(&run).await.summary.state.word(), "paused");
    });
}

#[test]
fn a_run_that_this_build_does_not_continue_is_counted() {
    shown(|shown| async move {
        let desk = Desk::new().await;
        let run = diverged(&desk).await;
        let desk = Desk::on(Arc::clone(&desk.log)).await;
        desk.pass(COUNTED).await;
        assert_eq!(desk.view(&run).await.waiting[0].reason, "human");
        near(shown.of("stead_runs_parked"), 1.0, "parked");
        assert_eq!(shown.counts("stead_runs_parked_total"), [1]);
        assert_eq!(shown.count("stead_runs_parked_total", "diverged"), 1, "and why");
        assert_eq!(desk.order(&run, RunOrder::Terminate).await, "done");
        assert_eq!(desk.view(&run).await.summary.state.word(), "terminated");
        assert_eq!(shown.counts("stead_runs_parked_total"), [1], "who only looks parks nothing");
    });
}

#[test]
fn a_run_of_a_kind_that_this_build_does_not_know_is_counted() {
    shown(|shown| async move {
        let desk = Desk::new().await;
        desk.start("pair").await;
        desk.owner.abort();
        let desk = Desk::knowing(Arc::clone(&desk.log), Arc::default(), without("pair")).await;
        desk.pass(COUNTED).await;
        near(shown.of("stead_runs_parked"), 1.0, "parked");
        assert_eq!(shown.count("stead_runs_parked_total", "unknown-kind"), 1);
        assert_eq!(shown.waiting(), [("human", 1.0)]);
    });
}
