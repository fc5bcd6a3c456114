//! What a site has copied again and again, and where the copies go.

use alloc::string::{String, ToString};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A TrueNAS besides the one that keeps homes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NasSite {
    /// Its name: `nas04`.
    pub name: String,
    /// Where its API key lies.
    pub secret: String,
}

/// A backup that is made again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupSite {
    /// Its name: `homes`.
    pub name: String,
    /// When: minute, hour, day of month, month, day of week.
    pub cron: String,
    /// Whose clock on the wall; UTC if nothing is said.
    #[serde(default = "utc")]
    pub time_zone: String,
    /// How many days each copy is kept; 7 if nothing is said.
    #[serde(default = "keep_days")]
    pub keep_days: u32,
    /// What it is made of, and how.
    pub of: BackupOf,
}

/// What a backup is made of, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackupOf {
    /// A dataset with all beneath it, sent to another pool or another TrueNAS.
    Zfs(ZfsBackup),
    /// What a Job in Kubernetes copies: etcd, a database.
    Job(JobBackup),
    /// A guest of Proxmox VE's, by vzdump.
    Guest(GuestBackup),
}

/// A dataset that is sent somewhere else.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZfsBackup {
    /// The dataset: `tank/coder-home`.
    pub dataset: String,
    /// Which TrueNAS it is on; the one that keeps homes if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nas: Option<String>,
    /// The dataset that it is sent to: `backup/coder-home`.
    pub target: String,
    /// Which TrueNAS that is on; the same one if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_nas: Option<String>,
    /// The number of the SSH connection by which the one TrueNAS reaches the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_credentials: Option<u64>,
}

/// A Job that copies, proves and removes, as its environment says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobBackup {
    /// The CronJob whose template it is made from. It is suspended: its times are not its own.
    pub cron_job: String,
    /// Its namespace; that of `[kubernetes]` if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// A guest that is dumped to a storage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuestBackup {
    /// Its VMID.
    pub vmid: u32,
    /// The storage that takes the copies.
    pub storage: String,
}

fn utc() -> String {
    "UTC".to_string()
}

const fn keep_days() -> u32 {
    7
}
