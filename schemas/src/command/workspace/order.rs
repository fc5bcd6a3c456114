//! What is written down when a command is accepted: everything chosen, everything resolved,
//! nothing left to look up later. A run keeps to what its order says, whatever the site says now.

use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::site::{
    Allowance, AuthentikSite, CoderSite, ProxmoxSite, StorageBackend, Template, TrueNasSite,
};

/// A create that was accepted, complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Order {
    /// The template, as it was then.
    pub template: Template,
    /// What was chosen.
    pub size: Size,
    /// The storage beneath the machine's own disk.
    pub storage_backend: StorageBackend,
    /// Where the machine is made.
    pub proxmox: ProxmoxSite,
    /// Where the home is kept.
    pub truenas: TrueNasSite,
    /// Where developers look.
    pub coder: CoderSite,
    /// How much the owner may have.
    #[serde(default, rename = "limits", skip_serializing_if = "Allowance::is_none")]
    pub allowance: Allowance,
    /// Where it is known who the owner is, if that is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentik: Option<AuthentikSite>,
    /// What happens when a step fails for good.
    #[serde(default, skip_serializing_if = "OnFailure::is_usual")]
    pub on_failure: OnFailure,
    /// Coder's id of the workspace that its developer made there, where it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coder_id: Option<String>,
    /// The pool that may have a machine for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
}

impl Order {
    /// Whether it is looked at what there is before anything is made, as every build does that
    /// knows of it.
    #[must_use]
    pub fn looks_first(&self) -> bool {
        !self.proxmox.nodes.is_empty()
    }
}

/// What happens when a create fails for good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// Everything is taken back.
    #[default]
    TakeBack,
    /// What is done stays, and somebody may change what it failed with and let it go on.
    Wait,
}

impl OnFailure {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::TakeBack, Self::Wait];

    /// The word for it in commands.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::TakeBack => "take-back",
            Self::Wait => "wait",
        }
    }

    /// Whether it is what happens where nothing is said.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

/// A rebuild or an update that was accepted, complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RebuildOrder {
    /// What the machine is made from now on; what it was made from, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// Where the machine is made.
    pub proxmox: ProxmoxSite,
    /// Whether the machine that is there can be changed into what is wanted.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub in_place: bool,
    /// Whether Coder is asked for the active version of its template, as every build asks that knows
    /// of it.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub takes_version: bool,
    /// What was going to happen, as it was said to whoever asked.
    pub plan: Vec<String>,
}

/// A delete that was accepted, complete.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeleteOrder {
    /// How long it can be brought back, in seconds.
    pub grace_seconds: u64,
    /// Whether a home that nobody else uses goes at once.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub now: bool,
    /// What was going to happen, as it was said to whoever asked.
    pub plan: Vec<String>,
}

/// A retry that was accepted, complete: what is different now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RetryOrder {
    /// What the machine is made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Template>,
    /// Virtual cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_cores: Option<u32>,
    /// Memory, in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_gb: Option<u32>,
    /// The storage beneath the machine's own disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_backend: Option<StorageBackend>,
    /// The node that the machine is made on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// How much the home may hold, in GiB; as long as there is none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_quota_gb: Option<u32>,
    /// The machine's own disk, in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_gb: Option<u32>,
    /// The volume of its own, in GiB, or 0 for none; as long as there is none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_gb: Option<u32>,
}

/// What may change during a workspace's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Size {
    /// Virtual cores.
    pub cpu_cores: u32,
    /// Memory, in GiB.
    pub memory_gb: u32,
    /// How much the home may hold, in GiB.
    pub storage_quota_gb: u32,
    /// The machine's own disk, in GiB; the template's if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_gb: Option<u32>,
    /// A volume of its own, in GiB, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_gb: Option<u32>,
}
