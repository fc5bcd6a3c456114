//! Power: what Proxmox says of it, what is really so, and what the manager of high availability makes
//! of it later, and perhaps elsewhere.

use reqwest::Method;
use stead_runtime::worker::StepContext;
use stead_schemas::dispatch::StepAddress;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Step;
use stead_schemas::step::proxmox::{GuestSeen, PingGuest};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{VMID, clone, configure, destroy, machine, pve, run, shutdown, start};
use crate::testing::Stage;

/// What is said of a clone whose beginning was not heard of.
const FOLLOWING: &str =
    "machine 10000 may be one of the clones of template 9000 that run; following 1 of 1";

/// A machine that is cloned and set up, and off.
async fn furnish(stage: &Stage) {
    stage.ask(clone()).await.unwrap();
    stage.ask(configure()).await.unwrap();
}

/// What a machine's status is, and on which node.
fn place(stage: &Stage) -> (String, String) {
    let vm = stage.lab.inventory().vms.remove(0);
    (vm.status, vm.node)
}

/// Begins an attempt, and says when it has got this far.
async fn begin<S: Step>(
    stage: &Stage,
    ask: S,
    words: &str,
) -> JoinHandle<Result<serde_json::Value, Failure>> {
    let (cancel, cancelled) = watch::channel(false);
    let (progress, mut seen) = watch::channel(None);
    let cx = StepContext::new(StepAddress { run: run(), seq: 1 }, progress, cancelled);
    let worker = stage.workers.only(["proxmox"]).unwrap().remove(0);
    let request = serde_json::to_value(ask).unwrap();
    let attempt = worker.begin(S::NAME, cx, request);
    let attempt = tokio::spawn(async move {
        let _cancel = cancel;
        attempt.await
    });
    let is_there = |said: &Option<String>| said.as_ref().is_some_and(|said| said.contains(words));
    seen.wait_for(is_there).await.expect("it gets so far");
    attempt
}

#[tokio::test]
async fn a_machine_that_dies_as_it_is_started_is_not_taken_for_one_that_runs() {
    let stage = Stage::open().await;
    furnish(&stage).await;
    stage.survives(("proxmox", "start-dies"), Class::Ambiguous, start()).await;
    assert_eq!((place(&stage).0.as_str(), stage.count("vm-started")), ("running", 1));
}

#[tokio::test]
async fn a_guest_that_does_not_answer_is_stopped_all_the_same() {
    let stage = Stage::open().await;
    furnish(&stage).await;
    stage.ask(start()).await.unwrap();
    stage.lab.break_times("proxmox", "guest-agent-silent", 1).unwrap();
    stage.ask(shutdown()).await.unwrap();
    assert_eq!(place(&stage).0, "stopped");
}

#[tokio::test]
async fn a_machine_that_leaves_its_node_as_it_is_looked_at_is_not_taken_for_one_that_is_off() {
    let stage = Stage::open().await;
    furnish(&stage).await;
    stage.ask(start()).await.unwrap();
    stage.survives(("proxmox", "moved-between"), Class::Retry, shutdown()).await;
    assert_eq!((place(&stage).0.as_str(), stage.count("vm-stopped")), ("stopped", 1));
    stage.survives(("proxmox", "moved-between"), Class::Retry, start()).await;
    assert_eq!(place(&stage), ("running".to_owned(), "pve1".to_owned()));
}

#[tokio::test]
async fn a_machine_that_is_started_before_it_is_deleted_is_stopped_again() {
    let stage = Stage::open().await;
    furnish(&stage).await;
    stage.survives(("proxmox", "started-meanwhile"), Class::Retry, destroy()).await;
    assert!(stage.lab.inventory().is_empty());
}

#[tokio::test]
async fn what_the_clusters_manager_is_asked_for_is_waited_for_wherever_it_is_done() {
    let stage = Stage::open().await;
    furnish(&stage).await;
    assert!(stage.lab.manage(VMID));
    let waits = "waiting for the cluster's manager";
    stage.lab.break_("proxmox", "ha-stuck").unwrap();
    stage.lab.break_times("proxmox", "ha-elsewhere", 1).unwrap();
    let attempt = begin(&stage, start(), waits).await;
    assert_eq!(place(&stage), ("stopped".to_owned(), "pve1".to_owned()));
    stage.lab.mend_one("proxmox", "ha-stuck");
    attempt.await.unwrap().unwrap();
    assert_eq!(place(&stage), ("running".to_owned(), "pve2".to_owned()));
    stage.ask(start()).await.unwrap();

    stage.lab.break_("proxmox", "ha-stuck").unwrap();
    let attempt = begin(&stage, shutdown(), waits).await;
    stage.lab.mend_one("proxmox", "ha-stuck");
    attempt.await.unwrap().unwrap();
    assert_eq!(place(&stage).0, "stopped");
    stage.ask(start()).await.unwrap();
    stage.ask(destroy()).await.unwrap();
    assert!(stage.lab.inventory().is_empty());
    assert_eq!((stage.count("vm-started"), stage.count("vm-stopped")), (2, 2));
}

#[tokio::test]
async fn a_clone_whose_beginning_was_not_heard_of_is_found_and_followed() {
    let stage = Stage::open().await;
    stage.lab.break_("proxmox", "task-stuck").unwrap();
    stage.lose_answer("proxmox", "POST /clone");
    stage.refused(clone(), Class::Ambiguous).await;
    let attempt = begin(&stage, clone(), FOLLOWING).await;
    stage.lab.mend();
    attempt.await.unwrap().unwrap();
    assert_eq!(stage.count("vm-cloned"), 1);
}

#[tokio::test]
async fn a_clone_that_fails_unseen_is_made_anew() {
    let stage = Stage::open().await;
    stage.lab.break_("proxmox", "task-stuck").unwrap();
    stage.lose_answer("proxmox", "POST /clone");
    stage.refused(clone(), Class::Ambiguous).await;
    let attempt = begin(&stage, clone(), FOLLOWING).await;
    stage.lab.break_times("proxmox", "task-failed", 1).unwrap();
    stage.lab.mend_one("proxmox", "task-stuck");
    attempt.await.unwrap().unwrap();
    assert_eq!(stage.count("vm-cloned"), 1);
}

#[tokio::test]
async fn a_disk_that_is_left_on_our_number_is_not_a_machine() {
    let stage = Stage::open().await;
    stage.lab.break_times("proxmox", "disk-left", 1).unwrap();
    let failure = stage.refused(clone(), Class::Conflict).await;
    assert!(failure.words.contains("a disk of an earlier machine"), "{failure}");
    stage.ask(clone()).await.unwrap();
}

#[tokio::test]
async fn what_only_the_reason_phrase_says_is_heard() {
    let stage = Stage::open().await;
    stage.lab.break_("proxmox", "phrase-only").unwrap();
    stage.ask(clone()).await.unwrap();
    stage.lab.break_times("proxmox", "no-quorum", 1).unwrap();
    stage.refused(start(), Class::VendorDown).await;
    assert!(stage.lab.faults().iter().any(|fault| fault.name == "phrase-only" && fault.fired > 1));
}

#[tokio::test]
async fn a_guest_is_asked_whether_it_lives() {
    let stage = Stage::open().await;
    let ping = || PingGuest { machine: machine() };
    stage.refused(ping(), Class::Permanent).await;
    furnish(&stage).await;
    assert_eq!(stage.ask(ping()).await.unwrap(), GuestSeen::Off);
    stage.lab.break_times("guest", "never-boots", 1).unwrap();
    stage.ask(start()).await.unwrap();
    stage.lab.until(|seen| seen.vms[0].guest_stage == "never-boots").await;
    assert_eq!(stage.ask(ping()).await.unwrap(), GuestSeen::Silent);
    stage.ask(shutdown()).await.unwrap();
    stage.lab.break_("guest", "no-lease").unwrap();
    stage.ask(start()).await.unwrap();
    stage.lab.until(|seen| seen.vms[0].guest_stage == "no-lease").await;
    assert_eq!(stage.ask(ping()).await.unwrap(), GuestSeen::Answers);
    stage.lab.break_times("proxmox", "guest-agent-silent", 1).unwrap();
    assert_eq!(stage.ask(ping()).await.unwrap(), GuestSeen::Silent);
    let pve = pve(&stage).await;
    let off = [("agent", "0".to_owned())];
    pve.act(Method::PUT, "/nodes/pve1/qemu/10000/config", &off).await.unwrap();
    let failure = stage.refused(ping(), Class::Permanent).await;
    assert_eq!(failure.words, "no QEMU guest agent is set up");
}
