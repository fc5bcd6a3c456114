//! Proxmox VE: machines. A machine is ours if its description says so (`machine.rs`); a VMID
//! alone says nothing, since it is given out again after a deletion.

mod classify;
mod client;
mod login;
mod machine;
mod network;
mod smbios;
mod steps;
mod task;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use stead_runtime::worker::Worker;

pub use client::Client;

use crate::address::HttpAddress;

/// Where Proxmox VE is: any node of the cluster, or a proxy before them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `https://pve.lan:8006`.
    pub address: HttpAddress,
}

/// The table of steps.
#[must_use]
pub fn worker(client: Client) -> Worker<Client> {
    Worker::new("proxmox", client)
        .on(steps::survey)
        .on(steps::sight_machines)
        .on(steps::sight_seeds)
        .on(steps::sight_snapshots)
        .on(steps::check_template)
        .on(steps::check_vmid)
        .on(steps::clone_vm)
        .on(steps::configure_vm)
        .on(steps::resize_disk)
        .on(steps::mark_vm)
        .on(steps::insert_seed)
        .on(steps::remove_seed)
        .on(steps::start_vm)
        .on(steps::ping_guest)
        .on(steps::shutdown_vm)
        .on(steps::destroy_vm)
        .on(steps::snapshot_vm)
        .on(steps::list_snapshots)
        .on(steps::roll_back_vm)
        .on(steps::delete_snapshot)
        .on(steps::dump_guest)
        .on(steps::prove_dump)
        .on(steps::remove_dumps)
}
