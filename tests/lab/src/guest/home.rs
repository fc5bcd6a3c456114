//! The home: mounted, verified and reported before the agent starts; or, if the agent's unit does
//! not ask for that, whatever order systemd happens to choose.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::json;

use super::boot::Guest;
use super::installed::Installed;
use super::seed::is_local;
use crate::proxmox::Vm;
use crate::truenas::Mount;

/// systemd tries a failed unit again after about as long; a change is seen at once.
const RETRY: Duration = Duration::from_millis(500);
/// How long the report waits for its answer.
const REPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// One boot.
pub(super) struct Boot {
    pub(super) id: String,
    pub(super) is_reboot: bool,
}

/// Gets the home ready; false if the agent is never to start.
pub(super) async fn prepare(guest: &Guest, system: &Installed, boot: &Boot) -> bool {
    if !system.has_agent {
        guest.stage("no-agent");
        return false;
    }
    if !system.waits_for_home || guest.world.faults.fires("guest", "agent-before-home") {
        race(guest, system, boot);
        return true;
    }
    if !mounted(guest, system).await {
        return false;
    }
    log_in(guest, system).await;
    if system.verifies_home {
        verified(guest, system).await;
        report(guest, system, boot, "home-verified").await;
        guest.stage("home-verified");
    }
    true
}

/// Nothing orders the agent after the home: on a first boot the mount is tried just before the
/// agent starts, on a reboot the agent is always first.
fn race(guest: &Guest, system: &Installed, boot: &Boot) {
    let in_time = !boot.is_reboot && look(guest, system) != Mount::Absent;
    guest.stage(if in_time { "agent-starting" } else { "agent-on-local-disk" });
}

/// What the NFS server has for this guest right now.
fn look(guest: &Guest, system: &Installed) -> Mount {
    let source = system.source.as_deref().and_then(|source| source.split_once(':'));
    let Some((_, path)) = source.filter(|(host, _)| matches!(*host, "127.0.0.1" | "localhost"))
    else {
        return Mount::Absent;
    };
    let found = guest.world.read(|state| {
        let vm = state.proxmox.vms.get(&guest.vmid);
        Some(state.truenas.mount(path, &addresses(system, vm?, guest.vmid)))
    });
    let found = found.unwrap_or(Mount::Absent);
    if found != Mount::Absent && guest.world.faults.fires("guest", "home-never-mounts") {
        return Mount::Absent;
    }
    if found == Mount::Writable && guest.world.faults.fires("guest", "home-read-only") {
        return Mount::ReadOnly;
    }
    found
}

/// The machine's addresses: in the network of workspaces, and in that of storage if it has a card there
/// which its system addresses.
fn addresses(system: &Installed, vm: &Vm, vmid: u32) -> Vec<Ipv4Addr> {
    let plugged = vm.key("net1");
    let has_card = !plugged.is_empty()
        && system.storage_card.as_ref().is_some_and(|card| plugged.contains(card.as_str()));
    let networks = [Some(20), has_card.then_some(30)];
    networks.into_iter().flatten().map(|network| address(network, vmid)).collect()
}

fn address(network: u8, vmid: u32) -> Ipv4Addr {
    let host = u8::try_from(vmid % 250 + 1).unwrap_or(u8::MAX);
    Ipv4Addr::new(10, 10, network, host)
}

/// Waits for the mount if something keeps trying; a failed dependency is final otherwise.
async fn mounted(guest: &Guest, system: &Installed) -> bool {
    while look(guest, system) == Mount::Absent {
        if !system.heals {
            guest.stage("home-mount-failed");
            return false;
        }
        guest.stage("waiting-for-home");
        guest.world.changed_within(RETRY).await;
    }
    true
}

/// The volume's unit is started again until it is there, and the agent waits for it.
async fn log_in(guest: &Guest, system: &Installed) {
    let Some((iqn, initiator)) = &system.volume else { return };
    let vmid = guest.vmid;
    let try_once = || {
        guest.world.change_quietly(|state| {
            let is_on = state.proxmox.vms.get(&vmid).is_some_and(|vm| vm.is_running());
            is_on && state.truenas.iscsi.log_in(vmid, iqn, initiator)
        })
    };
    while !try_once() {
        guest.stage("waiting-for-volume");
        guest.world.changed_within(RETRY).await;
    }
}

/// The write check fails and is repeated until user 1000 can write.
async fn verified(guest: &Guest, system: &Installed) {
    while look(guest, system) != Mount::Writable {
        guest.stage("home-not-writable");
        guest.world.changed_within(RETRY).await;
    }
}

/// Reports until somebody takes it.
async fn report(guest: &Guest, system: &Installed, boot: &Boot, stage: &str) {
    let Some(url) = system.report.as_deref().filter(|url| is_local(url)) else {
        return;
    };
    guest.stage("reporting-home");
    let detail = json!({ "mounted": true, "writable": true, "source": system.source });
    let address = address(20, guest.vmid);
    let body = json!({ "stage": stage, "boot_id": boot.id, "address": address, "detail": detail });
    for attempt in 1.. {
        if post(guest, url, &body).await && !guest.world.faults.fires("guest", "report-lost") {
            return;
        }
        tokio::time::sleep(guest.world.pace.retry_pause(attempt)).await;
    }
}

/// Says that the agent was started; nobody waits for the answer.
pub(super) async fn tell_started(guest: &Guest, system: &Installed, boot: &Boot) {
    if let Some(url) = system.report.as_deref().filter(|url| is_local(url)) {
        let body = json!({ "stage": "agent-started", "boot_id": boot.id, "detail": {} });
        post(guest, url, &body).await;
    }
}

async fn post(guest: &Guest, url: &str, body: &serde_json::Value) -> bool {
    let sent = guest.world.http.post(url).timeout(REPORT_TIMEOUT).json(body).send().await;
    sent.is_ok_and(|answer| answer.status().is_success())
}
