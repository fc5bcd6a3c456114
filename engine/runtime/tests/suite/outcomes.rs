//! Callers who wait for the end of a command.

use std::time::Duration;

use serde_json::{Value, json};
use stead_runtime::inbound::Inbound;
use stead_runtime::ports::ReplyTo;
use stead_schemas::dispatch::{Caller, OutcomeQuery, StepAddress, StepReply};
use stead_schemas::ids::RunId;

use crate::desk::{Desk, PARTITION, on_simulated_time};

async fn wait(desk: &Desk, run: &RunId, who: &str) {
    let (run, command) = (run.clone(), "id-1".to_owned());
    let query = OutcomeQuery { run, command, within_ms: 60_000 };
    desk.say(Inbound::Outcome(query, ReplyTo(who.to_owned()))).await;
}

fn told(desk: &Desk, who: &str) -> Vec<Value> {
    let replies = desk.replies(who);
    replies.iter().map(|reply| serde_json::from_slice(reply).expect("JSON")).collect()
}

fn both() -> Value {
    json!({ "done": "both" })
}

#[test]
fn whoever_waits_is_told_once_and_nothing_is_written_for_him() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.done(&desk.step("test.first")).await;
        let second = desk.step("test.second");
        let before = desk.log.len(PARTITION);
        for who in ["one", "two", "one"] {
            wait(&desk, &run, who).await;
        }
        assert_eq!(desk.log.len(PARTITION), before);
        assert!(told(&desk, "one").is_empty());
        desk.done(&second).await;
        assert_eq!((told(&desk, "one"), told(&desk, "two")), (vec![both()], vec![both()]));
        // The run is over, and what it was is read from the log.
        wait(&desk, &run, "late").await;
        assert_eq!(told(&desk, "late"), [both()]);
        assert_eq!(desk.log.len(PARTITION), before + 1, "only the second step's end is new");
    });
}

#[test]
fn nobody_is_told_before_the_log_has_it() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.done(&desk.step("test.first")).await;
        let second = desk.step("test.second");
        wait(&desk, &run, "early").await;
        desk.log.set_away(true);
        desk.done(&second).await;
        wait(&desk, &run, "late").await;
        assert!(told(&desk, "early").is_empty() && told(&desk, "late").is_empty());
        desk.log.set_away(false);
        desk.settle().await;
        assert_eq!((told(&desk, "early"), told(&desk, "late")), (vec![both()], vec![both()]));
    });
}

#[test]
fn the_next_owner_tells_whoever_asks_it_anew() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("pair").await;
        desk.done(&desk.step("test.first")).await;
        wait(&desk, &run, "waiter").await;
        desk.owner.abort();
        let after = Desk::on(desk.log.clone()).await;
        after.settle().await;
        wait(&after, &run, "waiter").await;
        after.done(&after.step("test.second")).await;
        assert_eq!(told(&after, "waiter"), [both()]);
        assert!(told(&desk, "waiter").is_empty());
    });
}

#[test]
fn whoever_has_gone_is_forgotten() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("nap").await;
        wait(&desk, &run, "gone").await;
        desk.pass(Duration::from_secs(61)).await;
        wait(&desk, &run, "here").await;
        desk.pass(Duration::from_secs(3600)).await;
        assert_eq!(told(&desk, "here"), [json!({ "done": "rested" })]);
        assert!(told(&desk, "gone").is_empty());
    });
}

/// The log did not take the end of the command, which the run in memory knows.
#[test]
fn what_the_log_refused_is_told_to_nobody() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        desk.settle().await;
        let by = Caller::Run(StepAddress { run: desk.run("pair"), seq: 1 });
        desk.command_by(by.clone(), "huge", "id-1").await;
        let run = desk.run("huge");
        wait(&desk, &run, "early").await;
        desk.done(&desk.step("test.first")).await;
        assert!(desk.view(&run).await.waiting[0].words.contains("parked"));
        desk.answers();
        wait(&desk, &run, "late").await;
        desk.command_by(by, "huge", "id-1").await;
        assert!(told(&desk, "early").is_empty());
        assert_eq!(told(&desk, "late"), [Value::Null], "waiting will not tell");
        let said: Vec<_> = desk.answers().into_iter().map(|(_, reply)| reply).collect();
        assert_eq!(said, [StepReply::Heartbeat { progress: None }]);
    });
}
