//! Engines and workers are replaced by others one after the other, as for a new build, while
//! commands go on: nothing fails, and nothing is done twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use stead_schemas::event::Event;
use stead_schemas::ids::RunId;
use tokio::task::JoinHandle;

use crate::engines::{both_own, middle, now_ms, owners, taken_over};
use crate::stage::effects::{check_once, count};
use crate::stage::{CALL, Desk, Setting, Stage, check_whole, until};

/// Owners who give one command after the other.
const LANES: usize = 4;
/// What has to happen between two replacements, in events.
const MIDDLE: usize = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_and_workers_are_replaced_under_load_and_no_run_fails() {
    let mut stage = Stage::with(Setting { engines: 2, partitions: 4, ..Setting::default() }).await;
    let mut second = stage.one_more_worker();
    both_own(&stage).await;
    stage.slow_down(CALL);
    let is_over = Arc::new(AtomicBool::new(false));
    let mut lanes = Vec::new();
    for lane in 0..LANES {
        let desk = stage.desk(&format!("lane-{lane}")).await;
        lanes.push(tokio::spawn(live(desk, Arc::clone(&is_over))));
    }
    for number in [0, 1] {
        middle(&stage, MIDDLE).await;
        stage.stop_engine(number).await;
        middle(&stage, MIDDLE).await;
        stage.start_engine_of(number, "stead next");
        both_own(&stage).await;
    }
    middle(&stage, MIDDLE).await;
    second.stop().await;
    second = stage.one_more_worker();
    middle(&stage, MIDDLE).await;
    stage.stop_worker().await;
    stage.start_worker();
    middle(&stage, MIDDLE).await;
    is_over.store(true, Ordering::Relaxed);
    let mut begun = Vec::new();
    for lane in lanes {
        begun.push(end_lane(&stage, lane).await);
    }
    // Machines are stopped and started as often as somebody asks; each is made once.
    let mut made = stage.lab.effects();
    made.retain(|effect| effect.kind.ends_with("-created") || effect.kind.ends_with("-cloned"));
    check_once(&made, "a rolling upgrade");
    assert_eq!(count(&made, "vm-cloned"), LANES);
    each_run_says_which_build_began_it(&stage, &begun[0]).await;
    let told = stage.verb(&["doctor", "--json"]).await;
    let told: Vec<Value> = serde_json::from_slice(&told.stdout).expect("findings");
    let engines = told.iter().find(|finding| finding["check"] == "engines").expect("engines");
    assert_eq!(engines["words"], "2 engines of stead next");
    drop(second);
    stage.finish().await;
}

/// A run that began before the upgrade says so for ever; one that begins after it, too.
async fn each_run_says_which_build_began_it(stage: &Stage, before: &RunId) {
    let desk = stage.desk("later").await;
    let after = desk.carry_out("create", json!({})).await.run;
    let own = concat!("stead ", env!("CARGO_PKG_VERSION"), "+");
    for (run, build) in [(before, own), (&after, "stead next")] {
        let history = desk.history(run).await.expect("a history");
        let Some(Event::RunStarted(started)) = history[0].events.first() else {
            panic!("{:?}", history[0])
        };
        assert!(started.build.starts_with(build), "{run}: {}", started.build);
    }
}

/// Makes a workspace, then stops and starts it until it is over; each command has to succeed.
async fn live(desk: Desk, is_over: Arc<AtomicBool>) -> (Desk, RunId, usize) {
    let run = desk.carry_out("create", json!({})).await.run;
    let given = give_commands(desk.clone(), is_over).await;
    (desk, run, given + 1)
}

/// Stops and starts a workspace until it is over; each command has to succeed. Says how many they
/// were.
pub async fn give_commands(desk: Desk, is_over: Arc<AtomicBool>) -> usize {
    let mut given = 0;
    while !is_over.load(Ordering::Relaxed) {
        for verb in ["stop", "start"] {
            desk.carry_out(verb, json!({})).await;
            given += 1;
        }
    }
    given
}

/// The run of the lane's workspace, which is whole.
async fn end_lane(stage: &Stage, lane: JoinHandle<(Desk, RunId, usize)>) -> RunId {
    let (desk, run, given) = lane.await.expect("no command fails");
    assert!(given >= 3, "{} gave {given} commands only", desk.owner);
    check_whole(&stage.lab, desk.owner.as_str());
    run
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_told_to_stop_leaves_nothing_to_be_waited_for() {
    let mut stage = Stage::with(Setting { engines: 2, partitions: 8, ..Setting::default() }).await;
    both_own(&stage).await;
    let both = owners(&stage).await;
    let asked_at = now_ms();
    stage.stop_engine(0).await;
    // No lease has to run out: whatever is in the stream of leases now is the other engine's.
    let left = leases(&stage).await;
    let names: std::collections::BTreeSet<&String> = left.iter().collect();
    assert_eq!(names.len(), 1, "one engine holds all that is held: {left:?}");
    assert!(names.iter().all(|name| both.contains(*name)), "one of the two: {names:?}");
    let taken = taken_over(&stage, asked_at).await;
    tell(taken);
    let john = stage.desk("john").await;
    john.carry_out("create", json!({})).await;
    until("the other engine owns all", || async {
        (owners(&stage).await.len() == 1).then_some(())
    })
    .await;
    stage.finish().await;
}

/// Whom each lease names that has not run out.
async fn leases(stage: &Stage) -> Vec<String> {
    let mut streams = stage.streams().await;
    let kept = streams.messages("STEAD_LEASES").await;
    let holders =
        kept.iter().filter_map(|lease| lease.json()["engine"].as_str().map(str::to_owned));
    holders.collect()
}

#[expect(clippy::print_stderr, reason = "a time is told, and not judged")]
fn tell(taken: Duration) {
    eprintln!("from SIGTERM until the other engine owned everything: {taken:?}");
}
