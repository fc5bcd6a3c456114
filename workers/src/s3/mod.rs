//! S3, kept by Garage: buckets, the keys that open them, and what is in them. Buckets and keys are
//! made through the administration API, version 2; objects are listed and deleted through S3
//! itself, signed with the bucket's own key.
//!
//! Garage gives two keys the same name if it is asked twice, and no bucket carries a mark. So the
//! worker chooses a key's id and secret itself and lays them into Vault first (`record.rs`): there
//! is one key for each record, whoever is cut off where. The key's name is our marker, and a
//! bucket is ours if such a key owns it (`bucket.rs`).
//!
//! S3 that has no such administration is `generic.rs`.

mod bucket;
mod classify;
mod client;
mod generic;
mod objects;
mod record;
mod sight;
mod sign;
mod steps;
#[cfg(test)]
mod tests;
mod xml;

use serde::Deserialize;
use stead_runtime::worker::Worker;

pub use client::Client;

use crate::address::HttpAddress;

/// Where S3 is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Garage's administration API: `https://garage.lan:3903`. Without it everything is done through S3
    /// itself, as at AWS, Ceph's gateway or MinIO (`generic.rs`).
    #[serde(default)]
    pub admin: Option<HttpAddress>,
    /// S3 itself, for us and for guests: `https://s3.lan`.
    pub address: HttpAddress,
    /// The region that requests are signed for, as Garage's own configuration names it.
    #[serde(default = "region")]
    pub region: String,
}

fn region() -> String {
    "garage".to_owned()
}

/// The table of steps.
#[must_use]
pub fn worker(client: Client) -> Worker<Client> {
    if client.config().admin.is_none() {
        return generic::worker(client);
    }
    Worker::new("s3", client)
        .on(steps::list_buckets)
        .on(steps::ensure_key)
        .on(steps::ensure_bucket)
        .on(steps::set_limits)
        .on(steps::delete_if_empty)
        .on(steps::empty_bucket)
        .on(steps::delete_bucket)
        .on(steps::delete_key)
        .on(sight::sight_buckets)
        .on(sight::sight_keys)
}
