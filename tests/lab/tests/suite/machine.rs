//! A machine made the way a worker makes it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use stead_lab::VmEntry;

use crate::rig::{Rig, text};

/// Clones the template, gives the clone its seed, starts it.
pub async fn make(rig: &Rig, vmid: u32, serial: &str) {
    let id = vmid.to_string();
    let clone = [
        ("newid", id.as_str()),
        ("name", "ws-alice-dev"),
        ("description", "run-1"),
        ("full", "1"),
        ("storage", "nvme-pool"),
    ];
    assert_eq!(rig.task("POST", "/nodes/pve1/qemu/9000/clone", &clone).await, "OK");
    announce(rig, vmid, serial).await;
    assert_eq!(rig.task("POST", &format!("/nodes/pve1/qemu/{vmid}/status/start"), &[]).await, "OK");
}

/// Writes the serial number that leads to the seed.
pub async fn announce(rig: &Rig, vmid: u32, serial: &str) {
    let smbios = format!(
        "uuid=11111111-1111-4111-8111-111111111111,base64=1,serial={}",
        STANDARD.encode(serial)
    );
    let form =
        [("smbios1", smbios.as_str()), ("cores", "4"), ("memory", "8192"), ("tags", "stead")];
    assert_eq!(rig.task("POST", &format!("/nodes/pve1/qemu/{vmid}/config"), &form).await, "OK");
}

/// A Coder workspace whose start build has succeeded: its id and the agent's token.
pub async fn workspace(rig: &Rig, name: &str) -> (String, String) {
    let template = rig
        .coder("GET", "/organizations/default/templates/stead-machine", None)
        .await
        .expect("an answer");
    let order = json!({
        "name": name, "template_id": template.body["id"],
        "rich_parameter_values": [{ "name": "stead_run", "value": "run-1" }],
    });
    let made = rig.coder("POST", "/users/alice/workspaces", Some(order)).await.expect("an answer");
    assert_eq!(made.status, 201, "{made:?}");
    let id = text(&made.body["id"]);
    rig.until(|now| now.coder_workspaces.iter().any(|one| one.id == id && one.status == "running"))
        .await;
    let token = token(rig, &id).await;
    (id, token)
}

pub async fn token(rig: &Rig, workspace: &str) -> String {
    text(&rig.secret(&format!("stead/agents/{workspace}")).await["token"])
}

pub fn serial(seed: &str) -> String {
    format!("ds=nocloud;dsmode=net;s={seed}/seed/")
}

/// Waits until the machine's guest is at a stage.
pub async fn at_stage(rig: &Rig, vmid: u32, stage: &str) -> VmEntry {
    let is_there = |vm: &&VmEntry| vm.vmid == vmid && vm.guest_stage == stage;
    let now = rig.until(|now| now.vms.iter().any(|vm| is_there(&vm))).await;
    now.vms.into_iter().find(|vm| is_there(&vm)).expect("just seen")
}
