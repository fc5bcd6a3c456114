//! What there is right now at all vendors together, without what was there from the beginning.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::coder::State as CoderState;
use crate::proxmox::{Snapshot, Vm};
use crate::truenas::Dataset;
use crate::world::State;

/// Everything that was made and is still there. Templates, parent datasets and strangers do not
/// count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// Virtual machines, by VMID.
    pub vms: Vec<VmEntry>,
    /// Datasets, by id.
    pub datasets: Vec<DatasetEntry>,
    /// NFS shares, by id.
    pub shares: Vec<ShareEntry>,
    /// What iSCSI is made of.
    #[serde(default)]
    pub iscsi: Vec<IscsiEntry>,
    /// Coder workspaces that are not deleted, by owner and name.
    pub coder_workspaces: Vec<CoderEntry>,
    /// Buckets, by name.
    #[serde(default)]
    pub buckets: Vec<BucketEntry>,
    /// Names of the keys that open buckets.
    #[serde(default)]
    pub bucket_keys: Vec<String>,
    /// Where the secrets of such keys and of tokens lie in Vault, as far as they can be read.
    #[serde(default)]
    pub kept_secrets: Vec<String>,
    /// Names of the tokens that Coder's users have.
    #[serde(default)]
    pub coder_tokens: Vec<String>,
    /// Secrets of Forgejo's repositories: `john/templates NAME`.
    #[serde(default)]
    pub forgejo_secrets: Vec<String>,
    /// Versions of Coder's templates, `stead-machine/NAME`, with what their message says.
    #[serde(default)]
    pub template_versions: Vec<(String, String)>,
    /// What was made in Kubernetes.
    #[serde(default)]
    pub kubernetes: Vec<KubernetesEntry>,
    /// Images of CDs at Proxmox, by volume.
    #[serde(default)]
    pub images: Vec<String>,
}

impl Inventory {
    /// Whether nothing was left behind.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.vms.is_empty()
            && self.datasets.is_empty()
            && self.shares.is_empty()
            && self.iscsi.is_empty()
            && self.coder_workspaces.is_empty()
            && self.buckets.is_empty()
            && self.bucket_keys.is_empty()
            && self.kept_secrets.is_empty()
            && self.coder_tokens.is_empty()
            && self.forgejo_secrets.is_empty()
            && self.template_versions.is_empty()
            && self.kubernetes.is_empty()
            && self.images.is_empty()
    }
}

/// A virtual machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmEntry {
    /// Its number.
    pub vmid: u32,
    /// The node it is on.
    pub node: String,
    /// Its name; `VM 104` while it has none.
    pub name: String,
    /// `running` or `stopped`.
    pub status: String,
    /// What holds it: `clone`; empty if nothing does.
    pub lock: String,
    /// Tags as they are stored, separated by semicolons.
    pub tags: String,
    /// The description.
    pub description: String,
    /// Cores.
    pub cores: u64,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The first disk in GiB.
    pub disk_gib: u64,
    /// How much its guests have written to it: one thing at each boot.
    #[serde(default)]
    pub written: u64,
    /// Its snapshots, oldest first.
    #[serde(default)]
    pub snapshots: Vec<VmSnapshotEntry>,
    /// Where the system inside is; empty if it never ran, `off` if it was switched off. On the way:
    /// `booting`, `fetching-seed`, `configured`, `waiting-for-home`, `waiting-for-volume`,
    /// `home-not-writable`, `reporting-home`, `home-verified`, `agent-starting`, `agent-connected`.
    /// Where it stays: `agent-ready`, `agent-refused`, `agent-without-token`,
    /// `agent-on-local-disk`, `no-agent`, `home-mount-failed`, `no-seed`, `seed-discarded`,
    /// `seed-unreachable`, `unconfigured`, `never-boots`. `elsewhere` if the lab does not play it.
    pub guest_stage: String,
}

/// A snapshot of a virtual machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VmSnapshotEntry {
    /// Its name.
    pub name: String,
    /// The description.
    pub description: String,
    /// `prepare` or `delete` while it is not whole, else empty.
    pub state: String,
}

/// A dataset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetEntry {
    /// Its full name.
    pub id: String,
    /// The limit on its own data; 0 is none.
    pub refquota_bytes: u64,
    /// What its own data takes.
    pub used_bytes: u64,
    /// How large it is if it is a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volsize_bytes: Option<u64>,
    /// The value of its `...:marker` user property.
    pub owner: String,
    /// Whether it is mounted on the NAS.
    pub mounted: bool,
    /// Owner of its root.
    pub uid: i64,
    /// Group of its root.
    pub gid: i64,
    /// Names of its snapshots.
    pub snapshots: Vec<String>,
}

/// An NFS share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShareEntry {
    /// Its number.
    pub id: i64,
    /// What is exported.
    pub path: String,
    /// The comment.
    pub comment: String,
}

/// Part of what iSCSI shows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IscsiEntry {
    /// `extent`, `initiator`, `target`, or `targetextent`, which joins the last to the first.
    pub kind: String,
    /// Its name; its number if it has none.
    pub name: String,
    /// Its comment or alias.
    pub mark: String,
    /// Who is logged in at a target; empty if nobody is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub initiator: String,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketEntry {
    /// Its name; its number while it has none.
    pub name: String,
    /// The names of the keys that own it.
    pub owners: Vec<String>,
    /// How many objects it holds.
    pub objects: u64,
    /// The limit in bytes; 0 is none.
    pub quota_bytes: u64,
}

/// An object in Kubernetes that carries somebody's mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubernetesEntry {
    /// `deployment`, `service` or `configmap`.
    pub kind: String,
    /// Its namespace and name.
    pub name: String,
    /// The value of its `.../marker` label.
    pub marker: String,
    /// The image of a Deployment; empty for others.
    pub image: String,
    /// How many pods of a Deployment answer.
    pub available: u64,
}

/// A Coder workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoderEntry {
    /// Coder's id of it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its owner's user name.
    pub owner: String,
    /// Its status, as its latest build makes it.
    pub status: String,
    /// The latest build's agent.
    pub agent: Option<AgentEntry>,
}

/// An agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentEntry {
    /// `connecting`, `connected`, `disconnected` or `timeout`.
    pub status: String,
    /// `created`, `starting`, `ready`, ...
    pub lifecycle: String,
}

pub(crate) fn take(state: &State) -> Inventory {
    let nas = &state.truenas;
    Inventory {
        vms: state.proxmox.vms.values().filter(|vm| !vm.preexisting).map(vm).collect(),
        datasets: nas
            .datasets
            .values()
            .filter(|dataset| !dataset.preexisting)
            .map(dataset)
            .collect(),
        shares: nas.shares.iter().map(|(id, entry)| share(*id, entry)).collect(),
        iscsi: nas.iscsi.entries(),
        coder_workspaces: workspaces(&state.coder),
        buckets: state.s3.entries(),
        bucket_keys: state.s3.key_names(),
        kept_secrets: state.vault.kept_secrets(),
        coder_tokens: state.coder.token_names(),
        forgejo_secrets: state.forgejo.secret_names(),
        template_versions: state.coder.version_names(),
        kubernetes: state.kubernetes.entries(),
        images: state.proxmox.images.keys().cloned().collect(),
    }
}

fn vm(vm: &Vm) -> VmEntry {
    let status = if vm.is_running() { "running" } else { "stopped" };
    VmEntry {
        vmid: vm.vmid,
        node: vm.node.clone(),
        name: vm.name(),
        status: status.to_owned(),
        lock: vm.key("lock").to_owned(),
        tags: vm.key("tags").to_owned(),
        description: vm.key("description").to_owned(),
        cores: vm.number("cores"),
        memory_mib: vm.number("memory"),
        disk_gib: vm.disk_gib(),
        written: vm.written,
        snapshots: vm.snapshots.iter().map(Snapshot::entry).collect(),
        guest_stage: vm.guest.stage.clone(),
    }
}

fn dataset(dataset: &Dataset) -> DatasetEntry {
    DatasetEntry {
        id: dataset.id.clone(),
        refquota_bytes: dataset.refquota,
        volsize_bytes: dataset.volsize,
        used_bytes: dataset.used,
        owner: dataset.owner(),
        mounted: dataset.mounted,
        uid: dataset.uid,
        gid: dataset.gid,
        snapshots: dataset.snapshots.keys().cloned().collect(),
    }
}

fn share(id: i64, share: &Map<String, Value>) -> ShareEntry {
    let part = |name: &str| share.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    ShareEntry { id, path: part("path"), comment: part("comment") }
}

fn workspaces(coder: &CoderState) -> Vec<CoderEntry> {
    let living = coder.workspaces.values().filter(|workspace| !workspace.deleted);
    let mut entries: Vec<CoderEntry> = living
        .map(|workspace| CoderEntry {
            id: workspace.id.to_string(),
            name: workspace.name.clone(),
            owner: workspace.owner.clone(),
            status: workspace.latest().status().to_owned(),
            agent: workspace.latest().agent.as_ref().map(|agent| AgentEntry {
                status: agent.status().to_owned(),
                lifecycle: agent.lifecycle().to_owned(),
            }),
        })
        .collect();
    entries.sort_by(|a, b| (&a.owner, &a.name).cmp(&(&b.owner, &b.name)));
    entries
}
