//! Forgejo: what CI works with. Its secrets can be written and never read, its webhooks get lost;
//! so what counts is proved by runs, and asked for.
//!
//! A run that we ask for carries our marker as an input. Forgejo keeps what a run was started with,
//! and there the marker is found again.

mod classify;
mod client;
mod runs;
mod sight;
mod steps;
#[cfg(test)]
mod tests;
pub mod webhook;

use serde::Deserialize;
use stead_runtime::worker::Worker;

pub use client::Client;

use crate::address::HttpAddress;

/// Where Forgejo is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `https://git.lan`.
    pub address: HttpAddress,
    /// Where it tells us of pushes, if it does.
    #[serde(default)]
    pub webhook: Option<webhook::Config>,
}

/// The table of steps.
#[must_use]
pub fn worker(client: Client) -> Worker<Client> {
    Worker::new("forgejo", client)
        .on(steps::set_secret)
        .on(steps::delete_secret)
        .on(runs::run_workflow)
        .on(steps::set_status)
        .on(steps::look_up_head)
        .on(sight::sight_repositories)
}
