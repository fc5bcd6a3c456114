//! A machine's life under every fault of Proxmox's, at every moment.

use stead_schemas::failure::Failure;

use super::{VMID, clone, configure, destroy, resize, shutdown, start};
use crate::testing::Stage;
use crate::testing::sweep::Sweep;

/// What has stories of its own, in `power.rs`, `dumps.rs`, `login.rs`, `snapshots.rs` and beside them; a slow
/// answer is an answer.
pub(super) const LEFT_OUT: [&str; 12] = [
    "disk-is-qcow2",
    "dump-empty",
    "dump-faulty",
    "dump-hollow",
    "ha-elsewhere",
    "ha-stuck",
    "lock-left",
    "second-factor",
    "slow",
    "task-stuck",
    "ticket-ended",
    "vmid-taken",
];

const PAIRS: [(&str, &str); 1] = [("vm-cloned", "vm-destroyed")];

/// Whose business a machine's power is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    Node,
    Manager,
}

async fn live(stage: &Stage, power: Power) -> Result<(), Failure> {
    stage.endure(clone()).await?;
    if power == Power::Manager {
        assert!(stage.lab.manage(VMID));
    }
    stage.endure(configure()).await?;
    stage.endure(resize(40)).await?;
    stage.endure(start()).await?;
    let vm = stage.lab.inventory().vms.remove(0);
    assert_eq!(
        (vm.status.as_str(), vm.cores, vm.memory_mib, vm.disk_gib),
        ("running", 4, 8192, 40)
    );
    stage.endure(shutdown()).await?;
    assert_eq!(stage.lab.inventory().vms[0].status, "stopped");
    stage.endure(start()).await?;
    stage.endure(destroy()).await?;
    Ok(())
}

async fn bury(stage: &Stage) {
    stage.insist(destroy()).await;
}

#[tokio::test]
async fn whatever_fault_strikes_a_machine_and_whenever_it_is_as_wanted_or_gone() {
    let sweep = Sweep { vendor: "proxmox", left_out: &LEFT_OUT, pairs: &PAIRS };
    sweep.carry_out(async |stage: &Stage| live(stage, Power::Node).await, bury).await;
}

#[tokio::test]
async fn the_same_holds_for_a_machine_under_high_availability() {
    let mut left_out = LEFT_OUT.to_vec();
    left_out.retain(|fault| *fault != "ha-elsewhere");
    // Only a node starts machines that die, and rings at guests that do not answer.
    left_out.extend(["guest-agent-silent", "start-dies"]);
    let sweep = Sweep { vendor: "proxmox", left_out: &left_out, pairs: &PAIRS };
    sweep.carry_out(async |stage: &Stage| live(stage, Power::Manager).await, bury).await;
}
