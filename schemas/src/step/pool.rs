//! Pools of spare machines: made before anybody wants them, given to whoever creates a workspace.
//!
//! A pool only counts and proposes. Each spare is an entity of its own, and gives itself away once:
//! who is first in its history has it.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::vmids::PLATFORM;
use super::{Done, Step};
use crate::dispatch::Route;
use crate::limit::Priority;
use crate::owner::Owner;
use crate::site::StorageBackend;

/// The kind of a pool.
pub const KIND: &str = "pool";
/// The kind of a spare machine.
pub const SPARE: &str = "spare";

fn to(kind: &str, name: &str) -> Route {
    let owner = Owner::new(PLATFORM).unwrap_or_else(|_| unreachable!("a short plain word"));
    Route::Entity { kind: kind.to_string(), owner, name: name.to_string() }
}

/// Asks a pool for a machine that would do. Nothing is promised: who asks the machine first has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pick {
    /// The pool.
    pub pool: String,
    /// The VMID of the template that the machine must have been made from.
    pub template: u32,
    /// Where its disk must lie.
    pub storage: StorageBackend,
    /// The nodes that it may be on, the best one first.
    pub nodes: Vec<String>,
    /// Machines that will not do.
    pub not: Vec<u32>,
}

/// The answer to [`Pick`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picked {
    /// The machine, if there is one.
    pub spare: Option<Spare>,
}

/// A spare machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spare {
    /// Its name as an entity.
    pub name: String,
    /// Its run, whose mark the machine carries.
    pub run: String,
    /// Its number.
    pub vmid: u32,
    /// Where it is.
    pub node: String,
    /// The VMID of the template that it was made from.
    pub template: u32,
    /// Where its disk lies.
    pub storage: StorageBackend,
}

impl Step for Pick {
    const NAME: &'static str = "pool.pick";
    type Answer = Picked;

    fn route(&self) -> Route {
        to(KIND, &self.pool)
    }
}

/// Tells a pool that a spare is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The pool.
    pub pool: String,
    /// The spare.
    pub spare: Spare,
}

impl Step for Offer {
    const NAME: &'static str = "pool.offer";
    type Answer = Done;

    fn route(&self) -> Route {
        to(KIND, &self.pool)
    }
}

/// Tells a pool that a spare is no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gone {
    /// The pool.
    pub pool: String,
    /// The spare's name.
    pub spare: String,
    /// Who has its machine now, if somebody does: a workspace's run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_by: Option<String>,
    /// Why it was not made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

impl Step for Gone {
    const NAME: &'static str = "pool.gone";
    type Answer = Done;

    fn route(&self) -> Route {
        to(KIND, &self.pool)
    }
}

/// Tells a pool that a spare could not be given away, and is not to be relied on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doubt {
    /// The pool.
    pub pool: String,
    /// The spare's name.
    pub spare: String,
    /// What went wrong.
    pub trouble: String,
}

impl Step for Doubt {
    const NAME: &'static str = "pool.doubt";
    type Answer = Done;

    fn route(&self) -> Route {
        to(KIND, &self.pool)
    }
}

/// Makes a spare: a machine with its disk, which is off and was never started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Make {
    /// The spare's name.
    pub spare: String,
    /// For which pool.
    pub pool: String,
    /// People come first.
    pub priority: Priority,
}

impl Step for Make {
    const NAME: &'static str = "spare.make";
    type Answer = Done;

    fn route(&self) -> Route {
        to(SPARE, &self.spare)
    }
}

/// Gives the machine to a workspace, with its number. Refused if another one has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// The spare's name.
    pub spare: String,
    /// The workspace: its run's id, and its mark.
    pub workspace: String,
    /// By which name the VMID ledger is to know the number.
    pub ledger: String,
}

impl Step for HandOver {
    const NAME: &'static str = "spare.hand-over";
    type Answer = Done;

    fn route(&self) -> Route {
        to(SPARE, &self.spare)
    }
}

/// Takes a spare away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retire {
    /// The spare's name.
    pub spare: String,
}

impl Step for Retire {
    const NAME: &'static str = "spare.retire";
    type Answer = Done;

    fn route(&self) -> Route {
        to(SPARE, &self.spare)
    }
}
