//! Coder: what a developer sees of a machine. A workspace is ours if its latest build has our
//! marker in the parameter `stead_run`, which every Coder template of the site declares; or by its
//! id, where its developer made it in Coder (`joined.rs`).

mod build;
mod classify;
mod client;
mod joined;
mod pack;
mod sight;
mod steps;
#[cfg(test)]
mod tests;
mod tokens;
mod versions;

use serde::Deserialize;
use stead_runtime::worker::Worker;

pub use client::Client;

use crate::address::HttpAddress;

/// Where Coder is, for us and for the agents in the guests.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `https://coder.lan`.
    pub address: HttpAddress,
}

/// The table of steps.
#[must_use]
pub fn worker(client: Client) -> Worker<Client> {
    Worker::new("coder", client)
        .on(steps::find_template)
        .on(steps::survey)
        .on(sight::sight_workspaces)
        .on(sight::sight_tokens)
        .on(sight::sight_versions)
        .on(steps::start_workspace)
        .on(joined::join_workspace)
        .on(joined::leave_workspace)
        .on(steps::await_agent)
        .on(steps::look_up_use)
        .on(steps::stop_workspace)
        .on(steps::delete_workspace)
        .on(tokens::create_token)
        .on(tokens::prove_token)
        .on(tokens::look_up_token)
        .on(tokens::revoke_token)
        .on(versions::look_up_template)
        .on(versions::upload_template)
        .on(versions::create_version)
        .on(versions::await_import)
        .on(versions::promote_version)
        .on(versions::restore_version)
        .on(versions::archive_version)
}
