//! Power: start, stop, shutdown, reboot, destroy; and the guest agent's ping.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Utc;
use serde_json::{Value, json};

use super::Place;
use super::answer;
use super::cluster;
use super::content;
use super::params::Params;
use super::state::BRIDGES;
use super::tasks::{self, Doom, Plan};
use super::vm::Vm;
use crate::guest;
use crate::net::Answer;
use crate::world::World;

/// How a machine goes down.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Manner {
    InOrder,
    PulledPlug,
}

pub(super) fn current(at: &Place<'_>, params: &Params) -> Result<Answer, Answer> {
    params.check(&[], &[])?;
    at.world.read(|state| {
        let vm = state.proxmox.vm(at.node, at.vmid)?;
        let mut line = cluster::machine(vm);
        line["ha"] = json!({ "managed": u8::from(vm.managed.is_some()) });
        line["agent"] = json!(u8::from(
            vm.key("agent").starts_with('1') || vm.key("agent").contains("enabled=1")
        ));
        line["qmpstatus"] = line["status"].clone();
        Ok(answer::data(line))
    })
}

pub(super) fn start(at: &Place<'_>, params: &Params) -> Result<Answer, Answer> {
    params.check(&[], &["force-cpu", "machine", "skiplock", "targetstorage", "timeout"])?;
    must_be_here(at)?;
    let is_template =
        at.world.read(|state| state.proxmox.vm(at.node, at.vmid).map(super::Vm::is_template))?;
    if is_template {
        return Err(answer::error(500, "you can't start a vm if it's a template"));
    }
    let vmid = at.vmid;
    if is_managed(at) {
        return Ok(left_to_manager(at, "hastart", true));
    }
    let plan = Plan { kind: "qmstart", ms: 400, needs_room: false };
    Ok(tasks::start(at, plan, move |world, doom| {
        refuse_doomed(doom)?;
        if world.faults.fires("proxmox", "start-dies") {
            return Err(format!("VM {vmid} not running"));
        }
        power_on(world, vmid)
    }))
}

pub(super) fn stop(at: &Place<'_>, params: &Params) -> Result<Answer, Answer> {
    params.check(&[], &["keepActive", "overrule-shutdown", "skiplock", "timeout"])?;
    must_be_here(at)?;
    let vmid = at.vmid;
    if is_managed(at) {
        return Ok(left_to_manager(at, "hastop", false));
    }
    let plan = Plan { kind: "qmstop", ms: 200, needs_room: false };
    Ok(tasks::start(at, plan, move |world, doom| {
        refuse_doomed(doom)?;
        power_off(world, vmid, Manner::PulledPlug)
    }))
}

pub(super) fn shutdown(at: &Place<'_>, params: &Params) -> Result<Answer, Answer> {
    params.check(&[], &["forceStop", "keepActive", "skiplock", "timeout"])?;
    must_be_here(at)?;
    let force = params.flag("forceStop")?.unwrap_or(false);
    let vmid = at.vmid;
    if is_managed(at) {
        return Ok(left_to_manager(at, "hastop", false));
    }
    let plan = Plan { kind: "qmshutdown", ms: 500, needs_room: false };
    Ok(tasks::start(at, plan, move |world, doom| {
        refuse_doomed(doom)?;
        // With a guest agent set up it is the agent that is asked, and waited for.
        let deaf = is_deaf(world, vmid) || world.faults.fires("proxmox", "guest-agent-silent");
        if deaf && !force {
            return Err("VM quit/powerdown failed - got timeout".to_owned());
        }
        power_off(world, vmid, if deaf { Manner::PulledPlug } else { Manner::InOrder })
    }))
}

fn is_managed(at: &Place<'_>) -> bool {
    at.world.read(|state| state.proxmox.vms.get(&at.vmid).is_some_and(|vm| vm.managed.is_some()))
}

/// Under high availability the task ends once the cluster's manager knows what is wanted, and that
/// is done some time later.
fn left_to_manager(at: &Place<'_>, kind: &'static str, is_to_run: bool) -> Answer {
    let vmid = at.vmid;
    let plan = Plan { kind, ms: 100, needs_room: false };
    tasks::start(at, plan, move |world, doom| {
        refuse_doomed(doom)?;
        world.change(|state| {
            let vm = state.proxmox.vms.get_mut(&vmid);
            vm.map(|vm| vm.managed = Some(is_to_run)).ok_or_else(|| gone(vmid))
        })?;
        let manager = Arc::clone(world);
        world.spawn(async move {
            manager.pace.work(1000).await;
            if manager.faults.fires("proxmox", "ha-stuck") {
                let is_mended =
                    |world: &World| (!world.faults.holds("proxmox", "ha-stuck")).then_some(());
                manager.until(is_mended).await;
            }
            if manager.faults.fires("proxmox", "ha-elsewhere") {
                manager.change(|state| state.proxmox.move_away(vmid));
            }
            if let Err(error) = obey(&manager, vmid) {
                tracing::debug!(vmid, error, "the cluster's manager could not do it");
            }
        });
        Ok(())
    })
}

/// The manager sees to what is wanted now, whatever it was asked for before.
fn obey(world: &Arc<World>, vmid: u32) -> Result<(), String> {
    let seen =
        world.read(|state| state.proxmox.vms.get(&vmid).map(|vm| (vm.managed, vm.is_running())));
    match seen {
        Some((Some(true), false)) => power_on(world, vmid),
        Some((Some(false), true)) => power_off(world, vmid, Manner::InOrder),
        _ => Ok(()),
    }
}

pub(super) fn reboot(at: &Place<'_>, params: &Params) -> Result<Answer, Answer> {
    params.check(&[], &["timeout"])?;
    let running =
        at.world.read(|state| state.proxmox.vm(at.node, at.vmid).map(super::Vm::is_running))?;
    if !running {
        return Err(answer::error(500, format!("VM {} not running", at.vmid)));
    }
    let vmid = at.vmid;
    let plan = Plan { kind: "qmreboot", ms: 700, needs_room: false };
    Ok(tasks::start(at, plan, move |world, doom| {
        refuse_doomed(doom)?;
        if is_deaf(world, vmid) {
            return Err("VM quit/powerdown failed - got timeout".to_owned());
        }
        power_off(world, vmid, Manner::InOrder)?;
        power_on(world, vmid)
    }))
}

pub(super) fn destroy(at: &Place<'_>, params: &Params) -> Result<Answer, Answer> {
    params.check(&[], &["destroy-unreferenced-disks", "purge", "skiplock"])?;
    let (vmid, purge) = (at.vmid, params.flag("purge")?.unwrap_or(false));
    if at.world.faults.fires("proxmox", "started-meanwhile") {
        // Whatever comes of it, the call goes on.
        let _ = power_on(at.world, vmid);
    }
    at.world.read(|state| {
        let vm = state.proxmox.vm(at.node, vmid)?;
        if vm.key("protection") == "1" {
            return Err(answer::error(
                500,
                format!("can't remove VM {vmid} - protection mode enabled"),
            ));
        }
        if vm.is_running() {
            return Err(answer::error(500, format!("VM {vmid} is running - destroy failed")));
        }
        if vm.managed.is_some() && !purge {
            let why = "used in HA resources and purge parameter not set.";
            return Err(answer::error(500, format!("unable to remove VM {vmid} - {why}")));
        }
        Ok(())
    })?;
    let node = at.node.to_owned();
    let plan = Plan { kind: "qmdestroy", ms: 300, needs_room: false };
    Ok(tasks::start(at, plan, move |world, doom| {
        refuse_doomed(doom)?;
        remove(world, &node, vmid)
    }))
}

fn remove(world: &World, node: &str, vmid: u32) -> Result<(), String> {
    let marker = world.change(|state| {
        let vms = &mut state.proxmox.vms;
        let vm = vms.get(&vmid).filter(|vm| vm.node == node);
        let vm = vm.ok_or_else(|| {
            format!("Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist")
        })?;
        if vm.is_running() {
            return Err(format!("VM {vmid} is running - destroy failed"));
        }
        refuse_locked(vm)?;
        Ok(vms.remove(&vmid).map(|vm| vm.key("description").to_owned()))
    })?;
    world.journal.effect("proxmox", "vm-destroyed", &vmid.to_string(), &marker.unwrap_or_default());
    Ok(())
}

/// Answers the pings of the guest agent's clients.
pub(super) fn ping(at: &Place<'_>, params: &Params) -> Result<Answer, Answer> {
    params.check(&[], &[])?;
    let silent = at.world.faults.fires("proxmox", "guest-agent-silent");
    at.world.read(|state| {
        let vm = state.proxmox.vm(at.node, at.vmid)?;
        let trouble = match vm.key("agent") {
            "" | "0" => "No QEMU guest agent configured".to_owned(),
            _ if !vm.is_running() => format!("VM {} is not running", at.vmid),
            _ if silent || !vm.guest.is_up() => "QEMU guest agent is not running".to_owned(),
            _ => return Ok(answer::data(json!({ "result": {} }))),
        };
        Err(answer::error(500, trouble))
    })
}

fn must_be_here(at: &Place<'_>) -> Result<(), Answer> {
    at.world.read(|state| state.proxmox.vm(at.node, at.vmid).map(|_| ()))
}

fn refuse_doomed(doom: Option<&Doom>) -> Result<(), String> {
    doom.map_or(Ok(()), |doom| Err(doom.exit.clone()))
}

pub(super) fn refuse_locked(vm: &super::Vm) -> Result<(), String> {
    match vm.key("lock") {
        "" => Ok(()),
        lock => Err(format!("VM is locked ({lock})")),
    }
}

/// Whether the guest would not hear the power button.
fn is_deaf(world: &World, vmid: u32) -> bool {
    world.read(|state| {
        state.proxmox.vms.get(&vmid).is_some_and(|vm| vm.is_running() && !vm.guest.is_up())
    })
}

fn power_on(world: &Arc<World>, vmid: u32) -> Result<(), String> {
    let marker = world.change(|state| {
        let pve = &mut state.proxmox;
        let vm = pve.vms.get_mut(&vmid).ok_or_else(|| gone(vmid))?;
        if vm.is_running() {
            return Err(format!("VM {vmid} already running"));
        }
        refuse_locked(vm)?;
        refuse_unread(vm, &pve.images)?;
        refuse_unplugged(vm)?;
        vm.running_since = Some(Utc::now());
        vm.written += 1;
        Ok(vm.key("description").to_owned())
    })?;
    world.journal.effect("proxmox", "vm-started", &vmid.to_string(), &marker);
    guest::power_on(world, vmid);
    Ok(())
}

/// An image that a drive names has to be there.
fn refuse_unread(vm: &Vm, images: &BTreeMap<String, Vec<u8>>) -> Result<(), String> {
    let mut volumes = content::drives(vm).map(|(_, volume)| volume);
    match volumes.find(|volume| !images.contains_key(*volume)) {
        Some(volume) => Err(format!("volume '{volume}' does not exist")),
        None => Ok(()),
    }
}

fn refuse_unplugged(vm: &Vm) -> Result<(), String> {
    let cards = vm.config.iter().filter(|(key, _)| key.starts_with("net"));
    let mut bridges =
        cards.filter_map(|(_, card)| card.split(',').find_map(|part| part.strip_prefix("bridge=")));
    let there = BRIDGES.iter().find(|(node, _)| *node == vm.node).map_or(&[][..], |(_, all)| all);
    match bridges.find(|bridge| !there.contains(bridge)) {
        Some(bridge) => Err(format!("bridge '{bridge}' does not exist")),
        None => Ok(()),
    }
}

/// Stopping what is stopped is done at once.
pub(super) fn power_off(world: &World, vmid: u32, manner: Manner) -> Result<(), String> {
    let marker = world.change(|state| {
        let vm = state.proxmox.vms.get_mut(&vmid).ok_or_else(|| gone(vmid))?;
        refuse_locked(vm)?;
        let was_running = vm.running_since.take().is_some();
        Ok::<_, String>(was_running.then(|| vm.key("description").to_owned()))
    })?;
    if let Some(marker) = marker {
        guest::power_off(world, vmid, manner == Manner::InOrder);
        world.journal.effect("proxmox", "vm-stopped", &vmid.to_string(), &marker);
    }
    Ok(())
}

fn gone(vmid: u32) -> String {
    format!("VM {vmid} does not exist")
}

/// The value of a field that is only there when it says something.
pub(super) fn unless_empty(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| Value::from(text))
}
