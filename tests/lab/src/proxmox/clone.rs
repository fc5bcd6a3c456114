//! Cloning: the target exists at once, locked and without name, and is filled when the task ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::Place;
use super::answer;
use super::params::Params;
use super::shapes::valid_name;
use super::state::{NODES, STORAGES, mac};
use super::tasks::{self, Doom, Plan};
use super::vm::{Vm, disk_size};
use crate::net::Answer;
use crate::world::World;

/// What a clone shall become.
struct Wish {
    source: u32,
    target: u32,
    node: String,
    name: Option<String>,
    description: Option<String>,
    storage: Option<String>,
    full: bool,
}

pub(super) fn clone(at: &Place<'_>, params: &Params) -> Result<Answer, Answer> {
    let optional = [
        "bwlimit",
        "description",
        "format",
        "full",
        "name",
        "pool",
        "snapname",
        "storage",
        "target",
    ];
    params.check(&["newid"], &optional)?;
    let wish = wish(at, params)?;
    if at.world.faults.fires("proxmox", "vmid-taken") {
        at.world.change(|state| state.proxmox.put_stranger(at.node, wish.target));
    }
    reserve(at, &wish)?;
    let plan = Plan { kind: "qmclone", ms: 1500, needs_room: true };
    Ok(tasks::start(at, plan, move |world, doom| complete(world, &wish, doom)))
}

fn wish(at: &Place<'_>, params: &Params) -> Result<Wish, Answer> {
    let target =
        params.number("newid")?.and_then(|id| u32::try_from(id).ok()).filter(|id| *id >= 100);
    let target = target
        .ok_or_else(|| answer::parameter("newid", "value must have a minimum value of 100"))?;
    let name = params.text("name");
    if name.as_deref().is_some_and(|name| !valid_name(name)) {
        return Err(answer::parameter(
            "name",
            "invalid format - value does not look like a valid DNS name\n",
        ));
    }
    let node = params.text("target").unwrap_or_else(|| at.node.to_owned());
    if !NODES.contains(&node.as_str()) {
        return Err(answer::parameter("target", &format!("no such cluster node '{node}'")));
    }
    let storage = params.text("storage");
    let known = |name: &String| STORAGES.iter().any(|(storage, ..)| storage == name);
    if let Some(unknown) = storage.as_ref().filter(|name| !known(name)) {
        return Err(answer::error(500, format!("storage '{unknown}' does not exist")));
    }
    let (is_template, can_link) = at.world.read(|state| {
        state.proxmox.vm(at.node, at.vmid).map(|vm| (vm.is_template(), can_link(vm)))
    })?;
    let full = params.flag("full")?.unwrap_or(!is_template);
    if !(full || is_template && can_link) {
        return Err(answer::error(500, "Linked clone feature is not supported for drive 'scsi0'"));
    }
    if let Some(option) =
        ["storage", "format"].into_iter().find(|option| !full && params.has(option))
    {
        return Err(answer::error(
            500,
            format!("parameter '{option}' not allowed for linked clones"),
        ));
    }
    let description = params.text("description");
    Ok(Wish { source: at.vmid, target, node, name, description, storage, full })
}

/// Whether the storage of its disk keeps what differs by itself.
fn can_link(vm: &Vm) -> bool {
    !["", "lvm"].contains(&vm.storage_kind())
}

/// Takes the id: a configuration file that holds nothing but the lock.
fn reserve(at: &Place<'_>, wish: &Wish) -> Result<(), Answer> {
    at.world.change(|state| {
        let pve = &mut state.proxmox;
        let source = pve.vm(at.node, at.vmid)?;
        if !source.key("lock").is_empty() {
            return Err(answer::error(500, format!("VM is locked ({})", source.key("lock"))));
        }
        if let Some(taken) = pve.vms.get(&wish.target) {
            let text = format!("unable to create VM {}: config file already exists", wish.target);
            let elsewhere = format!("VM {} already exists on node '{}'", wish.target, taken.node);
            return Err(answer::error(500, if taken.node == wish.node { text } else { elsewhere }));
        }
        let config = BTreeMap::from([("lock".to_owned(), "clone".to_owned())]);
        pve.vms.insert(wish.target, Vm::new(wish.target, &wish.node, config));
        Ok(())
    })
}

fn complete(world: &Arc<World>, wish: &Wish, doom: Option<&Doom>) -> Result<(), String> {
    if let Some(doom) = doom {
        world.change(|state| state.proxmox.vms.remove(&wish.target));
        return Err(format!("clone failed: {}", doom.exit));
    }
    if world.faults.fires("proxmox", "disk-left") {
        world.change(|state| state.proxmox.vms.remove(&wish.target));
        let disk = format!("/dev/iscsi/vm-{}-disk-0", wish.target);
        return Err(format!("clone failed: disk image '{disk}' already exists"));
    }
    if world.faults.fires("proxmox", "lock-left") {
        return Err("unexpected status".to_owned());
    }
    let fresh = (world.pace.uuid().to_string(), world.pace.uuid().to_string(), mac(&world.pace));
    let filled = world.change(|state| {
        let source = state.proxmox.vms.get(&wish.source)?.config.clone();
        let target = state.proxmox.vms.get_mut(&wish.target)?;
        target.config = cloned(source, wish, fresh);
        Some(())
    });
    filled.ok_or_else(|| "clone failed: source or target vanished".to_owned())?;
    let marker = wish.description.as_deref().unwrap_or_default();
    world.journal.effect("proxmox", "vm-cloned", &wish.target.to_string(), marker);
    Ok(())
}

fn cloned(
    mut config: BTreeMap<String, String>,
    wish: &Wish,
    fresh: (String, String, String),
) -> BTreeMap<String, String> {
    let (uuid, generation, mac) = fresh;
    for key in ["template", "lock", "parent", "description", "tags", "protection"] {
        config.remove(key);
    }
    let id = wish.target;
    let name = wish
        .name
        .clone()
        .unwrap_or_else(|| format!("Copy-of-VM-{}", config.get("name").map_or("", String::as_str)));
    config.insert("name".to_owned(), name);
    config.extend(
        wish.description
            .as_ref()
            .map(|text| ("description".to_owned(), text.trim_end().to_owned())),
    );
    config.insert("vmgenid".to_owned(), generation);
    // The card is another one, plugged in where the template's is.
    let place = config.get("net0").and_then(|old| old.split_once(',')).map(|(_, place)| place);
    let card = format!("virtio={mac},{}", place.unwrap_or("bridge=vmbr0"));
    config.insert("net0".to_owned(), card);
    // Everything else about the firmware is kept: only the uuid is new.
    let rest = config
        .get("smbios1")
        .and_then(|old| old.split_once(','))
        .map(|(_, rest)| format!(",{rest}"));
    config.insert("smbios1".to_owned(), format!("uuid={uuid}{}", rest.unwrap_or_default()));
    let old = config.get("scsi0").cloned().unwrap_or_default();
    let gib = disk_size(&old).unwrap_or(0) >> 30;
    let home = wish
        .storage
        .clone()
        .unwrap_or_else(|| old.split(':').next().unwrap_or_default().to_owned());
    let base = if wish.full { String::new() } else { format!("base-{}-disk-0/", wish.source) };
    config.insert("scsi0".to_owned(), format!("{home}:{base}vm-{id}-disk-0,size={gib}G"));
    config.insert("meta".to_owned(), "creation-qemu=10.1.2".to_owned());
    config
}

/// For answers that say nothing.
pub(super) fn nothing() -> Answer {
    answer::data(Value::Null)
}
