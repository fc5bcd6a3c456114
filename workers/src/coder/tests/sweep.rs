//! A Coder workspace's life under every fault of Coder's, at every moment.

use stead_schemas::failure::Failure;

use super::{delete, start, stop, survey};
use crate::testing::Stage;
use crate::testing::sweep::Sweep;

/// What has to do with agents and with templates, and what stays until it is mended; a slow answer is an
/// answer.
const LEFT_OUT: [&str; 7] = [
    "agent-never-ready",
    "agent-start-error",
    "build-stuck",
    "import-failed",
    "import-stuck",
    "no-provisioner",
    "slow",
];

async fn live(stage: &Stage) -> Result<(), Failure> {
    stage.endure(survey("john", "stead-machine")).await?;
    let id = stage.endure(start()).await?.id;
    is(stage, "running");
    stage.endure(stop(&id)).await?;
    is(stage, "stopped");
    assert_eq!(stage.endure(start()).await?.id, id, "it is the same");
    is(stage, "running");
    stage.endure(delete()).await?;
    let left = stage.lab.inventory().coder_workspaces;
    assert!(left.is_empty(), "it is said to be gone: {left:?}");
    Ok(())
}

async fn bury(stage: &Stage) {
    stage.insist(delete()).await;
}

fn is(stage: &Stage, status: &str) {
    let seen = stage.lab.inventory().coder_workspaces;
    let seen: Vec<&str> = seen.iter().map(|one| one.status.as_str()).collect();
    assert_eq!(seen, [status]);
}

#[tokio::test]
async fn whatever_fault_strikes_a_coder_workspace_and_whenever_it_is_as_wanted_or_gone() {
    let sweep = Sweep { vendor: "coder", left_out: &LEFT_OUT, pairs: &[] };
    sweep.carry_out(live, bury).await;
}
