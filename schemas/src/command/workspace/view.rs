//! What a workspace shows of itself.

use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::order::Size;
use super::snapshot::Taken;
use crate::site::{CloneKind, Guest, Lifetime, Network, StorageBackend};
use crate::step::volume::AttachedVolume;
use crate::time::Timestamp;

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
    /// Its machine is off, and nobody has used it for long. A start wakes it.
    Dormant,
    /// It is being changed.
    Resizing,
    /// Its machine is being made anew.
    Rebuilding,
    /// Its machine goes back to a snapshot.
    RollingBack,
    /// A step of its making has failed; it waits to be let go on, with something changed.
    Stuck,
    /// It is being taken away.
    Deleting,
    /// It is gone. While its grace period lasts it can be brought back.
    Deleted,
    /// It is being brought back.
    Undeleting,
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
            Self::Dormant => "dormant",
            Self::Resizing => "resizing",
            Self::Rebuilding => "rebuilding",
            Self::RollingBack => "rolling-back",
            Self::Stuck => "stuck",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
            Self::Undeleting => "undeleting",
            Self::Failed => "failed",
        }
    }

    /// Whether its machine is off, and everything is kept.
    #[must_use]
    pub const fn is_off(self) -> bool {
        matches!(self, Self::Stopped | Self::Dormant)
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
    /// The address of its card for storage, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_card: Option<String>,
    /// The address that the machine said it has, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What the guest mounts as its home, once it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home_source: Option<String>,
    /// The volume that the machine logs in to, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<AttachedVolume>,
    /// What the machine is told to be, where that is not the usual.
    #[serde(default, skip_serializing_if = "Guest::is_usual")]
    pub guest: Guest,
    /// Coder's id of the workspace, once it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coder_id: Option<String>,
    /// Coder's id of the workspace that is to be joined, if one is. Whose it is, nobody may have
    /// looked at yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joins: Option<String>,
    /// Why it may not run, if it may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// What the machine was made from; nothing is known of machines of older builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_from: Option<MadeFrom>,
    /// What the machine runs with until it starts next, where that is not its size.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_with: Option<RunsWith>,
    /// Why the machine is on its node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<String>,
    /// What went wrong last, and what is there instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// What is still to be taken back. What is in its way stands among what the run waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub debts: Vec<Debt>,
    /// Until when a deleted workspace can be brought back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undelete_until: Option<Timestamp>,
    /// What ends by itself, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Ends>,
    /// When it starts by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub autostart: Option<Autostart>,
    /// The snapshots of its machine that were asked for, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<Taken>,
}

/// When a workspace starts by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Autostart {
    /// A cron expression.
    pub cron: String,
    /// Whose clock on the wall, as in Europe/Berlin.
    pub time_zone: String,
    /// When it is started next, once that is known; not while it is dormant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
}

/// What ends by itself, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ends {
    /// How long it runs and lives.
    pub lifetime: Lifetime,
    /// When it is looked next whether somebody has used it; it is stopped then if nobody has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stops_at: Option<Timestamp>,
    /// When it is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it becomes dormant, if nobody uses it until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dormant_at: Option<Timestamp>,
    /// When it is deleted, if nobody starts it until then: it is dormant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dormant_until: Option<Timestamp>,
}

/// What a machine was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MadeFrom {
    /// The Proxmox template.
    pub vmid: u32,
    /// The size of its own disk, in GiB.
    pub disk_gb: u32,
    /// The Coder template.
    pub coder_template: String,
    /// The version of it, where Coder has said which. What follows is known only of those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coder_version: Option<String>,
    /// How it got its disk.
    #[serde(default, rename = "clone", skip_serializing_if = "CloneKind::is_full")]
    pub clone_kind: CloneKind,
    /// Where it is plugged in, where its template said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
}

/// What a machine was started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunsWith {
    /// Virtual cores.
    pub cpu_cores: u32,
    /// Memory, in GiB.
    pub memory_gb: u32,
}

/// Something that is still to be taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Debt {
    /// The step that takes it back.
    pub step: String,
    /// What it is, for people.
    pub what: String,
}
