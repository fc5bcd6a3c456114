//! What a run holds outside, told from events: nothing is forgotten that may be there.

use serde_json::{Value, json};
use stead_core::ledger::Ledger;
use stead_schemas::dispatch::Caller;
use stead_schemas::event::{
    ByHand, Event, RunCompleted, StepCompleted, StepFailed, StepScheduled, StepSkipped,
    UndoAbandoned,
};
use stead_schemas::event::{StepCancelled, StepEdited};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::Owner;
use stead_schemas::time::Timestamp;

use super::{started, step_scheduled};

fn asked(seq: u32, step: &str, request: Value) -> Event {
    let Event::StepScheduled(usual) = step_scheduled(seq) else { unreachable!("it is one") };
    Event::StepScheduled(StepScheduled { step: step.into(), request, ..usual })
}

fn machine(vmid: u32) -> Value {
    json!({ "login": "", "node": "pve1", "vmid": vmid, "marker": "m" })
}

fn clone(seq: u32, vmid: u32) -> Event {
    let request = json!({
        "machine": machine(vmid), "template": 9000, "name": "dev", "storage": "nvme",
    });
    asked(seq, "proxmox.clone-vm", request)
}

fn destroy(seq: u32, vmid: u32) -> Event {
    asked(seq, "proxmox.destroy-vm", json!({ "machine": machine(vmid) }))
}

fn shown(seq: u32) -> Event {
    let request = json!({
        "login": "", "organization": "o", "user": "john", "name": "dev", "template": "t",
        "marker": "m",
    });
    asked(seq, "coder.start-workspace", request)
}

fn done(seq: u32, answer: Value) -> Event {
    Event::StepCompleted(StepCompleted { seq, answer, attempts: 1, met: None })
}

fn failed(seq: u32, class: Class) -> Event {
    Event::StepFailed(StepFailed { seq, failure: Failure::new(class, "no"), attempts: 1 })
}

fn cancelled(seq: u32) -> Event {
    Event::StepCancelled(StepCancelled { seq })
}

fn by_hand() -> ByHand {
    ByHand { by: Caller::Api, why: "a test".into(), id: None }
}

fn given_up(seq: u32) -> Event {
    Event::UndoAbandoned(UndoAbandoned { seq, order: by_hand() })
}

fn over() -> Event {
    Event::RunCompleted(RunCompleted { result: Value::Null })
}

fn ledger(events: &[Event]) -> Ledger {
    let run = EntityKey::of("workspace", &Owner::new("john").unwrap(), "dev").run(1);
    let mut ledger = Ledger::new(run);
    for (at, event) in (0..).zip([started()].iter().chain(events)) {
        ledger.apply(event, Timestamp::from_millis(at));
    }
    ledger
}

fn check(events: &[Event], expected: &[&str]) {
    let ledger = ledger(events);
    let told = ledger.held().iter().map(|held| {
        let (what, stands) = (held.resource.path(), held.standing.word());
        format!("{what} {stands} by {}", held.step)
    });
    assert_eq!(told.collect::<Vec<_>>(), expected, "{events:#?}");
    assert!(ledger.unread().is_empty(), "{:?}", ledger.unread());
}

#[test]
fn a_resource_is_held_from_the_asking_to_the_end_of_its_removal() {
    let steps = [clone(1, 7), done(1, json!({})), destroy(2, 7), done(2, json!({}))];
    check(&steps[..1], &["proxmox/machine/7 unknown by proxmox.clone-vm"]);
    check(&steps[..2], &["proxmox/machine/7 wanted by proxmox.clone-vm"]);
    check(&steps[..3], &["proxmox/machine/7 debt by proxmox.destroy-vm"]);
    check(&steps, &[]);
}

#[test]
fn what_is_part_of_a_machine_is_held_by_itself_and_goes_with_it() {
    let about = |seq, step: &str, vmid, name: &str| {
        asked(seq, step, json!({ "machine": machine(vmid), "snapshot": name }))
    };
    let mut steps = Vec::new();
    for (seq, vmid) in [(1, 7), (2, 70)] {
        steps.extend([clone(seq, vmid), done(seq, json!({}))]);
    }
    for (seq, vmid) in [(3, 7), (4, 70)] {
        steps.extend([about(seq, "proxmox.snapshot-vm", vmid, "a"), done(seq, json!({}))]);
    }
    steps.extend([about(5, "proxmox.delete-snapshot", 70, "b"), done(5, json!({}))]);
    let machines = [
        "proxmox/machine/7 wanted by proxmox.clone-vm",
        "proxmox/machine/70 wanted by proxmox.clone-vm",
    ];
    let kept = |vmid| format!("proxmox/snapshot/{vmid}/a wanted by proxmox.snapshot-vm");
    check(&steps, &[machines[0], machines[1], &kept(7), &kept(70)]);
    steps.push(destroy(6, 7));
    let going =
        ["machine/7", "snapshot/7/a"].map(|it| format!("proxmox/{it} debt by proxmox.destroy-vm"));
    check(&steps, &[&going[0], machines[1], &going[1], &kept(70)]);
    steps.push(done(6, json!({})));
    check(&steps, &[machines[1], &kept(70)]);
    steps.extend([about(7, "proxmox.delete-snapshot", 70, "a"), done(7, json!({}))]);
    check(&steps, &[machines[1]]);
}

#[test]
fn what_a_failed_or_stopped_step_made_is_not_known_until_it_is_taken_back() {
    for end in [failed(1, Class::Permanent), failed(1, Class::TimedOut), cancelled(1)] {
        let steps = [clone(1, 7), end, destroy(2, 7), done(2, json!({}))];
        check(&steps[..2], &["proxmox/machine/7 unknown by proxmox.clone-vm"]);
        check(&steps, &[]);
    }
}

#[test]
fn a_stranger_that_was_met_is_not_ours() {
    let steps = [clone(1, 7), failed(1, Class::Conflict), clone(2, 8), done(2, json!({}))];
    check(&steps, &["proxmox/machine/8 wanted by proxmox.clone-vm"]);
    // What was seen before and is a stranger's now was ours, and nobody knows where it is.
    let again = [clone(1, 7), done(1, json!({})), clone(2, 7), failed(2, Class::Conflict)];
    check(&again, &["proxmox/machine/7 wanted by proxmox.clone-vm"]);
}

#[test]
fn a_removal_that_fails_or_is_given_up_removes_nothing() {
    let made = [clone(1, 7), done(1, json!({})), destroy(2, 7)];
    let then = |end: Event| [&made[..], &[end]].concat();
    let unknown = ["proxmox/machine/7 unknown by proxmox.destroy-vm"];
    check(&then(failed(2, Class::Permanent)), &unknown);
    check(&then(cancelled(2)), &unknown);
    let left = ["proxmox/machine/7 left by proxmox.destroy-vm"];
    check(&then(given_up(2)), &left);
    let later = [then(given_up(2)), vec![destroy(3, 7), done(3, json!({}))]].concat();
    check(&later, &[]);
}

#[test]
fn what_is_there_when_a_run_ends_is_left() {
    check(
        &[clone(1, 7), done(1, json!({})), over()],
        &["proxmox/machine/7 left by proxmox.clone-vm"],
    );
}

#[test]
fn what_was_asked_before_an_edit_is_remembered() {
    let request = json!({
        "machine": machine(8), "template": 9000, "name": "dev", "storage": "nvme",
    });
    let edited = Event::StepEdited(StepEdited { seq: 1, request, order: by_hand() });
    check(
        &[clone(1, 7), edited, done(1, json!({}))],
        &[
            "proxmox/machine/7 unknown by proxmox.clone-vm",
            "proxmox/machine/8 wanted by proxmox.clone-vm",
        ],
    );
}

#[test]
fn a_step_that_knows_the_vendor_s_name_only_has_seen_the_same_thing() {
    let wait = asked(2, "coder.await-agent", json!({ "login": "", "id": "77" }));
    let steps = [shown(1), done(1, json!({ "id": "77" })), wait, done(2, json!({}))];
    check(&steps, &["coder/workspace/john/dev wanted by coder.await-agent"]);
    let held = ledger(&steps).held()[0].clone();
    assert_eq!(held.seen, Some(Timestamp::from_millis(4)));
    assert_eq!(held.since, Timestamp::from_millis(1));
    assert_eq!(held.resource.vendor_id.as_deref(), Some("77"));
}

#[test]
fn what_a_person_says_is_done_counts_as_done() {
    let order = by_hand();
    let skipped = Event::StepSkipped(StepSkipped { seq: 1, answer: json!({}), order });
    check(&[clone(1, 7), skipped], &["proxmox/machine/7 wanted by proxmox.clone-vm"]);
}

#[test]
fn a_step_of_a_newer_build_is_named() {
    let ledger = ledger(&[asked(1, "moon.build-base", json!({}))]);
    assert_eq!(ledger.unread().iter().collect::<Vec<_>>(), ["moon.build-base"]);
}
