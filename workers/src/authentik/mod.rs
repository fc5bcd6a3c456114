//! Authentik: who may own workspaces. It is only looked at, never changed.
//!
//! Who somebody is, is his UUID. His user name may change, may differ from another one by case alone,
//! and may be somebody else's after him.

mod classify;
mod client;
mod steps;
#[cfg(test)]
mod tests;

use serde::Deserialize;
use stead_runtime::worker::Worker;

pub use client::Client;

use crate::address::HttpAddress;

/// Where Authentik is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `https://sso.lan`.
    pub address: HttpAddress,
}

/// The table of steps.
#[must_use]
pub fn worker(client: Client) -> Worker<Client> {
    Worker::new("authentik", client).on(steps::find_user).on(steps::list_users)
}
