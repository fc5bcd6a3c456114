//! A workspace that is being made, cancelled in rehearsal after each of its first steps.

use serde_json::{Value, json};
use stead_core::run::Run;
use stead_schemas::dispatch::Caller;
use stead_schemas::event::{CommandAccepted, Event, RunStarted, StepCompleted};
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::Owner;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION};
use stead_workflows::WORKFLOWS;

use super::{Plan, rehearse};

const PROXMOX: &str = "vault:secret/data/proxmox/api";
const CODER: &str = "vault:secret/data/coder/api";
const TRUENAS: &str = "vault:secret/data/truenas/api";

fn order() -> Value {
    json!({
        "template": { "name": "debian-12", "vmid": 9000, "disk_gb": 40, "coder_template": "m" },
        "size": { "cpu_cores": 4, "memory_gb": 8, "storage_quota_gb": 50 },
        "storage_backend": "iscsi",
        "proxmox": { "node": "pve1", "secret": PROXMOX, "vmid_first": 1, "vmid_last": 9 },
        "truenas": {
            "parent": "tank", "nfs_server": "nas", "secret": TRUENAS, "grace_seconds": 0,
        },
        "coder": { "organization": "default", "secret": CODER },
    })
}

fn begun() -> Vec<Event> {
    let owner = Owner::new("john").expect("a plain name");
    let (workflow, name) = ("workspace".to_owned(), "dev".to_owned());
    let started = RunStarted { workflow, owner, name, build: "a test".to_owned() };
    let asked = CommandAccepted {
        id: "c".to_owned(),
        verb: "create".to_owned(),
        payload: order(),
        digest: String::new(),
        by: Caller::Api,
        reply: None,
        priority: stead_schemas::limit::Priority::Normal,
    };
    vec![Event::RunStarted(started), Event::CommandAccepted(asked)]
}

/// The answers of the first steps, in their order.
fn answers() -> [Value; 3] {
    [
        json!({ "pinned": { PROXMOX: format!("{PROXMOX}#1"), CODER: format!("{CODER}#1") } }),
        json!({ "source": "nas:/mnt/tank/john", "dataset": "tank/john", "quota_gb": 50 }),
        json!({ "vmid": 1 }),
    ]
}

/// The history up to the answer of the `steps`-th step.
fn history(steps: usize) -> Vec<Transition> {
    let id = EntityKey::of("workspace", &Owner::new("john").expect("a plain name"), "dev").run(1);
    let kind = WORKFLOWS.iter().find(|known| known.kind == "workspace").expect("a workflow");
    let mut run = Run::new(*kind, id.clone());
    let done = answers().into_iter().zip(1..).take(steps).map(|(answer, seq)| {
        vec![Event::StepCompleted(StepCompleted { seq, answer, attempts: 1 })]
    });
    let at = Timestamp::from_millis(0);
    let transitions = std::iter::once(begun()).chain(done).zip(1..).map(|(facts, n)| {
        let events = run.decide(at, facts).expect("legal facts").events;
        let (engine, prev) = ("engine".to_owned(), String::new());
        Transition { v: VERSION, run: id.clone(), n, at, engine, prev, events }
    });
    transitions.collect()
}

fn check(steps: usize, stops: &str, takes_back: &[&str]) {
    let plan = rehearse(&history(steps), Timestamp::from_millis(1));
    let takes_back = takes_back.iter().map(|step| (*step).to_owned()).collect();
    assert_eq!(plan, Some(Ok(Plan { stops: vec![stops.to_owned()], takes_back })));
}

#[test]
fn the_plan_is_what_the_workflow_itself_would_do() {
    check(0, "vault.pin-secrets", &[]);
    check(1, "home.attach", &["home.detach"]);
    check(2, "vmids.reserve", &["vmids.release", "home.detach"]);
    check(3, "proxmox.clone-vm", &["proxmox.destroy-vm", "vmids.release", "home.detach"]);
}

#[test]
fn a_history_of_another_build_is_not_rehearsed() {
    let mut other = history(1);
    other[0].events.pop();
    assert_eq!(rehearse(&other, Timestamp::from_millis(1)), None);
}
