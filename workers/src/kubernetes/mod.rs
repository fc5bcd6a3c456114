//! Kubernetes: servers, each a Deployment, its Service and its route; the registry that their images
//! lie in; and Jobs that make copies.
//!
//! Everything is applied on the server's side, by one field manager: asked twice it is done once,
//! what is no longer wanted goes, and what others have set is taken from them only if somebody says
//! so. Each object carries our marker as a label, and a Deployment selects its pods by it.

mod classify;
mod client;
mod jobs;
mod manifest;
mod registry;
mod rollout;
mod sight;
mod steps;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use serde::Deserialize;
use stead_runtime::worker::Worker;

pub use client::Client;

use crate::address::HttpAddress;

/// Where Kubernetes and the registry are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `https://k3s.lan:6443`.
    pub address: HttpAddress,
    /// The authority that signed its certificate; those of this machine if nothing is said.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// `https://mcp-registry.lan`.
    pub registry: HttpAddress,
}

/// The table of steps.
#[must_use]
pub fn worker(client: Client) -> Worker<Client> {
    Worker::new("kubernetes", client)
        .on(steps::list_servers)
        .on(sight::sight_servers)
        .on(registry::resolve_image)
        .on(steps::try_apply)
        .on(steps::apply)
        .on(rollout::await_rollout)
        .on(steps::remove)
        .on(jobs::run_job)
}
