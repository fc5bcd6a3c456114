//! The home: an entity of its own, because several workspaces of one owner share it.

use alloc::format;
use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};

use super::{Done, Step};
use crate::dispatch::Route;
use crate::owner::Owner;
use crate::site::TrueNasSite;

/// The kind of the entity.
pub const KIND: &str = "home";
/// Every owner has one home, of this name.
pub const NAME: &str = "home";

fn home_of(owner: &Owner) -> Route {
    Route::Entity { kind: KIND.to_string(), owner: owner.clone(), name: NAME.to_string() }
}

/// The dataset of an owner's home. ZFS takes letters, digits, `-`, `_`, `.` and `:`; every other
/// byte, and `:` itself, is written as `:` and two hexadecimal digits, so that no two owners meet.
#[must_use]
pub fn dataset_name(parent: &str, owner: &Owner) -> String {
    let mut name = format!("{parent}/");
    for byte in owner.as_str().bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                name.push(char::from(byte));
            }
            _ => name.push_str(&format!(":{byte:02x}")),
        }
    }
    name
}

/// One more workspace uses the home; the first one makes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// Whose home.
    pub owner: Owner,
    /// The workspace: its run's id.
    pub workspace: String,
    /// How much the owner may keep, in GiB. A home that is there keeps the larger limit.
    pub quota_gb: u32,
    /// Where it is, if it has to be made.
    pub site: TrueNasSite,
    /// Whether a home that is gone is not to be made again.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub only_if_there: bool,
}

/// An attached home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachedHome {
    /// What the guest mounts: `10.10.30.2:/mnt/tank/coder-home/john`.
    pub source: String,
    /// The dataset beneath.
    pub dataset: String,
    /// The limit that holds now, in GiB.
    pub quota_gb: u32,
}

impl Step for Attach {
    const NAME: &'static str = "home.attach";
    type Answer = AttachedHome;

    fn route(&self) -> Route {
        home_of(&self.owner)
    }
}

/// One workspace less; after the last one the home is kept for the site's grace period and then
/// destroyed. Done too if the workspace was not attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detach {
    /// Whose home.
    pub owner: Owner,
    /// The workspace: its run's id.
    pub workspace: String,
    /// Without the grace period.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub now: bool,
    /// How long the workspace can be brought back, in seconds: the home is kept for at least as
    /// long, whatever was said when it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<u64>,
}

impl Step for Detach {
    const NAME: &'static str = "home.detach";
    type Answer = Done;

    fn route(&self) -> Route {
        home_of(&self.owner)
    }
}

/// Changes how much the owner may keep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resize {
    /// Whose home.
    pub owner: Owner,
    /// The new limit, in GiB.
    pub quota_gb: u32,
}

impl Step for Resize {
    const NAME: &'static str = "home.resize";
    type Answer = Done;

    fn route(&self) -> Route {
        home_of(&self.owner)
    }
}

/// Gives the home the limit and the export again that it is to have, if somebody has changed them.
/// A dataset that is gone stays gone: an empty one in its place would hide what was lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repair {
    /// Whose home.
    pub owner: Owner,
}

impl Step for Repair {
    const NAME: &'static str = "home.repair";
    type Answer = Done;

    fn route(&self) -> Route {
        home_of(&self.owner)
    }
}
