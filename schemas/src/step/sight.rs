//! What is really there: each system lists what stands where ours stands, a page at a time, with
//! the mark that it carries. Nothing is changed.
//!
//! What cannot be told from what others keep in the same system, as a workspace in Coder, is a
//! finding only if it carries a mark of ours, or the ledger knows it.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Step;
use super::touch::Resource;

/// How many things a page has at most: an answer has to fit into a message.
pub const PAGE: usize = 100;

/// Something that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thing {
    /// What it is.
    #[serde(flatten)]
    pub resource: Resource,
    /// The mark of ours that it carries; nothing if it carries none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// How much it may hold, 0 for as much as there is room for; nothing where it has no such limit,
    /// or a build that did not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
}

impl Thing {
    /// A thing that has no limit of its own.
    #[must_use]
    pub const fn new(resource: Resource, marker: Option<String>) -> Self {
        Self { resource, marker, quota_bytes: None }
    }
}

/// One page of what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighted {
    /// The things, in the vendor's order.
    pub things: Vec<Thing>,
    /// What the next page is asked for with; nothing if this was the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// The machines that have a VMID of ours, whoever made them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightMachines {
    /// Pinned reference to the API token.
    pub login: String,
    /// The first VMID that is ours to give out.
    pub vmid_first: u32,
    /// The last VMID that is ours to give out.
    pub vmid_last: u32,
    /// Behind which VMID the page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightMachines {
    const NAME: &'static str = "proxmox.sight-machines";
    type Answer = Sighted;
}

/// The seeds that lie on the storage of images: those that are named as ours are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightSeeds {
    /// Pinned reference to the API token.
    pub login: String,
    /// A node that sees the storage.
    pub node: String,
    /// The storage.
    pub storage: String,
    /// Behind which image the page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightSeeds {
    const NAME: &'static str = "proxmox.sight-seeds";
    type Answer = Sighted;
}

/// The snapshots that carry a mark of ours, of the machines that have a VMID of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightSnapshots {
    /// Pinned reference to the API token.
    pub login: String,
    /// The first VMID that is ours to give out.
    pub vmid_first: u32,
    /// The last VMID that is ours to give out.
    pub vmid_last: u32,
    /// Behind which machine the page begins, by its VMID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightSnapshots {
    const NAME: &'static str = "proxmox.sight-snapshots";
    type Answer = Sighted;
}

/// The datasets beneath the parent of all homes, whoever made them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightDatasets {
    /// Pinned reference to the API key.
    pub login: String,
    /// The parent.
    pub parent: String,
    /// Behind which dataset the page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightDatasets {
    const NAME: &'static str = "truenas.sight-datasets";
    type Answer = Sighted;
}

/// The NFS exports of what lies beneath the parent of all homes, whoever made them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightShares {
    /// Pinned reference to the API key.
    pub login: String,
    /// The parent.
    pub parent: String,
    /// Behind which export the page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightShares {
    const NAME: &'static str = "truenas.sight-shares";
    type Answer = Sighted;
}

/// The extents that carry a mark of ours: what iSCSI shows of volumes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightExtents {
    /// Pinned reference to the API key.
    pub login: String,
    /// Behind which extent the page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightExtents {
    const NAME: &'static str = "truenas.sight-extents";
    type Answer = Sighted;
}

/// The iSCSI targets that carry a mark of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightTargets {
    /// Pinned reference to the API key.
    pub login: String,
    /// Behind which target the page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightTargets {
    const NAME: &'static str = "truenas.sight-targets";
    type Answer = Sighted;
}

/// The workspaces in Coder that carry a mark of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightWorkspaces {
    /// Pinned reference to the session token.
    pub login: String,
    /// How many workspaces the pages before had looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightWorkspaces {
    const NAME: &'static str = "coder.sight-workspaces";
    type Answer = Sighted;
}

/// All buckets, each with the mark that the key is named after which owns it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightBuckets {
    /// Pinned reference to the administrator's token.
    pub login: String,
    /// The folder in Vault in which the records of buckets lie, where nothing at the vendor's says whose
    /// a bucket is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<String>,
    /// Behind which bucket the page begins, by the vendor's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightBuckets {
    const NAME: &'static str = "s3.sight-buckets";
    type Answer = Sighted;
}

/// The keys that are named after a run of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightKeys {
    /// Pinned reference to the administrator's token.
    pub login: String,
    /// Behind which key the page begins, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightKeys {
    const NAME: &'static str = "s3.sight-keys";
    type Answer = Sighted;
}

/// The secrets beneath a folder of ours that can be read, whoever wrote them. Of each only its
/// place and its mark travel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightSecrets {
    /// The folder: `vault:secret/data/stead/buckets`.
    pub folder: String,
    /// Behind which secret the page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightSecrets {
    const NAME: &'static str = "vault.sight-secrets";
    type Answer = Sighted;
}

/// The tokens in Coder, whoever's, that are named after a run of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightTokens {
    /// Pinned reference to the session token of an owner of Coder: others see only their own tokens.
    pub login: String,
    /// Behind which token the page begins, by its id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightTokens {
    const NAME: &'static str = "coder.sight-tokens";
    type Answer = Sighted;
}

/// The versions of all templates of an organization whose message begins with a mark of ours; what is
/// archived is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightVersions {
    /// Pinned reference to the session token.
    pub login: String,
    /// The organization.
    pub organization: String,
    /// Behind which version of which template the page begins, by Coder's ids: `TEMPLATE/VERSION`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightVersions {
    const NAME: &'static str = "coder.sight-versions";
    type Answer = Sighted;
}

/// The secrets of all repositories that our token may give secrets to, by name. They can carry no mark.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightRepositories {
    /// Pinned reference to our access token.
    pub login: String,
    /// How many pages of repositories were looked at before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightRepositories {
    const NAME: &'static str = "forgejo.sight-repositories";
    type Answer = Sighted;
}

/// The Deployments, Services and ConfigMaps of the namespace of servers, whoever made them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightServers {
    /// Pinned reference to the token of our service account.
    pub login: String,
    /// The namespace.
    pub namespace: String,
    /// Which kind of object comes next, and Kubernetes' own word for where: `services`,
    /// `services/WORD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightServers {
    const NAME: &'static str = "kubernetes.sight-servers";
    type Answer = Sighted;
}

/// Every kind of thing that is looked for.
pub const KINDS: [&str; 17] = [
    "coder/template-version",
    "coder/token",
    "coder/workspace",
    "forgejo/secret",
    "kubernetes/configmap",
    "kubernetes/deployment",
    "kubernetes/service",
    "proxmox/machine",
    "proxmox/seed",
    "proxmox/snapshot",
    "s3/bucket",
    "s3/key",
    "truenas/dataset",
    "truenas/extent",
    "truenas/share",
    "truenas/target",
    "vault/secret",
];

/// The kinds that others keep things of in the same place, which are nobody's business here.
const SHARED: [&str; 10] = [
    "coder/template-version",
    "coder/token",
    "coder/workspace",
    "forgejo/secret",
    // Kubernetes itself puts one into each namespace.
    "kubernetes/configmap",
    "proxmox/snapshot",
    "s3/bucket",
    "s3/key",
    "truenas/extent",
    "truenas/target",
];

/// Whether others keep things of this kind in the same place, which are nobody's business here.
#[must_use]
pub fn is_shared(kind: &str) -> bool {
    SHARED.contains(&kind)
}

/// Which kinds of things a step lists all of: `proxmox/machine`. None for a step that lists nothing.
#[must_use]
pub fn kinds_of(step: &str) -> &'static [&'static str] {
    match step {
        SightMachines::NAME => &["proxmox/machine"],
        SightSeeds::NAME => &["proxmox/seed"],
        SightSnapshots::NAME => &["proxmox/snapshot"],
        SightDatasets::NAME => &["truenas/dataset"],
        SightExtents::NAME => &["truenas/extent"],
        SightShares::NAME => &["truenas/share"],
        SightTargets::NAME => &["truenas/target"],
        SightWorkspaces::NAME => &["coder/workspace"],
        SightTokens::NAME => &["coder/token"],
        SightVersions::NAME => &["coder/template-version"],
        SightRepositories::NAME => &["forgejo/secret"],
        SightServers::NAME => {
            &["kubernetes/configmap", "kubernetes/deployment", "kubernetes/service"]
        }
        SightBuckets::NAME => &["s3/bucket"],
        SightKeys::NAME => &["s3/key"],
        SightSecrets::NAME => &["vault/secret"],
        _ => &[],
    }
}
