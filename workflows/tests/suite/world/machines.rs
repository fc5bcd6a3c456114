//! Nodes, and the machines on them.

use serde_json::{Value, json};
use stead_schemas::failure::Failure;

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
                    self.running.remove(&vmid);
                }
                Ok(json!({}))
            }
            unknown => panic!("the world does not know the step {unknown}"),
        }
    }
}
