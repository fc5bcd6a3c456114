//! A home's life and a volume's under every fault of TrueNAS's, at every moment.

use stead_schemas::failure::Failure;

use super::{DATASET, destroy, ensure, iscsi, permissions, quota, share, snapshot, unshare};
use crate::testing::Stage;
use crate::testing::sweep::Sweep;
use crate::truenas::dataset::GIB;

/// What has to do with copies, which `replicas.rs` tries; a slow answer is an answer.
const LEFT_OUT: [&str; 4] =
    ["replication-denied", "replication-full", "replication-hollow", "slow"];

const PAIRS: [(&str, &str); 2] =
    [("dataset-created", "dataset-destroyed"), ("share-created", "share-removed")];

async fn live(stage: &Stage) -> Result<(), Failure> {
    stage.endure(ensure()).await?;
    stage.endure(permissions()).await?;
    stage.endure(share()).await?;
    stage.endure(quota(40)).await?;
    let seen = stage.lab.inventory();
    let home = seen.datasets.iter().find(|dataset| dataset.id == DATASET).expect("a home");
    assert!(home.mounted && home.refquota_bytes == 40 * GIB && seen.shares.len() == 1, "{seen:?}");
    stage.endure(iscsi::volume(10)).await?;
    let target = stage.endure(iscsi::target()).await?;
    assert!(stage.lab.log_in(7, &target.iqn, iscsi::INITIATOR), "a target that lets nobody in");
    stage.lab.log_out(7);
    go(stage).await
}

/// In the order in which a workspace goes.
async fn go(stage: &Stage) -> Result<(), Failure> {
    stage.endure(iscsi::remove()).await?;
    stage.endure(iscsi::snapshot()).await?;
    stage.endure(iscsi::destroy()).await?;
    stage.endure(unshare()).await?;
    stage.endure(snapshot()).await?;
    stage.endure(destroy()).await.map(drop)
}

#[tokio::test]
async fn whatever_fault_strikes_a_home_or_a_volume_and_whenever_it_is_as_wanted_or_gone() {
    let sweep = Sweep { vendor: "truenas", left_out: &LEFT_OUT, pairs: &PAIRS };
    sweep.carry_out(live, async |stage: &Stage| go(stage).await.expect("nothing is broken")).await;
}
