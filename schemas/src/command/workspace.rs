//! Commands to a workspace.
//!
//! The structs named `…Workspace` are what a client sends; `Order` is what is written down when
//! `create` is accepted: everything chosen, everything resolved, nothing left to look up later.

use alloc::format;
use alloc::string::{String, ToString};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::site::{CoderSite, ProxmoxSite, StorageBackend, Template, TrueNasSite};

/// The kind of the entity.
pub const KIND: &str = "workspace";
/// The longest name: it becomes a host name, together with its owner's.
pub const NAME_MAX: usize = 32;

/// `workspace.create`: makes a workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWorkspace {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The workspace's name, unique among its owner's.
    #[schemars(regex(pattern = r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$"))]
    pub name: String,
    /// What it is made from; the site's first template if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Virtual cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 16))]
    pub cpu_cores: Option<u32>,
    /// Memory, in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 4, max = 64))]
    pub memory_gb: Option<u32>,
    /// How much the home may hold, in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 20, max = 500))]
    pub storage_quota_gb: Option<u32>,
    /// The storage beneath the machine's own disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_backend: Option<StorageBackend>,
}

/// `workspace.start`, `workspace.stop`, `workspace.restart`, `workspace.delete`: nothing to say
/// but which one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NameWorkspace {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The workspace's name.
    pub name: String,
}

/// `workspace.resize`: changes what is named, keeps the rest. Cores and memory take effect when
/// the machine starts next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizeWorkspace {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The workspace's name.
    pub name: String,
    /// Virtual cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 16))]
    pub cpu_cores: Option<u32>,
    /// Memory, in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 4, max = 64))]
    pub memory_gb: Option<u32>,
    /// How much the home may hold, in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 20, max = 500))]
    pub storage_quota_gb: Option<u32>,
}

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
}

/// Where a workspace stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It is being made.
    Creating,
    /// Its agent answers.
    Ready,
    /// Its machine is being started.
    Starting,
    /// Its machine is being shut down.
    Stopping,
    /// Its machine is off; everything is kept.
    Stopped,
    /// It is being changed.
    Resizing,
    /// It is being taken away.
    Deleting,
    /// It is gone.
    Deleted,
    /// It could not be made; what was begun has been taken back.
    Failed,
}

impl Phase {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Ready => "ready",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Resizing => "resizing",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
            Self::Failed => "failed",
        }
    }
}

/// What a workspace shows of itself. The seed server reads it too, at every boot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkspaceView {
    /// Where it stands.
    pub phase: Phase,
    /// The template it is made from.
    pub template: String,
    /// Its size.
    pub size: Size,
    /// The storage beneath the machine's own disk.
    pub storage_backend: StorageBackend,
    /// The machine's number, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vmid: Option<u32>,
    /// The node the machine was made on.
    pub node: String,
    /// What the guest mounts as its home, once it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_source: Option<String>,
    /// Coder's id of the workspace, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coder_id: Option<String>,
}

/// Checks a workspace's name.
///
/// # Errors
/// If it cannot be a host name.
pub fn check_name(name: &str) -> Result<(), Refusal> {
    let starts = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let ends = name.bytes().last().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if starts && ends && name.len() <= NAME_MAX && name.bytes().all(plain) {
        return Ok(());
    }
    let words = format!(
        "a name has 1 to {NAME_MAX} of a-z, 0-9 and -, begins with a letter and does not end in -"
    );
    Err(Refusal::new("workspace.name-invalid", words).field("name"))
}

/// The host name of an owner's workspace, at most 63 characters: `john-doe-dev`.
#[must_use]
pub fn host_name(owner: &str, name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let owner: String = owner.chars().map(plain).take(63 - 1 - NAME_MAX).collect();
    format!("{owner}-{name}").trim_matches('-').to_string()
}
