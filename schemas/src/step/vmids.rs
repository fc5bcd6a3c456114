//! The VMID ledger: which numbers are ours and for whom. An entity, one for each site.

use alloc::string::{String, ToString};

use serde::{Deserialize, Serialize};

use super::{Done, Step};
use crate::dispatch::Route;
use crate::owner::Owner;
use crate::site::ProxmoxSite;

/// The kind of the entity.
pub const KIND: &str = "vmids";
/// The name of the site's one ledger.
pub const NAME: &str = "site";
/// The owner of what belongs to the platform itself.
pub const PLATFORM: &str = "stead";

fn ledger() -> Route {
    let owner = Owner::new(PLATFORM).unwrap_or_else(|_| unreachable!("a short plain word"));
    Route::Entity { kind: KIND.to_string(), owner, name: NAME.to_string() }
}

/// Gives a workspace a VMID that nobody has, here and at the vendor's. Asked again, the same one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserve {
    /// The workspace: its run's id.
    pub workspace: String,
    /// Numbers that turned out to be a stranger's.
    pub not: alloc::vec::Vec<u32>,
    /// The range to choose from, and how to look at the vendor's.
    pub site: ProxmoxSite,
}

/// The answer to [`Reserve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    /// The number.
    pub vmid: u32,
}

impl Step for Reserve {
    const NAME: &'static str = "vmids.reserve";
    type Answer = Reserved;

    fn route(&self) -> Route {
        ledger()
    }
}

/// Gives the workspace's number back. Done too if it has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The workspace: its run's id.
    pub workspace: String,
}

impl Step for Release {
    const NAME: &'static str = "vmids.release";
    type Answer = Done;

    fn route(&self) -> Route {
        ledger()
    }
}

/// Gives a number that somebody has to somebody else. Done too if it is his already, or nobody's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandOver {
    /// Who has it.
    pub from: String,
    /// Who is to have it.
    pub to: String,
}

impl Step for HandOver {
    const NAME: &'static str = "vmids.hand-over";
    type Answer = Done;

    fn route(&self) -> Route {
        ledger()
    }
}
