//! The volume of a workspace: an entity of its own, because it outlives the workspace for as long as
//! that can be brought back. It has the workspace's name.

use alloc::format;
use alloc::string::{String, ToString};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Done, Step, home};
use crate::dispatch::Route;
use crate::owner::Owner;
use crate::site::TrueNasSite;

/// The kind of the entity.
pub const KIND: &str = "volume";

fn volume_of(owner: &Owner, name: &str) -> Route {
    Route::Entity { kind: KIND.to_string(), owner: owner.clone(), name: name.to_string() }
}

/// The dataset of a workspace's volume. No name of a workspace has a point, so that no two meet.
#[must_use]
pub fn dataset_name(parent: &str, owner: &Owner, name: &str) -> String {
    format!("{}.{name}", home::dataset_name(parent, owner))
}

/// What the machine of a workspace calls itself when it logs in: `workspace` is its run's id.
#[must_use]
pub fn initiator_name(workspace: &str) -> String {
    format!("iqn.2026-01.org.stead:{workspace}")
}

/// A workspace uses the volume, alone; it is made if it is not there. One that is there keeps what it
/// holds, and grows if it is smaller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// Whose volume.
    pub owner: Owner,
    /// The workspace's name.
    pub name: String,
    /// The workspace: its run's id.
    pub workspace: String,
    /// How large it is to be, in GiB.
    pub size_gb: u32,
    /// Where it is, if it has to be made.
    pub site: TrueNasSite,
    /// Whether a volume that is gone is not to be made again.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub only_if_there: bool,
}

/// An attached volume, as the machine needs it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AttachedVolume {
    /// The dataset beneath.
    pub dataset: String,
    /// Where the machine logs in: `10.10.30.2:3260`.
    pub portal: String,
    /// At which target.
    pub target: String,
    /// As whom.
    pub initiator: String,
    /// How large it is now, in GiB.
    pub size_gb: u32,
}

impl Step for Attach {
    const NAME: &'static str = "volume.attach";
    type Answer = AttachedVolume;

    fn route(&self) -> Route {
        volume_of(&self.owner, &self.name)
    }
}

/// The workspace does not use it any more; it is kept for a grace period and then destroyed. Done too
/// if the workspace was not attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detach {
    /// Whose volume.
    pub owner: Owner,
    /// The workspace's name.
    pub name: String,
    /// The workspace: its run's id.
    pub workspace: String,
    /// Without the grace period.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub now: bool,
    /// How long the workspace can be brought back, in seconds: the volume is kept for at least as
    /// long, whatever was said when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<u64>,
}

impl Step for Detach {
    const NAME: &'static str = "volume.detach";
    type Answer = Done;

    fn route(&self) -> Route {
        volume_of(&self.owner, &self.name)
    }
}

/// Lets the volume grow. It does not shrink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resize {
    /// Whose volume.
    pub owner: Owner,
    /// The workspace's name.
    pub name: String,
    /// How large it is to be, in GiB.
    pub size_gb: u32,
}

impl Step for Resize {
    const NAME: &'static str = "volume.resize";
    type Answer = Done;

    fn route(&self) -> Route {
        volume_of(&self.owner, &self.name)
    }
}

/// Gives the volume the size and the target again that it is to have, if somebody has changed them. A
/// dataset that is gone stays gone: an empty one in its place would hide what was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// Whose volume.
    pub owner: Owner,
    /// The workspace's name.
    pub name: String,
}

impl Step for Repair {
    const NAME: &'static str = "volume.repair";
    type Answer = Done;

    fn route(&self) -> Route {
        volume_of(&self.owner, &self.name)
    }
}
