//! What each step does to the resources outside: the machine that it makes, the dataset that it
//! uses, the key that it removes. The ledger, whoever lists what would be taken back, and whoever
//! shows what a vendor held at some moment read it here.
//!
//! A step that touches nothing says so in the table, too: what is not in it is unknown, not
//! harmless. What a step may find gone and is done for all that, as a shutdown, says nothing about
//! whether it is there, and so counts as touching nothing.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Step, allowance, authentik, backup, entity, forgejo, guest, home, kubernetes, notify};
use super::{
    people, pool, probe, proxmox, s3, schedule, sight, system, truenas, vault, vmids, volume,
};
use crate::step::coder::{self, versions};
use crate::step::proxmox::snapshots;
use crate::step::truenas::iscsi;

mod marks;
mod of_coder;
mod of_forgejo;
mod of_iscsi;
mod of_kubernetes;
mod of_proxmox;
mod of_s3;

/// What a step does to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It is there once the step is done, and may be there before.
    Makes,
    /// It was there when the step was done.
    Uses,
    /// It is gone once the step is done, and may be gone before.
    Removes,
}

/// Something outside that a step touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    /// What is done to it.
    pub deed: Deed,
    /// Which it is.
    pub resource: Resource,
    /// Our name tag on it; empty where the step does not name it.
    pub marker: String,
    /// How much it may hold once the step is done, in GiB, where the step sets that.
    pub quota_gb: Option<u32>,
}

impl Touch {
    fn holding(self, quota_gb: u32) -> Self {
        Self { quota_gb: Some(quota_gb), ..self }
    }
}

/// A resource outside, as people name it. A snapshot of a dataset is part of it and a disk is part of
/// its machine: they come and go with it. A snapshot of a machine is known by itself, and goes with its
/// machine all the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Resource {
    /// Whose it is: `proxmox`.
    pub system: String,
    /// What it is: `machine`.
    pub kind: String,
    /// Its name there, known before it is made: `10432`, `tank/coder-home/john`. Empty where only
    /// the vendor's own name is known.
    pub id: String,
    /// The vendor's own name for it, where that is another one and known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor_id: Option<String>,
}

impl Resource {
    /// The resource of this name.
    #[must_use]
    pub fn new(system: &str, kind: &str, id: impl ToString) -> Self {
        let (system, kind) = (system.to_string(), kind.to_string());
        Self { system, kind, id: id.to_string(), vendor_id: None }
    }

    fn vendor_id(mut self, id: Option<impl ToString>) -> Self {
        self.vendor_id = id.map(|id| id.to_string());
        self
    }

    /// Whether both names mean the same thing.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let is_same_name = !self.id.is_empty() && self.id == other.id;
        let is_same_number = self.vendor_id.is_some() && self.vendor_id == other.vendor_id;
        self.system == other.system && self.kind == other.kind && (is_same_name || is_same_number)
    }

    /// What it goes with: a snapshot with its machine.
    #[must_use]
    pub fn whole(&self) -> Option<Self> {
        let is_part = (&*self.system, &*self.kind) == ("proxmox", "snapshot");
        let (vmid, _) = snapshots::read_path(&self.id).filter(|_| is_part)?;
        Some(Self::new("proxmox", "machine", vmid))
    }

    /// Whether it goes when that goes.
    #[must_use]
    pub fn is_part_of(&self, whole: &Self) -> bool {
        self.whole().is_some_and(|own| own.is(whole))
    }

    /// How people and commands name it: `proxmox/machine/10432`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}/{}", self.system, self.kind, self.id)
    }

    fn touched(self, deed: Deed, marker: &str) -> Touch {
        Touch { deed, resource: self, marker: marker.to_string(), quota_gb: None }
    }

    fn made(self, marker: &str) -> Touch {
        self.touched(Deed::Makes, marker)
    }

    fn used(self, marker: &str) -> Touch {
        self.touched(Deed::Uses, marker)
    }

    fn removed(self, marker: &str) -> Touch {
        self.touched(Deed::Removes, marker)
    }
}

/// A step that says what it touches.
trait Touching: Step {
    fn touches(&self, answer: Option<&Self::Answer>) -> Vec<Touch>;
}

type Decode = fn(&Value, Option<&Value>) -> Option<Vec<Touch>>;

/// Every step of every system, by name.
const TABLE: &[(&str, Decode)] = &[
    row::<allowance::GiveBack>(),
    row::<allowance::Take>(),
    row::<authentik::FindUser>(),
    row::<authentik::ListUsers>(),
    row::<versions::ArchiveVersion>(),
    row::<coder::AwaitAgent>(),
    row::<versions::AwaitImport>(),
    row::<coder::CreateToken>(),
    row::<versions::CreateVersion>(),
    row::<coder::DeleteWorkspace>(),
    row::<coder::FindTemplate>(),
    row::<coder::JoinWorkspace>(),
    row::<coder::LeaveWorkspace>(),
    row::<versions::LookUpTemplate>(),
    row::<coder::LookUpToken>(),
    row::<coder::LookUpUse>(),
    row::<versions::PromoteVersion>(),
    row::<coder::ProveToken>(),
    row::<versions::RestoreVersion>(),
    row::<coder::RevokeToken>(),
    row::<sight::SightTokens>(),
    row::<sight::SightVersions>(),
    row::<sight::SightWorkspaces>(),
    row::<coder::StartWorkspace>(),
    row::<coder::StopWorkspace>(),
    row::<coder::Survey>(),
    row::<versions::UploadTemplate>(),
    row::<entity::CancelCommand>(),
    row::<entity::LookUpRun>(),
    row::<forgejo::DeleteSecret>(),
    row::<forgejo::LookUpHead>(),
    row::<forgejo::RunWorkflow>(),
    row::<forgejo::SetSecret>(),
    row::<forgejo::SetStatus>(),
    row::<sight::SightRepositories>(),
    row::<guest::AwaitHome>(),
    row::<home::Attach>(),
    row::<home::Detach>(),
    row::<home::Repair>(),
    row::<home::Resize>(),
    row::<kubernetes::Apply>(),
    row::<kubernetes::AwaitRollout>(),
    row::<kubernetes::ListServers>(),
    row::<kubernetes::Remove>(),
    row::<kubernetes::ResolveImage>(),
    row::<backup::RunJob>(),
    row::<sight::SightServers>(),
    row::<kubernetes::TryApply>(),
    row::<notify::Tell>(),
    row::<notify::PostWebhook>(),
    row::<notify::SendMail>(),
    row::<people::Meet>(),
    row::<people::Part>(),
    row::<people::Record>(),
    row::<pool::Doubt>(),
    row::<pool::Gone>(),
    row::<pool::Offer>(),
    row::<pool::Pick>(),
    row::<probe::Noop>(),
    row::<proxmox::CheckTemplate>(),
    row::<proxmox::CheckVmid>(),
    row::<proxmox::CloneVm>(),
    row::<proxmox::ConfigureVm>(),
    row::<snapshots::DeleteSnapshot>(),
    row::<proxmox::DestroyVm>(),
    row::<backup::DumpGuest>(),
    row::<proxmox::InsertSeed>(),
    row::<snapshots::ListSnapshots>(),
    row::<proxmox::MarkVm>(),
    row::<proxmox::PingGuest>(),
    row::<backup::ProveDump>(),
    row::<backup::RemoveDumps>(),
    row::<proxmox::RemoveSeed>(),
    row::<proxmox::ResizeDisk>(),
    row::<snapshots::RollBackVm>(),
    row::<proxmox::ShutdownVm>(),
    row::<sight::SightMachines>(),
    row::<sight::SightSeeds>(),
    row::<sight::SightSnapshots>(),
    row::<snapshots::SnapshotVm>(),
    row::<proxmox::StartVm>(),
    row::<proxmox::Survey>(),
    row::<s3::DeleteBucket>(),
    row::<s3::DeleteIfEmpty>(),
    row::<s3::DeleteKey>(),
    row::<s3::EmptyBucket>(),
    row::<s3::EnsureBucket>(),
    row::<s3::EnsureKey>(),
    row::<s3::ListBuckets>(),
    row::<s3::SetLimits>(),
    row::<sight::SightBuckets>(),
    row::<sight::SightKeys>(),
    row::<schedule::PlanFirings>(),
    row::<pool::HandOver>(),
    row::<pool::Make>(),
    row::<pool::Retire>(),
    row::<truenas::DeleteSnapshot>(),
    row::<truenas::DestroyDataset>(),
    row::<truenas::EnsureDataset>(),
    row::<truenas::EnsureShare>(),
    row::<iscsi::EnsureTarget>(),
    row::<iscsi::EnsureVolume>(),
    row::<truenas::ListSnapshots>(),
    row::<truenas::MarkDataset>(),
    row::<backup::ProveReplica>(),
    row::<backup::RemoveReplicas>(),
    row::<truenas::RemoveShare>(),
    row::<iscsi::RemoveTarget>(),
    row::<backup::Replicate>(),
    row::<truenas::SetPermissions>(),
    row::<sight::SightDatasets>(),
    row::<sight::SightExtents>(),
    row::<sight::SightShares>(),
    row::<sight::SightTargets>(),
    row::<truenas::SnapshotDataset>(),
    row::<backup::SnapshotTree>(),
    row::<truenas::SurveyPool>(),
    row::<truenas::UpdateQuota>(),
    row::<vault::PinSecrets>(),
    row::<sight::SightSecrets>(),
    row::<vmids::HandOver>(),
    row::<vmids::Release>(),
    row::<vmids::Reserve>(),
    row::<volume::Attach>(),
    row::<volume::Detach>(),
    row::<volume::Repair>(),
    row::<volume::Resize>(),
    row::<people::Hold>(),
];

const fn row<S: Touching>() -> (&'static str, Decode) {
    (S::NAME, decoded::<S>)
}

fn decoded<S: Touching>(request: &Value, answer: Option<&Value>) -> Option<Vec<Touch>> {
    let asked: S = serde_json::from_value(request.clone()).ok()?;
    // An answer of another build, or one given by hand, says at least that the step is done.
    let answer = answer.and_then(|answer| serde_json::from_value(answer.clone()).ok());
    Some(asked.touches(answer.as_ref()))
}

/// Whether it is known what this step touches.
#[must_use]
pub fn is_known(step: &str) -> bool {
    TABLE.iter().any(|(name, _)| *name == step)
}

/// What a step of this name touches that was asked this, and answered so, if it was; nothing if
/// this build does not know.
#[must_use]
pub fn touches(step: &str, request: &Value, answer: Option<&Value>) -> Option<Vec<Touch>> {
    let (_, decode) = TABLE.iter().find(|(name, _)| *name == step)?;
    decode(request, answer)
}

/// The systems that something can be made in, in order.
#[must_use]
pub fn systems() -> Vec<&'static str> {
    let mut systems: Vec<&str> = TABLE.iter().map(|(name, _)| system(name)).collect();
    systems.retain(|system| {
        ["coder", "forgejo", "kubernetes", "proxmox", "s3", "truenas", "vault"].contains(system)
    });
    systems.dedup();
    systems
}

/// Steps that make, use and remove nothing outside: they look, ask an entity of ours, or are done
/// too where what they are about is gone.
macro_rules! touching_nothing {
    ($($step:ty),+ $(,)?) => {$(
        impl Touching for $step {
            fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
                Vec::new()
            }
        }
    )+};
}

touching_nothing!(
    allowance::GiveBack,
    allowance::Take,
    authentik::FindUser,
    authentik::ListUsers,
    backup::DumpGuest,
    backup::ProveDump,
    backup::ProveReplica,
    backup::RemoveDumps,
    backup::RemoveReplicas,
    backup::Replicate,
    backup::RunJob,
    backup::SnapshotTree,
    coder::FindTemplate,
    coder::LeaveWorkspace,
    coder::LookUpToken,
    coder::ProveToken,
    coder::StopWorkspace,
    coder::Survey,
    entity::CancelCommand,
    entity::LookUpRun,
    forgejo::LookUpHead,
    forgejo::RunWorkflow,
    forgejo::SetStatus,
    guest::AwaitHome,
    home::Attach,
    home::Detach,
    home::Repair,
    home::Resize,
    kubernetes::ListServers,
    kubernetes::ResolveImage,
    kubernetes::TryApply,
    notify::PostWebhook,
    notify::SendMail,
    notify::Tell,
    people::Hold,
    people::Meet,
    people::Part,
    people::Record,
    pool::Doubt,
    pool::Gone,
    pool::HandOver,
    pool::Make,
    pool::Offer,
    pool::Pick,
    pool::Retire,
    probe::Noop,
    proxmox::CheckTemplate,
    proxmox::CheckVmid,
    proxmox::PingGuest,
    proxmox::ShutdownVm,
    proxmox::Survey,
    s3::EmptyBucket,
    s3::ListBuckets,
    schedule::PlanFirings,
    sight::SightBuckets,
    sight::SightDatasets,
    sight::SightExtents,
    sight::SightKeys,
    sight::SightMachines,
    sight::SightRepositories,
    sight::SightSecrets,
    sight::SightSeeds,
    sight::SightServers,
    sight::SightShares,
    sight::SightSnapshots,
    sight::SightTargets,
    sight::SightTokens,
    sight::SightVersions,
    sight::SightWorkspaces,
    truenas::DeleteSnapshot,
    truenas::ListSnapshots,
    truenas::SnapshotDataset,
    truenas::SurveyPool,
    vault::PinSecrets,
    versions::AwaitImport,
    versions::LookUpTemplate,
    versions::PromoteVersion,
    versions::RestoreVersion,
    versions::UploadTemplate,
    vmids::HandOver,
    vmids::Release,
    vmids::Reserve,
    volume::Attach,
    volume::Detach,
    volume::Repair,
    volume::Resize,
);

fn dataset(id: &str) -> Resource {
    Resource::new("truenas", "dataset", id)
}

fn share(path: &str) -> Resource {
    Resource::new("truenas", "share", path)
}

impl Touching for truenas::EnsureDataset {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![dataset(&self.dataset).made(&self.marker).holding(self.refquota_gb)]
    }
}

impl Touching for truenas::SetPermissions {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![dataset(&self.dataset).used(&self.marker)]
    }
}

impl Touching for truenas::UpdateQuota {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![dataset(&self.dataset).used(&self.marker).holding(self.refquota_gb)]
    }
}

impl Touching for truenas::DestroyDataset {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![dataset(&self.dataset).removed(&self.marker)]
    }
}

impl Touching for truenas::EnsureShare {
    fn touches(&self, answer: Option<&Self::Answer>) -> Vec<Touch> {
        let share = share(&self.path).vendor_id(answer.map(|share| share.id));
        vec![share.made(&self.marker)]
    }
}

impl Touching for truenas::RemoveShare {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![share(&self.path).removed(&self.marker)]
    }
}

#[cfg(test)]
mod tests;
