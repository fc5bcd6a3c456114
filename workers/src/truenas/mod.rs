//! TrueNAS: homes, volumes, and copies of them. Spoken to over one long-lived WebSocket for each login
//! (`session.rs`), since logging in is rate limited and a reconnect storm locks us out.

mod classify;
mod client;
mod dataset;
mod iscsi;
mod job;
mod replica;
mod session;
mod share;
mod steps;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Deserialize;
use stead_runtime::worker::Worker;

pub use client::Client;

use crate::address::SocketAddress;

/// Where TrueNAS is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `wss://nas.lan/api/current`.
    pub address: SocketAddress,
    /// Where the others are, by name, if there are any.
    #[serde(default)]
    pub others: BTreeMap<String, SocketAddress>,
}

/// The table of steps.
#[must_use]
pub fn worker(client: Client) -> Worker<Client> {
    Worker::new("truenas", client)
        .on(steps::survey_pool)
        .on(steps::sight_datasets)
        .on(steps::sight_shares)
        .on(steps::sight_extents)
        .on(steps::sight_targets)
        .on(steps::ensure_dataset)
        .on(steps::set_permissions)
        .on(steps::ensure_share)
        .on(steps::update_quota)
        .on(steps::mark_dataset)
        .on(steps::remove_share)
        .on(steps::snapshot_dataset)
        .on(steps::list_snapshots)
        .on(steps::delete_snapshot)
        .on(steps::destroy_dataset)
        .on(steps::ensure_volume)
        .on(steps::ensure_target)
        .on(steps::remove_target)
        .on(steps::snapshot_tree)
        .on(steps::replicate)
        .on(steps::prove_replica)
        .on(steps::remove_replicas)
}
