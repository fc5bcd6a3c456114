//! Whether our login may do what making a machine takes, before one is half made.

use serde_json::Value;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::proxmox::CheckTemplate;

use super::super::client::Pve;

/// What is done with a machine of ours: it is made, set up, made larger, started, and taken away.
const OF_MACHINES: [&str; 8] = [
    "VM.Allocate",
    "VM.Audit",
    "VM.Config.CPU",
    "VM.Config.Disk",
    "VM.Config.HWType",
    "VM.Config.Memory",
    "VM.Config.Options",
    "VM.PowerMgmt",
];

/// What is to be allowed on a path of Proxmox.
struct Right {
    path: String,
    privileges: Vec<&'static str>,
}

/// Asks Proxmox what our login may do, with machines of this VMID among others.
pub(super) async fn check(pve: &Pve, ask: &CheckTemplate, vmid: u32) -> Result<(), Failure> {
    let mut missing = Vec::new();
    for Right { path, privileges } in rights(ask, vmid) {
        let query = [("path", path.clone())];
        let allowed = pve.try_look("/access/permissions", &query).await.map_err(Failure::from)?;
        let of_path = &allowed[&path];
        let lacks = privileges.iter().filter(|privilege| !is_allowed(of_path, privilege));
        let lacks: Vec<&str> = lacks.copied().collect();
        if !lacks.is_empty() {
            missing.push(format!("{} on {path}", lacks.join(", ")));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let words = format!("our login at Proxmox lacks {}", missing.join("; "));
    Err(Failure::new(Class::Auth, words))
}

fn is_allowed(of_path: &Value, privilege: &str) -> bool {
    // Beside each stands whether it holds for what lies beneath, too.
    !of_path[privilege].is_null()
}

/// What making a machine of a template takes, as Proxmox VE's documentation of each call says.
fn rights(ask: &CheckTemplate, vmid: u32) -> Vec<Right> {
    let right =
        |path: String, privileges: &[&'static str]| Right { path, privileges: privileges.to_vec() };
    let mut machine = OF_MACHINES.to_vec();
    if ask.network.is_some() || ask.storage_network.is_some() {
        machine.push("VM.Config.Network");
    }
    if ask.seed_storage.is_some() {
        machine.push("VM.Config.CDROM");
    }
    let space = ["Datastore.AllocateSpace", "Datastore.Audit"];
    let images = ["Datastore.Allocate", "Datastore.AllocateTemplate", "Datastore.Audit"];
    let mut rights = vec![
        right(format!("/vms/{}", ask.template), &["VM.Audit", "VM.Clone"]),
        right(format!("/vms/{vmid}"), &machine),
        right(format!("/storage/{}", ask.storage.datastore()), &space),
    ];
    rights.extend(
        ask.seed_storage.iter().map(|storage| right(format!("/storage/{storage}"), &images)),
    );
    rights
}
