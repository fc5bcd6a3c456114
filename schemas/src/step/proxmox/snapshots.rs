//! Snapshots of a machine: its own disks and how it is set up, without its memory. Its home and its
//! volume lie elsewhere, and no snapshot holds them.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Machine;
use crate::step::{Done, Step};
use crate::time::Timestamp;

/// By which name the ledger knows a snapshot of the machine of this number: `10432/before-upgrade`. What
/// another machine of the same number has is another one.
#[must_use]
pub fn path_of(vmid: u32, snapshot: &str) -> String {
    format!("{vmid}/{snapshot}")
}

/// The machine's number and the snapshot's name, if it is such a name.
#[must_use]
pub fn read_path(path: &str) -> Option<(u32, &str)> {
    let (vmid, snapshot) = path.split_once('/')?;
    Some((vmid.parse().ok()?, snapshot))
}

/// Keeps the machine as it is now, running or not. Done too if a snapshot of that name carries our
/// marker; a conflict if somebody else's does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotVm {
    /// Which machine.
    pub machine: Machine,
    /// The snapshot's name.
    pub snapshot: String,
    /// What is said of it, beside our marker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl Step for SnapshotVm {
    const NAME: &'static str = "proxmox.snapshot-vm";
    type Answer = Done;
}

/// Lists a machine's snapshots, whoever took them, the latest first. Changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListSnapshots {
    /// Which machine.
    pub machine: Machine,
}

impl Step for ListSnapshots {
    const NAME: &'static str = "proxmox.list-snapshots";
    type Answer = SnapshotsSeen;
}

/// The answer to [`ListSnapshots`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotsSeen {
    /// The latest ones.
    pub snapshots: Vec<SnapshotSeen>,
    /// How many older ones are not listed.
    #[serde(default)]
    pub older: u32,
}

/// A snapshot as Proxmox shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotSeen {
    /// Its name.
    pub snapshot: String,
    /// When it was taken; nothing as long as it is not whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Timestamp>,
    /// What is said of it, without our marker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The mark of ours that it carries; nothing if somebody else took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// Whether it is not whole: it is being taken or deleted, or that was cut off.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub is_cut: bool,
}

/// Has the machine be again what the snapshot kept. What was written to its own disks since is lost,
/// and its cores, its memory and the size of its disks are those of then. The machine must be off:
/// Proxmox would pull its plug. Done twice, it is the same; nobody may start it in between.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollBackVm {
    /// Which machine.
    pub machine: Machine,
    /// The snapshot, which must carry our marker.
    pub snapshot: String,
}

impl Step for RollBackVm {
    const NAME: &'static str = "proxmox.roll-back-vm";
    type Answer = Done;
}

/// Deletes a snapshot; the machine stays as it is. Done too if it is gone, as with its machine, or if
/// it is somebody else's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteSnapshot {
    /// Which machine.
    pub machine: Machine,
    /// The snapshot's name.
    pub snapshot: String,
}

impl Step for DeleteSnapshot {
    const NAME: &'static str = "proxmox.delete-snapshot";
    type Answer = Done;
}
