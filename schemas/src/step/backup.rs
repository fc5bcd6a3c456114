//! How copies are made, proved and removed, at each vendor's. A copy has a name, which is recorded
//! before anything is made, and a mark: the key of its backup, since copies outlive its runs.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::{Done, Step};
use crate::time::Timestamp;

/// What a proof saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// In words.
    pub words: String,
    /// How large the copy is, in bytes, where the vendor says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// Which copies of a backup have had their time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Old {
    /// They were made before this.
    pub before: Timestamp,
    /// But this one stays, however old: the latest that was proved. Where none is, nothing is removed.
    pub but: String,
}

/// What became of copies that have had their time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// How many were removed.
    pub removed: u32,
    /// Those that could not be, and why; nothing if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
}

/// A TrueNAS, and who we are there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nas {
    /// Its name in the configuration; the one that keeps homes if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Pinned reference to the API key.
    pub login: String,
}

/// A dataset and everything beneath it, and where it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// Where it is.
    pub from: Nas,
    /// Its full name.
    pub dataset: String,
    /// Where it is sent.
    pub to: Nas,
    /// The full name of the dataset that it is sent to.
    pub target: String,
    /// The SSH connection of the one TrueNAS to the other, where they are two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_credentials: Option<u64>,
    /// What the names of all copies begin with.
    pub series: String,
    /// Our name tag on each copy.
    pub marker: String,
}

/// Takes a snapshot of a dataset and of everything beneath it, at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotTree {
    /// Of what.
    pub of: Replica,
    /// The snapshot's name.
    pub copy: String,
}

impl Step for SnapshotTree {
    const NAME: &'static str = "truenas.snapshot-tree";
    type Answer = Done;
}

/// Sends what the target does not have yet. A job at the vendor's. It receives by force: whatever somebody
/// else has written or taken snapshots of beneath the target since the last copy is lost there. A former
/// copy of ours that has nothing in common with its dataset any more is renamed; nothing is destroyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replicate {
    /// What, and where to.
    pub of: Replica,
}

impl Step for Replicate {
    const NAME: &'static str = "truenas.replicate";
    type Answer = Done;
}

/// Compares the snapshots on both sides: each must have a twin of the same guid. Changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProveReplica {
    /// What, and where it was sent.
    pub of: Replica,
    /// The snapshot's name.
    pub copy: String,
}

impl Step for ProveReplica {
    const NAME: &'static str = "truenas.prove-replica";
    type Answer = Proof;
}

/// Removes old snapshots of ours on both sides. What somebody holds, or has cloned, stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveReplicas {
    /// Of what, and where it was sent.
    pub of: Replica,
    /// Which.
    pub old: Old,
}

impl Step for RemoveReplicas {
    const NAME: &'static str = "truenas.remove-replicas";
    type Answer = Removed;
}

/// A CronJob, and who we are in its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobPlace {
    /// Pinned reference to the service account's token.
    pub login: String,
    /// The CronJob's namespace.
    pub namespace: String,
    /// Its name.
    pub cron_job: String,
    /// What the names of all copies begin with.
    pub series: String,
    /// Our name tag on each Job.
    pub marker: String,
}

/// What a Job is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Make the copy.
    Make,
    /// Prove that it is there and whole.
    Prove,
    /// Remove copies that have had their time.
    Remove,
}

/// Starts a Job of a CronJob's template, and waits for its end. Its last words are the answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunJob {
    /// Which, and where.
    #[serde(rename = "of")]
    pub place: JobPlace,
    /// The copy that it is about; where copies are removed, the one that was made last.
    pub copy: String,
    /// What it is to do.
    pub work: Work,
    /// Which copies have had their time, where it is to remove them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old: Option<Old>,
}

impl Step for RunJob {
    const NAME: &'static str = "kubernetes.run-job";
    type Answer = Proof;
}

/// Copies of a guest, on a storage of Proxmox VE's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dumps {
    /// Pinned reference to the API token.
    pub login: String,
    /// The guest.
    pub vmid: u32,
    /// The storage.
    pub storage: String,
    /// What the names of all copies begin with.
    pub series: String,
    /// Our name tag, in the notes of each.
    pub marker: String,
}

/// Copies a guest while it runs. A task at the vendor's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpGuest {
    /// Which, and where to.
    pub of: Dumps,
    /// The copy's name.
    pub copy: String,
}

impl Step for DumpGuest {
    const NAME: &'static str = "proxmox.dump-guest";
    type Answer = Done;
}

/// Looks whether the copy is there, holds something, and was not found faulty by its storage. Changes
/// nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProveDump {
    /// Of which guest, and where.
    pub of: Dumps,
    /// The copy's name.
    pub copy: String,
}

impl Step for ProveDump {
    const NAME: &'static str = "proxmox.prove-dump";
    type Answer = Proof;
}

/// Removes old copies of ours. What somebody has protected stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveDumps {
    /// Of which guest, and where.
    pub of: Dumps,
    /// Which.
    pub old: Old,
}

impl Step for RemoveDumps {
    const NAME: &'static str = "proxmox.remove-dumps";
    type Answer = Removed;
}
