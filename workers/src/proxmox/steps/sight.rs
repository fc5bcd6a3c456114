//! The machines that have a VMID of ours, their snapshots, and the seeds that are named as ours, and whose
//! they are.

use stead_runtime::worker::StepContext;
use stead_schemas::failure::Failure;
use stead_schemas::step::proxmox::seed_of;
use stead_schemas::step::proxmox::snapshots::path_of;
use stead_schemas::step::sight::{PAGE, SightMachines, SightSeeds, SightSnapshots, Sighted, Thing};
use stead_schemas::step::touch::Resource;

use super::super::client::{Client, Pve, number};
use super::super::machine::{is_unborn, mark_of};
use super::seed::{images, storage_path};
use crate::http::segment;

/// Of how many machines a page has the snapshots: each may have many.
const MACHINES: usize = 20;

/// One that is being cloned shows no mark yet, and is not listed.
pub(crate) async fn sight_machines(
    client: Client,
    _cx: StepContext,
    ask: SightMachines,
) -> Result<Sighted, Failure> {
    let pve = client.log_in(&ask.login).await?;
    let (first, last) = (ask.vmid_first, ask.vmid_last);
    let (machines, after) = page(&pve, (first, last), ask.after.as_ref(), PAGE).await?;
    let mut things = Vec::new();
    for Listed { vmid, node, is_vm } in machines {
        let thing = |marker| Thing::new(Resource::new("proxmox", "machine", vmid), marker);
        if is_vm {
            things.extend(marker(&pve, &node, vmid).await?.map(thing));
        } else {
            things.push(thing(None));
        }
    }
    Ok(Sighted { things, after })
}

/// Those that others have taken are theirs.
pub(crate) async fn sight_snapshots(
    client: Client,
    _cx: StepContext,
    ask: SightSnapshots,
) -> Result<Sighted, Failure> {
    let pve = client.log_in(&ask.login).await?;
    let (first, last) = (ask.vmid_first, ask.vmid_last);
    let (machines, after) = page(&pve, (first, last), ask.after.as_ref(), MACHINES).await?;
    let mut things = Vec::new();
    for Listed { vmid, node, .. } in machines.into_iter().filter(|machine| machine.is_vm) {
        let path = format!("/nodes/{}/qemu/{vmid}/snapshot", segment(&node));
        let list = pve.look(&path).await?.unwrap_or_default();
        let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
        things.extend(entries.iter().filter_map(|entry| {
            let (name, marker) = (entry["name"].as_str()?, mark_of(entry)?);
            let path = path_of(vmid, name);
            Some(Thing::new(Resource::new("proxmox", "snapshot", path), Some(marker)))
        }));
    }
    Ok(Sighted { things, after })
}

/// A machine or a container, as the cluster's list has it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Listed {
    vmid: u32,
    node: String,
    is_vm: bool,
}

/// The next of those that have a VMID of ours, and behind which one the page after begins, if there is one.
async fn page(
    pve: &Pve,
    (first, last): (u32, u32),
    after: Option<&String>,
    most: usize,
) -> Result<(Vec<Listed>, Option<String>), Failure> {
    let list = pve.look("/cluster/resources").await?.unwrap_or_default();
    let after = after.and_then(|after| after.parse().ok()).unwrap_or(0);
    let range = u64::from(first).max(after + 1)..=u64::from(last);
    let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut machines: Vec<Listed> = entries
        .iter()
        .filter(|entry| entry["type"] == "qemu" || entry["type"] == "lxc")
        .filter_map(|entry| {
            let vmid = number(&entry["vmid"]).filter(|vmid| range.contains(vmid))?;
            let (vmid, node) = (u32::try_from(vmid).ok()?, entry["node"].as_str()?.to_owned());
            Some(Listed { vmid, node, is_vm: entry["type"] == "qemu" })
        })
        .collect();
    machines.sort_unstable();
    let more = machines.len() > most;
    machines.truncate(most);
    let after = machines.last().map(|machine| machine.vmid.to_string()).filter(|_| more);
    Ok((machines, after))
}

/// What else lies on that storage is nobody's business here.
pub(crate) async fn sight_seeds(
    client: Client,
    _cx: StepContext,
    ask: SightSeeds,
) -> Result<Sighted, Failure> {
    let pve = client.log_in(&ask.login).await?;
    let mut found = images(&pve, &storage_path(&ask.node, &ask.storage)).await?;
    found.retain(|image| seed_of(image).is_some() && ask.after.as_ref() < Some(image));
    found.sort_unstable();
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let after = found.last().cloned().filter(|_| more);
    let thing = |image: String| {
        let marker = seed_of(&image).map(|(.., marker)| marker.to_owned());
        Thing::new(Resource::new("proxmox", "seed", image), marker)
    };
    Ok(Sighted { things: found.into_iter().map(thing).collect(), after })
}

/// The mark of a machine that may carry none; nothing if it is gone, on its way to another node, or
/// being cloned.
async fn marker(pve: &Pve, node: &str, vmid: u32) -> Result<Option<Option<String>>, Failure> {
    let path = format!("/nodes/{}/qemu/{vmid}/config", segment(node));
    let config = pve.look(&path).await?.filter(|config| !is_unborn(config));
    Ok(config.map(|config| mark_of(&config)))
}
