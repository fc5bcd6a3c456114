//! TrueNAS's worker against the lab.

use serde_json::json;
use stead_lab::CallFault;
use stead_schemas::failure::Class;
use stead_schemas::step::sight::{SightDatasets, SightShares, Sighted};
use stead_schemas::step::truenas::{
    DeleteSnapshot, DestroyDataset, EnsureDataset, EnsureShare, ListSnapshots, MarkDataset,
    PoolSeen, RemoveShare, SetPermissions, SnapshotDataset, SurveyPool, UpdateQuota,
};
use stead_schemas::time::Timestamp;

use super::client::Nas;
use super::dataset::{self, GIB};
use crate::testing::{Stage, config, marker};

mod iscsi;
mod replicas;
mod sweep;

const LOGIN: &str = "vault:secret/data/truenas/api#1";
const DATASET: &str = "tank/coder-home/john";
const PATH: &str = "/mnt/tank/coder-home/john";
const FAREWELL: &str = "farewell";

fn ensure() -> EnsureDataset {
    EnsureDataset {
        login: LOGIN.to_owned(),
        dataset: DATASET.to_owned(),
        refquota_gb: 20,
        marker: marker(),
    }
}

#[tokio::test]
async fn one_look_shows_the_room_for_homes() {
    let stage = Stage::open().await;
    let survey = |parent: &str| SurveyPool {
        login: LOGIN.to_owned(),
        parent: parent.to_owned(),
        dataset: DATASET.to_owned(),
    };
    stage.lab.resize_pool(100 * GIB);
    let seen = stage.ask(survey("tank/coder-home")).await.unwrap();
    assert_eq!(seen, PoolSeen { free_gb: Some(99), has_home: false, login_ends: None });
    stage.ask(ensure()).await.unwrap();
    stage.lab.fill(DATASET, 10 * GIB);
    let seen = stage.ask(survey("tank/coder-home")).await.unwrap();
    assert_eq!(seen, PoolSeen { free_gb: Some(89), has_home: true, login_ends: None });
    stage.lab.end_login("truenas", 3_600);
    let seen = stage.ask(survey("tank/nowhere")).await.unwrap();
    assert!(seen.login_ends.is_some(), "our key says so");
    assert_eq!(seen.free_gb, None);
}

fn permissions() -> SetPermissions {
    SetPermissions {
        login: LOGIN.to_owned(),
        dataset: DATASET.to_owned(),
        marker: marker(),
        uid: 1000,
        gid: 1000,
        mode: "700".to_owned(),
    }
}

fn share() -> EnsureShare {
    let (login, path, networks) = (LOGIN.to_owned(), PATH.to_owned(), Vec::new());
    EnsureShare { login, path, marker: marker(), networks }
}

fn unshare() -> RemoveShare {
    RemoveShare { login: LOGIN.to_owned(), path: PATH.to_owned(), marker: marker() }
}

fn quota(refquota_gb: u32) -> UpdateQuota {
    let (login, dataset) = (LOGIN.to_owned(), DATASET.to_owned());
    UpdateQuota { login, dataset, marker: marker(), refquota_gb }
}

fn snapshot() -> SnapshotDataset {
    let (login, dataset) = (LOGIN.to_owned(), DATASET.to_owned());
    SnapshotDataset { login, dataset, marker: marker(), snapshot: FAREWELL.to_owned() }
}

fn destroy() -> DestroyDataset {
    let (login, dataset) = (LOGIN.to_owned(), DATASET.to_owned());
    DestroyDataset { login, dataset, marker: marker(), snapshot: FAREWELL.to_owned() }
}

/// The lab's NAS, for what the steps do not do.
fn nas(stage: &Stage) -> Nas {
    let secrets = stage.workers.secrets().clone();
    super::Client::new(&config(&stage.lab).truenas, secrets).log_in(LOGIN)
}

#[tokio::test]
async fn a_home_is_made_and_found_again() {
    let stage = Stage::open().await;
    let made = stage.ask(ensure()).await.unwrap();
    assert_eq!((made.id.as_str(), made.mountpoint.as_str()), (DATASET, PATH));
    assert_eq!(stage.ask(ensure()).await.unwrap(), made);
    for _ in 0..2 {
        stage.ask(permissions()).await.unwrap();
    }
    let id = stage.ask(share()).await.unwrap().id;
    assert_eq!(stage.ask(share()).await.unwrap().id, id);
    for kind in ["dataset-created", "permissions-set", "share-created"] {
        assert_eq!(stage.count(kind), 1, "{kind}");
    }
}

#[tokio::test]
async fn a_home_lives_and_ends() {
    let stage = Stage::open().await;
    stage.ask(ensure()).await.unwrap();
    stage.ask(permissions()).await.unwrap();
    stage.ask(share()).await.unwrap();
    stage.ask(quota(40)).await.unwrap();
    stage.ask(snapshot()).await.unwrap();
    stage.ask(unshare()).await.unwrap();
    stage.survives(("truenas", "ebusy-on-delete"), Class::Wait, destroy()).await;
    assert!(stage.lab.inventory().is_empty());
}

#[tokio::test]
async fn a_home_takes_its_limit_from_the_latest_request() {
    let stage = Stage::open().await;
    stage.ask(ensure()).await.unwrap();
    stage.ask(EnsureDataset { refquota_gb: 30, ..ensure() }).await.unwrap();
    stage.ask(quota(40)).await.unwrap();
    stage.ask(quota(40)).await.unwrap();
    let found = dataset::find(&nas(&stage), DATASET).await.unwrap().unwrap();
    assert_eq!(found.refquota(), 40 * GIB);
    assert_eq!(stage.count("dataset-updated"), 2);
}

#[tokio::test]
async fn a_lost_answer_ends_with_one_effect() {
    let stage = Stage::open().await;
    let closed = ("truenas", "socket-closed");
    // Read back at once: the attempt itself finds what it made.
    stage.lab.break_times("truenas", "socket-closed", 1).unwrap();
    stage.ask(ensure()).await.unwrap();
    stage.survives(closed, Class::Ambiguous, permissions()).await;
    stage.lab.break_times("truenas", "socket-closed", 1).unwrap();
    stage.ask(share()).await.unwrap();
    stage.survives(closed, Class::Ambiguous, quota(40)).await;
    stage.survives(closed, Class::Ambiguous, snapshot()).await;
    stage.survives(closed, Class::Ambiguous, unshare()).await;
    stage.survives(closed, Class::Ambiguous, destroy()).await;
    for kind in [
        "dataset-created",
        "share-created",
        "snapshot-created",
        "share-removed",
        "dataset-destroyed",
    ] {
        assert_eq!(stage.count(kind), 1, "{kind}");
    }
}

#[tokio::test]
async fn a_call_that_never_arrived_is_made_again() {
    let stage = Stage::open().await;
    stage.lab.break_times("truenas", "socket-closed-before", 1).unwrap();
    stage.refused(ensure(), Class::Ambiguous).await;
    stage.ask(ensure()).await.unwrap();
    assert_eq!(stage.count("dataset-created"), 1);
}

#[tokio::test]
async fn a_strangers_dataset_is_not_touched() {
    let stage = Stage::open().await;
    let theirs = json!([{ "name": DATASET }]);
    nas(&stage).act("pool.dataset.create", theirs).await.unwrap();
    stage.refused(ensure(), Class::Conflict).await;
    stage.refused(permissions(), Class::Conflict).await;
    stage.refused(quota(40), Class::Conflict).await;
    stage.refused(snapshot(), Class::Conflict).await;
    stage.refused(destroy(), Class::Conflict).await;
    assert_eq!((stage.count("dataset-updated"), stage.count("dataset-destroyed")), (0, 0));
}

#[tokio::test]
async fn a_strangers_export_is_not_touched() {
    let stage = Stage::open().await;
    stage.ask(ensure()).await.unwrap();
    nas(&stage).act("sharing.nfs.create", json!([{ "path": PATH }])).await.unwrap();
    stage.refused(share(), Class::Conflict).await;
    stage.ask(unshare()).await.unwrap();
    stage.ask(snapshot()).await.unwrap();
    let failure = stage.refused(destroy(), Class::Conflict).await;
    assert!(failure.words.contains("still exported"), "{failure}");
    assert_eq!(stage.count("share-removed"), 0);
}

#[tokio::test]
async fn less_than_what_is_kept_is_refused_in_words() {
    let stage = Stage::open().await;
    stage.ask(ensure()).await.unwrap();
    assert!(stage.lab.fill(DATASET, 12 * GIB));
    let failure = stage.refused(quota(10), Class::Permanent).await;
    assert!(failure.words.contains("12 GiB") && failure.words.contains("10 GiB"), "{failure}");
    stage.ask(quota(15)).await.unwrap();
}

#[tokio::test]
async fn a_home_is_exported_to_the_networks_that_may_mount_it_and_no_wider() {
    let stage = Stage::open().await;
    stage.ask(ensure()).await.unwrap();
    let networks = |all: &[&str]| EnsureShare {
        networks: all.iter().map(|one| (*one).to_owned()).collect(),
        ..share()
    };
    let narrow = networks(&["192.168.20.0/24"]);
    let made = stage.ask(narrow.clone()).await.unwrap();
    let seen = async || {
        let query = nas(&stage).look("sharing.nfs.query", json!([])).await.unwrap();
        assert_eq!(query.as_array().unwrap().len(), 1);
        query[0]["networks"].clone()
    };
    assert_eq!(seen().await, json!(["192.168.20.0/24"]));
    // Where nobody says anything, it stays as it is.
    assert_eq!(stage.ask(share()).await.unwrap(), made);
    assert_eq!(seen().await, json!(["192.168.20.0/24"]));
    let other = networks(&["10.10.30.0/24", "192.168.20.0/24"]);
    stage.lose_answer("truenas", "sharing.nfs.update");
    assert_eq!(stage.insist(other.clone()).await, made);
    assert_eq!(stage.ask(other).await.unwrap(), made);
    assert_eq!(seen().await, json!(["10.10.30.0/24", "192.168.20.0/24"]));
    assert_eq!((stage.count("share-created"), stage.count("share-updated")), (1, 1));
}

#[tokio::test]
async fn a_home_goes_with_its_snapshots_and_nothing_else() {
    let stage = Stage::open().await;
    stage.ask(ensure()).await.unwrap();
    let hourly = json!([{ "dataset": DATASET, "name": "hourly-1" }]);
    nas(&stage).act("pool.snapshot.create", hourly).await.unwrap();
    let failure = stage.refused(destroy(), Class::Permanent).await;
    assert!(failure.words.contains(FAREWELL), "{failure}");
    for _ in 0..2 {
        stage.ask(snapshot()).await.unwrap();
    }
    for _ in 0..2 {
        stage.ask(destroy()).await.unwrap();
    }
    stage.ask(snapshot()).await.unwrap();
    assert_eq!((stage.count("snapshot-destroyed"), stage.count("dataset-destroyed")), (2, 1));
    stage.refused(permissions(), Class::Permanent).await;
}

fn list() -> ListSnapshots {
    ListSnapshots { login: LOGIN.to_owned(), dataset: DATASET.to_owned(), marker: marker() }
}

fn delete_snapshot(snapshot: &str) -> DeleteSnapshot {
    let (login, dataset) = (LOGIN.to_owned(), DATASET.to_owned());
    DeleteSnapshot { login, dataset, marker: marker(), snapshot: snapshot.to_owned() }
}

#[tokio::test]
async fn snapshots_are_listed_with_their_times_and_sizes() {
    let stage = Stage::open().await;
    stage.refused(list(), Class::Permanent).await;
    stage.ask(ensure()).await.unwrap();
    for number in 0..102 {
        stage
            .ask(SnapshotDataset { snapshot: format!("n{number:03}"), ..snapshot() })
            .await
            .unwrap();
    }
    let seen = stage.ask(list()).await.unwrap();
    assert_eq!((seen.snapshots.len(), seen.older), (100, 2));
    let names: Vec<_> = seen.snapshots.iter().map(|one| one.snapshot.as_str()).collect();
    assert!(names.contains(&"n101") && !names.contains(&"n000"), "{names:?}");
    assert!(seen.snapshots.iter().all(|one| one.used_bytes == Some(64 << 10)));
    assert!(seen.snapshots.iter().all(|one| one.taken_at > Some(Timestamp::from_millis(0))));
    stage.ask(delete_snapshot("n101")).await.unwrap();
}

#[tokio::test]
async fn a_snapshot_goes_alone_and_only_if_nobody_needs_it() {
    let stage = Stage::open().await;
    stage.ask(delete_snapshot("gone")).await.unwrap();
    stage.ask(ensure()).await.unwrap();
    for name in ["one", "two"] {
        stage.ask(SnapshotDataset { snapshot: name.to_owned(), ..snapshot() }).await.unwrap();
    }
    let nas = nas(&stage);
    let clone = json!([{ "snapshot": format!("{DATASET}@one"), "dataset_dst": "tank/copy" }]);
    nas.act("pool.snapshot.clone", clone).await.unwrap();
    let failure = stage.refused(delete_snapshot("one"), Class::Conflict).await;
    assert!(failure.words.contains("tank/copy"), "{failure}");
    nas.act("pool.dataset.delete", json!(["tank/copy"])).await.unwrap();
    let closed = ("truenas", "socket-closed");
    stage.survives(closed, Class::Ambiguous, delete_snapshot("one")).await;
    nas.act("pool.snapshot.hold", json!([format!("{DATASET}@two")])).await.unwrap();
    let failure = stage.refused(delete_snapshot("two"), Class::Conflict).await;
    assert!(failure.words.contains("is held"), "{failure}");
    assert_eq!(stage.lab.inventory().datasets[0].snapshots, ["two"]);
    assert_eq!((stage.count("snapshot-destroyed"), stage.count("dataset-destroyed")), (1, 1));
    let theirs = DeleteSnapshot { marker: "another".to_owned(), ..delete_snapshot("two") };
    stage.refused(theirs, Class::Conflict).await;
}

#[tokio::test]
async fn a_home_that_others_hang_on_stays() {
    let stage = Stage::open().await;
    stage.ask(ensure()).await.unwrap();
    stage.ask(snapshot()).await.unwrap();
    let nas = nas(&stage);
    let child = format!("{DATASET}/child");
    nas.act("pool.dataset.create", json!([{ "name": child }])).await.unwrap();
    let failure = stage.refused(destroy(), Class::Conflict).await;
    assert!(failure.words.contains(&child), "{failure}");
    nas.act("pool.dataset.delete", json!([child])).await.unwrap();
    let clone =
        json!([{ "snapshot": format!("{DATASET}@{FAREWELL}"), "dataset_dst": "tank/copy" }]);
    nas.act("pool.snapshot.clone", clone).await.unwrap();
    let failure = stage.refused(destroy(), Class::Conflict).await;
    assert!(failure.words.contains("tank/copy"), "{failure}");
    assert_eq!(stage.count("snapshot-destroyed"), 0);
    nas.act("pool.dataset.delete", json!(["tank/copy"])).await.unwrap();
    stage.ask(destroy()).await.unwrap();
}

#[tokio::test]
async fn a_destruction_that_was_cut_off_goes_on() {
    let stage = Stage::open().await;
    stage.ask(ensure()).await.unwrap();
    stage.ask(snapshot()).await.unwrap();
    stage.survives(("truenas", "ebusy-on-delete"), Class::Wait, destroy()).await;
    assert_eq!(stage.count("dataset-destroyed"), 1);
}

#[tokio::test]
async fn a_dataset_that_was_not_mounted_is_made_anew() {
    let stage = Stage::open().await;
    stage.survives(("truenas", "unmounted"), Class::Retry, ensure()).await;
    assert_eq!((stage.count("dataset-created"), stage.count("dataset-destroyed")), (2, 1));
}

#[tokio::test]
async fn a_dataset_that_was_not_mounted_and_not_taken_back_goes_behind_a_snapshot() {
    let stage = Stage::open().await;
    stage.lab.break_times("truenas", "unmounted", 1).unwrap();
    // The worker is gone before it looks at what it has made.
    stage.lab.break_call("truenas", "filesystem.stat", CallFault::DropBefore).unwrap();
    stage.refused(ensure(), Class::Retry).await;
    stage.lab.mend();
    let failure = stage.refused(ensure(), Class::Permanent).await;
    assert!(failure.words.contains("not mounted"), "{failure}");
    stage.ask(snapshot()).await.unwrap();
    stage.ask(destroy()).await.unwrap();
    assert!(stage.lab.inventory().is_empty());
    stage.ask(ensure()).await.unwrap();
    assert!(stage.lab.inventory().datasets[0].mounted);
}

#[tokio::test]
async fn a_share_that_another_attempt_made_meanwhile_is_ours() {
    let stage = Stage::open().await;
    stage.ask(ensure()).await.unwrap();
    stage.lab.break_times("truenas", "share-twin", 1).unwrap();
    stage.ask(share()).await.unwrap();
    assert_eq!(stage.count("share-created"), 1);
}

#[tokio::test]
async fn a_forgotten_job_is_judged_by_its_effect() {
    let stage = Stage::open().await;
    stage.ask(ensure()).await.unwrap();
    stage.lab.break_times("truenas", "job-list-lost", 1).unwrap();
    stage.insist(permissions()).await;
    stage.ask(permissions()).await.unwrap();
}

#[tokio::test]
async fn each_trouble_has_its_class() {
    let stage = Stage::open().await;
    stage.lab.break_times("truenas", "method-gone", 1).unwrap();
    let failure = stage.refused(ensure(), Class::Permanent).await;
    assert!(failure.words.contains("its version differs"), "{failure}");
    stage.survives(("truenas", "overload"), Class::Wait, ensure()).await;
    stage.lab.break_times("truenas", "job-failed", 1).unwrap();
    stage.refused(permissions(), Class::Permanent).await;
    stage.lab.break_("truenas", "pool-full").unwrap();
    let other = EnsureDataset { dataset: "tank/coder-home/mary".to_owned(), ..ensure() };
    stage.refused(other, Class::Permanent).await;
}

#[tokio::test]
async fn a_login_that_fails_says_why() {
    let stage = Stage::open().await;
    stage.lab.break_("truenas", "key-revoked").unwrap();
    stage.refused(ensure(), Class::Auth).await;
    stage.lab.mend();
    stage.lab.break_("truenas", "rate-limited").unwrap();
    stage.refused(ensure(), Class::Wait).await;
    stage.lab.mend();
    stage.insist(ensure()).await;
}

#[tokio::test]
async fn many_steps_share_one_session() {
    let stage = Stage::open().await;
    stage.ask(ensure()).await.unwrap();
    let asks = (0..40).map(|_| stage.ask(ensure()));
    let answers = futures_util::future::join_all(asks).await;
    assert!(answers.iter().all(Result::is_ok));
    let logins = stage.lab.requests().iter().filter(|call| call.path == "auth.login_ex").count();
    assert_eq!(logins, 1);
}

#[tokio::test]
async fn the_homes_and_their_exports_are_listed_with_their_marks() {
    let stage = Stage::open().await;
    let (login, parent) = (LOGIN.to_owned(), "tank/coder-home".to_owned());
    let datasets = SightDatasets { login: login.clone(), parent: parent.clone(), after: None };
    let shares = SightShares { login, parent, after: None };
    assert_eq!(stage.ask(datasets.clone()).await.unwrap(), Sighted::default());
    stage.ask(ensure()).await.unwrap();
    stage.ask(share()).await.unwrap();
    let seen = stage.ask(datasets.clone()).await.unwrap().things;
    assert_eq!((seen.len(), seen[0].resource.path()), (1, format!("truenas/dataset/{DATASET}")));
    assert_eq!((&seen[0].marker, seen[0].quota_bytes), (&Some(marker()), Some(20 * GIB)));
    let seen = stage.ask(shares.clone()).await.unwrap().things;
    assert_eq!((seen.len(), seen[0].resource.path()), (1, format!("truenas/share/{PATH}")));
    assert_eq!(seen[0].marker, Some(marker()));
    let behind = SightDatasets { after: Some(DATASET.to_owned()), ..datasets };
    assert_eq!(stage.ask(behind).await.unwrap(), Sighted::default());
    let behind = SightShares { after: seen[0].resource.vendor_id.clone(), ..shares };
    assert_eq!(stage.ask(behind).await.unwrap(), Sighted::default());
}

#[tokio::test]
async fn a_mark_is_put_in_place_of_the_one_that_was_seen_and_of_no_other() {
    let stage = Stage::open().await;
    let mark = |was: Option<&str>| MarkDataset {
        login: LOGIN.to_owned(),
        dataset: DATASET.to_owned(),
        marker: marker(),
        was: was.map(str::to_owned),
        restores: true,
        undoes: false,
    };
    stage.refused(mark(None), Class::Permanent).await;
    stage.ask(ensure()).await.unwrap();
    assert!(stage.lab.mark_dataset(DATASET, "somebody-else"));
    for was in [None, Some("another")] {
        let failure = stage.refused(mark(was), Class::Conflict).await;
        assert!(failure.words.contains("somebody-else by now"), "{failure}");
    }
    for undoes in [false, false, true, true] {
        let ask = MarkDataset { undoes, ..mark(Some("somebody-else")) };
        stage.ask(ask).await.unwrap();
        let owner = if undoes { "somebody-else".to_owned() } else { marker() };
        assert_eq!(stage.lab.inventory().datasets[0].owner, owner);
    }
}
