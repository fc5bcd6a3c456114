//! Proxmox VE: machines. The VMID is chosen and recorded before the step that uses it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::volume::AttachedVolume;
use super::{Done, Step};
use crate::owner::Owner;
use crate::site::{CloneKind, Guest, Network, StorageBackend};
use crate::time::Timestamp;

pub mod snapshots;

/// Which machine, and by which mark it is known to be ours. Part of every request: VMIDs are
/// used again after a deletion, so a number alone says nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Pinned reference to the API token.
    pub login: String,
    /// The node it was made on. It may have moved; the worker looks.
    pub node: String,
    /// Its number.
    pub vmid: u32,
    /// Our name tag, in the machine's description.
    pub marker: String,
}

impl Machine {
    /// The image of its seed, on this storage.
    #[must_use]
    pub fn seed_image(&self, storage: &str) -> String {
        format!("{storage}:iso/stead-{}-{}.iso", self.vmid, self.marker)
    }
}

/// Whose seed an image is by its name, if it is one: the storage, the VMID and the marker.
#[must_use]
pub fn seed_of(image: &str) -> Option<(&str, u32, &str)> {
    let (storage, name) = image.split_once(":iso/stead-")?;
    let (vmid, marker) = name.strip_suffix(".iso")?.split_once('-')?;
    Some((storage, vmid.parse().ok()?, marker))
}

/// Whether a VMID is free at the vendor's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckVmid {
    /// Pinned reference to the API token.
    pub login: String,
    /// The number.
    pub vmid: u32,
}

/// The answer to [`CheckVmid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VmidState {
    /// Nobody has it.
    Free,
    /// Somebody has it.
    Taken,
}

impl Step for CheckVmid {
    const NAME: &'static str = "proxmox.check-vmid";
    type Answer = VmidState;
}

/// Looks once at everything that decides where a machine can be made. Changes nothing and
/// reserves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// Reference to the API token.
    pub login: String,
    /// The nodes that are looked at.
    pub nodes: Vec<String>,
    /// The template's VMID.
    pub template: u32,
    /// The storage beneath the machine's own disk.
    pub storage: StorageBackend,
    /// The first VMID that is ours to give out.
    pub vmid_first: u32,
    /// The last VMID that is ours to give out.
    pub vmid_last: u32,
    /// A machine that is looked for, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<u32>,
}

/// The answer to [`Survey`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surveyed {
    /// One for each node that was asked for, in that order; then that of the machine, if it is another.
    pub nodes: Vec<NodeSeen>,
    /// Where the template is; nothing if there is none, or our login may not see it.
    pub template_node: Option<String>,
    /// Whether the template's disk lies where every node sees it.
    pub template_is_shared: bool,
    /// How many VMIDs of our range somebody has.
    pub vmids_taken: u32,
    /// When the login itself ends, where the vendor lets it see that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_ends: Option<Timestamp>,
    /// The machine that was looked for; nothing if it is not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineSeen>,
}

/// A machine, as the cluster's list shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSeen {
    /// Where it is.
    pub node: String,
    /// Whether it runs.
    pub is_running: bool,
}

/// A node, as the cluster's list shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSeen {
    /// Its name.
    pub node: String,
    /// Whether it is there and answers.
    pub is_online: bool,
    /// Its cores.
    pub cores: u32,
    /// The virtual cores of the machines that run on it.
    pub cores_given: u32,
    /// Its memory, in MiB.
    pub memory_mib: u64,
    /// What of it is neither used now nor promised to a machine that runs, in MiB.
    pub memory_free_mib: u64,
    /// What is free on the storage as this node sees it, in GiB; nothing if it does not see it.
    pub storage_free_gb: Option<u64>,
}

impl Step for Survey {
    const NAME: &'static str = "proxmox.survey";
    type Answer = Surveyed;
}

/// Looks whether a template can be cloned and plugged in as the site wants it. Changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckTemplate {
    /// Reference to the API token.
    pub login: String,
    /// The nodes that a machine may be made on.
    pub nodes: Vec<String>,
    /// The template's VMID.
    pub template: u32,
    /// The storage beneath the machine's own disk.
    pub storage: StorageBackend,
    /// How the machine gets that disk.
    #[serde(default, skip_serializing_if = "CloneKind::is_full")]
    pub clone_kind: CloneKind,
    /// Where it is plugged in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Where its seed is laid, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_storage: Option<String>,
    /// Where its card for storage is plugged in, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_network: Option<Network>,
    /// A VMID that a machine may get, if it is to be looked, too, whether our login may make one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rights_at: Option<u32>,
}

impl CheckTemplate {
    /// Whether any template can do that, so that nobody need look.
    pub fn is_plain(&self) -> bool {
        self.clone_kind.is_full()
            && self.network.is_none()
            && self.seed_storage.is_none()
            && self.storage_network.is_none()
    }
}

/// The answer to [`CheckTemplate`], where it can be done on one of the nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateChecked {
    /// The nodes that do not have the bridge.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without_bridge: Vec<String>,
}

impl Step for CheckTemplate {
    const NAME: &'static str = "proxmox.check-template";
    type Answer = TemplateChecked;
}

/// Clones the template onto the VMID. A machine there that is not ours is a conflict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CloneVm {
    /// The machine to be made.
    pub machine: Machine,
    /// The template's VMID.
    pub template: u32,
    /// The machine's name.
    pub name: String,
    /// Where its disk goes.
    pub storage: StorageBackend,
    /// How it gets that disk. One that is linked lies where the template's does.
    #[serde(default, skip_serializing_if = "CloneKind::is_full")]
    pub clone_kind: CloneKind,
}

impl Step for CloneVm {
    const NAME: &'static str = "proxmox.clone-vm";
    type Answer = Done;
}

/// Sets cores, memory, tags, the network, and the announcement of the seed in the SMBIOS serial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigureVm {
    /// Which machine.
    pub machine: Machine,
    /// Virtual cores.
    pub cores: u32,
    /// Memory, in MiB.
    pub memory_mib: u32,
    /// Whose it is, for the tags.
    pub owner: String,
    /// What it is to be called, where it was made under another name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Where it is plugged in; nothing is changed about that if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Whether its seed is laid into its drive, so that none is announced.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub seed_in_drive: bool,
    /// Where its card for storage is plugged in, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_network: Option<Network>,
}

impl Step for ConfigureVm {
    const NAME: &'static str = "proxmox.configure-vm";
    type Answer = Configured;
}

/// The answer to [`ConfigureVm`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configured {
    /// The address of its card for storage, `BC:24:11:00:00:01`, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_card: Option<String>,
}

/// Grows the machine's own disk to a size; disks never shrink.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResizeDisk {
    /// Which machine.
    pub machine: Machine,
    /// `scsi0`.
    pub disk: String,
    /// The size it shall have, in GiB.
    pub size_gb: u32,
}

impl Step for ResizeDisk {
    const NAME: &'static str = "proxmox.resize-disk";
    type Answer = Done;
}

/// Lays the machine's seed into its CD drive, made anew. It holds secrets, and is to be taken out as
/// soon as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InsertSeed {
    /// Which machine.
    pub machine: Machine,
    /// The storage that the image lies on.
    pub storage: String,
    /// Whose workspace it is.
    pub owner: Owner,
    /// The workspace's name.
    pub name: String,
    /// What is mounted as the home.
    pub home_source: String,
    /// The Coder workspace, by whose id the agent's token lies in Vault.
    pub coder_id: String,
    /// What the machine is told to be.
    #[serde(default, skip_serializing_if = "Guest::is_usual")]
    pub guest: Guest,
    /// The address of its card for storage, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_card: Option<String>,
    /// The volume that it logs in to, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<AttachedVolume>,
}

impl Step for InsertSeed {
    const NAME: &'static str = "proxmox.insert-seed";
    type Answer = Done;
}

/// Takes the seed out of the drive, and deletes it. Done too if there is none, or no machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveSeed {
    /// Which machine.
    pub machine: Machine,
    /// The storage that the image lies on.
    pub storage: String,
}

impl Step for RemoveSeed {
    const NAME: &'static str = "proxmox.remove-seed";
    type Answer = Done;
}

/// Starts the machine. Done too if it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartVm {
    /// Which machine.
    pub machine: Machine,
}

impl Step for StartVm {
    const NAME: &'static str = "proxmox.start-vm";
    type Answer = Done;
}

/// Asks the guest's own agent, QEMU's, whether it is there. Changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PingGuest {
    /// Which machine.
    pub machine: Machine,
}

/// The answer to [`PingGuest`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestSeen {
    /// The machine does not run.
    Off,
    /// It runs, and nobody answers in it.
    Silent,
    /// The guest's system is up.
    Answers,
}

impl Step for PingGuest {
    const NAME: &'static str = "proxmox.ping-guest";
    type Answer = GuestSeen;
}

/// Shuts the machine down, and stops it if it does not listen. Done too if it is off or gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShutdownVm {
    /// Which machine.
    pub machine: Machine,
    /// How long the guest may take, in seconds.
    pub timeout_seconds: u32,
}

impl Step for ShutdownVm {
    const NAME: &'static str = "proxmox.shutdown-vm";
    type Answer = Done;
}

/// Stops and destroys the machine, if it carries our marker. Done too if it is gone, or if
/// a stranger's machine has the number now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DestroyVm {
    /// Which machine.
    pub machine: Machine,
}

impl Step for DestroyVm {
    const NAME: &'static str = "proxmox.destroy-vm";
    type Answer = Done;
}

/// Puts our mark on a machine that somebody has decided is ours. Refuses as a conflict if it
/// carries another mark than the one that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkVm {
    /// Which machine, with the mark that it is to carry.
    pub machine: Machine,
    /// The mark that it carried when it was decided; nothing if it carried none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// Whether this is the mark of the run that made it, which is given back to that run.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub restores: bool,
    /// Whether the asking run gives the machine away: it is no longer its own then, but that of
    /// the run whose mark it is to carry.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub gives: bool,
    /// Whether it is taken back: what it carried before is put in place of our mark. Done too if
    /// it does not carry that, or is gone.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub undoes: bool,
}

impl Step for MarkVm {
    const NAME: &'static str = "proxmox.mark-vm";
    type Answer = Done;
}
