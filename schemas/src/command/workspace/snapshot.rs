//! Commands about the snapshots of a workspace's machine.

use alloc::string::{String, ToString};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The longest name of a machine's snapshot, as Proxmox has it.
pub const SNAPSHOT_MAX: usize = 40;
/// What such a name looks like, as Proxmox has it but for capitals.
pub const SNAPSHOT_PATTERN: &str = "^[a-z][a-z0-9_-]+$";
/// How much may be said of a snapshot, in characters.
pub const DESCRIPTION_MAX: usize = 200;
/// How many snapshots of one machine may be asked for and kept.
pub const SNAPSHOTS_MAX: usize = 8;

/// `workspace.snapshot`: keeps the machine as it is now: its own disk and how it is set up, without
/// what is in its memory. The home and the volume lie elsewhere, and are not in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapshotWorkspace {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The workspace's name.
    pub name: String,
    /// What the snapshot is called; by the time, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 40), regex(pattern = SNAPSHOT_PATTERN))]
    pub snapshot: Option<String>,
    /// What is said of it, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub description: Option<String>,
}

/// `workspace.rollback`, `workspace.drop`: nothing to say but which snapshot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NameSnapshot {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The workspace's name.
    pub name: String,
    /// Which snapshot of its machine; one that was asked for.
    pub snapshot: String,
}

/// A snapshot of the machine that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Taken {
    /// Its name.
    pub snapshot: String,
    /// When it was asked for.
    pub at: Timestamp,
    /// What is said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}
