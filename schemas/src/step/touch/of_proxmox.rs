//! What the steps of Proxmox VE do: to machines, to their seeds and to their snapshots. Where a machine's
//! mark is changed, `marks.rs` says what that does.

use alloc::vec;
use alloc::vec::Vec;

use super::{Resource, Touch, Touching};
use crate::step::proxmox::{self, snapshots};

pub(super) fn machine(machine: &proxmox::Machine) -> Resource {
    Resource::new("proxmox", "machine", machine.vmid)
}

impl Touching for proxmox::CloneVm {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![machine(&self.machine).made(&self.machine.marker)]
    }
}

impl Touching for proxmox::ConfigureVm {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![machine(&self.machine).used(&self.machine.marker)]
    }
}

impl Touching for proxmox::ResizeDisk {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![machine(&self.machine).used(&self.machine.marker)]
    }
}

impl Touching for proxmox::StartVm {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![machine(&self.machine).used(&self.machine.marker)]
    }
}

fn seed(machine: &proxmox::Machine, storage: &str) -> Resource {
    Resource::new("proxmox", "seed", machine.seed_image(storage))
}

impl Touching for proxmox::InsertSeed {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![seed(&self.machine, &self.storage).made(&self.machine.marker)]
    }
}

impl Touching for proxmox::RemoveSeed {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![seed(&self.machine, &self.storage).removed(&self.machine.marker)]
    }
}

impl Touching for proxmox::DestroyVm {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![machine(&self.machine).removed(&self.machine.marker)]
    }
}

fn snapshot(machine: &proxmox::Machine, name: &str) -> Resource {
    Resource::new("proxmox", "snapshot", snapshots::path_of(machine.vmid, name))
}

impl Touching for snapshots::SnapshotVm {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![snapshot(&self.machine, &self.snapshot).made(&self.machine.marker)]
    }
}

impl Touching for snapshots::ListSnapshots {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![machine(&self.machine).used(&self.machine.marker)]
    }
}

impl Touching for snapshots::RollBackVm {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        let marker = &self.machine.marker;
        vec![
            machine(&self.machine).used(marker),
            snapshot(&self.machine, &self.snapshot).used(marker),
        ]
    }
}

impl Touching for snapshots::DeleteSnapshot {
    fn touches(&self, _answer: Option<&Self::Answer>) -> Vec<Touch> {
        vec![snapshot(&self.machine, &self.snapshot).removed(&self.machine.marker)]
    }
}
