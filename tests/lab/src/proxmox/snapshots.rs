//! Snapshots of machines: they are prepared when their task begins, and whole when it ends. A lock holds
//! the machine meanwhile, whose remains only root can take away. LVM has none, and ZFS goes back to the
//! latest one only. A rollback brings the configuration of then back, too, and pulls the plug.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Utc;
use serde_json::{Value, json};

use super::Place;
use super::answer;
use super::params::Params;
use super::power::{Manner, power_off, refuse_locked, unless_empty};
use super::tasks::{self, Doom, Plan};
use super::vm::Vm;
use crate::inventory::VmSnapshotEntry;
use crate::net::Answer;
use crate::world::World;

/// What a rollback leaves as it is.
const KEPT: [&str; 3] = ["description", "lock", "parent"];

/// A snapshot.
#[derive(Clone)]
pub(crate) struct Snapshot {
    name: String,
    description: String,
    parent: Option<String>,
    /// Seconds; 0 as long as it is prepared.
    taken: i64,
    /// `prepare` or `delete` while it is not whole, else empty.
    state: &'static str,
    config: BTreeMap<String, String>,
    written: u64,
}

impl Snapshot {
    pub(crate) fn entry(&self) -> VmSnapshotEntry {
        let (name, description) = (self.name.clone(), self.description.clone());
        VmSnapshotEntry { name, description, state: self.state.to_owned() }
    }

    fn line(&self) -> Value {
        let mut line = json!({
            "name": self.name, "description": self.description, "snaptime": self.taken, "vmstate": 0,
        });
        if let Some(parent) = &self.parent {
            line["parent"] = Value::from(parent.as_str());
        }
        if !self.state.is_empty() {
            line["snapstate"] = Value::from(self.state);
        }
        line
    }
}

/// `GET .../snapshot`; the machine as it is now is the last line.
pub(super) fn list(at: &Place<'_>, params: &Params) -> Result<Answer, Answer> {
    params.check(&[], &[])?;
    at.world.read(|state| {
        let vm = state.proxmox.vm(at.node, at.vmid)?;
        let mut lines: Vec<Value> = vm.snapshots.iter().map(Snapshot::line).collect();
        let mut current = json!({
            "name": "current", "description": "You are here!", "digest": vm.digest(),
            "running": u8::from(vm.is_running()),
        });
        if let Some(parent) = unless_empty(vm.key("parent")) {
            current["parent"] = parent;
        }
        lines.push(current);
        Ok(answer::data(Value::from(lines)))
    })
}

/// `POST .../snapshot`. Nearly all that is wrong with it only its task says.
pub(super) fn take(at: &Place<'_>, params: &Params) -> Result<Answer, Answer> {
    params.check(&["snapname"], &["description", "vmstate"])?;
    let name = params.text("snapname").unwrap_or_default();
    check_name(&name)?;
    params.flag("vmstate")?;
    at.world.read(|state| state.proxmox.vm(at.node, at.vmid).map(drop))?;
    if ["current", "pending"].contains(&name.to_lowercase().as_str()) {
        return Err(answer::error(
            500,
            format!("unable to use snapshot name '{name}' (reserved name)"),
        ));
    }
    let description = params.text("description").unwrap_or_default().trim_end().to_owned();
    let begun = change(at.world, at.vmid, |vm| prepare(vm, &name, description));
    let vmid = at.vmid;
    let plan = Plan { kind: "qmsnapshot", ms: 600, needs_room: true };
    Ok(tasks::start(at, plan, move |world, doom| {
        begun?;
        if is_cut_off(world, doom) {
            return Err("unexpected status".to_owned());
        }
        let marker = change(world, vmid, |vm| {
            vm.config.remove("lock");
            if let Some(doom) = doom {
                vm.snapshots.retain(|one| one.name != name);
                return Err(doom.exit.clone());
            }
            let written = vm.written;
            let snapshot = vm.snapshots.iter_mut().find(|one| one.name == name);
            let snapshot = snapshot.ok_or_else(|| not_there(&name))?;
            (snapshot.state, snapshot.taken) = ("", Utc::now().timestamp());
            snapshot.written = written;
            let description = snapshot.description.clone();
            vm.set("parent", &*name);
            Ok(description)
        })?;
        world.journal.effect("proxmox", "vm-snapshot-taken", &format!("{vmid}/{name}"), &marker);
        Ok(())
    }))
}

fn prepare(vm: &mut Vm, name: &str, description: String) -> Result<(), String> {
    if vm.is_template() {
        return Err("you can't take a snapshot if it's a template".to_owned());
    }
    refuse_locked(vm)?;
    if vm.snapshots.iter().any(|one| one.name == name) {
        return Err(format!("snapshot name '{name}' already used"));
    }
    if ["", "lvm"].contains(&vm.storage_kind()) {
        return Err("snapshot feature is not available".to_owned());
    }
    let parent = Some(vm.key("parent").to_owned()).filter(|parent| !parent.is_empty());
    let mut config = vm.config.clone();
    config.retain(|key, _| !KEPT.contains(&key.as_str()));
    let (name, state) = (name.to_owned(), "prepare");
    let written = vm.written;
    vm.snapshots.push(Snapshot { name, description, parent, taken: 0, state, config, written });
    vm.set("lock", "snapshot");
    Ok(())
}

/// `POST .../snapshot/{name}/rollback`.
pub(super) fn roll_back(at: &Place<'_>, params: &Params, name: &str) -> Result<Answer, Answer> {
    params.check(&[], &["start"])?;
    check_name(name)?;
    at.world.read(|state| state.proxmox.vm(at.node, at.vmid).map(drop))?;
    let (vmid, name) = (at.vmid, name.to_owned());
    let mut begun = change(at.world, vmid, |vm| may_go_back(vm, &name));
    if begun.is_ok() {
        begun = power_off(at.world, vmid, Manner::PulledPlug)
            .and_then(|()| change(at.world, vmid, |vm| lock(vm, "rollback")));
    }
    let plan = Plan { kind: "qmrollback", ms: 800, needs_room: false };
    Ok(tasks::start(at, plan, move |world, doom| {
        begun?;
        if is_cut_off(world, doom) {
            return Err("unexpected status".to_owned());
        }
        let generation = world.pace.uuid().to_string();
        let marker = change(world, vmid, |vm| {
            vm.config.remove("lock");
            if let Some(doom) = doom {
                return Err(doom.exit.clone());
            }
            go_back(vm, &name, generation)
        })?;
        world.journal.effect("proxmox", "vm-rolled-back", &format!("{vmid}/{name}"), &marker);
        Ok(())
    }))
}

fn may_go_back(vm: &Vm, name: &str) -> Result<(), String> {
    let at = vm.snapshots.iter().position(|one| one.name == name);
    let at = at.ok_or_else(|| not_there(name))?;
    if vm.storage_kind() == "zfspool" && at + 1 < vm.snapshots.len() {
        let volume = vm.key("scsi0").split(',').next().unwrap_or_default();
        return Err(format!("can't rollback, '{name}' is not most recent snapshot on '{volume}'"));
    }
    if !vm.snapshots[at].state.is_empty() {
        let state = vm.snapshots[at].state;
        return Err(format!("unable to rollback to incomplete snapshot (snapstate = {state})"));
    }
    refuse_locked(vm)
}

fn go_back(vm: &mut Vm, name: &str, generation: String) -> Result<String, String> {
    let snapshot = vm.snapshots.iter().find(|one| one.name == name).cloned();
    let snapshot = snapshot.ok_or_else(|| not_there(name))?;
    let kept = vm.config.iter().filter(|(key, _)| KEPT.contains(&key.as_str()));
    let kept: BTreeMap<String, String> =
        kept.map(|(key, value)| (key.clone(), value.clone())).collect();
    vm.config = snapshot.config;
    vm.config.extend(kept);
    vm.set("vmgenid", generation);
    vm.set("parent", name);
    vm.written = snapshot.written;
    Ok(vm.key("description").to_owned())
}

/// `DELETE .../snapshot/{name}`. By `force` it goes even if the storage does not have it.
pub(super) fn delete(at: &Place<'_>, params: &Params, name: &str) -> Result<Answer, Answer> {
    params.check(&[], &["force"])?;
    check_name(name)?;
    let force = params.flag("force")?.unwrap_or(false);
    at.world.read(|state| state.proxmox.vm(at.node, at.vmid).map(drop))?;
    let (vmid, name) = (at.vmid, name.to_owned());
    let begun = change(at.world, vmid, |vm| {
        let snapshot = vm.snapshots.iter().position(|one| one.name == name);
        let at = snapshot.ok_or_else(|| not_there(&name))?;
        lock(vm, "snapshot-delete")?;
        Ok(std::mem::replace(&mut vm.snapshots[at].state, "delete"))
    });
    let plan = Plan { kind: "qmdelsnapshot", ms: 500, needs_room: false };
    Ok(tasks::start(at, plan, move |world, doom| {
        let before = begun?;
        let marker = change(world, vmid, |vm| {
            vm.config.remove("lock");
            let at = vm.snapshots.iter().position(|one| one.name == name);
            let at = at.ok_or_else(|| not_there(&name))?;
            if let Some(doom) = doom {
                vm.snapshots[at].state = before;
                return Err(doom.exit.clone());
            }
            if before == "prepare" && !force {
                return Err(format!("zfs error: could not find any snapshots to destroy: {name}"));
            }
            let gone = vm.snapshots.remove(at);
            for other in vm.snapshots.iter_mut().filter(|one| one.parent.as_ref() == Some(&name)) {
                other.parent.clone_from(&gone.parent);
            }
            if vm.key("parent") == name {
                match gone.parent {
                    Some(parent) => vm.set("parent", parent),
                    None => drop(vm.config.remove("parent")),
                }
            }
            Ok(gone.description)
        })?;
        world.journal.effect("proxmox", "vm-snapshot-deleted", &format!("{vmid}/{name}"), &marker);
        Ok(())
    }))
}

/// Whether the node crashes in the middle: what was begun stays as it is, lock and all.
fn is_cut_off(world: &Arc<World>, doom: Option<&Doom>) -> bool {
    doom.is_none() && world.faults.fires("proxmox", "lock-left")
}

pub(super) fn change<T>(
    world: &World,
    vmid: u32,
    change: impl FnOnce(&mut Vm) -> Result<T, String>,
) -> Result<T, String> {
    world.change(|state| {
        let vm = state.proxmox.vms.get_mut(&vmid);
        change(vm.ok_or_else(|| format!("VM {vmid} does not exist"))?)
    })
}

/// Whatever works on the whole of a machine holds it meanwhile.
pub(super) fn lock(vm: &mut Vm, word: &str) -> Result<(), String> {
    refuse_locked(vm)?;
    vm.set("lock", word);
    Ok(())
}

fn not_there(name: &str) -> String {
    format!("snapshot '{name}' does not exist")
}

fn check_name(name: &str) -> Result<(), Answer> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let is_good = name.len() >= 2
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(plain);
    let text = match name.len() {
        41.. => "value may only be 40 characters long",
        _ if is_good => return Ok(()),
        _ => "invalid format - invalid configuration ID",
    };
    Err(answer::parameter("snapname", text))
}
