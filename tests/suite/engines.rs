//! Two engines: one is frozen or killed in the middle of many runs, the other takes over, and
//! when the frozen one wakes up it does no harm.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use stead_schemas::dispatch::Accepted;
use stead_schemas::event::Outcome;
use tokio::task::JoinHandle;

use crate::stage::effects::check_once;
use crate::stage::{CALL, Desk, Setting, Stage, check_gone, check_whole, until};

/// An order on its way.
type Ordered = JoinHandle<(Desk, Accepted)>;

/// How long a partition may be without an owner: a lease, and the time to notice.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(5);
/// Workspaces made at once.
const CROWD: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_engine_is_replaced_and_does_no_harm_when_it_wakes_up() {
    let setting = Setting { engines: 2, partitions: 16, ..Setting::default() };
    let mut stage = Stage::with(setting).await;
    stage.slow_down(CALL);
    let mut all = Vec::new();
    for victim in [0, 1] {
        both_own(&stage).await;
        all.extend(crowd(&stage, &format!("before-{victim}-")).await);
        middle(&stage, 60).await;
        let frozen_at = now_ms();
        stage.engine(victim).freeze();
        let taken = taken_over(&stage, frozen_at).await;
        assert!(taken <= TAKEN_OVER_WITHIN, "taken over after {taken:?}");
        // The other one is in the middle of it when the frozen one wakes up.
        all.extend(crowd(&stage, &format!("after-{victim}-")).await);
        middle(&stage, 40).await;
        stage.engine(victim).thaw();
    }
    both_own(&stage).await;
    let all = taken_in(all).await;
    finish(&stage, &all, "create").await;
    kill_one_of_two(&mut stage, all).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_started_again_where_it_was_killed_is_the_same_one() {
    let mut stage = Stage::with(Setting { partitions: 4, ..Setting::default() }).await;
    let john = stage.desk("john").await;
    john.carry_out("create", json!({})).await;
    for killed in 1..=2 {
        stage.kill_engine(0);
        stage.start_engine(0);
        john.carry_out("stop", json!({})).await;
        john.carry_out("start", json!({})).await;
        let taken = claims(&stage).await;
        assert!(taken.len() >= 4 * (1 + killed), "taken over at each start: {taken:?}");
        assert_eq!(owners(&stage).await.len(), 1, "all of them by the same engine");
        let names: BTreeSet<&String> = taken.iter().map(|(_, engine, _)| engine).collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }
    stage.finish().await;
}

/// One engine dies during many deletes; the other carries on, and later takes it all.
async fn kill_one_of_two(stage: &mut Stage, all: Vec<(Desk, Accepted)>) {
    let mut deletes = Vec::new();
    for (desk, _) in all {
        let accepted = desk.order("delete", json!({})).await;
        deletes.push((desk, accepted));
    }
    middle(stage, 30).await;
    stage.kill_engine(1);
    finish(stage, &deletes, "delete").await;
    assert!(stage.lab.inventory().is_empty(), "{:#?}", stage.lab.inventory());
}

/// Waits until each of two engines owns something.
pub async fn both_own(stage: &Stage) {
    let both = || async { (owners(stage).await.len() == 2).then_some(()) };
    until("both engines own partitions", both).await;
}

/// Orders many workspaces at once, in the background: a frozen engine does not answer.
async fn crowd(stage: &Stage, group: &str) -> Vec<Ordered> {
    let mut orders = Vec::new();
    for number in 0..CROWD {
        let desk = stage.desk(&format!("{group}{number}")).await;
        orders.push(tokio::spawn(async move {
            let accepted = desk.order("create", json!({})).await;
            (desk, accepted)
        }));
    }
    orders
}

async fn taken_in(orders: Vec<Ordered>) -> Vec<(Desk, Accepted)> {
    let all = futures_util::future::join_all(orders).await;
    all.into_iter().map(|order| order.expect("it is taken in")).collect()
}

/// Waits until this much more has happened.
pub async fn middle(stage: &Stage, events: usize) {
    let enough = stage.events.count() + events;
    let what = format!("{events} more events");
    stage.events.until(&what, || async { (stage.events.count() >= enough).then_some(()) }).await;
}

async fn finish(stage: &Stage, all: &[(Desk, Accepted)], verb: &str) {
    for (desk, accepted) in all {
        let outcome = desk.outcome(accepted).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{verb} of {}: {outcome:?}", desk.owner);
        match verb {
            "create" => check_whole(&stage.lab, desk.owner.as_str()),
            _ => check_gone(&stage.lab, desk.owner.as_str()),
        }
    }
    check_once(&stage.lab.effects(), verb);
}

/// Who has taken over which partition: stream, engine, when.
async fn claims(stage: &Stage) -> Vec<(String, String, u64)> {
    let mut streams = stage.streams().await;
    let mut claims = Vec::new();
    for stream in streams.logs().await {
        let kept = streams.messages(&stream).await;
        for claim in kept.iter().filter(|message| message.subject.ends_with(".owner")) {
            let claim = claim.json();
            let engine = claim["engine"].as_str().expect("an engine").to_owned();
            claims.push((stream.clone(), engine, millis(claim["at"].as_str().expect("a time"))));
        }
    }
    claims
}

/// The engines that own a partition now.
pub async fn owners(stage: &Stage) -> BTreeSet<String> {
    let mut last = std::collections::BTreeMap::new();
    for (stream, engine, _) in claims(stage).await {
        last.insert(stream, engine);
    }
    last.into_values().collect()
}

/// How long it took after `since` until one engine owned everything.
pub async fn taken_over(stage: &Stage, since: u64) -> Duration {
    let found = until("the partitions of the frozen engine are taken over", || async {
        if owners(stage).await.len() > 1 {
            return None;
        }
        claims(stage).await.into_iter().map(|(_, _, at)| at).max()
    });
    Duration::from_millis(found.await.saturating_sub(since))
}

/// Milliseconds since 1970, now.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("not that late")
}

/// Milliseconds since 1970 of a time as the log writes it.
fn millis(text: &str) -> u64 {
    let time: stead_schemas::time::Timestamp = serde_json::from_value(json!(text)).expect("a time");
    u64::try_from(time.as_millis()).expect("after 1970")
}
