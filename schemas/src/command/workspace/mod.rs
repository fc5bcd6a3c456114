//! Commands to a workspace: what a client sends.
//!
//! `order.rs` is what is written down when one is accepted, `view.rs` what a workspace shows of
//! itself, `snapshot.rs` what is asked about the snapshots of its machine.

use alloc::format;
use alloc::string::{String, ToString};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::refusal::Refusal;
use crate::site::StorageBackend;

mod order;
mod snapshot;
mod view;

pub use order::{DeleteOrder, OnFailure, Order, RebuildOrder, RetryOrder, Size};
pub use snapshot::{
    DESCRIPTION_MAX, NameSnapshot, SNAPSHOT_MAX, SNAPSHOT_PATTERN, SNAPSHOTS_MAX,
    SnapshotWorkspace, Taken,
};
pub use view::{Autostart, Debt, Ends, MadeFrom, Phase, RunsWith, WorkspaceView};

/// The kind of the entity.
pub const KIND: &str = "workspace";
/// The longest name: it becomes a host name, together with its owner's.
pub const NAME_MAX: usize = 32;

/// What a name looks like.
pub const NAME_PATTERN: &str = "^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$";

/// `workspace.create`: makes a workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateWorkspace {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The workspace's name, unique among its owner's.
    #[schemars(regex(pattern = NAME_PATTERN))]
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
    /// The size of the machine's own disk, in GiB; the template's if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_gb: Option<u32>,
    /// The size of a volume of its own, in GiB; it has none if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_gb: Option<u32>,
    /// What happens when a step fails for good: everything is taken back, or the workspace waits
    /// for a `workspace.retry` that changes what it failed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<OnFailure>,
    /// Coder's id of the workspace that its developer made there, where it was: it is not made
    /// anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coder_id: Option<String>,
    /// The Coder template that it was made of there; it chooses among the site's templates if
    /// none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coder_template: Option<String>,
}

/// `workspace.start`, `workspace.stop`, `workspace.restart`, `workspace.update`,
/// `workspace.undelete`, `workspace.snapshots`: nothing to say but which one.
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// The size of the machine's own disk, in GiB. A disk only grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_gb: Option<u32>,
    /// The size of its volume, in GiB, if it has one. A volume only grows; the machine has the room
    /// when it starts next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_gb: Option<u32>,
}

/// `workspace.rebuild`: makes the machine anew and keeps the home. The old machine is taken away
/// once the new one answers; if that does not come about, the old one is there again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RebuildWorkspace {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The workspace's name.
    pub name: String,
    /// Another template of the site; the one it was made from, as it was then, if nothing is
    /// said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

/// `workspace.configure`: changes when a workspace is started, stopped and deleted by itself. What is not said stays.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigureWorkspace {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The workspace's name.
    pub name: String,
    /// It is stopped when nobody has used it for so many minutes; 0 is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10080))]
    pub autostop_minutes: Option<u32>,
    /// It is deleted in so many hours; 0 is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 87600))]
    pub ttl_hours: Option<u32>,
    /// It is started at the times of this cron expression, unless it is dormant; `never` is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autostart: Option<String>,
    /// Whose clock on the wall that means, as in Europe/Berlin; UTC if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// It is stopped and becomes dormant when nobody has used it for so many days; 0 is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3650))]
    pub dormant_days: Option<u32>,
    /// It is deleted when it has been dormant for so many days; 0 is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3650))]
    pub dormant_delete_days: Option<u32>,
}

/// What says in `autostart` that there is none.
pub const NEVER: &str = "never";

/// `workspace.delete`: takes a workspace away. It can be brought back within the site's grace
/// period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteWorkspace {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The workspace's name.
    pub name: String,
    /// Without the grace period: the workspace cannot be brought back, and a home that no other
    /// workspace uses is destroyed at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub now: Option<bool>,
}

/// `workspace.retry`: lets a create that waits after a failure go on from the step that failed,
/// with what is changed here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryWorkspace {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The workspace's name.
    pub name: String,
    /// Another template of the site.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Virtual cores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_cores: Option<u32>,
    /// Memory, in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_gb: Option<u32>,
    /// The storage beneath the machine's own disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_backend: Option<StorageBackend>,
    /// The node that the machine is made on, one of the site's.
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
