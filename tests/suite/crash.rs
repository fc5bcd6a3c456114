//! The engine, the worker or the broker is killed in the middle of every step of a life: the run
//! finishes, and nothing was done twice.

use std::future::ready;
use std::time::Duration;

use serde_json::json;
use stead_schemas::dispatch::Accepted;
use stead_schemas::public::RunState;

use crate::stage::chance::Chance;
use crate::stage::effects::check_once;
use crate::stage::{
    CALL, Desk, Seen, Stage, Wire, check_gone, check_ledger_after, check_whole, until,
};

/// Calls of a step that may be over when the kill strikes, at most.
const CALLS_MAX: usize = 4;
/// How late a dead engine's commands may be: its leases and its right to read the inbox end after
/// seconds; the rest is for a slow machine.
const LATE_MAX: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
enum Victim {
    Engine,
    Worker,
    Broker,
}

/// A step of some run, by kind and name.
type Step = (String, String);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_is_killed_at_every_step_of_a_create() {
    every_step(Victim::Engine, "create").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_is_killed_at_every_step_of_a_delete() {
    every_step(Victim::Engine, "delete").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_worker_is_killed_at_every_step() {
    every_step(Victim::Worker, "create").await;
    every_step(Victim::Worker, "delete").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_broker_is_killed_at_every_step() {
    every_step(Victim::Broker, "create").await;
    every_step(Victim::Broker, "delete").await;
}

async fn every_step(victim: Victim, verb: &str) {
    let mut chance = Chance::new();
    let mut stage = Stage::start().await;
    let steps = steps_of_a_life(&stage, verb).await;
    let least = if verb == "create" { 15 } else { 10 };
    assert!(steps.len() >= least, "{verb} has fewer steps than it had: {steps:?}");
    for (number, step) in steps.iter().enumerate() {
        let calls = chance.below(CALLS_MAX);
        let story = format!(
            "{victim:?} killed at {verb} {} {} after {calls} calls, seed {}",
            step.0, step.1, chance.seed
        );
        let owner = format!("owner-{number}");
        let before = stage.lab.effects().len();
        let john = stage.desk(&owner).await;
        if verb == "delete" {
            john.carry_out("create", json!({})).await;
        }
        let accepted = struck(&mut stage, victim, &john, verb, step, calls).await;
        drop(
            tokio::time::timeout(Duration::from_secs(60), john.outcome(&accepted))
                .await
                .expect(&story),
        );
        match verb {
            "create" => check_whole(&stage.lab, &owner),
            _ => check_gone(&stage.lab, &owner),
        }
        check_ledger_after(&stage, &story).await;
        check_once(&stage.lab.effects()[before..], &story);
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_survive_the_engine_that_has_read_them_from_the_inbox() {
    const PROBES: usize = 500;
    let mut stage = Stage::start().await;
    let mut wire = Wire::connect(stage.nats.port()).await;
    for number in 0..PROBES {
        let body = json!({ "name": format!("probe-{number}") }).to_string();
        wire.publish("stead.cmd.john.probe.start", body.as_bytes()).await;
    }
    wire.flush().await;
    // Some are in the log by now, some are read, the rest lies in the inbox.
    let started = |event: &Seen| event.name() == "run-started";
    stage.events.first("the first probe starts", 0, started).await;
    stage.kill_engine(0);
    assert!(stage.streams().await.count("STEAD_INBOX").await > 0, "some are not in the log");
    stage.start_engine(0);
    let done = || async {
        let lines = stage.client.list_all().await.ok()?;
        let over = lines.iter().filter(|line| line.state == RunState::Completed).count();
        (over >= PROBES).then_some(lines.len())
    };
    let all = stage.events.until("every probe ends", done);
    let runs = tokio::time::timeout(LATE_MAX, all).await.expect("they are late by seconds only");
    assert_eq!(runs, PROBES, "each once");
    assert_eq!(stage.streams().await.count("STEAD_REFUSALS").await, 0);
    stage.finish().await;
}

/// The steps of an undisturbed life, in the order in which they are scheduled.
async fn steps_of_a_life(stage: &Stage, verb: &str) -> Vec<Step> {
    let john = stage.desk("john").await;
    let mut from = stage.events.count();
    john.carry_out("create", json!({})).await;
    if verb == "delete" {
        from = stage.events.count();
        john.carry_out("delete", json!({})).await;
    }
    let seen = stage.events.since(from);
    let scheduled = seen.iter().filter_map(|event| Some((event.kind(), event.scheduled()?)));
    scheduled.map(|(kind, step)| (kind.to_owned(), step.to_owned())).collect()
}

/// Gives a command, and kills the victim when the step is scheduled and some calls are made.
async fn struck(
    stage: &mut Stage,
    victim: Victim,
    john: &Desk,
    verb: &str,
    step: &Step,
    calls: usize,
) -> Accepted {
    stage.slow_down(CALL);
    let from = stage.events.count();
    // Given in the background: the answer may die with the engine, and is asked for again.
    let order = tokio::spawn({
        let (john, verb) = (john.clone(), verb.to_owned());
        async move { john.order(&verb, json!({})).await }
    });
    let what = format!("{} {} is scheduled", step.0, step.1);
    let is_it = |owner: &str| owner == john.owner.as_str() || owner == "stead";
    let fits = |event: &Seen| {
        event.kind() == step.0 && event.scheduled() == Some(&step.1) && is_it(event.owner())
    };
    stage.events.first(&what, from, fits).await;
    calls_made(stage, calls).await;
    strike(stage, victim).await;
    stage.lab.mend();
    order.await.expect("the order is taken in")
}

/// Waits for as many vendor calls, or until the step must be over without them.
async fn calls_made(stage: &Stage, calls: usize) {
    let enough = stage.lab.requests().len() + calls;
    let made = until("calls", || ready((stage.lab.requests().len() >= enough).then_some(())));
    tokio::time::timeout(CALL * 10, made).await.ok();
}

async fn strike(stage: &mut Stage, victim: Victim) {
    match victim {
        Victim::Engine => {
            stage.kill_engine(0);
            stage.start_engine(0);
        }
        Victim::Worker => {
            stage.kill_worker();
            stage.start_worker();
        }
        Victim::Broker => stage.nats.restart().await,
    }
}
