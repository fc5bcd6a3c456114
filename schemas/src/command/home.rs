//! Commands to a home that people may give. Its workspaces give it others, by themselves.

use alloc::string::String;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest name of a snapshot.
pub const SNAPSHOT_MAX: usize = 64;

/// `home.snapshot`: keeps the home as it is now, beside what changes in it later.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotHome {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The home's name, which is always `home`.
    pub name: String,
    /// What the snapshot is called; by the time, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub snapshot: Option<String>,
}

/// `home.snapshots`: lists the home's snapshots, as TrueNAS has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NameHome {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The home's name, which is always `home`.
    pub name: String,
}

/// `home.drop`: deletes a snapshot that was asked for. The home itself stays as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DropSnapshot {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The home's name, which is always `home`.
    pub name: String,
    /// Which snapshot.
    pub snapshot: String,
}

/// `home.quota`: changes how much the home may hold, for all workspaces of its owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HomeQuota {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The home's name, which is always `home`.
    pub name: String,
    /// How much it may hold, in GiB; within what the site's templates allow.
    pub quota_gb: u32,
}
