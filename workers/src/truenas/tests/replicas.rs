//! Copies at another TrueNAS, against the lab.

use std::time::Duration;

use serde_json::json;
use stead_lab::CallFault;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::failure::Class;
use stead_schemas::step::backup::{
    Nas, Old, ProveReplica, RemoveReplicas, Removed, Replica, Replicate, SnapshotTree,
};
use stead_schemas::step::truenas::EnsureDataset;

use super::{DATASET, LOGIN, ensure, nas};
use crate::testing::Stage;

const PARENT: &str = "tank/coder-home";
const TARGET: &str = "backup/coder-home";
const SERIES: &str = "stead-homes-";
const HOUR: Duration = Duration::from_secs(60 * 60);

fn of() -> Replica {
    let at = |name: Option<&str>| Nas { name: name.map(str::to_owned), login: LOGIN.to_owned() };
    Replica {
        from: at(None),
        dataset: PARENT.to_owned(),
        to: at(Some("nas04")),
        target: TARGET.to_owned(),
        ssh_credentials: Some(3),
        series: SERIES.to_owned(),
        marker: "backup-homes".to_owned(),
    }
}

/// The name of the copy of this day.
fn copy(day: u32) -> String {
    format!("{SERIES}2026-11-{day:02}t02-00-00-000z")
}

fn snapshot(day: u32) -> SnapshotTree {
    SnapshotTree { of: of(), copy: copy(day) }
}

fn replicate() -> Replicate {
    Replicate { of: of() }
}

fn prove(day: u32) -> ProveReplica {
    ProveReplica { of: of(), copy: copy(day) }
}

/// All that there is has had its time, but the copy of this day.
fn remove_but(day: u32) -> RemoveReplicas {
    let before = SystemClock.now().after(HOUR);
    RemoveReplicas { of: of(), old: Old { before, but: copy(day) } }
}

/// A NAS with a home on it.
async fn with_home() -> Stage {
    let stage = Stage::open().await;
    stage.ask(ensure()).await.unwrap();
    stage
}

/// Makes these copies.
async fn copied(stage: &Stage, days: &[u32]) {
    for day in days {
        stage.ask(snapshot(*day)).await.unwrap();
        stage.ask(replicate()).await.unwrap();
        stage.ask(prove(*day)).await.unwrap();
    }
}

/// What a dataset has.
async fn snapshots(stage: &Stage, dataset: &str) -> Vec<String> {
    let all = super::dataset::snapshots(&nas(stage), dataset).await.unwrap();
    all.iter().filter_map(|id| id.split_once('@')).map(|(_, name)| name.to_owned()).collect()
}

#[tokio::test]
async fn a_copy_arrives_with_all_beneath_it_and_is_proved() {
    let stage = with_home().await;
    for _ in 0..2 {
        stage.ask(snapshot(1)).await.unwrap();
        stage.ask(replicate()).await.unwrap();
    }
    let proof = stage.ask(prove(1)).await.unwrap();
    assert_eq!(proof.words, format!("2 datasets have the same snapshot beneath {TARGET}"));
    assert_eq!(proof.bytes, Some(2 * (64 << 10)));
    assert_eq!(stage.count("snapshot-created"), 2);
    assert_eq!(snapshots(&stage, "backup/coder-home/john").await, [copy(1)]);
    stage.ask(snapshot(2)).await.unwrap();
    stage.ask(replicate()).await.unwrap();
    stage.ask(prove(2)).await.unwrap();
    let removed = stage.ask(remove_but(2)).await.unwrap();
    assert_eq!(removed, Removed { removed: 1, kept: None });
    for dataset in [PARENT, DATASET, TARGET, "backup/coder-home/john"] {
        assert_eq!(snapshots(&stage, dataset).await, [copy(2)], "{dataset}");
    }
}

#[tokio::test]
async fn between_two_pools_of_one_truenas_nobody_needs_a_connection() {
    let stage = with_home().await;
    let of = Replica { to: of().from, ssh_credentials: None, ..of() };
    stage.ask(SnapshotTree { of: of.clone(), copy: copy(1) }).await.unwrap();
    stage.ask(Replicate { of: of.clone() }).await.unwrap();
    stage.ask(ProveReplica { of, copy: copy(1) }).await.unwrap();
}

#[tokio::test]
async fn a_lost_answer_leaves_one_copy() {
    let stage = with_home().await;
    let closed = ("truenas", "socket-closed");
    stage.survives(closed, Class::Ambiguous, snapshot(1)).await;
    // The job goes on without us, and is found.
    stage.survives(closed, Class::Ambiguous, replicate()).await;
    stage.ask(prove(1)).await.unwrap();
    assert_eq!((stage.count("snapshot-created"), stage.count("replicated")), (2, 1));
    copied(&stage, &[2]).await;
    stage.survives(closed, Class::Ambiguous, remove_but(2)).await;
    assert_eq!(snapshots(&stage, TARGET).await, [copy(2)]);
}

#[tokio::test]
async fn what_is_said_to_have_arrived_and_has_not_is_no_proof() {
    let stage = with_home().await;
    stage.ask(snapshot(1)).await.unwrap();
    stage.lab.break_times("truenas", "replication-hollow", 1).unwrap();
    stage.ask(replicate()).await.unwrap();
    let failure = stage.refused(prove(1), Class::Permanent).await;
    assert!(failure.words.contains("2 of 2 datasets"), "{failure}");
    stage.lab.break_times("truenas", "replication-full", 1).unwrap();
    let failure = stage.refused(replicate(), Class::Permanent).await;
    assert!(failure.to_string().contains("out of space"), "{failure}");
    let failure = stage.refused(prove(1), Class::Permanent).await;
    assert!(
        failure.words.contains(&format!("1 of 2 datasets have no such snapshot there: {DATASET}"))
    );
    stage.lab.break_times("truenas", "replication-denied", 1).unwrap();
    stage.refused(replicate(), Class::Permanent).await;
    copied(&stage, &[1]).await;
}

#[tokio::test]
async fn another_snapshot_of_that_name_is_no_proof() {
    let stage = with_home().await;
    copied(&stage, &[1]).await;
    let there = format!("{TARGET}@{}", copy(2));
    let theirs = json!([{ "dataset": TARGET, "name": copy(2) }]);
    nas(&stage).act("pool.snapshot.create", theirs).await.unwrap();
    stage.ask(snapshot(2)).await.unwrap();
    stage.lab.break_times("truenas", "replication-hollow", 1).unwrap();
    stage.ask(replicate()).await.unwrap();
    let failure = stage.refused(prove(2), Class::Permanent).await;
    assert!(failure.words.contains("2 of 2 datasets"), "{failure} for {there}");
}

#[tokio::test]
async fn a_strangers_snapshot_is_neither_taken_for_ours_nor_removed() {
    let stage = with_home().await;
    let theirs = json!([{ "dataset": PARENT, "name": copy(1), "recursive": true }]);
    nas(&stage).act("pool.snapshot.create", theirs).await.unwrap();
    stage.refused(snapshot(1), Class::Conflict).await;
    stage.refused(prove(1), Class::Permanent).await;
    // It is sent, too, since it is called as ours are.
    copied(&stage, &[2]).await;
    assert_eq!(stage.ask(remove_but(3)).await.unwrap().kept, None);
    for dataset in [PARENT, TARGET] {
        assert_eq!(snapshots(&stage, dataset).await, [copy(1)], "{dataset}");
    }
}

#[tokio::test]
async fn what_is_held_or_cloned_stays_and_it_is_said() {
    let stage = with_home().await;
    copied(&stage, &[1, 2, 3]).await;
    let held = format!("{DATASET}@{}", copy(1));
    nas(&stage).act("pool.snapshot.hold", json!([held])).await.unwrap();
    let cloned = format!("{TARGET}@{}", copy(2));
    let clone = json!([{ "snapshot": cloned, "dataset_dst": "backup/looked-at" }]);
    nas(&stage).act("pool.snapshot.clone", clone).await.unwrap();
    let removed = stage.ask(remove_but(3)).await.unwrap();
    let kept = removed.kept.unwrap_or_default();
    assert!(kept.contains(&held) && kept.contains(&cloned), "{kept}");
    assert_eq!(removed.removed, 0);
    // What is left of a copy is found again by the topmost of it.
    assert_eq!(snapshots(&stage, PARENT).await, [copy(1), copy(3)]);
    assert_eq!(snapshots(&stage, TARGET).await, [copy(2), copy(3)]);
}

#[tokio::test]
async fn a_truenas_that_this_worker_does_not_know_is_waited_for() {
    let stage = with_home().await;
    let to = Nas { name: Some("nas05".to_owned()), ..of().to };
    let ask = ProveReplica { of: Replica { to, ..of() }, copy: copy(1) };
    let failure = stage.refused(ask, Class::Wait).await;
    assert!(failure.words.contains("nas05"), "{failure}");
}

/// Destroys the home with all its snapshots, and makes another of its name.
async fn made_again(stage: &Stage) {
    for snapshot in super::dataset::snapshots(&nas(stage), DATASET).await.unwrap() {
        nas(stage).act("pool.snapshot.delete", json!([snapshot])).await.unwrap();
    }
    nas(stage).act("pool.dataset.delete", json!([DATASET])).await.unwrap();
    stage.ask(ensure()).await.unwrap();
}

const SECOND: &str = "tank/coder-home/mary";
const COPY: &str = "backup/coder-home/john";

#[tokio::test]
async fn a_home_that_was_made_again_is_sent_and_its_former_copy_is_kept_beside_it() {
    let stage = with_home().await;
    stage.ask(EnsureDataset { dataset: SECOND.to_owned(), ..ensure() }).await.unwrap();
    copied(&stage, &[1, 2]).await;
    made_again(&stage).await;
    stage.ask(snapshot(3)).await.unwrap();
    // Whatever is cut off half-way is finished by the next attempt.
    let lost = CallFault::LoseResponse;
    stage.lab.break_call_times("truenas", "pool.dataset.rename", lost, 1).unwrap();
    stage.refused(replicate(), Class::Ambiguous).await;
    stage.ask(replicate()).await.unwrap();
    let former = format!("{COPY}.until-2026-11-02t02-00-00-000z");
    let proof = stage.ask(prove(3)).await.unwrap();
    assert!(proof.words.starts_with("3 datasets have the same snapshot"), "{}", proof.words);
    assert!(proof.words.ends_with(&format!("somebody destroys it: {former}")), "{}", proof.words);
    assert_eq!(snapshots(&stage, &former).await, [copy(1), copy(2)]);
    assert_eq!(snapshots(&stage, COPY).await, [copy(3)]);
    assert_eq!(stage.count("dataset-renamed"), 1);
    // Its snapshots go with their days, as all do; it stays.
    stage.ask(remove_but(3)).await.unwrap();
    assert!(snapshots(&stage, &former).await.is_empty());
    let proof = stage.ask(prove(3)).await.unwrap();
    assert!(proof.words.contains(&former), "{}", proof.words);
}

#[tokio::test]
async fn what_cannot_make_way_keeps_no_others_from_being_sent() {
    let stage = with_home().await;
    stage.ask(EnsureDataset { dataset: SECOND.to_owned(), ..ensure() }).await.unwrap();
    // A stranger has something of this name there.
    let theirs = json!([{ "name": COPY, "create_ancestors": true }]);
    nas(&stage).act("pool.dataset.create", theirs).await.unwrap();
    let theirs = json!([{ "dataset": COPY, "name": "theirs" }]);
    nas(&stage).act("pool.snapshot.create", theirs).await.unwrap();
    stage.ask(snapshot(1)).await.unwrap();
    stage.ask(replicate()).await.unwrap();
    let words = format!("1 of 3 datasets have no such snapshot there: {DATASET}");
    assert_eq!(stage.refused(prove(1), Class::Permanent).await.words, words);
    assert_eq!(snapshots(&stage, "backup/coder-home/mary").await, [copy(1)]);
    assert_eq!(snapshots(&stage, COPY).await, ["theirs"]);
    assert_eq!(stage.count("dataset-renamed"), 0);
}

#[tokio::test]
async fn what_may_not_be_renamed_keeps_no_others_from_being_sent() {
    let stage = with_home().await;
    stage.ask(EnsureDataset { dataset: SECOND.to_owned(), ..ensure() }).await.unwrap();
    copied(&stage, &[1]).await;
    made_again(&stage).await;
    stage.ask(snapshot(2)).await.unwrap();
    let fault = CallFault::FailLasting;
    stage.lab.break_call_times("truenas", "pool.dataset.rename", fault, 1).unwrap();
    stage.ask(replicate()).await.unwrap();
    let words = format!("1 of 3 datasets have no such snapshot there: {DATASET}");
    assert_eq!(stage.refused(prove(2), Class::Permanent).await.words, words);
    assert_eq!(snapshots(&stage, "backup/coder-home/mary").await, [copy(1), copy(2)]);
    // Whoever lets us finds it mended.
    stage.ask(replicate()).await.unwrap();
    stage.ask(prove(2)).await.unwrap();
}

#[tokio::test]
async fn a_sending_that_was_begun_before_the_snapshots_does_not_count() {
    let stage = with_home().await;
    stage.ask(snapshot(1)).await.unwrap();
    let before = json!({
        "direction": "PUSH", "transport": "SSH", "ssh_credentials": 3, "recursive": true,
        "source_datasets": [PARENT], "target_dataset": TARGET, "retention_policy": "NONE",
        "name_regex": format!("^{SERIES}[0-9].*$"),
    });
    nas(&stage).act("replication.run_onetime", json!([before])).await.unwrap();
    stage.ask(snapshot(2)).await.unwrap();
    stage.ask(replicate()).await.unwrap();
    stage.ask(prove(2)).await.unwrap();
    assert_eq!(stage.count("replicated"), 2);
}
