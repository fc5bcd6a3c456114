//! What is done with machines: made, set up, grown. Their power is in `steps/power.rs`, and
//! where they can be made in `steps/survey.rs`.

mod dumps;
mod power;
mod rights;
mod seed;
mod sight;
mod snapshots;
mod survey;
mod template;

use reqwest::Method;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::site::CloneKind;
use stead_schemas::step::Done;
use stead_schemas::step::proxmox::{
    CheckVmid, CloneVm, ConfigureVm, Configured, MarkVm, ResizeDisk, VmidState,
};

use super::client::{Client, Pve, number};
use super::machine::{self, Seen, Vm};
use super::{network, smbios, task};
use crate::trouble::{Marking, Trouble, marking};

pub(super) use dumps::{dump_guest, prove_dump, remove_dumps};
pub(super) use power::{destroy_vm, ping_guest, shutdown_vm, start_vm};
pub(super) use seed::{insert_seed, remove_seed};
pub(super) use sight::{sight_machines, sight_seeds, sight_snapshots};
pub(super) use snapshots::{delete_snapshot, list_snapshots, roll_back_vm, snapshot_vm};
pub(super) use survey::survey;
pub(super) use template::check_template;

/// The card that a machine is cloned with.
const CARD: &str = "net0";
/// The one that it gets for storage.
const STORAGE_CARD: &str = "net1";

/// Asks whether a VMID is free. That reserves nothing.
pub(super) async fn check_vmid(
    client: Client,
    _cx: StepContext,
    ask: CheckVmid,
) -> Result<VmidState, Failure> {
    let pve = client.log_in(&ask.login).await?;
    match pve.try_look("/cluster/nextid", &[("vmid", ask.vmid.to_string())]).await {
        Ok(_) => Ok(VmidState::Free),
        Err(Trouble::Already(_)) => Ok(VmidState::Taken),
        Err(trouble) => Err(trouble.into()),
    }
}

/// Clones the template, or finds that this was done.
pub(super) async fn clone_vm(
    client: Client,
    cx: StepContext,
    ask: CloneVm,
) -> Result<Done, Failure> {
    let pve = client.log_in(&ask.machine.login).await?;
    if is_cloned(&pve, &cx, &ask).await? {
        return Ok(Done {});
    }
    cx.still_wanted()?;
    match begin_clone(&pve, &cx, &ask).await {
        Ok(()) => Ok(Done {}),
        // Another attempt of ours, or a stranger, was faster.
        Err(Trouble::Already(taken)) => match is_cloned(&pve, &cx, &ask).await? {
            true => Ok(Done {}),
            false => Err(taken),
        },
        Err(trouble) => Err(trouble.into()),
    }
}

/// Whether our machine is there, whole. While it is being cloned, that is waited for.
async fn is_cloned(pve: &Pve, cx: &StepContext, ask: &CloneVm) -> Result<bool, Failure> {
    let mut seen = machine::see(pve, &ask.machine).await?;
    if let Seen::Unborn(_) = seen {
        follow_clones(pve, cx, ask).await?;
        seen = machine::see(pve, &ask.machine).await?;
    }
    match seen {
        Seen::Nothing => Ok(false),
        Seen::Ours(vm) => match vm.lock() {
            Some(lock) => Err(locked(&vm, lock)),
            None => Ok(true),
        },
        Seen::Unborn(vm) => Err(machine::stillborn(&vm)),
        Seen::Stranger(name) => Err(machine::stranger(ask.machine.vmid, &name)),
    }
}

/// Waits for the clones of the template that run now. The task's id is lost with the attempt that
/// began it, but not at Proxmox; and since it names the template and not the machine, ours is one
/// of those that run, if it runs. How each ends is seen by what it leaves.
async fn follow_clones(pve: &Pve, cx: &StepContext, ask: &CloneVm) -> Result<(), Failure> {
    let (template, vmid) = (ask.template, ask.machine.vmid);
    let Some(place) = machine::place_of(pve, template).await? else { return Ok(()) };
    let query = [
        ("vmid", template.to_string()),
        ("typefilter", "qmclone".to_owned()),
        ("source", "active".to_owned()),
        ("limit", "500".to_owned()),
    ];
    let path = format!("/nodes/{}/tasks", crate::http::segment(&place.node));
    let running = pve.try_look(&path, &query).await?;
    let running = running.as_array().map(Vec::as_slice).unwrap_or_default();
    for (at, one) in running.iter().enumerate() {
        let what = format!(
            "machine {vmid} may be one of the clones of template {template} that run; following {} \
             of {}",
            at + 1,
            running.len()
        );
        let ended = task::follow(pve, cx, &one["upid"], &what).await;
        cx.still_wanted()?;
        tracing::debug!(task = one["upid"].as_str(), ?ended, "a clone of an earlier attempt");
    }
    Ok(())
}

fn locked(vm: &Vm, lock: &str) -> Failure {
    Failure::new(Class::Wait, format!("machine {} is locked ({lock})", vm.vmid))
}

async fn begin_clone(pve: &Pve, cx: &StepContext, ask: &CloneVm) -> Result<(), Trouble> {
    let (template, target) = (ask.template, &ask.machine.node);
    let place = machine::place_of(pve, template).await.map_err(Trouble::Other)?;
    let Some(place) = place else {
        let words = format!("there is no template {template}, or our login may not see it");
        return Err(Trouble::new(Class::Permanent, words));
    };
    let mut params = vec![
        ("newid", ask.machine.vmid.to_string()),
        ("name", ask.name.clone()),
        ("description", machine::mark(&ask.machine.marker)),
    ];
    match ask.clone_kind {
        CloneKind::Full => {
            params.extend([("full", "1".to_owned()), ("storage", ask.storage.datastore())]);
        }
        // It lies where the template does, and Proxmox wants not to be told.
        CloneKind::Linked => params.push(("full", "0".to_owned())),
    }
    if place.node != *target {
        params.push(("target", target.clone()));
    }
    let path = format!("/nodes/{}/qemu/{template}/clone", crate::http::segment(&place.node));
    let started = pve.act(Method::POST, &path, &params).await?;
    task::finish(pve, cx, &started).await
}

/// Sets what differs from what is wanted, all in one change.
pub(super) async fn configure_vm(
    client: Client,
    cx: StepContext,
    ask: ConfigureVm,
) -> Result<Configured, Failure> {
    let pve = client.log_in(&ask.machine.login).await?;
    let mut vm = machine::ours(&pve, &ask.machine).await?;
    let seed_url = match ask.seed_in_drive {
        true => None,
        false => Some(client.seed_url(&ask.machine.marker).await?),
    };
    let mut changes = settings(&vm, &ask, seed_url.as_deref());
    changes.retain(|(key, wanted)| !holds(&vm, key, wanted));
    if !changes.is_empty() {
        cx.still_wanted()?;
        change_config(&pve, &cx, &vm, changes).await?;
        vm = machine::ours(&pve, &ask.machine).await?;
    }
    let card = ask.storage_network.and_then(|_| network::address_of(vm.text(STORAGE_CARD)?));
    Ok(Configured { storage_card: card })
}

fn settings(vm: &Vm, ask: &ConfigureVm, seed_url: Option<&str>) -> Vec<(&'static str, String)> {
    let announced = seed_url.map(|url| ("smbios1", smbios::announcing(url, vm.text("smbios1"))));
    let name = ask.name.iter().map(|name| ("name", name.clone()));
    let net = |card, wanted| (card, network::plugged(vm.text(card), wanted));
    let settings = [
        ("cores", ask.cores.to_string()),
        ("memory", ask.memory_mib.to_string()),
        ("agent", "1".to_owned()),
        ("tags", smbios::tags(&ask.owner)),
    ];
    let cards = [(CARD, &ask.network), (STORAGE_CARD, &ask.storage_network)];
    let cards = cards.into_iter().filter_map(|(card, wanted)| Some(net(card, wanted.as_ref()?)));
    settings.into_iter().chain(announced).chain(name).chain(cards).collect()
}

fn holds(vm: &Vm, key: &str, wanted: &str) -> bool {
    let present = &vm.config[key];
    match (key, present.as_str()) {
        ("tags", Some(present)) => smbios::same_tags(present, wanted),
        (CARD | STORAGE_CARD, Some(present)) => network::same(present, wanted),
        (_, Some(present)) => present == wanted,
        (_, None) => number(present).is_some_and(|present| present.to_string() == wanted),
    }
}

/// Puts our mark into the description, or takes it out again.
pub(super) async fn mark_vm(client: Client, cx: StepContext, ask: MarkVm) -> Result<Done, Failure> {
    let pve = client.log_in(&ask.machine.login).await?;
    let what = format!("machine {}", ask.machine.vmid);
    let vm = match machine::anyone(&pve, ask.machine.vmid).await? {
        Some(vm) if machine::is_unborn(&vm.config) => return Err(machine::unborn(&vm)),
        Some(vm) => vm,
        None if ask.undoes => return Ok(Done {}),
        None => return Err(Failure::new(Class::Permanent, format!("there is no {what}"))),
    };
    let (now, marks) = (machine::mark_of(&vm.config), (ask.was.as_deref(), &*ask.machine.marker));
    if let Marking::Set(marker) = marking(&what, now.as_deref(), marks, ask.undoes)? {
        cx.still_wanted()?;
        let after = machine::marked(vm.text("description").unwrap_or_default(), marker);
        change_config(&pve, &cx, &vm, vec![("description", after)]).await?;
    }
    Ok(Done {})
}

/// `POST` and not `PUT`: it runs as a task, where `PUT` would hold one of the few workers that
/// answer the API. The digest refuses the change if somebody was here since we looked.
async fn change_config(
    pve: &Pve,
    cx: &StepContext,
    vm: &Vm,
    mut changes: Vec<(&'static str, String)>,
) -> Result<(), Trouble> {
    if let Some(digest) = vm.text("digest") {
        changes.push(("digest", digest.to_owned()));
    }
    let started = pve.act(Method::POST, &vm.path("config"), &changes).await?;
    task::finish(pve, cx, &started).await
}

/// Grows a disk to a size. The size is absolute: adding could be done twice.
pub(super) async fn resize_disk(
    client: Client,
    cx: StepContext,
    ask: ResizeDisk,
) -> Result<Done, Failure> {
    let pve = client.log_in(&ask.machine.login).await?;
    let vm = machine::ours(&pve, &ask.machine).await?;
    let Some(disk) = vm.text(&ask.disk) else {
        let words = format!("machine {} has no disk {}", vm.vmid, ask.disk);
        return Err(Failure::new(Class::Permanent, words));
    };
    if disk_kib(disk).is_some_and(|size| size >= u64::from(ask.size_gb) << 20) {
        return Ok(Done {});
    }
    cx.still_wanted()?;
    let mut params = vec![("disk", ask.disk.clone()), ("size", format!("{}G", ask.size_gb))];
    if let Some(digest) = vm.text("digest") {
        params.push(("digest", digest.to_owned()));
    }
    let started = pve.act(Method::PUT, &vm.path("resize"), &params).await?;
    task::finish(&pve, &cx, &started).await?;
    Ok(Done {})
}

/// The size in a disk's setting, `iscsi-pool:vm-104-disk-0,size=32G`, in KiB.
fn disk_kib(setting: &str) -> Option<u64> {
    let size = setting.split(',').find_map(|part| part.strip_prefix("size="))?;
    let digits = size.trim_end_matches(['K', 'M', 'G', 'T']);
    let number: f64 = digits.parse().ok()?;
    let kib = match size.strip_prefix(digits)? {
        "" => number / 1024.0,
        "K" => number,
        "M" => number * 1024.0,
        "G" => number * 1024.0 * 1024.0,
        _ => number * 1024.0 * 1024.0 * 1024.0,
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "disks are small")]
    Some(kib.max(0.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::disk_kib;

    #[test]
    fn a_disk_says_its_size() {
        assert_eq!(disk_kib("iscsi-pool:vm-1-disk-0,iothread=1,size=32G"), Some(32 << 20));
        assert_eq!(disk_kib("x,size=2252M"), Some(2252 << 10));
        assert_eq!(disk_kib("x,size=1T"), Some(1 << 30));
        assert_eq!(disk_kib("none,media=cdrom"), None);
    }
}
