//! What is kept of runs that are over.

use serde_json::json;
use stead_schemas::dispatch::{Caller, StepAddress, StepReply};
use stead_schemas::event::{Event, RunCompleted};

use crate::desk::{Desk, on_simulated_time};

fn another_run(desk: &Desk) -> Caller {
    Caller::Run(StepAddress { run: desk.run("nap"), seq: 1 })
}

fn said(desk: &Desk) -> Vec<StepReply> {
    desk.answers().into_iter().map(|(_, reply)| reply).collect()
}

#[test]
fn a_step_that_asks_again_is_told_the_outcome_from_the_log() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        desk.settle().await;
        let by = another_run(&desk);
        desk.command_by(by.clone(), "pair", "id-1").await;
        desk.done(&desk.step("test.first")).await;
        desk.command_by(by.clone(), "pair", "id-1").await;
        let going_on = StepReply::Heartbeat { progress: None };
        assert_eq!(said(&desk), [going_on.clone(), going_on], "it is in the log, not done");
        desk.done(&desk.step("test.second")).await;
        let done = StepReply::Done(json!("both"));
        assert_eq!(said(&desk), std::slice::from_ref(&done));
        desk.command_by(by.clone(), "pair", "id-1").await;
        assert_eq!(said(&desk), std::slice::from_ref(&done));
        desk.owner.abort();
        let after = Desk::on(desk.log.clone()).await;
        after.settle().await;
        after.command_by(by, "pair", "id-1").await;
        assert_eq!(said(&after), [done]);
        assert!(after.steps().is_empty(), "nothing begins anew");
    });
}

#[test]
fn the_id_of_a_command_stays_taken_and_the_next_life_is_the_next() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.done(&desk.step("test.first")).await;
        desk.done(&desk.step("test.second")).await;
        desk.owner.abort();
        let after = Desk::on(desk.log.clone()).await;
        after.settle().await;
        after.command("pair", "id-1").await;
        let repeated = String::from_utf8(after.replies("caller").remove(0)).unwrap();
        assert!(repeated.contains(&format!("\"run\":\"{run}\"")), "{repeated}");
        assert!(repeated.contains("\"repeated\":true"), "{repeated}");
        after.command("pair", "id-2").await;
        assert_eq!(after.step("test.first").address.run, run.key().run(2));
    });
}

#[test]
fn a_run_that_is_over_is_not_executed_again() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.owner.abort();
        // Another build has ended it where this one would not: nobody asks this one any more.
        let early = RunCompleted { result: json!("early") };
        desk.append_of_another_build(&run, vec![Event::RunCompleted(early)]).await;
        let after = Desk::on(desk.log.clone()).await;
        after.settle().await;
        assert!(after.steps().is_empty());
        after.command("pair", "id-2").await;
        assert_eq!(after.step("test.first").address.run, run.key().run(2));
    });
}
