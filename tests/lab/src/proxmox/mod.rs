//! Proxmox VE 9.1: two nodes, VMs, tasks.
//!
//! Errors live in the HTTP reason phrase; what changes a VM is a task with a UPID; a clone shows
//! no name, description or tags until it is done.

mod answer;
mod clone;
mod cluster;
mod config;
mod content;
mod dumps;
mod params;
mod power;
mod shapes;
mod snapshots;
mod state;
mod tasks;
mod tickets;
mod vm;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use content::drives;
pub(crate) use snapshots::Snapshot;
pub(crate) use state::State;
pub(crate) use vm::{Vm, smbios_serial};

use crate::net::{Answer, Before, Call, HttpVendor, Payload, Severity};
use crate::world::World;
use params::Params;

/// The vendor.
pub(crate) struct Proxmox;

impl HttpVendor for Proxmox {
    const NAME: &'static str = "proxmox";

    fn before(world: &World, call: &Call) -> Before {
        match early_refusal(world, call) {
            Some(refusal) => Before::Answer(as_told(world, refusal)),
            None if world.faults.fires("proxmox", "slow") => Before::Wait(Duration::from_secs(1)),
            None => Before::Go,
        }
    }

    fn answer(world: &Arc<World>, call: &Call) -> Answer {
        let Some(segments) = call.segments("/api2/json/") else {
            return answer::error(404, "no such file");
        };
        if let Err(refused) = tickets::let_in(world, call) {
            return refused;
        }
        let has_content = !matches!(call.payload, Payload::Empty);
        if has_content && matches!(call.method.as_str(), "GET" | "DELETE") {
            return answer::error(501, format!("Unexpected content for method '{}'", call.method));
        }
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        route(world, call, &path).unwrap_or_else(|refused| refused)
    }

    fn after(world: &World, call: &Call, answer: Answer) -> Option<Answer> {
        if changes(call) && answer.is_success() {
            if world.faults.fires("proxmox", "lost-response") {
                return None;
            }
            if world.faults.fires("proxmox", "proxy-timeout") {
                return Some(answer::error(596, "Connection timed out"));
            }
        }
        Some(as_told(world, answer))
    }

    fn failure(severity: Severity) -> Answer {
        match severity {
            Severity::Passing => answer::error(500, "got no worker upid - start worker failed"),
            Severity::Lasting => answer::error(403, "Permission check failed (/, Sys.Modify)"),
        }
    }
}

/// An error as this version tells it, or an older one.
fn as_told(world: &World, answer: Answer) -> Answer {
    match !answer.is_success() && world.faults.fires("proxmox", "phrase-only") {
        true => answer::without_message(answer),
        false => answer,
    }
}

fn changes(call: &Call) -> bool {
    let harmless = ["/agent/", "/access/ticket"];
    call.method != "GET" && !harmless.iter().any(|part| call.path.contains(part))
}

fn early_refusal(world: &World, call: &Call) -> Option<Answer> {
    let fires = |name| world.faults.fires("proxmox", name);
    if fires("unauthorized") {
        return Some(answer::error(401, "permission denied - invalid PVE ticket"));
    }
    if call.path.contains("/nodes/") && fires("node-down") {
        return Some(answer::error(595, "No route to host"));
    }
    if call.path.contains("/tasks/") && call.path.ends_with("/status") && fires("newborn-task") {
        return Some(answer::parameter("upid", "no such task"));
    }
    if call.path.ends_with("/status/current") && fires("moved-between") {
        move_away(world, call);
    }
    if !changes(call) {
        return None;
    }
    if fires("no-quorum") {
        return Some(answer::error(500, "cluster not ready - no quorum?"));
    }
    if fires("forbidden") {
        return Some(answer::error(403, "Permission check failed (/vms, VM.Allocate)"));
    }
    if call.path.contains("/qemu/") && fires("locked") {
        return Some(answer::error(500, locked_text(call)));
    }
    if call.path.contains("/qemu/") && fires("ha-moved") {
        move_away(world, call);
    }
    None
}

fn locked_text(call: &Call) -> String {
    match call.path.strip_suffix("/clone").and_then(|path| path.rsplit('/').next()) {
        Some(source) => {
            format!("can't lock file '/var/lock/qemu-server/lock-{source}.conf' - got timeout")
        }
        None => "VM is locked (clone)".to_owned(),
    }
}

fn move_away(world: &World, call: &Call) {
    let mut parts = call.path.split('/').skip_while(|part| *part != "qemu").skip(1);
    if let Some(vmid) = parts.next().and_then(|vmid| vmid.parse().ok()) {
        world.change(|state| state.proxmox.move_away(vmid));
    }
}

fn route(world: &Arc<World>, call: &Call, path: &[&str]) -> Result<Answer, Answer> {
    let params = Params::of(call);
    match (call.method.as_str(), path) {
        ("GET", ["version"]) => Ok(cluster::version()),
        ("GET", ["nodes"]) => Ok(cluster::nodes(world)),
        ("POST", ["access", "ticket"]) => tickets::make(world, &params),
        ("GET", ["access", "permissions"]) => cluster::permissions(world, &params),
        ("GET", ["access", "users"]) => cluster::users(world, &params),
        ("GET", ["access", "users", user, "token", token]) => cluster::token(world, user, token),
        ("GET", ["cluster", "resources"]) => cluster::resources(world, &params),
        ("GET", ["cluster", "nextid"]) => cluster::nextid(world, &params),
        (_, ["nodes", node, rest @ ..]) => {
            if !state::NODES.contains(node) {
                return Err(answer::unknown_node(node));
            }
            route_node(world, call, &params, node, rest)
        }
        _ => Err(answer::not_implemented(call)),
    }
}

fn route_node(
    world: &Arc<World>,
    call: &Call,
    params: &Params,
    node: &str,
    path: &[&str],
) -> Result<Answer, Answer> {
    match (call.method.as_str(), path) {
        ("GET", ["status"]) => Ok(cluster::node_status(world, node)),
        ("GET", ["network"]) => cluster::network(params, node),
        ("POST", ["vzdump"]) => dumps::make(world, node, params),
        ("GET", ["storage", storage, "content"]) if dumps::takes(storage) => {
            dumps::list(world, (node, storage), params)
        }
        ("DELETE", ["storage", storage, "content", volume]) if dumps::takes(storage) => {
            dumps::delete(world, (node, storage), volume)
        }
        ("POST", ["storage", storage, "upload"]) => {
            content::upload(world, call, params, (node, storage))
        }
        ("GET", ["storage", storage, "content"]) => content::list(world, params, storage),
        ("DELETE", ["storage", storage, "content", volume @ ..]) => {
            content::delete(world, params, (node, storage), &volume.join("/"))
        }
        ("GET", ["storage", storage, "status"]) => cluster::storage_status(world, storage),
        ("GET", ["tasks"]) => tasks::list(world, params, node),
        ("GET", ["tasks", upid, "status"]) => tasks::status(world, node, upid),
        ("GET", ["tasks", upid, "log"]) => tasks::log(world, params, node, upid),
        ("GET", ["qemu"]) => cluster::machines(world, params, node),
        (method, ["qemu", vmid, rest @ ..]) => {
            let vmid = vmid.parse::<u32>().ok().filter(|vmid| *vmid >= 100);
            let vmid = vmid.ok_or_else(|| {
                answer::parameter("vmid", "invalid format - value does not look like a valid VM ID")
            })?;
            let at = Place { world, node, vmid };
            route_vm(&at, method, params, rest)
                .unwrap_or_else(|| Err(answer::not_implemented(call)))
        }
        _ => Err(answer::not_implemented(call)),
    }
}

/// One VM in one place.
pub(super) struct Place<'a> {
    pub(super) world: &'a Arc<World>,
    pub(super) node: &'a str,
    pub(super) vmid: u32,
}

fn route_vm(
    at: &Place<'_>,
    method: &str,
    params: &Params,
    path: &[&str],
) -> Option<Result<Answer, Answer>> {
    Some(match (method, path) {
        ("GET", ["config"]) => config::show(at, params),
        ("PUT", ["config"]) => config::put(at, params),
        ("POST", ["config"]) => config::post(at, params),
        ("PUT", ["resize"]) => config::resize(at, params),
        ("POST", ["clone"]) => clone::clone(at, params),
        ("GET", ["status", "current"]) => power::current(at, params),
        ("POST", ["status", "start"]) => power::start(at, params),
        ("POST", ["status", "stop"]) => power::stop(at, params),
        ("POST", ["status", "shutdown"]) => power::shutdown(at, params),
        ("POST", ["status", "reboot"]) => power::reboot(at, params),
        ("POST", ["agent", "ping"]) => power::ping(at, params),
        ("DELETE", []) => power::destroy(at, params),
        ("GET", ["snapshot"]) => snapshots::list(at, params),
        ("POST", ["snapshot"]) => snapshots::take(at, params),
        ("DELETE", ["snapshot", name]) => snapshots::delete(at, params, name),
        ("POST", ["snapshot", name, "rollback"]) => snapshots::roll_back(at, params, name),
        _ => return None,
    })
}
