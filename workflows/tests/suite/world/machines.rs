//! Nodes, and the machines on them.

use serde_json::{Value, json};
use stead_schemas::failure::{Class, Failure};

use super::World;
use crate::pools;

impl World {
    /// Every node sees everything; they differ in memory alone.
    pub(super) fn survey(&self, ask: &Value) -> Value {
        let nodes = ask["nodes"].as_array().cloned().unwrap_or_default();
        let seen = |node: &Value| {
            let free = self.nodes.get(node.as_str().unwrap_or_default()).copied();
            json!({
                "node": node, "is_online": free.is_some(), "cores": 64, "cores_given": 0,
                "memory_mib": 64 * 1024, "memory_free_mib": free.unwrap_or_default() * 1024,
                "storage_free_gb": 1_000,
            })
        };
        let machine = ask["machine"].as_u64().map(|vmid| {
            let runs = self.running.contains_key(&u32::try_from(vmid).unwrap_or_default());
            json!({ "node": "pve1", "is_running": runs })
        });
        json!({
            "machine": machine,
            "nodes": nodes.iter().map(seen).collect::<Vec<_>>(),
            "template_node": "pve1", "template_is_shared": true, "vmids_taken": 0,
        })
    }

    /// Machines: they run or not, and only whoever made one destroys it.
    pub(super) fn with_machine(&mut self, step: &str, ask: &Value) -> Result<Value, Failure> {
        let vmid = ask["machine"]["vmid"].as_u64().unwrap_or_default() as u32;
        let vm = format!("vm {vmid}");
        let vm_marker = ask["machine"]["marker"].as_str().unwrap_or_default().to_owned();
        match step {
            "proxmox.clone-vm" => self.ensure(vm, vm_marker).map(|()| json!({})),
            "proxmox.resize-disk" => {
                self.disks.insert(vmid, ask["size_gb"].as_u64().unwrap_or_default());
                Ok(json!({}))
            }
            "proxmox.configure-vm" => {
                self.cores.insert(vmid, ask["cores"].as_u64().unwrap_or_default());
                self.names_of.extend(ask["name"].as_str().map(|name| (vmid, name.to_owned())));
                let card = ask["storage_network"].as_object().map(|_| format!("BC:{vmid}"));
                Ok(json!({ "storage_card": card }))
            }
            "proxmox.mark-vm" => pools::mark(&mut self.things, vm, vm_marker, ask),
            "proxmox.check-template" => Ok(json!({ "without_bridge": self.without_bridge })),
            "proxmox.insert-seed" => {
                self.ensure(format!("seed {vmid}"), vm_marker).map(|()| json!({}))
            }
            "proxmox.remove-seed" => self.remove(&format!("seed {vmid}")),
            "proxmox.ping-guest" => Ok(json!(self.guest)),
            "proxmox.start-vm" => {
                self.running.insert(vmid, true);
                Ok(json!({}))
            }
            "proxmox.shutdown-vm" => {
                self.running.remove(&vmid);
                Ok(json!({}))
            }
            "proxmox.destroy-vm" => {
                if self.things.get(&vm) == Some(&vm_marker) {
                    self.things.remove(&vm);
                    let of_it = format!("snapshot {vmid}/");
                    self.things.retain(|thing, _| !thing.starts_with(&of_it));
                    self.running.remove(&vmid);
                }
                Ok(json!({}))
            }
            _ => self.with_snapshot(step, ask, vmid),
        }
    }

    /// Snapshots of machines: what is there, by whoever took it, and what the machine was like then.
    fn with_snapshot(&mut self, step: &str, ask: &Value, vmid: u32) -> Result<Value, Failure> {
        let of_it = format!("snapshot {vmid}/");
        let name = format!("{of_it}{}", ask["snapshot"].as_str().unwrap_or_default());
        let marker = ask["machine"]["marker"].as_str().unwrap_or_default().to_owned();
        let now = (self.cores.get(&vmid).copied(), self.disks.get(&vmid).copied());
        match step {
            "proxmox.snapshot-vm" => {
                self.ensure(name.clone(), marker)?;
                self.then.insert(name, now);
                Ok(json!({}))
            }
            "proxmox.list-snapshots" => {
                let all = self.things.iter().filter_map(|(thing, marker)| {
                    let snapshot = thing.strip_prefix(&of_it)?;
                    Some(json!({ "snapshot": snapshot, "marker": marker }))
                });
                Ok(json!({ "snapshots": all.collect::<Vec<_>>() }))
            }
            "proxmox.roll-back-vm" => {
                assert!(!self.running.contains_key(&vmid), "a rollback would pull its plug");
                let Some((cores, disk)) = self.then.get(&name).copied() else {
                    return Err(Failure::new(Class::Permanent, "there is no such snapshot"));
                };
                self.cores.extend(cores.map(|cores| (vmid, cores)));
                self.disks.extend(disk.map(|disk| (vmid, disk)));
                Ok(json!({}))
            }
            "proxmox.delete-snapshot" => self.remove(&name),
            unknown => panic!("the world does not know the step {unknown}"),
        }
    }
}
