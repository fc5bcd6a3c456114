//! The machines that have a VMID of ours and the seeds that are named as ours, and whose they are.

use stead_runtime::worker::StepContext;
use stead_schemas::failure::Failure;
use stead_schemas::step::proxmox::seed_of;
use stead_schemas::step::sight::{PAGE, SightMachines, SightSeeds, Sighted, Thing};
use stead_schemas::step::touch::Resource;

use super::super::client::{Client, Pve, number};
use super::super::machine::{is_unborn, mark_of};
use super::seed::{images, storage_path};
use crate::http::segment;

/// One that is being cloned shows no mark yet, and is not listed.
pub(crate) async fn sight_machines(
    client: Client,
    _cx: StepContext,
    ask: SightMachines,
) -> Result<Sighted, Failure> {
    let pve = client.log_in(&ask.login).await?;
    let list = pve.look("/cluster/resources").await?.unwrap_or_default();
    let after = ask.after.as_ref().and_then(|after| after.parse().ok()).unwrap_or(0);
    let first = u64::from(ask.vmid_first).max(after + 1);
    let range = first..=u64::from(ask.vmid_last);
    let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut machines: Vec<(u64, &str, bool)> = entries
        .iter()
        .filter(|entry| entry["type"] == "qemu" || entry["type"] == "lxc")
        .filter_map(|entry| {
            let vmid = number(&entry["vmid"]).filter(|vmid| range.contains(vmid))?;
            Some((vmid, entry["node"].as_str()?, entry["type"] == "qemu"))
        })
        .collect();
    machines.sort_unstable();
    let more = machines.len() > PAGE;
    machines.truncate(PAGE);
    let after = machines.last().map(|(vmid, ..)| vmid.to_string()).filter(|_| more);
    let mut things = Vec::new();
    for (vmid, node, is_vm) in machines {
        let thing = |marker| Thing::new(Resource::new("proxmox", "machine", vmid), marker);
        if is_vm {
            things.extend(marker(&pve, node, vmid).await?.map(thing));
        } else {
            things.push(thing(None));
        }
    }
    Ok(Sighted { things, after })
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
async fn marker(pve: &Pve, node: &str, vmid: u64) -> Result<Option<Option<String>>, Failure> {
    let path = format!("/nodes/{}/qemu/{vmid}/config", segment(node));
    let config = pve.look(&path).await?.filter(|config| !is_unborn(config));
    Ok(config.map(|config| mark_of(&config)))
}
