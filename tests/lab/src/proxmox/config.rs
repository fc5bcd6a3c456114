//! Reading and changing a VM's configuration, and growing its disks.

use serde_json::{Map, Value};

use super::Place;
use super::answer;
use super::clone::nothing;
use super::params::Params;
use super::shapes::{ROOT_ONLY, is_config_key, is_number, normal_tags, valid_name};
use super::state::mac;
use super::tasks::{self, Plan};
use super::vm::{Vm, disk_size, parse_size};
use crate::net::Answer;
use crate::world::World;

/// Parameters of a configuration call that are no keys of the configuration.
const STEERING: [&str; 6] = ["background_delay", "delete", "digest", "force", "revert", "skiplock"];

pub(super) fn show(at: &Place<'_>, params: &Params) -> Result<Answer, Answer> {
    params.check(&[], &["current", "snapshot"])?;
    at.world.read(|state| Ok(answer::data(view(state.proxmox.vm(at.node, at.vmid)?))))
}

fn view(vm: &Vm) -> Value {
    let typed = |key: &str, text: &str| match text.parse::<i64>() {
        Ok(number) if is_number(key) => Value::from(number),
        _ => Value::from(text),
    };
    let mut fields: Map<String, Value> =
        vm.config.iter().map(|(key, text)| (key.clone(), typed(key, text))).collect();
    fields.insert("digest".to_owned(), Value::from(vm.digest()));
    Value::Object(fields)
}

/// A change that was checked and is yet to be made.
struct Change {
    node: String,
    vmid: u32,
    set: Vec<(String, String)>,
    remove: Vec<String>,
}

/// The synchronous form: done when it answers.
pub(super) fn put(at: &Place<'_>, params: &Params) -> Result<Answer, Answer> {
    let change = prepare(at, params)?;
    make(at.world, change).map_err(|text| answer::error(500, text))?;
    Ok(nothing())
}

/// The asynchronous form: a task, unless the caller would rather wait.
pub(super) fn post(at: &Place<'_>, params: &Params) -> Result<Answer, Answer> {
    if params.has("background_delay") {
        return put(at, params);
    }
    let change = prepare(at, params)?;
    let plan = Plan { kind: "qmconfig", ms: 60, needs_room: false };
    Ok(tasks::start(at, plan, move |world, doom| match doom {
        Some(doom) => Err(doom.exit.clone()),
        None => make(world, change),
    }))
}

fn prepare(at: &Place<'_>, params: &Params) -> Result<Change, Answer> {
    params.check_names(&[], |name| is_config_key(name) || STEERING.contains(&name))?;
    if let Some(key) = ROOT_ONLY.into_iter().find(|key| params.has(key)) {
        return Err(answer::error(500, format!("only root can set '{key}' config")));
    }
    if params.has("skiplock") {
        return Err(answer::parameter("skiplock", "Only root may use this option."));
    }
    let set = checked(params)?;
    at.world.read(|state| {
        let vm = state.proxmox.vm(at.node, at.vmid)?;
        check_digest(vm, params)?;
        check_lock(vm)
    })?;
    let remove = params.text("delete").unwrap_or_default();
    let remove = remove.split([',', ';', ' ']).map(str::to_owned).collect();
    Ok(Change { node: at.node.to_owned(), vmid: at.vmid, set, remove })
}

fn make(world: &World, change: Change) -> Result<(), String> {
    let vmid = change.vmid;
    let marker = world.change(|state| {
        let vm = state.proxmox.vm_mut(&change.node, vmid).ok()?;
        vm.config.retain(|key, _| !change.remove.contains(key));
        vm.config.extend(change.set.into_iter().map(|(key, value)| addressed(world, key, value)));
        Some(vm.key("description").to_owned())
    });
    let marker = marker.ok_or_else(|| format!("VM {vmid} does not exist"))?;
    world.journal.effect("proxmox", "vm-configured", &vmid.to_string(), &marker);
    Ok(())
}

/// A card that is given no address gets one.
fn addressed(world: &World, key: String, value: String) -> (String, String) {
    let (model, rest) = value.split_once(',').unwrap_or((&value, ""));
    if !key.starts_with("net") || model.contains('=') {
        return (key, value);
    }
    let card = format!("{model}={},{rest}", mac(&world.pace));
    (key, card)
}

fn checked(params: &Params) -> Result<Vec<(String, String)>, Answer> {
    let mut changes = Vec::new();
    for (key, value) in params.all().filter(|(key, _)| is_config_key(key)) {
        let value = match key {
            "name" if !valid_name(&value) => {
                return Err(answer::parameter(
                    "name",
                    "invalid format - value does not look like a valid DNS name\n",
                ));
            }
            "tags" => normal_tags(&value).ok_or_else(|| {
                answer::parameter("tags", &format!("invalid format - invalid tag '{value}'\n"))
            })?,
            "description" => value.trim_end().to_owned(),
            key if is_number(key) => {
                params.flag(key).map(|_| ()).or_else(|_| params.number(key).map(|_| ()))?;
                value
            }
            _ => value,
        };
        changes.push((key.to_owned(), value));
    }
    Ok(changes)
}

fn check_digest(vm: &Vm, params: &Params) -> Result<(), Answer> {
    match params.text("digest") {
        Some(digest) if digest != vm.digest() => Err(answer::error(
            500,
            "detected modified configuration - file changed by other user? Try again.",
        )),
        Some(_) | None => Ok(()),
    }
}

pub(super) fn check_lock(vm: &Vm) -> Result<(), Answer> {
    match vm.key("lock") {
        "" => Ok(()),
        lock => Err(answer::error(500, format!("VM is locked ({lock})"))),
    }
}

pub(super) fn resize(at: &Place<'_>, params: &Params) -> Result<Answer, Answer> {
    params.check(&["disk", "size"], &["digest", "skiplock"])?;
    let disk = params.text("disk").unwrap_or_default();
    let size = params.text("size").unwrap_or_default();
    let target = at.world.read(|state| {
        let vm = state.proxmox.vm(at.node, at.vmid)?;
        check_digest(vm, params)?;
        check_lock(vm)?;
        if !vm.snapshots.is_empty() && at.world.faults.fires("proxmox", "disk-is-qcow2") {
            let text = format!("can't resize volume: {disk} if snapshot exists");
            return Err(answer::error(500, text));
        }
        new_size(vm, &disk, &size)
    })?;
    let (node, vmid) = (at.node.to_owned(), at.vmid);
    let plan = Plan { kind: "resize", ms: 200, needs_room: true };
    Ok(tasks::start(at, plan, move |world, doom| {
        if let Some(doom) = doom {
            return Err(doom.exit.clone());
        }
        let grown = world.change(|state| {
            let vm = state.proxmox.vm_mut(&node, vmid).ok()?;
            let volume = vm.key(&disk).split(',').next().unwrap_or_default().to_owned();
            vm.set(&disk, format!("{volume},size={}G", target >> 30));
            Some(vm.key("description").to_owned())
        });
        let marker = grown.ok_or_else(|| format!("VM {vmid} does not exist"))?;
        world.journal.effect("proxmox", "disk-resized", &vmid.to_string(), &marker);
        Ok(())
    }))
}

fn new_size(vm: &Vm, disk: &str, size: &str) -> Result<u64, Answer> {
    let old = disk_size(vm.key(disk))
        .ok_or_else(|| answer::error(500, format!("disk '{disk}' does not exist")))?;
    let (text, base) = match size.strip_prefix('+') {
        Some(more) => (more, old),
        None => (size, 0),
    };
    let wrong = || answer::parameter("size", "value does not match the regex pattern");
    let new = base + parse_size(text).ok_or_else(wrong)?;
    if new < old {
        return Err(answer::error(500, "shrinking disks is not supported"));
    }
    Ok(new)
}
