//! TrueNAS: homes. A home is a dataset with a reference quota, an owner marker and an NFS share.
//! `iscsi.rs` has the block devices.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Done, Step};
use crate::time::Timestamp;

pub mod iscsi;

/// A dataset as the vendor knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dataset {
    /// `tank/coder-home/john_2Edoe`.
    pub id: String,
    /// `/mnt/tank/coder-home/john_2Edoe`.
    pub mountpoint: String,
}

/// Looks once at the room for homes. Changes nothing and reserves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SurveyPool {
    /// Reference to the API key.
    pub login: String,
    /// The dataset beneath which every home is one.
    pub parent: String,
    /// The home's own dataset.
    pub dataset: String,
}

/// The answer to [`SurveyPool`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSeen {
    /// What is free beneath the parent, in GiB; nothing if there is no such dataset.
    pub free_gb: Option<u64>,
    /// Whether the home is there already.
    pub has_home: bool,
    /// When the login itself ends, where the vendor lets it see that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_ends: Option<Timestamp>,
}

impl Step for SurveyPool {
    const NAME: &'static str = "truenas.survey-pool";
    type Answer = PoolSeen;
}

/// Makes the dataset, or finds the one that carries our marker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnsureDataset {
    /// Pinned reference to the API key.
    pub login: String,
    /// The full name of the dataset.
    pub dataset: String,
    /// How much its owner may keep, in GiB; snapshots do not count.
    pub refquota_gb: u32,
    /// Our name tag.
    pub marker: String,
}

impl Step for EnsureDataset {
    const NAME: &'static str = "truenas.ensure-dataset";
    type Answer = Dataset;
}

/// Gives the home to the uid that the guest uses. A job at the vendor's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetPermissions {
    /// Pinned reference to the API key.
    pub login: String,
    /// The dataset, whose marker is checked first.
    pub dataset: String,
    /// Our name tag.
    pub marker: String,
    /// The user inside the guest.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Octal, `700`.
    pub mode: String,
}

impl Step for SetPermissions {
    const NAME: &'static str = "truenas.set-permissions";
    type Answer = Done;
}

/// Exports the dataset over NFS, or finds our export of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnsureShare {
    /// Pinned reference to the API key.
    pub login: String,
    /// The path that is exported.
    pub path: String,
    /// Our name tag.
    pub marker: String,
    /// To these networks alone; what it is exported to is left as it is if nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
}

/// An NFS export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The vendor's number for it.
    pub id: u64,
}

impl Step for EnsureShare {
    const NAME: &'static str = "truenas.ensure-share";
    type Answer = Share;
}

/// Changes how much the owner may keep. Refuses less than what is kept already, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdateQuota {
    /// Pinned reference to the API key.
    pub login: String,
    /// The dataset, whose marker is checked first.
    pub dataset: String,
    /// Our name tag.
    pub marker: String,
    /// The new limit, in GiB.
    pub refquota_gb: u32,
}

impl Step for UpdateQuota {
    const NAME: &'static str = "truenas.update-quota";
    type Answer = Done;
}

/// Takes the export away; the data stays. Done too if there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveShare {
    /// Pinned reference to the API key.
    pub login: String,
    /// The path that is exported.
    pub path: String,
    /// Our name tag.
    pub marker: String,
}

impl Step for RemoveShare {
    const NAME: &'static str = "truenas.remove-share";
    type Answer = Done;
}

/// Takes a snapshot before data is destroyed. Done too if the dataset is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotDataset {
    /// Pinned reference to the API key.
    pub login: String,
    /// The dataset, whose marker is checked first.
    pub dataset: String,
    /// Our name tag.
    pub marker: String,
    /// The snapshot's name.
    pub snapshot: String,
}

impl Step for SnapshotDataset {
    const NAME: &'static str = "truenas.snapshot-dataset";
    type Answer = Done;
}

/// Lists a dataset's snapshots, the latest first. Changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListSnapshots {
    /// Pinned reference to the API key.
    pub login: String,
    /// The dataset, whose marker is checked first.
    pub dataset: String,
    /// Our name tag.
    pub marker: String,
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

/// A snapshot as the vendor shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotSeen {
    /// Its name, without the dataset's.
    pub snapshot: String,
    /// When it was taken, where the vendor says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_at: Option<Timestamp>,
    /// What would be free without it, in bytes, where the vendor says so. What several snapshots
    /// share is nobody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
}

impl Step for ListSnapshots {
    const NAME: &'static str = "truenas.list-snapshots";
    type Answer = SnapshotsSeen;
}

/// Deletes one snapshot. Refuses as a conflict while it is held, or something was cloned from it.
/// Done too if it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteSnapshot {
    /// Pinned reference to the API key.
    pub login: String,
    /// The dataset, whose marker is checked first.
    pub dataset: String,
    /// Our name tag.
    pub marker: String,
    /// The snapshot's name.
    pub snapshot: String,
}

impl Step for DeleteSnapshot {
    const NAME: &'static str = "truenas.delete-snapshot";
    type Answer = Done;
}

/// Destroys a home for good. **This destroys user data**: the worker refuses unless the marker
/// matches, the snapshot named here exists, nothing else hangs on the dataset (children, clones
/// of its snapshots) and it is no longer exported. Done too if the dataset is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestroyDataset {
    /// Pinned reference to the API key.
    pub login: String,
    /// The dataset.
    pub dataset: String,
    /// Our name tag.
    pub marker: String,
    /// The snapshot that must exist.
    pub snapshot: String,
}

impl Step for DestroyDataset {
    const NAME: &'static str = "truenas.destroy-dataset";
    type Answer = Done;
}

/// Puts our mark on a dataset that somebody has decided is ours. Refuses as a conflict if it
/// carries another mark than the one that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkDataset {
    /// Pinned reference to the API key.
    pub login: String,
    /// The dataset.
    pub dataset: String,
    /// The mark that it is to carry.
    pub marker: String,
    /// The mark that it carried when it was decided; nothing if it carried none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// Whether this is the mark of the run that made it, which is given back to that run.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub restores: bool,
    /// Whether it is taken back: what it carried before is put in place of our mark. Done too if
    /// it does not carry that, or is gone.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub undoes: bool,
}

impl Step for MarkDataset {
    const NAME: &'static str = "truenas.mark-dataset";
    type Answer = Done;
}
