//! What an owner has of what the site allows. An entity, one for each owner: no workspace knows
//! of the others.

use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};

use super::{Done, Step};
use crate::dispatch::Route;
use crate::owner::Owner;
use crate::site::Allowance;

/// The kind of the entity.
pub const KIND: &str = "allowance";
/// Every owner has one, of this name.
pub const NAME: &str = "owner";

fn allowance_of(owner: &Owner) -> Route {
    Route::Entity { kind: KIND.to_string(), owner: owner.clone(), name: NAME.to_string() }
}

/// A workspace has so much from now on, whatever it had before; refused in words if that is more
/// than its owner may have. Asked again, it has the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Take {
    /// Whose workspace.
    pub owner: Owner,
    /// The workspace: its run's id.
    pub workspace: String,
    /// Virtual cores.
    pub cpu_cores: u32,
    /// Memory, in GiB.
    pub memory_gb: u32,
    /// How much the owner may have, all together.
    #[serde(rename = "limits")]
    pub allowance: Allowance,
}

impl Step for Take {
    const NAME: &'static str = "allowance.take";
    type Answer = Done;

    fn route(&self) -> Route {
        allowance_of(&self.owner)
    }
}

/// A workspace has nothing from now on. Done too if it had nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GiveBack {
    /// Whose workspace.
    pub owner: Owner,
    /// The workspace: its run's id.
    pub workspace: String,
}

impl Step for GiveBack {
    const NAME: &'static str = "allowance.give-back";
    type Answer = Done;

    fn route(&self) -> Route {
        allowance_of(&self.owner)
    }
}
