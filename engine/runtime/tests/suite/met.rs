//! What stood in the way of a step before it was done, as the history has it.

use std::time::Duration;

use stead_schemas::dispatch::StepReply;
use stead_schemas::event::Event;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::RunId;

use crate::desk::{Desk, on_simulated_time};

/// Why the first step was not done before, as the history has it.
async fn met(desk: &Desk, run: &RunId) -> Option<String> {
    let history = desk.history(run).await;
    let mut met = history.iter().filter_map(|event| match event {
        Event::StepCompleted(done) => Some(done.met.as_ref().map(|met| met.words.clone())),
        _ => None,
    });
    met.next().expect("a step is done")
}

#[test]
fn what_the_attempt_before_met_goes_into_the_history_with_the_answer() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let words = "ä".repeat(1000);
        let failure = Failure::new(Class::VendorDown, words).vendor("no route");
        desk.answer(&desk.step("test.first"), StepReply::Failed(failure)).await;
        desk.pass(Duration::from_secs(2)).await;
        desk.done(&desk.step("test.first")).await;
        assert_eq!(met(&desk, &run).await, Some("ä".repeat(512)), "a long one is cut");
    });
}

#[test]
fn that_an_answer_came_too_late_is_told_behind_whatever_was_met() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let first = desk.step("test.first");
        let failure = Failure::new(Class::VendorDown, "ä".repeat(1000));
        desk.answer(&first, StepReply::Failed(failure)).await;
        desk.pass(Duration::from_secs(2)).await;
        let second = desk.step("test.first");
        desk.done(&first).await;
        desk.done(&second).await;
        let words = met(&desk, &run).await.expect("the first one failed");
        assert!(words.len() <= 1024 && words.ends_with("ä; its answer came too late"), "{words}");
    });
}

#[test]
fn what_was_done_at_once_met_nothing() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        let first = desk.step("test.first");
        desk.unheard(&first).await;
        desk.pass(Duration::from_secs(1)).await;
        desk.done(&desk.step("test.first")).await;
        assert_eq!(met(&desk, &run).await, None);
    });
}

#[test]
fn an_answer_that_came_too_late_is_told_of() {
    on_simulated_time(async {
        for late in [true, false] {
            let desk = Desk::new().await;
            let run = desk.start("pair").await;
            let first = desk.step("test.first");
            desk.pass(Duration::from_secs(7)).await;
            let second = desk.step("test.first");
            if late {
                desk.done(&first).await;
                desk.done(&first).await;
            }
            desk.done(&second).await;
            let came = if late { "; its answer came too late" } else { "" };
            let words = format!("the worker fell silent for 6.0 s{came}");
            assert_eq!(met(&desk, &run).await, Some(words));
        }
    });
}

#[test]
fn an_attempt_that_was_told_to_stop_and_is_done_all_the_same_took_too_long() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("patient").await;
        let step = desk.step("test.first");
        for _ in 0..5 {
            desk.answer(&step, StepReply::Heartbeat { progress: None }).await;
            desk.pass(Duration::from_secs(6)).await;
        }
        assert!(desk.steps().is_empty(), "it is given its time to stop");
        desk.done(&step).await;
        let met = met(&desk, &run).await.expect("it took too long");
        assert!(met.contains("30.0 s"), "{met}");
    });
}
