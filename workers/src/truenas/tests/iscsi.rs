//! Volumes and the targets that show them, against the lab.

use serde_json::json;
use stead_lab::CallFault;
use stead_schemas::failure::Class;
use stead_schemas::step::sight::{SightDatasets, SightExtents, SightTargets, Sighted};
use stead_schemas::step::truenas::iscsi::{EnsureTarget, EnsureVolume, RemoveTarget};
use stead_schemas::step::truenas::{DestroyDataset, SnapshotDataset};

use super::{FAREWELL, LOGIN, ensure, nas};
use crate::testing::{Stage, marker};
use crate::truenas::dataset::GIB;

const VOLUME: &str = "tank/coder-volumes/john.dev";
pub(super) const INITIATOR: &str = "iqn.2026-01.org.stead:dev";

pub(super) fn volume(size_gb: u32) -> EnsureVolume {
    let (login, dataset) = (LOGIN.to_owned(), VOLUME.to_owned());
    EnsureVolume { login, dataset, size_gb, marker: marker() }
}

pub(super) fn target() -> EnsureTarget {
    EnsureTarget {
        login: LOGIN.to_owned(),
        dataset: VOLUME.to_owned(),
        marker: marker(),
        portal: 1,
        initiator: INITIATOR.to_owned(),
        networks: ["192.168.20.0/24".to_owned()].into(),
    }
}

pub(super) fn remove() -> RemoveTarget {
    RemoveTarget { login: LOGIN.to_owned(), marker: marker() }
}

pub(super) fn snapshot() -> SnapshotDataset {
    let (login, dataset) = (LOGIN.to_owned(), VOLUME.to_owned());
    SnapshotDataset { login, dataset, marker: marker(), snapshot: FAREWELL.to_owned() }
}

pub(super) fn destroy() -> DestroyDataset {
    let SnapshotDataset { login, dataset, marker, snapshot } = snapshot();
    DestroyDataset { login, dataset, marker, snapshot }
}

#[tokio::test]
async fn a_volume_is_made_and_found_again_and_only_grows() {
    let stage = Stage::open().await;
    for size in [10, 10, 15] {
        stage.ask(volume(size)).await.unwrap();
        let seen = stage.lab.inventory().datasets;
        assert_eq!(seen[0].volsize_bytes, Some(u64::from(size) * GIB));
    }
    assert_eq!((stage.count("dataset-created"), stage.count("dataset-updated")), (1, 1));
    let refused = stage.refused(volume(14), Class::Permanent).await;
    assert!(refused.words.contains("has 15 GiB, and 14 are wanted; it only grows"), "{refused}");
    stage.lab.mark_dataset(VOLUME, "somebody-else");
    stage.refused(volume(15), Class::Conflict).await;
    // A home is no volume, whosever it is.
    stage.ask(ensure()).await.unwrap();
    let home = EnsureVolume { dataset: ensure().dataset, ..volume(20) };
    stage.refused(home, Class::Conflict).await;
}

#[tokio::test]
async fn a_volume_that_would_take_most_of_the_room_is_not_insisted_on() {
    let stage = Stage::open().await;
    stage.lab.resize_pool(10 * GIB);
    let refused = stage.refused(volume(9), Class::Permanent).await;
    assert!(refused.to_string().contains("more than 80%"), "{refused}");
    assert!(stage.lab.inventory().is_empty());
    stage.ask(volume(7)).await.unwrap();
}

#[tokio::test]
async fn a_target_lets_one_machine_in_and_then_another() {
    let stage = Stage::open().await;
    let missing = stage.refused(target(), Class::Permanent).await;
    assert!(missing.words.contains("there is no dataset"), "{missing}");
    stage.ask(volume(10)).await.unwrap();
    let made = stage.ask(target()).await.unwrap();
    assert_eq!(made.iqn, format!("iqn.2005-10.org.freenas.ctl:{}", marker()));
    assert_eq!(stage.ask(target()).await.unwrap(), made);
    let lets_in = |iqn: &str, who: &str| stage.lab.log_in(7, iqn, who);
    assert!(!lets_in(&made.iqn, "iqn.2026-01.org.stead:other"), "anybody may log in");
    let other = EnsureTarget { initiator: "iqn.2026-01.org.stead:other".to_owned(), ..target() };
    stage.ask(other).await.unwrap();
    assert!(!lets_in(&made.iqn, INITIATOR));
    assert!(lets_in(&made.iqn, "iqn.2026-01.org.stead:other"));
    for kind in ["extent", "initiator", "target", "targetextent"] {
        assert_eq!(stage.count(&format!("iscsi-{kind}-created")), 1, "{kind}");
    }
    assert_eq!(stage.count("iscsi-initiator-updated"), 1);
}

#[tokio::test]
async fn nothing_is_taken_from_beneath_a_machine_that_is_logged_in() {
    let stage = Stage::open().await;
    stage.ask(volume(10)).await.unwrap();
    let iqn = stage.ask(target()).await.unwrap().iqn;
    assert!(stage.lab.log_in(7, &iqn, INITIATOR));
    let waits = stage.refused(remove(), Class::Wait).await;
    assert!(waits.to_string().contains("is in use"), "{waits}");
    stage.ask(snapshot()).await.unwrap();
    let shown = stage.refused(destroy(), Class::Conflict).await;
    assert!(shown.words.contains("is still shown by iSCSI"), "{shown}");
    assert_eq!(stage.lab.inventory().iscsi.len(), 4);
    stage.lab.log_out(7);
    stage.survives(("truenas", "target-in-use"), Class::Wait, remove()).await;
    stage.ask(remove()).await.unwrap();
    stage.ask(destroy()).await.unwrap();
    stage.ask(destroy()).await.unwrap();
    assert!(stage.lab.inventory().is_empty());
}

#[tokio::test]
async fn a_strangers_target_is_neither_changed_nor_taken_away() {
    let stage = Stage::open().await;
    stage.ask(volume(10)).await.unwrap();
    let theirs = json!([{ "name": marker(), "alias": "by hand" }]);
    nas(&stage).act("iscsi.target.create", theirs).await.unwrap();
    let refused = stage.refused(target(), Class::Conflict).await;
    assert!(refused.words.contains("carries no marker of ours"), "{refused}");
    stage.ask(remove()).await.unwrap();
    let left = stage.lab.inventory().iscsi;
    assert_eq!((left.len(), left[0].mark.as_str()), (1, "by hand"));
}

#[tokio::test]
async fn volumes_and_what_shows_them_are_listed_with_their_marks() {
    let stage = Stage::open().await;
    let login = || LOGIN.to_owned();
    stage.ask(volume(10)).await.unwrap();
    stage.ask(target()).await.unwrap();
    let theirs = json!([{ "name": "theirs", "alias": null }]);
    nas(&stage).act("iscsi.target.create", theirs).await.unwrap();
    let parent = "tank/coder-volumes".to_owned();
    let volumes = SightDatasets { login: login(), parent, after: None };
    let volumes = stage.ask(volumes).await.unwrap().things;
    assert_eq!(volumes[0].resource.path(), format!("truenas/dataset/{VOLUME}"));
    assert_eq!((volumes.len(), volumes[0].quota_bytes), (1, Some(10 * GIB)));
    let extents = stage.ask(SightExtents { login: login(), after: None }).await.unwrap().things;
    let targets = stage.ask(SightTargets { login: login(), after: None }).await.unwrap().things;
    for (kind, seen) in [("extent", &extents), ("target", &targets)] {
        assert_eq!(seen.len(), 1, "{kind}");
        assert_eq!(seen[0].resource.path(), format!("truenas/{kind}/{}", marker()));
        assert_eq!(seen[0].marker, Some(marker()));
    }
    let after = targets[0].resource.vendor_id.clone();
    let behind = stage.ask(SightTargets { login: login(), after }).await.unwrap();
    assert_eq!(behind, Sighted::default());
}

/// Every call that changes something, and the looks before it.
const CALLS: [&str; 16] = [
    "pool.dataset.query",
    "pool.dataset.create",
    "pool.dataset.update",
    "pool.dataset.delete",
    "iscsi.extent.query",
    "iscsi.extent.create",
    "iscsi.extent.delete",
    "iscsi.global.config",
    "iscsi.initiator.create",
    "iscsi.initiator.delete",
    "iscsi.initiator.update",
    "iscsi.target.create",
    "iscsi.target.delete",
    "iscsi.targetextent.query",
    "iscsi.targetextent.create",
    "iscsi.targetextent.delete",
];

#[tokio::test]
async fn whatever_single_call_goes_wrong_a_volume_is_shown_once_and_nothing_is_left() {
    for call in CALLS {
        for fault in [CallFault::DropBefore, CallFault::LoseResponse, CallFault::FailPassing] {
            let stage = Stage::open().await;
            stage.lab.break_call_times("truenas", call, fault, 1).unwrap();
            stage.insist(volume(10)).await;
            stage.insist(volume(15)).await;
            stage.insist(target()).await;
            stage
                .insist(EnsureTarget { initiator: "iqn.2026-01.org.stead:b".into(), ..target() })
                .await;
            stage.insist(remove()).await;
            stage.insist(snapshot()).await;
            stage.insist(destroy()).await;
            for kind in ["dataset-created", "iscsi-extent-created", "iscsi-target-created"] {
                assert_eq!(stage.count(kind), 1, "{kind} after {fault:?} at {call}");
            }
            assert!(stage.lab.faults().iter().any(|rule| rule.fired > 0), "nobody calls {call}");
            assert!(stage.lab.inventory().is_empty(), "left behind by {fault:?} at {call}");
        }
    }
}
