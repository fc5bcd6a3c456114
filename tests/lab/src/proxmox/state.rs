//! What the cluster knows: VMs, tasks, and the three templates a lab is born with.

use std::collections::BTreeMap;

use super::answer;
use super::dumps::Dump;
use super::tasks::Task;
use super::tickets::Tickets;
use super::vm::Vm;
use crate::net::Answer;
use crate::pace::Pace;

/// The cluster's nodes. VMs are born where their template lives, on the first.
pub(super) const NODES: [&str; 2] = ["pve1", "pve2"];

/// What each node has to begin with.
const NODE_MEMORY: u64 = 256 << 30;

/// The cluster's storages, and whether both nodes see them.
pub(super) const STORAGES: [(&str, &str, bool); 4] = [
    ("iscsi-pool", "lvm", true),
    (IMAGES, "nfs", true),
    ("local-lvm", "lvmthin", false),
    ("nvme-pool", "zfspool", false),
];

/// The storage of files, which takes nothing but images of CDs.
pub(super) const IMAGES: &str = "isos";

/// The bridges of each node.
pub(super) const BRIDGES: [(&str, &[&str]); 2] =
    [("pve1", &["vmbr0", "vmbr1"]), ("pve2", &["vmbr0"])];

/// What the cluster knows.
pub(crate) struct State {
    pub(crate) vms: BTreeMap<u32, Vm>,
    /// Images of CDs, by volume: `isos:iso/x.iso`.
    pub(crate) images: BTreeMap<String, Vec<u8>>,
    pub(super) tasks: Vec<Task>,
    pub(super) next_pid: u32,
    /// How much memory each node has, in bytes.
    pub(crate) memory: BTreeMap<String, u64>,
    pub(super) dumps: Vec<Dump>,
    pub(super) tickets: Tickets,
}

impl State {
    pub(crate) fn pristine(pace: &Pace) -> Self {
        let templates = [
            (9000, "debian-12", "iscsi-pool", 10),
            (9001, "debian-12-desktop", "iscsi-pool", 20),
            (9002, "debian-12-nvme", "nvme-pool", 10),
        ];
        let vms = templates.map(|(vmid, name, storage, disk)| {
            (
                vmid,
                template(pace, vmid, name, &format!("{storage}:base-{vmid}-disk-0,size={disk}G")),
            )
        });
        let memory = NODES.map(|node| (node.to_owned(), NODE_MEMORY)).into();
        let (vms, images) = (BTreeMap::from(vms), BTreeMap::new());
        let (tasks, dumps, tickets) = (Vec::new(), Vec::new(), Tickets::default());
        Self { vms, images, tasks, next_pid: 0x0010_A000, memory, dumps, tickets }
    }

    /// The secrets in every ticket that was given out.
    pub(crate) fn minted(&self) -> Vec<String> {
        self.tickets.minted()
    }

    /// The VM, if it is on this node.
    pub(super) fn vm(&self, node: &str, vmid: u32) -> Result<&Vm, Answer> {
        let here = self.vms.get(&vmid).filter(|vm| vm.node == node);
        here.ok_or_else(|| answer::no_such_vm(node, vmid))
    }

    /// The VM to be changed, if it is on this node.
    pub(super) fn vm_mut(&mut self, node: &str, vmid: u32) -> Result<&mut Vm, Answer> {
        let here = self.vms.get_mut(&vmid).filter(|vm| vm.node == node);
        here.ok_or_else(|| answer::no_such_vm(node, vmid))
    }

    /// Moves a VM to the other node, as HA does.
    pub(super) fn move_away(&mut self, vmid: u32) {
        if let Some(vm) = self.vms.get_mut(&vmid).filter(|vm| !vm.is_template()) {
            let other = NODES.iter().find(|node| **node != vm.node);
            vm.node = other.map_or_else(String::new, |node| (*node).to_owned());
        }
    }

    /// Puts a VM under high availability.
    pub(crate) fn manage(&mut self, vmid: u32) -> bool {
        let found = self.vms.get_mut(&vmid);
        found.is_some_and(|vm| {
            vm.managed = Some(vm.is_running());
            true
        })
    }

    /// Puts somebody else's VM on an id.
    pub(super) fn put_stranger(&mut self, node: &str, vmid: u32) {
        let config = [
            ("name", "stranger"),
            ("description", "somebody else's machine"),
            ("cores", "2"),
            ("memory", "2048"),
        ];
        let config = config.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut vm = Vm::new(vmid, node, BTreeMap::from(config));
        vm.preexisting = true;
        self.vms.entry(vmid).or_insert(vm);
    }
}

fn template(pace: &Pace, vmid: u32, name: &str, disk: &str) -> Vm {
    let config = [
        ("agent", "1".to_owned()),
        ("boot", "order=scsi0".to_owned()),
        ("cores", "2".to_owned()),
        ("cpu", "x86-64-v2-AES".to_owned()),
        ("memory", "2048".to_owned()),
        ("name", name.to_owned()),
        ("net0", format!("virtio={},bridge=vmbr0", mac(pace))),
        ("ostype", "l26".to_owned()),
        ("scsi0", disk.to_owned()),
        ("scsihw", "virtio-scsi-single".to_owned()),
        ("smbios1", format!("uuid={}", pace.uuid())),
        ("template", "1".to_owned()),
        ("vmgenid", pace.uuid().to_string()),
    ];
    let config = config.map(|(key, value)| (key.to_owned(), value));
    let mut vm = Vm::new(vmid, NODES[0], BTreeMap::from(config));
    vm.preexisting = true;
    vm
}

/// A MAC address from Proxmox's own range.
pub(super) fn mac(pace: &Pace) -> String {
    let roll = pace.roll();
    format!("BC:24:11:{:02X}:{:02X}:{:02X}", roll & 0xff, (roll >> 8) & 0xff, (roll >> 16) & 0xff)
}
