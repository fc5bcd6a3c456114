//! What is left of a workspace's commands that failed, with homes as their workflow decides.

use serde_json::{Value, json};
use stead_schemas::dispatch::{Caller, Route, StepAddress};
use stead_schemas::event::{
    CommandAccepted, Event, RunStarted, Seq, StepCompleted, StepFailed, StepScheduled,
};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION};

use super::of;
use crate::story::played::{Life, john};

const SECRET: &str = "vault:secret/data/truenas/api";
const NOON: i64 = 1_796_040_000_000;

fn dev() -> RunId {
    EntityKey::of("workspace", &john(), "dev").run(1)
}

fn asked(id: &str, verb: &str) -> Event {
    Event::CommandAccepted(CommandAccepted {
        id: id.into(),
        verb: verb.into(),
        payload: Value::Null,
        digest: String::new(),
        by: Caller::Api,
        reply: None,
        priority: Default::default(),
    })
}

fn step(seq: Seq, name: &str, undo: bool, request: Value) -> Event {
    let route = match name.split_once('.') {
        Some((kind @ ("home" | "volume"), _)) => {
            Route::Entity { kind: kind.into(), owner: john(), name: "home".into() }
        }
        _ => Route::Worker,
    };
    let (step, policy) = (name.into(), Default::default());
    let (within_ms, detached) = (0, false);
    Event::StepScheduled(StepScheduled {
        seq,
        step,
        route,
        request,
        within_ms,
        undo,
        detached,
        policy,
    })
}

fn done(seq: Seq) -> Event {
    Event::StepCompleted(StepCompleted { seq, answer: json!({}), attempts: 1, met: None })
}

fn failed(seq: Seq) -> Event {
    let failure = Failure::new(Class::Permanent, "it is full");
    Event::StepFailed(StepFailed { seq, failure, attempts: 1 })
}

fn machine() -> Value {
    json!({ "login": "l", "node": "pve1", "vmid": 7, "marker": dev() })
}

fn clone_vm(seq: Seq) -> Event {
    let request = json!({
        "machine": machine(), "template": 9000, "name": "dev", "storage": "iscsi",
    });
    step(seq, "proxmox.clone-vm", false, request)
}

fn destroy_vm(seq: Seq) -> Event {
    step(seq, "proxmox.destroy-vm", true, json!({ "machine": machine() }))
}

/// A history of the workspace, each of these a transition.
fn history(events: Vec<Event>) -> Vec<Transition> {
    let (workflow, name) = ("workspace".into(), "dev".into());
    let started = RunStarted { workflow, owner: john(), name, build: "a test".into() };
    let all = std::iter::once(Event::RunStarted(started)).chain(events).zip(1..);
    let at = Timestamp::from_millis(NOON);
    let transition = |(event, n)| {
        let (engine, prev, events) = ("engine".into(), String::new(), vec![event]);
        Transition { v: VERSION, run: dev(), n, at, engine, prev, events }
    };
    all.map(transition).collect()
}

/// A create that attaches the home by step 1 and lets it go by step 4, where the machine cannot be
/// cloned.
fn create(end: Vec<Event>) -> Vec<Transition> {
    let attach = vec![asked("c", "create"), step(1, "home.attach", false, json!({})), done(1)];
    history(attach.into_iter().chain([clone_vm(2), failed(2)]).chain(end).collect())
}

fn taken_back() -> Vec<Event> {
    vec![destroy_vm(3), done(3), step(4, "home.detach", true, json!({})), done(4)]
}

/// John's home, which these have asked for something, by the steps of their runs.
fn home(asked: &[(&str, RunId, Seq)], grace_seconds: u64) -> Vec<Transition> {
    let mut life = Life::new("home", "home");
    life.at = Timestamp::from_millis(NOON);
    for (verb, run, seq) in asked {
        let site = json!({
            "parent": "tank", "nfs_server": "nas", "secret": SECRET, "grace_seconds": grace_seconds,
        });
        let ask = json!({ "owner": john(), "workspace": run, "quota_gb": 50, "site": site });
        let by = Caller::Run(StepAddress { run: run.clone(), seq: *seq });
        life.asked(&format!("{run}-{seq}"), verb, ask, by);
        life.answered(|step| {
            Some(Ok(match step.step.as_str() {
                "vault.pin-secrets" => json!({ "pinned": { SECRET: format!("{SECRET}#1") } }),
                "truenas.ensure-dataset" => {
                    json!({ "id": "tank/john", "mountpoint": "/mnt/tank/john" })
                }
                "truenas.ensure-share" => json!({ "id": 1 }),
                _ => json!({}),
            }))
        });
    }
    life.history
}

fn check(history: &[Transition], command: &str, home: &[Transition], left: &[&str], data: &[&str]) {
    let related: Vec<_> = if home.is_empty() { Vec::new() } else { vec![home.to_vec()] };
    let after = of(history, command, &related).expect("the command is in it");
    assert_eq!((after.left, after.data), (texts(left), texts(data)));
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

const WEEK: u64 = 7 * 24 * 60 * 60;

#[test]
fn a_home_that_a_failed_create_made_is_left_and_says_until_when() {
    let home = home(&[("attach", dev(), 1), ("detach", dev(), 4)], WEEK);
    let left = ["truenas/dataset/tank/john", "truenas/share//mnt/tank/john"];
    let data = ["home: new, and kept until 2026-12-07 12:00:00 UTC (50 GiB)"];
    check(&create(taken_back()), "c", &home, &left, &data);
}

#[test]
fn a_new_home_without_grace_is_gone_again() {
    let home = home(&[("attach", dev(), 1), ("detach", dev(), 4)], 0);
    check(&create(taken_back()), "c", &home, &[], &["home: was new, and is gone again"]);
}

#[test]
fn a_home_that_others_use_is_none_of_what_a_failed_create_left() {
    let other = EntityKey::of("workspace", &john(), "ml").run(1);
    let asked = [("attach", other, 9), ("attach", dev(), 1), ("detach", dev(), 4)];
    let data = ["home: kept with all that is in it (50 GiB)"];
    check(&create(taken_back()), "c", &home(&asked, WEEK), &[], &data);
}

#[test]
fn what_could_not_be_taken_back_is_left_with_the_reason() {
    let end = vec![destroy_vm(3), failed(3)];
    let left = ["proxmox/machine/7: unknown, proxmox.destroy-vm: it is full"];
    check(&create(end), "c", &[], &left, &["home: untouched"]);
}

#[test]
fn a_disk_that_grew_before_a_resize_failed_stays_so() {
    let made = vec![asked("c", "create"), clone_vm(1), done(1)];
    let grow = json!({ "machine": machine(), "disk": "scsi0", "size_gb": 60 });
    let resize = vec![
        asked("r", "resize"),
        step(2, "proxmox.resize-disk", false, grow),
        done(2),
        step(3, "volume.resize", false, json!({})),
        failed(3),
    ];
    let history = history(made.into_iter().chain(resize).collect());
    let left = ["the disk of machine 7, which has 60 GiB now"];
    check(&history, "r", &[], &left, &["home: untouched"]);
    // One that failed itself is not known to have grown.
    check(&history[..6], "r", &[], &[], &["home: untouched"]);
}

#[test]
fn nothing_is_known_of_a_command_that_is_not_in_the_history() {
    assert_eq!(of(&create(taken_back()), "other", &[]), None);
}
