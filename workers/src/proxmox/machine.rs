//! Finds a machine and says whose it is. VMIDs are used again and machines move between nodes,
//! so this is asked afresh before every change.

use serde_json::Value;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::proxmox::Machine;

use super::client::{Params, Pve, number};
use crate::http::segment;
use crate::trouble::unless_missing;

/// How a mark begins.
const MARK: &str = "stead: ";

/// What has the VMID.
#[derive(Debug)]
pub(super) enum Seen {
    /// Nothing.
    Nothing,
    /// A machine with our marker.
    Ours(Vm),
    /// A machine that is being cloned: it has neither name nor description yet, so nobody can
    /// tell whose it is.
    Unborn(Vm),
    /// Somebody else's machine.
    Stranger(String),
}

/// A machine and its configuration.
#[derive(Debug)]
pub(super) struct Vm {
    pub(super) node: String,
    pub(super) vmid: u32,
    pub(super) config: Value,
}

/// The line of a description that names the machine's owner.
pub(super) fn mark(marker: &str) -> String {
    format!("{MARK}{marker}")
}

/// Whether a machine is being cloned and shows nothing of itself yet.
pub(super) fn is_unborn(config: &Value) -> bool {
    let is_unmarked = config["description"].is_null() && config["name"].is_null();
    is_unmarked && config["lock"] == "clone"
}

/// The mark of ours that a machine carries.
pub(super) fn mark_of(config: &Value) -> Option<String> {
    let lines = config["description"].as_str()?.lines();
    lines.filter_map(|line| line.trim().strip_prefix(MARK)).map(str::to_owned).next()
}

/// Looks at what has the machine's VMID.
pub(super) async fn see(pve: &Pve, machine: &Machine) -> Result<Seen, Failure> {
    let place = place_of(pve, machine.vmid).await?;
    if place.as_ref().is_some_and(|place| !place.is_vm) {
        return Ok(Seen::Stranger("a container".to_owned()));
    }
    let node = place.as_ref().map_or_else(|| machine.node.clone(), |place| place.node.clone());
    let path = vm_path(&node, machine.vmid);
    let Some(config) = pve.look(&format!("{path}/config")).await? else {
        return match place {
            Some(_) => Err(between_nodes(machine.vmid)),
            None => Ok(Seen::Nothing),
        };
    };
    let vm = Vm { node, vmid: machine.vmid, config };
    if vm.has_mark(&machine.marker) {
        return Ok(Seen::Ours(vm));
    }
    if is_unborn(&vm.config) {
        return Ok(Seen::Unborn(vm));
    }
    Ok(Seen::Stranger(vm.text("name").unwrap_or("a machine without a name").to_owned()))
}

/// The description of a machine with this mark in place of any that it had.
pub(super) fn marked(description: &str, marker: Option<&str>) -> String {
    let others = description.lines().filter(|line| !line.trim().starts_with(MARK));
    let lines: Vec<String> = others.map(str::to_owned).chain(marker.map(mark)).collect();
    lines.join("\n")
}

/// Whatever has the VMID, whoever's it is.
///
/// # Errors
/// As a conflict if it is a container.
pub(super) async fn anyone(pve: &Pve, vmid: u32) -> Result<Option<Vm>, Failure> {
    let Some(place) = place_of(pve, vmid).await? else { return Ok(None) };
    if !place.is_vm {
        return Err(stranger(vmid, "a container"));
    }
    let config = pve.look(&format!("{}/config", vm_path(&place.node, vmid))).await?;
    let config = config.ok_or_else(|| between_nodes(vmid))?;
    Ok(Some(Vm { node: place.node, vmid, config }))
}

/// The machine, which must be there and ours.
///
/// # Errors
/// As lasting if it is gone, as a conflict if its VMID is a stranger's.
pub(super) async fn ours(pve: &Pve, machine: &Machine) -> Result<Vm, Failure> {
    match see(pve, machine).await? {
        Seen::Ours(vm) => Ok(vm),
        Seen::Unborn(vm) => Err(unborn(&vm)),
        Seen::Nothing => {
            Err(Failure::new(Class::Permanent, format!("there is no machine {}", machine.vmid)))
        }
        Seen::Stranger(name) => Err(stranger(machine.vmid, &name)),
    }
}

/// The trouble with a machine that shows no owner yet.
pub(super) fn unborn(vm: &Vm) -> Failure {
    let words = format!(
        "machine {} on {} is being cloned; if no clone runs there, its node crashed and somebody \
         must unlock it",
        vm.vmid, vm.node
    );
    Failure::new(Class::Wait, words)
}

/// The trouble with a machine that nobody clones any more, and that shows no owner for ever.
pub(super) fn stillborn(vm: &Vm) -> Failure {
    let words = format!(
        "machine {} on {} is locked for a clone that no longer runs: its node crashed, and \
         somebody must unlock it",
        vm.vmid, vm.node
    );
    Failure::new(Class::Wait, words)
}

/// The trouble with somebody else's machine on our VMID.
pub(super) fn stranger(vmid: u32, name: &str) -> Failure {
    Failure::new(Class::Conflict, format!("VMID {vmid} belongs to a stranger: {name}"))
}

/// The cluster's list says that a node has it and the node says no: it is on its way to another
/// node, or was deleted this moment.
pub(super) fn between_nodes(vmid: u32) -> Failure {
    Failure::new(Class::Retry, format!("machine {vmid} is not on the node that it is listed on"))
}

impl Vm {
    /// The path of something about the machine: `status/start`.
    pub(super) fn path(&self, what: &str) -> String {
        let path = vm_path(&self.node, self.vmid);
        if what.is_empty() { path } else { format!("{path}/{what}") }
    }

    /// A text in its configuration.
    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.config[key].as_str()
    }

    /// What has locked it: `clone`, `backup`.
    pub(super) fn lock(&self) -> Option<&str> {
        self.text("lock")
    }

    fn has_mark(&self, marker: &str) -> bool {
        let mark = mark(marker);
        self.text("description").is_some_and(|text| text.lines().any(|line| line.trim() == mark))
    }

    /// Whether it runs now.
    ///
    /// # Errors
    /// To be tried again, if it has left its node since it was seen: it may run on another one.
    pub(super) async fn is_running(&self, pve: &Pve) -> Result<bool, Failure> {
        let status = pve.look(&self.path("status/current")).await?;
        let status = status.ok_or_else(|| between_nodes(self.vmid))?;
        Ok(status["status"] == "running")
    }
}

/// Where a VMID is listed in the cluster.
pub(super) struct Place {
    pub(super) node: String,
    is_vm: bool,
}

/// Looks a VMID up in the cluster's list.
pub(super) async fn place_of(pve: &Pve, vmid: u32) -> Result<Option<Place>, Failure> {
    let query: &Params = &[("type", "vm".to_owned())];
    let list = unless_missing(pve.try_look("/cluster/resources", query).await)?;
    let list = list.unwrap_or_default();
    let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let entry = entries.iter().find(|entry| number(&entry["vmid"]) == Some(u64::from(vmid)));
    Ok(entry.and_then(|entry| {
        let node = entry["node"].as_str()?.to_owned();
        Some(Place { node, is_vm: entry["type"] == "qemu" })
    }))
}

fn vm_path(node: &str, vmid: u32) -> String {
    format!("/nodes/{}/qemu/{vmid}", segment(node))
}
