//! Commands to a pool of spare machines, and what it shows of itself.

use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::site::{ProxmoxSite, StorageBackend, Template};
use crate::time::Timestamp;

/// How many spares a pool may keep.
pub const READY_MAX: u32 = 50;

/// `pool.resize`: changes how many spares are kept, until it is said again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizePool {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The pool's name.
    pub name: String,
    /// How many; as the configuration has it, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 50))]
    pub ready: Option<u32>,
}

/// `pool.drain`: takes all spares away and makes no more, until the pool is resized.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrainPool {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The pool's name.
    pub name: String,
}

/// What a pool is to be, as the configuration has it now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolOrder {
    /// How many spares are kept; none once the configuration knows the pool no more.
    pub ready: u32,
    /// The VMID of the template that they are made from; 0 if there is none.
    pub template: u32,
    /// Where their disks lie.
    pub storage: StorageBackend,
}

/// A change by hand that was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolChange {
    /// How many spares are kept by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<u32>,
    /// What is going to happen, as it was said to whoever asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plan: Vec<String>,
}

/// A spare that is to be made, complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpareOrder {
    /// For which pool.
    pub pool: String,
    /// What it is made from.
    pub template: Template,
    /// Where its disk lies.
    pub storage: StorageBackend,
    /// Where it is made.
    pub proxmox: ProxmoxSite,
}

/// What a pool shows of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolView {
    /// How many spares are kept.
    pub wanted: u32,
    /// Whether that was said by hand, and is not what the configuration has.
    pub by_hand: bool,
    /// How many can be had now.
    pub ready: u32,
    /// How many are being made.
    pub making: u32,
    /// How many have been given away.
    pub given: u64,
    /// The spares, each with its machine once that is there.
    pub spares: Vec<SpareView>,
    /// Why the last one was not made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// When the next one is tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_at: Option<Timestamp>,
}

/// A spare, as its pool shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpareView {
    /// Its name.
    pub name: String,
    /// `making`, `ready` or `going`.
    pub phase: String,
    /// Its machine's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vmid: Option<u32>,
    /// Where its machine is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}
