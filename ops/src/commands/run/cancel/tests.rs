//! A workspace, cancelled in rehearsal after each of the first steps of its making, and in the midst
//! of a rebuild and of a resize.

use serde_json::{Value, json};
use stead_schemas::dispatch::Caller;
use stead_schemas::event::StepScheduled;
use stead_schemas::step::proxmox::{NodeSeen, Surveyed};
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;

use super::{Plan, rehearse, told};
use crate::story::played::Life;

const PROXMOX: &str = "vault:secret/data/proxmox/api";
const CODER: &str = "vault:secret/data/coder/api";
const TRUENAS: &str = "vault:secret/data/truenas/api";

fn proxmox() -> Value {
    json!({ "node": "pve1", "secret": PROXMOX, "vmid_first": 1, "vmid_last": 9 })
}

fn order(grace_seconds: u64) -> Value {
    json!({
        "template": { "name": "debian-12", "vmid": 9000, "disk_gb": 40, "coder_template": "m" },
        "size": { "cpu_cores": 4, "memory_gb": 8, "storage_quota_gb": 50 },
        "storage_backend": "iscsi",
        "proxmox": proxmox(),
        "truenas": {
            "parent": "tank", "nfs_server": "nas", "secret": TRUENAS,
            "grace_seconds": grace_seconds,
        },
        "coder": { "organization": "default", "secret": CODER },
    })
}

/// What each step comes to.
fn answer(step: &StepScheduled) -> Value {
    let not = step.request["not"].as_array().map_or(0, Vec::len);
    match step.step.as_str() {
        "vault.pin-secrets" => {
            json!({ "pinned": { PROXMOX: format!("{PROXMOX}#1"), CODER: format!("{CODER}#1") } })
        }
        "home.attach" => {
            json!({ "source": "nas:/mnt/tank/john", "dataset": "tank/john", "quota_gb": 50 })
        }
        "proxmox.survey" => surveyed(),
        "vmids.reserve" => json!({ "vmid": 1 + not }),
        "coder.start-workspace" => json!({ "id": "c0ffee" }),
        "guest.await-home" => json!({ "boot_id": "b" }),
        _ => json!({}),
    }
}

/// One node that has room for everything, and the template.
fn surveyed() -> Value {
    let node = NodeSeen {
        node: "pve1".to_owned(),
        is_online: true,
        cores: 64,
        cores_given: 0,
        memory_mib: 1 << 20,
        memory_free_mib: 1 << 20,
        storage_free_gb: Some(10_000),
    };
    let template_node = Some(node.node.clone());
    json!(Surveyed { nodes: vec![node], template_node, ..Surveyed::default() })
}

/// The history up to this step, which is asked for and not answered.
fn history(grace_seconds: u64, then: Option<(&str, Value)>, up_to: &str) -> Vec<Transition> {
    let mut life = Life::new("workspace", "dev");
    life.asked("c", "create", order(grace_seconds), Caller::Api);
    if let Some((verb, payload)) = then {
        life.answered(|step| Some(Ok(answer(step))));
        life.asked("d", verb, payload, Caller::Api);
    }
    life.answered(|step| (step.step != up_to).then(|| Ok(answer(step))));
    life.history
}

fn plan(history: &[Transition]) -> Plan {
    let plan = rehearse(history, Timestamp::from_millis(1));
    plan.expect("this build decides so").expect("there is something to cancel")
}

fn check(history: &[Transition], expected: &str) {
    assert_eq!(told(&plan(history)), expected);
}

#[test]
fn the_plan_is_what_the_workflow_itself_would_do() {
    let of_create = |up_to| history(0, None, up_to);
    let kept =
        "keeps           the home only while another workspace uses it: the site grants no grace";
    check(
        &of_create("vault.pin-secrets"),
        "stops           vault.pin-secrets\n\
         takes back      nothing: nothing has been made yet\n\
         keeps           nothing",
    );
    check(
        &of_create("home.attach"),
        &format!(
            "finishes        home.attach: the home john/home carries it to its end\n\
             takes back      home.detach\n\
             {kept}"
        ),
    );
    check(
        &of_create("proxmox.clone-vm"),
        &format!(
            "stops           proxmox.clone-vm\n\
             takes back      proxmox.destroy-vm\n  \
             and then      vmids.release\n  \
             and then      home.detach\n\
             {kept}"
        ),
    );
}

#[test]
fn a_home_that_is_let_go_is_kept_for_its_grace() {
    let week = plan(&history(7 * 24 * 60 * 60, None, "vmids.reserve"));
    assert_eq!(week.keeps, ["the home for 7 days, and while another workspace uses it"]);
}

#[test]
fn a_rebuild_that_is_cancelled_keeps_the_machine_and_the_home() {
    let rebuild = json!({ "proxmox": proxmox(), "plan": [] });
    let plan = plan(&history(0, Some(("rebuild", rebuild)), "proxmox.clone-vm"));
    assert_eq!(plan.takes_back, ["proxmox.destroy-vm", "vmids.release"]);
    assert_eq!(plan.keeps, ["proxmox/machine/1", "coder/workspace/john/dev", "the home, as it is"]);
}

#[test]
fn a_resize_that_is_cancelled_keeps_all_there_is() {
    let resize = json!({ "name": "dev", "storage_quota_gb": 60, "cpu_cores": 8 });
    let plan = plan(&history(0, Some(("resize", resize)), "home.resize"));
    assert_eq!(plan.finishes, ["home.resize: the home john/home carries it to its end"]);
    assert_eq!(plan.takes_back, ["proxmox.configure-vm"]);
    assert_eq!(plan.keeps, ["proxmox/machine/1", "coder/workspace/john/dev", "the home, as it is"]);
}

#[test]
fn a_history_of_another_build_is_not_rehearsed() {
    let mut other = history(0, None, "home.attach");
    other[0].events.pop();
    assert_eq!(rehearse(&other, Timestamp::from_millis(1)), None);
}
