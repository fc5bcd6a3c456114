//! Copies of guests, against the lab.

use std::time::Duration;

use reqwest::Method;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::failure::Class;
use stead_schemas::step::backup::{DumpGuest, Dumps, Old, ProveDump, RemoveDumps, Removed};

use super::{LOGIN, pve};
use crate::testing::Stage;

fn of() -> Dumps {
    let [login, storage] = [LOGIN, "backup-nfs"].map(str::to_owned);
    let [series, marker] = ["stead-vault-", "backup-vault"].map(str::to_owned);
    Dumps { login, vmid: 9000, storage, series, marker }
}

fn copy(number: u32) -> String {
    format!("stead-vault-{number}")
}

fn dump(number: u32) -> DumpGuest {
    DumpGuest { of: of(), copy: copy(number) }
}

fn prove(number: u32) -> ProveDump {
    ProveDump { of: of(), copy: copy(number) }
}

/// All that there is has had its time, but this one.
fn remove_but(number: u32) -> RemoveDumps {
    let before = SystemClock.now().after(Duration::from_secs(60 * 60));
    RemoveDumps { of: of(), old: Old { before, but: copy(number) } }
}

#[tokio::test]
async fn a_guest_is_copied_once_and_the_copy_is_looked_at() {
    let stage = Stage::open().await;
    for _ in 0..2 {
        stage.ask(dump(1)).await.unwrap();
    }
    let proof = stage.ask(prove(1)).await.unwrap();
    assert!(proof.words.contains("vzdump-qemu-9000"), "{}", proof.words);
    assert_eq!((proof.bytes, stage.count("guest-dumped")), (Some(734_003_200), 1));
    stage.refused(prove(2), Class::Permanent).await;
    stage.ask(dump(2)).await.unwrap();
    let removed = Removed { removed: 1, kept: None };
    assert_eq!(stage.ask(remove_but(2)).await.unwrap(), removed);
    stage.ask(prove(2)).await.unwrap();
    stage.refused(prove(1), Class::Permanent).await;
}

#[tokio::test]
async fn a_lost_answer_leaves_one_copy() {
    let stage = Stage::open().await;
    stage.survives(("proxmox", "lost-response"), Class::Ambiguous, dump(1)).await;
    assert_eq!(stage.count("guest-dumped"), 1);
    stage.ask(prove(1)).await.unwrap();
}

#[tokio::test]
async fn what_comes_to_nothing_is_said() {
    let stage = Stage::open().await;
    stage.lab.break_times("proxmox", "dump-hollow", 1).unwrap();
    stage.refused(dump(1), Class::Retry).await;
    stage.lab.break_times("proxmox", "storage-full", 1).unwrap();
    let failure = stage.refused(dump(1), Class::Permanent).await;
    assert!(failure.words.contains("full"), "{failure}");
    let nobody = DumpGuest { of: Dumps { vmid: 404, ..of() }, ..dump(1) };
    let failure = stage.refused(nobody, Class::Permanent).await;
    assert_eq!(failure.words, "there is no guest 404");
    stage.ask(dump(1)).await.unwrap();
}

#[tokio::test]
async fn a_copy_that_is_empty_or_was_found_faulty_proves_nothing() {
    let stage = Stage::open().await;
    stage.ask(dump(1)).await.unwrap();
    for (fault, words) in [("dump-empty", "is empty"), ("dump-faulty", "failed")] {
        stage.lab.break_times("proxmox", fault, 1).unwrap();
        let failure = stage.refused(prove(1), Class::Permanent).await;
        assert!(failure.words.contains(words), "{failure}");
    }
    stage.ask(prove(1)).await.unwrap();
}

#[tokio::test]
async fn what_is_a_strangers_or_protected_stays() {
    let stage = Stage::open().await;
    let theirs = [
        ("vmid", "9000".to_owned()),
        ("storage", "backup-nfs".to_owned()),
        ("notes-template", "by hand".to_owned()),
    ];
    let pve = pve(&stage).await;
    let cx = stead_runtime::worker::StepContext::unwatched(crate::testing::run());
    let started = pve.act(Method::POST, "/nodes/pve1/vzdump", &theirs).await.unwrap();
    super::task::finish(&pve, &cx, &started).await.unwrap();
    let mut ours = theirs.to_vec();
    ours[2].1 = format!("{} backup-vault", copy(1));
    ours.push(("protected", "1".to_owned()));
    let started = pve.act(Method::POST, "/nodes/pve1/vzdump", &ours).await.unwrap();
    super::task::finish(&pve, &cx, &started).await.unwrap();
    let removed = stage.ask(remove_but(2)).await.unwrap();
    assert_eq!(removed.removed, 0);
    assert!(removed.kept.is_some_and(|kept| kept.starts_with("1 copies are protected")));
    assert_eq!(stage.count("dump-removed"), 0);
}

#[tokio::test]
async fn a_copy_stays_in_sight_when_its_guest_has_moved_on() {
    let stage = Stage::open().await;
    stage.ask(super::clone()).await.unwrap();
    let of = Dumps { vmid: super::machine().vmid, storage: "backup-local".to_owned(), ..of() };
    stage.ask(DumpGuest { of: of.clone(), copy: copy(1) }).await.unwrap();
    let proof = ProveDump { of: of.clone(), copy: copy(1) };
    let before = stage.ask(proof.clone()).await.unwrap();
    stage.survives(("proxmox", "ha-moved"), Class::Retry, super::start()).await;
    assert_eq!(stage.ask(proof).await.unwrap(), before);
    // Made once, whichever node is asked.
    stage.ask(DumpGuest { of: of.clone(), copy: copy(1) }).await.unwrap();
    assert_eq!(stage.count("guest-dumped"), 1);
    stage.ask(DumpGuest { of: of.clone(), copy: copy(2) }).await.unwrap();
    let removed = stage.ask(RemoveDumps { of: of.clone(), ..remove_but(2) }).await.unwrap();
    assert_eq!((removed.removed, stage.count("dump-removed")), (1, 1));
    stage.ask(ProveDump { of, copy: copy(2) }).await.unwrap();
}
