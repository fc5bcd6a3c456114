//! Snapshots of machines, against the lab.

use reqwest::Method;
use stead_lab::CallFault;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::site::StorageBackend;
use stead_schemas::step::proxmox::snapshots::{
    DeleteSnapshot, ListSnapshots, RollBackVm, SnapshotSeen, SnapshotVm,
};
use stead_schemas::step::proxmox::{CloneVm, DestroyVm, Machine};
use stead_schemas::step::sight::SightSnapshots;

use super::sweep::LEFT_OUT;
use super::{VMID, clone, configure, destroy, machine, pve, resize, shutdown, start, task};
use crate::testing::sweep::Sweep;
use crate::testing::{Stage, marker, run};

/// A machine whose storage takes snapshots, and goes back to the latest one only.
fn on_zfs() -> CloneVm {
    CloneVm { template: 9002, storage: StorageBackend::Nvme, ..clone() }
}

fn take(snapshot: &str) -> SnapshotVm {
    let description = Some(format!("it is {snapshot}"));
    SnapshotVm { machine: machine(), snapshot: snapshot.to_owned(), description }
}

fn back_to(snapshot: &str) -> RollBackVm {
    RollBackVm { machine: machine(), snapshot: snapshot.to_owned() }
}

fn delete(snapshot: &str) -> DeleteSnapshot {
    DeleteSnapshot { machine: machine(), snapshot: snapshot.to_owned() }
}

async fn list(stage: &Stage) -> Vec<SnapshotSeen> {
    stage.ask(ListSnapshots { machine: machine() }).await.unwrap().snapshots
}

/// What its disk holds, its size, its cores and its snapshots.
fn looks(stage: &Stage) -> (u64, u64, u64, Vec<String>) {
    let vm = stage.lab.inventory().vms.remove(0);
    let names = vm.snapshots.into_iter().map(|one| one.name).collect();
    (vm.written, vm.disk_gib, vm.cores, names)
}

/// A call to the machine, as an administrator gives it, and how its task ends.
async fn by_hand(stage: &Stage, method: Method, path: &str, params: &[(&'static str, String)]) {
    let pve = pve(stage).await;
    let path = format!("/nodes/pve1/qemu/{VMID}/{path}");
    let started = pve.act(method, &path, params).await.unwrap();
    task::finish(&pve, &StepContext::unwatched(run()), &started).await.unwrap();
}

#[tokio::test]
async fn a_machine_goes_back_to_what_was_kept_and_each_step_may_be_asked_twice() {
    let stage = Stage::open().await;
    stage.ask(on_zfs()).await.unwrap();
    assert_eq!(list(&stage).await, []);
    stage.ask(start()).await.unwrap();
    for _ in 0..2 {
        stage.ask(take("monday")).await.unwrap();
    }
    let seen = list(&stage).await.remove(0);
    assert_eq!((seen.snapshot.as_str(), seen.marker), ("monday", Some(marker())));
    assert_eq!(seen.description.as_deref(), Some("it is monday"));
    assert!(seen.taken_at.is_some() && !seen.is_cut);
    stage.ask(configure()).await.unwrap();
    stage.ask(resize(40)).await.unwrap();
    // It would pull the plug.
    let failure = stage.refused(back_to("monday"), Class::Permanent).await;
    assert!(failure.words.contains("10000 runs"), "{failure}");
    stage.ask(shutdown()).await.unwrap();
    stage.ask(start()).await.unwrap();
    stage.ask(shutdown()).await.unwrap();
    assert_eq!(looks(&stage), (2, 40, 4, vec!["monday".to_owned()]));
    for _ in 0..2 {
        stage.ask(back_to("monday")).await.unwrap();
    }
    // Its size is that of then, its mark is still there.
    assert_eq!(looks(&stage), (1, 10, 2, vec!["monday".to_owned()]));
    stage.ask(configure()).await.unwrap();
    stage.ask(resize(40)).await.unwrap();
    assert_eq!(looks(&stage), (1, 40, 4, vec!["monday".to_owned()]));
    for _ in 0..2 {
        stage.ask(delete("monday")).await.unwrap();
    }
    assert_eq!(looks(&stage), (1, 40, 4, vec![]));
    stage.ask(start()).await.unwrap();
    for (kind, times) in [("vm-snapshot-taken", 1), ("vm-snapshot-deleted", 1)] {
        assert_eq!(stage.count(kind), times, "{kind}");
    }
    stage.refused(back_to("monday"), Class::Permanent).await;
}

#[tokio::test]
async fn snapshots_go_with_their_machine() {
    let stage = Stage::open().await;
    stage.ask(on_zfs()).await.unwrap();
    stage.ask(take("monday")).await.unwrap();
    stage.ask(destroy()).await.unwrap();
    assert!(stage.lab.inventory().is_empty());
    stage.ask(delete("monday")).await.unwrap();
    for refused in [stage.ask(take("monday")).await.err(), stage.ask(back_to("monday")).await.err()]
    {
        assert_eq!(refused.unwrap().class, Class::Permanent);
    }
}

#[tokio::test]
async fn what_a_storage_cannot_is_said_in_words() {
    let stage = Stage::open().await;
    stage.ask(clone()).await.unwrap();
    let failure = stage.refused(take("monday"), Class::Permanent).await;
    assert_eq!(failure.words, "the storage beneath its disk takes no snapshots");
    stage.ask(destroy()).await.unwrap();
    stage.ask(on_zfs()).await.unwrap();
    for name in ["a1", "b1", "c1"] {
        stage.ask(take(name)).await.unwrap();
    }
    let failure = stage.refused(back_to("a1"), Class::Permanent).await;
    let words =
        "its storage goes back to the latest snapshot only; drop what was taken later first";
    assert_eq!(failure.words, format!("{words}: c1, b1"));
    stage.lab.break_times("proxmox", "disk-is-qcow2", 1).unwrap();
    let failure = stage.refused(resize(40), Class::Permanent).await;
    assert!(failure.words.contains("cannot grow while there are snapshots"), "{failure}");
    stage.ask(resize(40)).await.unwrap();
    let template = Machine { vmid: 9002, ..machine() };
    let failure =
        stage.refused(SnapshotVm { machine: template, ..take("x1") }, Class::Conflict).await;
    assert!(failure.words.contains("stranger"), "{failure}");
}

#[tokio::test]
async fn what_others_have_taken_is_shown_and_left_alone() {
    let stage = Stage::open().await;
    stage.ask(on_zfs()).await.unwrap();
    let theirs = [("snapname", "by-hand".to_owned()), ("description", "mine".to_owned())];
    by_hand(&stage, Method::POST, "snapshot", &theirs).await;
    let seen = list(&stage).await.remove(0);
    assert_eq!((seen.marker, seen.description.as_deref()), (None, Some("mine")));
    let failure = stage.refused(take("by-hand"), Class::Conflict).await;
    assert!(failure.words.contains("not ours"), "{failure}");
    stage.refused(back_to("by-hand"), Class::Conflict).await;
    stage.ask(delete("by-hand")).await.unwrap();
    assert_eq!(list(&stage).await.len(), 1);
    // Another life's machine on our number is not touched either.
    let other = Machine { marker: "another".to_owned(), ..machine() };
    stage.ask(DeleteSnapshot { machine: other.clone(), ..delete("by-hand") }).await.unwrap();
    stage.refused(RollBackVm { machine: other, ..back_to("by-hand") }, Class::Conflict).await;
    assert_eq!((list(&stage).await.len(), stage.count("vm-rolled-back")), (1, 0));
    stage.ask(take("monday")).await.unwrap();
    assert_eq!(sighted(&stage).await, [(format!("{VMID}/monday"), Some(marker()))]);
}

/// What a scan for drift sees.
async fn sighted(stage: &Stage) -> Vec<(String, Option<String>)> {
    let (vmid_first, vmid_last) = (VMID, VMID + 99);
    let look = SightSnapshots { login: machine().login, vmid_first, vmid_last, after: None };
    let page = stage.ask(look).await.unwrap();
    assert_eq!(page.after, None);
    page.things.into_iter().map(|thing| (thing.resource.id, thing.marker)).collect()
}

#[tokio::test]
async fn a_task_that_an_attempt_before_has_begun_is_followed() {
    let stage = Stage::open().await;
    stage.ask(on_zfs()).await.unwrap();
    stage.survives(("proxmox", "lost-response"), Class::Ambiguous, take("monday")).await;
    stage.survives(("proxmox", "lost-response"), Class::Ambiguous, delete("monday")).await;
    assert_eq!((stage.count("vm-snapshot-taken"), stage.count("vm-snapshot-deleted")), (1, 1));
    stage.ask(take("monday")).await.unwrap();
    stage.survives(("proxmox", "lost-response"), Class::Ambiguous, back_to("monday")).await;
    assert_eq!(looks(&stage).3, ["monday"]);
}

#[tokio::test]
async fn what_a_crashed_node_leaves_is_named_until_somebody_unlocks_it() {
    let stage = Stage::open().await;
    stage.ask(on_zfs()).await.unwrap();
    stage.lab.break_times("proxmox", "lock-left", 1).unwrap();
    stage.refused(take("monday"), Class::Ambiguous).await;
    for refused in [
        stage.refused(take("monday"), Class::Wait).await,
        stage.refused(delete("monday"), Class::Wait).await,
        stage.refused(back_to("monday"), Class::Wait).await,
    ] {
        assert!(refused.words.contains("locked (snapshot)"), "{refused}");
        assert!(refused.words.contains("somebody must unlock it"), "{refused}");
    }
    assert!(stage.lab.unlock(VMID));
    // Nobody goes back to half a snapshot; it is taken away and taken anew.
    assert!(list(&stage).await[0].is_cut);
    let failure = stage.refused(take("monday"), Class::Permanent).await;
    assert!(failure.words.contains("cut off"), "{failure}");
    stage.refused(back_to("monday"), Class::Permanent).await;
    stage.ask(delete("monday")).await.unwrap();
    stage.ask(take("monday")).await.unwrap();
    stage.lab.break_times("proxmox", "lock-left", 1).unwrap();
    stage.refused(back_to("monday"), Class::Ambiguous).await;
    stage.refused(back_to("monday"), Class::Wait).await;
    assert!(stage.lab.unlock(VMID));
    stage.ask(back_to("monday")).await.unwrap();
}

/// Every call that the steps make, lost before and after, and refused for now: each time all happens,
/// and what makes or deletes happens once.
#[tokio::test]
async fn whatever_call_is_lost_there_is_one_snapshot_and_then_none() {
    let calls = [
        "GET /cluster/resources",
        "GET /config",
        "GET /snapshot",
        "POST /snapshot",
        "GET /tasks/",
        "GET /status/current",
        "POST /rollback",
        "DELETE /snapshot/",
    ];
    let faults = [CallFault::FailPassing, CallFault::DropBefore, CallFault::LoseResponse];
    for (call, fault) in calls.iter().flat_map(|call| faults.map(|fault| (call, fault))) {
        let stage = Stage::open().await;
        stage.ask(on_zfs()).await.unwrap();
        stage.lab.break_call_times("proxmox", call, fault, 1).unwrap();
        stage.insist(take("monday")).await;
        stage.insist(back_to("monday")).await;
        stage.insist(delete("monday")).await;
        let (taken, deleted) =
            (stage.count("vm-snapshot-taken"), stage.count("vm-snapshot-deleted"));
        assert_eq!((taken, deleted), (1, 1), "{call} {fault:?}");
        assert!(stage.count("vm-rolled-back") >= 1, "{call} {fault:?}");
        assert_eq!(looks(&stage).3, Vec::<String>::new(), "{call} {fault:?}");
    }
}

async fn live(stage: &Stage) -> Result<(), Failure> {
    stage.endure(on_zfs()).await?;
    stage.endure(configure()).await?;
    stage.endure(take("monday")).await?;
    stage.endure(start()).await?;
    stage.endure(shutdown()).await?;
    stage.endure(back_to("monday")).await?;
    assert_eq!(looks(stage).0, 0, "it is as it was before its first boot");
    stage.endure(start()).await?;
    stage.endure(delete("monday")).await?;
    stage.endure(take("tuesday")).await?;
    stage.endure(DestroyVm { machine: machine() }).await?;
    Ok(())
}

#[tokio::test]
async fn whatever_fault_strikes_a_machine_with_snapshots_it_is_as_wanted_or_gone() {
    let sweep =
        Sweep { vendor: "proxmox", left_out: &LEFT_OUT, pairs: &[("vm-cloned", "vm-destroyed")] };
    sweep
        .carry_out(live, async |stage: &Stage| {
            stage.insist(destroy()).await;
        })
        .await;
}
