//! Block devices over iSCSI. A volume is a dataset of the kind that ZFS calls a zvol; a target shows
//! it to one machine. The volume is destroyed as any dataset is, once no target shows it.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::step::{Done, Step};

/// Makes the volume, or finds the one that carries our marker, and lets it grow to its size. One that
/// is larger is refused: a volume does not shrink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnsureVolume {
    /// Pinned reference to the API key.
    pub login: String,
    /// The full name of the dataset.
    pub dataset: String,
    /// How large it is, in GiB. Room is taken only as it is written to.
    pub size_gb: u32,
    /// Our name tag.
    pub marker: String,
}

impl Step for EnsureVolume {
    const NAME: &'static str = "truenas.ensure-volume";
    type Answer = Done;
}

/// Shows a volume to one machine: an extent of it, a target, what joins them, and the group of those
/// who may log in. What is there and ours is changed into what is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnsureTarget {
    /// Pinned reference to the API key.
    pub login: String,
    /// The volume, whose marker is checked first.
    pub dataset: String,
    /// Our name tag; the extent and the target are named after it.
    pub marker: String,
    /// The number of the portal that the target listens at.
    pub portal: u32,
    /// What whoever may log in calls himself. It is no secret.
    pub initiator: String,
    /// From these networks alone; from anywhere if nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
}

/// A target as a machine has to name it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its qualified name: `iqn.2005-10.org.freenas.ctl:volume-k3j5x7q2m4n6p8r9-1`.
    pub iqn: String,
}

impl Step for EnsureTarget {
    const NAME: &'static str = "truenas.ensure-target";
    type Answer = Target;
}

/// Takes the target away, with all that was made for it; the volume stays. Waits while a machine is
/// logged in. Done too if there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveTarget {
    /// Pinned reference to the API key.
    pub login: String,
    /// Our name tag.
    pub marker: String,
}

impl Step for RemoveTarget {
    const NAME: &'static str = "truenas.remove-target";
    type Answer = Done;
}
