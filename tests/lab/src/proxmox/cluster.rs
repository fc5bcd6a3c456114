//! What one can see: version, nodes, resources, storages, free ids.

use chrono::Utc;
use serde_json::{Map, Value, json};

use super::answer;
use super::dumps;
use super::params::Params;
use super::power::unless_empty;
use super::state::{BRIDGES, IMAGES, NODES, STORAGES};
use super::vm::Vm;
use crate::net::Answer;
use crate::world::{PVE_TOKEN_ID, PVE_USER, State, World};

const NODE_CPUS: u64 = 64;
const STORAGE_TOTAL: u64 = 4 << 40;
const UPTIME_S: u64 = 1_000_000;

/// What our login may do, on every path.
const PRIVILEGES: [&str; 17] = [
    "Datastore.Allocate",
    "Datastore.AllocateSpace",
    "Datastore.AllocateTemplate",
    "Datastore.Audit",
    "SDN.Use",
    "Sys.Audit",
    "VM.Allocate",
    "VM.Audit",
    "VM.Clone",
    "VM.Config.CDROM",
    "VM.Config.CPU",
    "VM.Config.Disk",
    "VM.Config.HWType",
    "VM.Config.Memory",
    "VM.Config.Network",
    "VM.Config.Options",
    "VM.PowerMgmt",
];

pub(super) fn version() -> Answer {
    answer::data(json!({ "release": "9.1", "repoid": "8c2a4b1f0d3e5a67", "version": "9.1.1" }))
}

/// A token as its own user sees it.
pub(super) fn token(world: &World, user: &str, token: &str) -> Result<Answer, Answer> {
    if format!("{user}!{token}") != PVE_TOKEN_ID {
        return Err(answer::error(500, format!("no such token '{token}' for user '{user}'")));
    }
    Ok(answer::data(json!({ "expire": expire(world), "privsep": 0 })))
}

/// What the login that asks may do on a path, or at the top of all.
pub(super) fn permissions(world: &World, params: &Params) -> Result<Answer, Answer> {
    params.check(&[], &["path", "userid"])?;
    let lacks = world.faults.fires("proxmox", "forbidden");
    let granted = PRIVILEGES.iter().filter(|privilege| !(lacks && **privilege == "VM.Allocate"));
    let granted: Map<String, Value> =
        granted.map(|privilege| ((*privilege).to_owned(), json!(1))).collect();
    let path = params.text("path").unwrap_or_else(|| "/".to_owned());
    Ok(answer::data(json!({ path: granted })))
}

/// The users, as one sees them who may see himself alone.
pub(super) fn users(world: &World, params: &Params) -> Result<Answer, Answer> {
    params.check(&[], &["enabled", "full"])?;
    let user = json!({
        "userid": PVE_USER, "enable": 1, "expire": expire(world), "realm-type": "pve",
    });
    Ok(answer::data(json!([user])))
}

/// When the login ends, token or user; 0 is never.
fn expire(world: &World) -> i64 {
    let ends = world.read(|state| state.logins_end.get("proxmox").copied());
    ends.map_or(0, |ends| ends.timestamp())
}

pub(super) fn nodes(world: &World) -> Answer {
    let line = |node: &&str| {
        json!({
            "node": node, "id": format!("node/{node}"), "type": "node", "status": "online", "level": "",
            "cpu": 0.03, "maxcpu": NODE_CPUS, "mem": used_memory(world, node), "maxmem": memory(world, node),
            "uptime": UPTIME_S, "ssl_fingerprint": "",
        })
    };
    answer::data(NODES.iter().map(line).collect())
}

pub(super) fn node_status(world: &World, node: &str) -> Answer {
    let (used, total) = (used_memory(world, node), memory(world, node));
    answer::data(json!({
        "boot-info": { "mode": "efi", "secureboot": 0 },
        "cpu": 0.03,
        "cpuinfo": { "cores": 32, "cpus": NODE_CPUS, "sockets": 1, "model": "AMD EPYC", "mhz": "2450.0", "hvm": "1" },
        "current-kernel": { "machine": "x86_64", "release": "6.17.2-1-pve", "sysname": "Linux", "version": "#1 SMP" },
        "loadavg": ["0.10", "0.12", "0.09"],
        "memory": { "free": total.saturating_sub(used), "available": total.saturating_sub(used), "total": total, "used": used },
        "pveversion": "pve-manager/9.1.1/8c2a4b1f0d3e5a67",
        "rootfs": { "avail": 80_u64 << 30, "free": 85_u64 << 30, "total": 96_u64 << 30, "used": 11_u64 << 30 },
        "swap": { "free": 8_u64 << 30, "total": 8_u64 << 30, "used": 0 },
        "uptime": UPTIME_S,
        "wait": 0.0,
        "idle": 0,
    }))
}

/// The bridges of a node; the lab has no other interfaces.
pub(super) fn network(params: &Params, node: &str) -> Result<Answer, Answer> {
    params.check(&[], &["type"])?;
    let bridges = BRIDGES.into_iter().filter(|(name, _)| *name == node).flat_map(|(_, all)| all);
    let line = |bridge: &&str| {
        json!({
            "iface": bridge, "type": "bridge", "active": 1, "autostart": 1, "bridge_vlan_aware": 1,
            "method": "static", "method6": "manual", "priority": 3, "families": ["inet"],
        })
    };
    let wants = params.text("type").is_none_or(|kind| kind.contains("bridge"));
    Ok(answer::data(bridges.filter(|_| wants).map(line).collect()))
}

fn memory(world: &World, node: &str) -> u64 {
    world.read(|state| state.proxmox.memory.get(node).copied().unwrap_or_default())
}

fn used_memory(world: &World, node: &str) -> u64 {
    world.read(|state| {
        let here = state.proxmox.vms.values().filter(|vm| vm.node == node && vm.is_running());
        (8 << 30) + here.map(|vm| vm.number("memory") << 20).sum::<u64>()
    })
}

pub(super) fn machines(world: &World, params: &Params, node: &str) -> Result<Answer, Answer> {
    params.check(&[], &["full"])?;
    let lines = world.read(|state| {
        let here = state.proxmox.vms.values().filter(|vm| vm.node == node);
        here.map(machine).collect::<Vec<_>>()
    });
    Ok(answer::data(Value::from(lines)))
}

/// A VM as listings and status show it. While it is cloned it has nothing but its lock.
pub(super) fn machine(vm: &Vm) -> Value {
    let memory = vm.number("memory") << 20;
    let uptime = vm.running_since.map_or(0, |since| (Utc::now() - since).num_seconds().max(0));
    let mut line = json!({
        "vmid": vm.vmid,
        "name": vm.name(),
        "status": if vm.is_running() { "running" } else { "stopped" },
        "cpu": 0,
        "cpus": vm.number("cores").max(1),
        "mem": if vm.is_running() { memory / 4 } else { 0 },
        "maxmem": memory,
        "disk": 0,
        "maxdisk": vm.disk_gib() << 30,
        "uptime": uptime,
        "diskread": 0, "diskwrite": 0, "netin": 0, "netout": 0,
    });
    add_optional(&mut line, vm);
    line
}

fn add_optional(line: &mut Value, vm: &Vm) {
    for key in ["tags", "lock"] {
        if let Some(text) = unless_empty(vm.key(key)) {
            line[key] = text;
        }
    }
    if vm.is_template() {
        line["template"] = json!(1);
    }
    if vm.is_running() {
        line["pid"] = json!(100_000 + vm.vmid);
    }
}

pub(super) fn resources(world: &World, params: &Params) -> Result<Answer, Answer> {
    params.check(&[], &["type"])?;
    let wanted = params.text("type");
    let wants = |kind: &str| wanted.as_deref().is_none_or(|wanted| wanted == kind);
    let mut all = Vec::new();
    if wants("vm") {
        all.extend(
            world.read(|state| state.proxmox.vms.values().map(resource).collect::<Vec<_>>()),
        );
    }
    if wants("node") {
        all.extend(NODES.iter().map(|node| {
            json!({
                "id": format!("node/{node}"), "type": "node", "node": node, "status": "online", "level": "",
                "cpu": 0.03, "maxcpu": NODE_CPUS, "mem": used_memory(world, node), "maxmem": memory(world, node),
                "uptime": UPTIME_S,
            })
        }));
    }
    if wants("storage") {
        for node in NODES {
            let storages = STORAGES.iter().chain(&dumps::STORAGES);
            all.extend(storages.map(|storage| storage_line(node, storage)));
        }
    }
    Ok(answer::data(Value::from(all)))
}

fn resource(vm: &Vm) -> Value {
    let mut line = machine(vm);
    line["id"] = Value::from(format!("qemu/{}", vm.vmid));
    line["type"] = Value::from("qemu");
    line["node"] = Value::from(vm.node.as_str());
    line["maxcpu"] = line["cpus"].clone();
    line["template"] = json!(u8::from(vm.is_template()));
    if let Some(fields) = line.as_object_mut() {
        fields.remove("cpus");
        fields.remove("pid");
    }
    line
}

fn storage_line(node: &str, storage: &(&str, &str, bool)) -> Value {
    let (name, kind, shared) = *storage;
    json!({
        "id": format!("storage/{node}/{name}"), "type": "storage", "node": node, "storage": name,
        "status": "available", "plugintype": kind, "content": holds(name), "shared": u8::from(shared),
        "disk": STORAGE_TOTAL / 10, "maxdisk": STORAGE_TOTAL,
    })
}

fn holds(storage: &str) -> &'static str {
    if storage == IMAGES { "iso" } else { "images,rootdir" }
}

pub(super) fn storage_status(world: &World, storage: &str) -> Result<Answer, Answer> {
    let known = STORAGES.iter().find(|(name, ..)| *name == storage);
    let (_, kind, shared) =
        known.ok_or_else(|| answer::error(500, format!("storage '{storage}' does not exist")))?;
    let full = world.faults.holds("proxmox", "storage-full");
    let used = if full { STORAGE_TOTAL } else { STORAGE_TOTAL / 10 };
    Ok(answer::data(json!({
        "active": 1, "enabled": 1, "avail": STORAGE_TOTAL - used, "total": STORAGE_TOTAL, "used": used,
        "content": holds(storage), "shared": u8::from(*shared), "type": kind,
    })))
}

/// A free id. It reserves nothing; real servers answer with a string.
pub(super) fn nextid(world: &World, params: &Params) -> Result<Answer, Answer> {
    params.check(&[], &["vmid"])?;
    let taken = |state: &State, id: u32| state.proxmox.vms.contains_key(&id);
    match params.number("vmid")?.map(|vmid| u32::try_from(vmid).unwrap_or(0)) {
        Some(vmid) if vmid < 100 => {
            Err(answer::parameter("vmid", "value must have a minimum value of 100"))
        }
        Some(vmid) if world.read(|state| taken(state, vmid)) => {
            Err(answer::parameter("vmid", &format!("VM {vmid} already exists\n")))
        }
        Some(vmid) => Ok(answer::data(Value::from(vmid.to_string()))),
        None => {
            let free = world.read(|state| (100..1_000_000).find(|id| !taken(state, *id)));
            let free =
                free.ok_or_else(|| answer::error(500, "unable to get any free VMID in range"))?;
            Ok(answer::data(Value::from(free.to_string())))
        }
    }
}
