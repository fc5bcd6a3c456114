//! Copies of guests by vzdump, on the storages that take them: one that both nodes see, and one that
//! each node has for itself.

use chrono::Utc;
use serde_json::{Value, json};

use super::params::Params;
use super::snapshots::{change, lock};
use super::tasks::{self, Plan};
use super::{Place, Vm, answer};
use crate::net::Answer;
use crate::world::World;

/// The storages that take copies, and whether both nodes see them.
pub(super) const STORAGES: [(&str, &str, bool); 2] =
    [("backup-local", "dir", false), ("backup-nfs", "nfs", true)];

/// A copy.
#[derive(Clone)]
pub(super) struct Dump {
    volume: String,
    /// The node that has it, where only one does.
    node: Option<String>,
    vmid: u32,
    made: i64,
    notes: String,
    is_protected: bool,
}

impl Dump {
    fn is_on(&self, node: &str, storage: &str) -> bool {
        let is_there = self.node.as_deref().is_none_or(|there| there == node);
        is_there && self.volume.starts_with(&format!("{storage}:"))
    }

    fn entry(&self) -> Value {
        json!({
            "volid": self.volume, "vmid": self.vmid, "ctime": self.made, "notes": self.notes,
            "content": "backup", "format": "vma.zst", "subtype": "qemu", "size": 734_003_200,
            "protected": u8::from(self.is_protected),
        })
    }
}

/// `POST /nodes/{node}/vzdump`.
pub(super) fn make(
    world: &std::sync::Arc<World>,
    node: &str,
    params: &Params,
) -> Result<Answer, Answer> {
    let optional = ["compress", "mode", "notes-template", "protected", "remove"];
    params.check(&["storage", "vmid"], &optional)?;
    let storage = params.text("storage").unwrap_or_default();
    let is_shared = known(&storage)?;
    let on = Some(node.to_owned()).filter(|_| !is_shared);
    let vmid = params.number("vmid")?.and_then(|vmid| u32::try_from(vmid).ok()).unwrap_or(0);
    let is_template = world.read(|state| state.proxmox.vm(node, vmid).map(Vm::is_template))?;
    let notes = params.text("notes-template").unwrap_or_default();
    let is_protected = params.flag("protected")?.unwrap_or(false);
    let at = Place { world, node, vmid };
    let plan = Plan { kind: "vzdump", ms: 900, needs_room: true };
    // What changes in a machine would change in its copy; a template does not change.
    let held = match is_template {
        true => Ok(()),
        false => change(world, vmid, |vm| lock(vm, "backup")),
    };
    Ok(tasks::start(&at, plan, move |world, doom| {
        held?;
        if !is_template {
            change(world, vmid, |vm| Ok(vm.config.remove("lock")))?;
        }
        if let Some(doom) = doom {
            return Err(doom.exit.clone());
        }
        if world.faults.fires("proxmox", "dump-hollow") {
            return Ok(());
        }
        world.change(|state| {
            let dumps = &mut state.proxmox.dumps;
            let volume =
                format!("{storage}:backup/vzdump-qemu-{vmid}-{:04}.vma.zst", dumps.len() + 1);
            world.journal.effect("proxmox", "guest-dumped", &volume, &notes);
            let made = Utc::now().timestamp();
            dumps.push(Dump { volume, node: on, vmid, made, notes, is_protected });
        });
        Ok(())
    }))
}

/// `GET /nodes/{node}/storage/{storage}/content`.
pub(super) fn list(
    world: &World,
    (node, storage): (&str, &str),
    params: &Params,
) -> Result<Answer, Answer> {
    params.check(&[], &["content", "vmid"])?;
    let vmid = params.number("vmid")?;
    let mut entries: Vec<Value> = world.read(|state| {
        let all = state.proxmox.dumps.iter().filter(|dump| dump.is_on(node, storage));
        let wanted = all.filter(|dump| vmid.is_none_or(|vmid| vmid == i64::from(dump.vmid)));
        wanted.map(Dump::entry).collect()
    });
    for entry in &mut entries {
        if world.faults.fires("proxmox", "dump-empty") {
            entry["size"] = 0.into();
        }
        if world.faults.fires("proxmox", "dump-faulty") {
            entry["verification"] = json!({ "state": "failed", "upid": "UPID:pve1:verify" });
        }
    }
    Ok(answer::data(Value::from(entries)))
}

/// `DELETE /nodes/{node}/storage/{storage}/content/{volume}`: a task, which is over at once.
pub(super) fn delete(
    world: &World,
    (node, storage): (&str, &str),
    volume: &str,
) -> Result<Answer, Answer> {
    world.change(|state| {
        let dumps = &mut state.proxmox.dumps;
        let is_meant = |dump: &Dump| dump.volume == volume && dump.is_on(node, storage);
        let at = dumps.iter().position(is_meant);
        let at = at.ok_or_else(|| answer::error(500, format!("no such volume '{volume}'")))?;
        if dumps[at].is_protected {
            return Err(answer::error(500, format!("cannot remove protected volume '{volume}'")));
        }
        dumps.remove(at);
        world.journal.effect("proxmox", "dump-removed", volume, "");
        Ok(answer::data(Value::Null))
    })
}

/// Whether it takes copies.
pub(super) fn takes(storage: &str) -> bool {
    STORAGES.iter().any(|(name, ..)| *name == storage)
}

/// Whether both nodes see it.
fn known(storage: &str) -> Result<bool, Answer> {
    let found = STORAGES.iter().find(|(name, ..)| *name == storage);
    let unknown = || answer::error(500, format!("storage '{storage}' does not exist"));
    found.map(|(.., is_shared)| *is_shared).ok_or_else(unknown)
}
