//! What the engine knows of a site: its templates and the facts that orders are completed with.
//!
//! Secrets are references: `vault:secret/data/proxmox/api` names where a secret lies, and
//! `vault:secret/data/proxmox/api#7` which version of it.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::limit::Limit;
use crate::notice::Route;

mod backup;
mod guest;
mod s3;

pub use backup::{BackupOf, BackupSite, GuestBackup, JobBackup, NasSite, ZfsBackup};
pub use guest::{Guest, System};
pub use s3::{S3Kind, S3Site};

/// Facts that a command's order is completed with when it is accepted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Site {
    /// What machines can be made from.
    pub templates: Vec<Template>,
    /// Facts about Proxmox.
    pub proxmox: ProxmoxSite,
    /// Facts about TrueNAS.
    pub truenas: TrueNasSite,
    /// Facts about Coder.
    pub coder: CoderSite,
    /// How much one owner may have.
    pub allowance: Allowance,
    /// How many steps of some kind are carried out at once.
    pub limits: Vec<Limit>,
    /// Facts about S3, where the site has it.
    pub s3: Option<S3Site>,
    /// Facts about Forgejo, where the site has it.
    pub forgejo: Option<ForgejoSite>,
    /// Facts about Authentik, where the site has it.
    pub authentik: Option<AuthentikSite>,
    /// Which templates of Coder's are made of what is in a repository.
    pub deployments: Vec<Deployment>,
    /// Facts about Kubernetes, where the site has it.
    pub kubernetes: Option<KubernetesSite>,
    /// Which MCP servers run there.
    pub mcp_servers: Vec<McpServer>,
    /// Who is told of what.
    pub notify: Vec<Route>,
    /// How many machines are kept ready of what.
    pub pools: Vec<PoolSite>,
    /// TrueNAS servers besides the one that keeps homes.
    pub nas: Vec<NasSite>,
    /// What backups are made of, when and for how long.
    pub backups: Vec<BackupSite>,
}

/// How much one owner may have, all workspaces together, whether they run or not. What is not
/// said is not limited.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Allowance {
    /// How many workspaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workspaces: Option<u32>,
    /// How many virtual cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_cores: Option<u32>,
    /// How much memory, in GiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_gb: Option<u32>,
}

impl Allowance {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The more of two, of each thing; what is not limited is the most.
    #[must_use]
    pub fn or_more(self, other: Self) -> Self {
        let more = |one: Option<u32>, other: Option<u32>| Some(one?.max(other?));
        Self {
            workspaces: more(self.workspaces, other.workspaces),
            cpu_cores: more(self.cpu_cores, other.cpu_cores),
            memory_gb: more(self.memory_gb, other.memory_gb),
        }
    }
}

/// Where machines are made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProxmoxSite {
    /// The node that new machines are made on, where none is chosen among `nodes`.
    pub node: String,
    /// The nodes that a new machine may be placed on. Orders of older builds have none: nothing
    /// was looked at before their machines were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
    /// How many virtual cores a node may give for each that it has; 0 is no limit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cpu_overcommit: u32,
    /// Where the API token lies: `vault:secret/data/proxmox/api`.
    pub secret: String,
    /// The first VMID that is ours to give out.
    pub vmid_first: u32,
    /// The last VMID that is ours to give out.
    pub vmid_last: u32,
    /// The storage on which each machine's seed is laid as a CD, where guests cannot fetch it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_storage: Option<String>,
    /// Where each machine has a second card plugged in, over which it mounts its home; it has none if
    /// nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_network: Option<Network>,
}

/// Where homes are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrueNasSite {
    /// The dataset beneath which every home is one: `tank/coder-home`.
    pub parent: String,
    /// The address from which guests mount.
    pub nfs_server: String,
    /// The networks from which homes may be mounted; any if nothing is said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    /// Where the API key lies.
    pub secret: String,
    /// How long a home outlives its last workspace, and a volume its own, in seconds.
    pub grace_seconds: u64,
    /// Where volumes are, where the site has some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volumes: Option<VolumeSite>,
}

/// Where volumes are, and where machines log in to them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VolumeSite {
    /// The dataset beneath which every volume is one: `tank/coder-volumes`.
    pub parent: String,
    /// Where guests log in: `nas.lan:3260`.
    pub portal: String,
    /// Which of TrueNAS's portals that is.
    pub portal_id: u32,
}

/// Where developers look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoderSite {
    /// The organization that workspaces belong to.
    pub organization: String,
    /// Where the session token lies.
    pub secret: String,
}

/// Where CI works.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForgejoSite {
    /// Where our access token lies.
    pub secret: String,
    /// The folder in Vault beneath which every token that CI is given lies:
    /// `vault:secret/data/stead/tokens`.
    pub credentials: String,
}

/// Where it is known who may own workspaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuthentikSite {
    /// Where our API token lies.
    pub secret: String,
    /// How often it is looked at who has been disabled, in minutes.
    pub every_minutes: u32,
    /// What those may have who are in some groups there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowances: Vec<GroupAllowance>,
}

/// What those may have who are in some of Authentik's groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupAllowance {
    /// In one of these, by name.
    pub groups: Vec<String>,
    /// So much.
    pub allowance: Allowance,
}

impl AuthentikSite {
    /// What somebody may have who is in these groups: of each thing the most that one of them allows.
    /// Nothing if none of them says anything.
    #[must_use]
    pub fn allowance_of(&self, groups: &[String]) -> Option<Allowance> {
        let is_in = |of: &&GroupAllowance| of.groups.iter().any(|group| groups.contains(group));
        let theirs = self.allowances.iter().filter(is_in).map(|of| of.allowance);
        theirs.reduce(Allowance::or_more)
    }

    /// The groups that matter.
    pub fn groups(&self) -> impl Iterator<Item = &String> {
        self.allowances.iter().flat_map(|of| &of.groups)
    }
}

/// Where MCP servers run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KubernetesSite {
    /// Where the token of our service account lies.
    pub secret: String,
    /// The namespace of all of them.
    pub namespace: String,
    /// Where the login of the registry lies, where it wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_secret: Option<String>,
    /// Where servers find Vault.
    pub vault_address: String,
}

/// An MCP server, as the site declares it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct McpServer {
    /// Its name: `outline`.
    pub name: String,
    /// Its image; which one its tag means is asked at each deploy.
    pub image: String,
    /// The port that it listens on; 8080 if nothing is said.
    #[serde(default = "mcp_port")]
    pub port: u16,
    /// How many pods; 2 if nothing is said.
    #[serde(default = "mcp_replicas")]
    pub replicas: u32,
    /// What stands in its environment besides. It holds no secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Where the proxy finds what each user logs in with upstream: `secret/mcp/outline/{username}`.
    pub vault_path: String,
}

const fn mcp_port() -> u16 {
    8080
}

const fn mcp_replicas() -> u32 {
    2
}

/// A template of Coder's, and the folder of a repository that it is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// The template's name at Coder.
    pub template: String,
    /// The repository: `platform/templates`. Its owner is the one who may deploy it.
    pub repository: String,
    /// The branch that counts; `main` if nothing is said.
    #[serde(default = "main_branch")]
    pub branch: String,
    /// The folder; the whole repository if it is empty.
    #[serde(default)]
    pub path: String,
    /// The values of Terraform's variables that are secrets: where each lies in Vault, as a field that
    /// is called as the variable.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// At which times of UTC it is looked whether the branch ends with something new, as a cron
    /// expression; never if nothing is said, as older builds said nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll: Option<String>,
}

impl Deployment {
    /// Whose the repository is.
    #[must_use]
    pub fn owner(&self) -> &str {
        self.repository.split('/').next().unwrap_or_default()
    }
}

/// How many machines of a template are made before anybody wants them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolSite {
    /// The pool's name.
    pub name: String,
    /// The template that they are made from.
    pub template: String,
    /// Where their disks lie; the template's default if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_backend: Option<StorageBackend>,
    /// How many.
    pub ready: u32,
}

fn main_branch() -> String {
    "main".to_string()
}

/// What a machine is made from, and what may be chosen about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// The name in commands: `debian-12`.
    pub name: String,
    /// The Proxmox template that is cloned.
    pub vmid: u32,
    /// The size of the machine's own disk, in GiB.
    pub disk_gb: u32,
    /// The largest disk that may be chosen, in GiB; [`DISK_GB_MAX`] if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_gb_max: Option<u32>,
    /// The largest volume of its own that a workspace may have, in GiB; none if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_gb_max: Option<u32>,
    /// How long workspaces made from it last, unless they are configured otherwise.
    #[serde(default, skip_serializing_if = "Lifetime::is_none")]
    pub lifetime: Lifetime,
    /// The Coder template that shows the machine to its developer.
    pub coder_template: String,
    /// Cores that may be chosen.
    #[serde(default = "cpu_cores")]
    pub cpu_cores: Range,
    /// Memory that may be chosen, in GiB.
    #[serde(default = "memory_gb")]
    pub memory_gb: Range,
    /// Home quota that may be chosen, in GiB.
    #[serde(default = "storage_quota_gb")]
    pub storage_quota_gb: Range,
    /// Storage backends that may be chosen; the first is the default.
    #[serde(default = "storage_backends")]
    pub storage_backend: Vec<StorageBackend>,
    /// What its machines are told to be, where that is not the usual.
    #[serde(default, skip_serializing_if = "Guest::is_usual")]
    pub guest: Guest,
    /// How its machines get their disk.
    #[serde(default, rename = "clone", skip_serializing_if = "CloneKind::is_full")]
    pub clone_kind: CloneKind,
    /// Where its machines are plugged in; where the Proxmox template is, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
}

/// How a machine gets its disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CloneKind {
    /// It is copied, onto the storage that is wanted.
    #[default]
    Full,
    /// Only what differs from the template is stored, beside it.
    Linked,
}

impl CloneKind {
    /// Whether the disk is copied.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Full)
    }
}

/// Where a machine's network card is plugged in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The bridge, on whatever node the machine is: `vmbr1`.
    pub bridge: String,
    /// The VLAN; what comes untagged if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<u16>,
}

/// How long a workspace runs and lives; without end where nothing is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Lifetime {
    /// It is stopped when nobody has used it for so many minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub autostop_minutes: Option<u32>,
    /// It is deleted so many hours after it was made, or was configured last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_hours: Option<u32>,
    /// It becomes dormant when nobody has used it for so many days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dormant_days: Option<u32>,
    /// It is deleted when it has been dormant for so many days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dormant_delete_days: Option<u32>,
}

impl Lifetime {
    /// Whether it has no end.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The largest disk of a machine that may be chosen where its template says nothing, in GiB.
pub const DISK_GB_MAX: u32 = 200;

impl Template {
    /// The disk sizes that may be chosen; the template's own is the least and the default.
    #[must_use]
    pub fn disk_gb_range(&self) -> Range {
        let max = self.disk_gb_max.unwrap_or(DISK_GB_MAX).max(self.disk_gb);
        Range { min: self.disk_gb, max, default: self.disk_gb }
    }
}

/// A number that may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// The least.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// What it is if nothing is said.
    pub default: u32,
}

/// The kind of storage beneath a machine's own disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum StorageBackend {
    /// General use, ample room.
    Iscsi,
    /// Very low latency, little room.
    Nvme,
}

impl StorageBackend {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Iscsi, Self::Nvme];

    /// The word for it in commands.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Iscsi => "iscsi",
            Self::Nvme => "nvme",
        }
    }

    /// The Proxmox storage that holds such disks.
    #[must_use]
    pub fn datastore(self) -> String {
        match self {
            Self::Iscsi => "iscsi-pool".to_string(),
            Self::Nvme => "nvme-pool".to_string(),
        }
    }
}

// serde hands these references.
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

fn cpu_cores() -> Range {
    Range { min: 2, max: 16, default: 4 }
}

fn memory_gb() -> Range {
    Range { min: 4, max: 64, default: 8 }
}

fn storage_quota_gb() -> Range {
    Range { min: 20, max: 500, default: 50 }
}

fn storage_backends() -> Vec<StorageBackend> {
    StorageBackend::ALL.to_vec()
}
