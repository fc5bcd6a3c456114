//! Proxmox's worker against the lab.

use reqwest::Method;
use serde_json::json;
use stead_lab::CallFault;
use stead_schemas::failure::Class;
use stead_schemas::site::{CloneKind, Network, StorageBackend};
use stead_schemas::step::proxmox::{
    CheckTemplate, CheckVmid, CloneVm, ConfigureVm, DestroyVm, Machine, MachineSeen, MarkVm,
    ResizeDisk, ShutdownVm, StartVm, Survey, VmidState,
};
use stead_schemas::step::sight::{SightMachines, Sighted};

use super::client::Pve;
use super::task;
use crate::testing::{Stage, config, marker, run};

mod cards;
mod dumps;
mod login;
mod power;
mod snapshots;
mod sweep;

const LOGIN: &str = "vault:secret/data/proxmox/api#1";
const VMID: u32 = 10_000;

fn machine() -> Machine {
    Machine { login: LOGIN.to_owned(), node: "pve1".to_owned(), vmid: VMID, marker: marker() }
}

fn clone() -> CloneVm {
    let (name, storage) = ("john-dev".to_owned(), StorageBackend::Iscsi);
    let clone_kind = CloneKind::Full;
    CloneVm { machine: machine(), template: 9000, name, storage, clone_kind }
}

fn configure() -> ConfigureVm {
    let owner = "john.doe".to_owned();
    let (name, network, storage_network) = (None, None, None);
    let (machine, cores, memory_mib, seed_in_drive) = (machine(), 4, 8192, false);
    ConfigureVm { machine, cores, memory_mib, owner, name, network, seed_in_drive, storage_network }
}

fn resize(size_gb: u32) -> ResizeDisk {
    ResizeDisk { machine: machine(), disk: "scsi0".to_owned(), size_gb }
}

fn start() -> StartVm {
    StartVm { machine: machine() }
}

fn shutdown() -> ShutdownVm {
    ShutdownVm { machine: machine(), timeout_seconds: 60 }
}

fn destroy() -> DestroyVm {
    DestroyVm { machine: machine() }
}

fn check_vmid(vmid: u32) -> CheckVmid {
    CheckVmid { login: LOGIN.to_owned(), vmid }
}

/// The lab's cluster, for what the steps do not do.
async fn pve(stage: &Stage) -> Pve {
    let config = config(&stage.lab);
    let secrets = stage.workers.secrets().clone();
    let seeds = stage.workers.seeds.clone();
    super::Client::new(&config.proxmox, secrets, seeds).unwrap().log_in(LOGIN).await.unwrap()
}

/// A stranger's machine on our VMID.
async fn put_stranger(stage: &Stage) {
    let pve = pve(stage).await;
    let params = [("newid", VMID.to_string()), ("full", "1".to_owned())];
    let started = pve.act(Method::POST, "/nodes/pve1/qemu/9000/clone", &params).await.unwrap();
    let cx = stead_runtime::worker::StepContext::unwatched(run());
    task::finish(&pve, &cx, &started).await.unwrap();
}

#[tokio::test]
async fn a_machine_lives_its_life_and_each_step_may_be_asked_twice() {
    let stage = Stage::open().await;
    for _ in 0..2 {
        stage.ask(clone()).await.unwrap();
    }
    for _ in 0..2 {
        stage.ask(configure()).await.unwrap();
    }
    for _ in 0..2 {
        stage.ask(resize(40)).await.unwrap();
    }
    stage.ask(resize(20)).await.unwrap();
    for _ in 0..2 {
        stage.ask(start()).await.unwrap();
    }
    let vm = stage.lab.inventory().vms.remove(0);
    assert_eq!((vm.name.as_str(), vm.cores, vm.memory_mib, vm.disk_gib), ("john-dev", 4, 8192, 40));
    assert_eq!(vm.status, "running");
    assert!(super::smbios::same_tags(&vm.tags, "stead;owner-john-doe"), "{}", vm.tags);
    for _ in 0..2 {
        stage.ask(shutdown()).await.unwrap();
    }
    for _ in 0..2 {
        stage.ask(destroy()).await.unwrap();
    }
    stage.ask(shutdown()).await.unwrap();
    for kind in ["vm-cloned", "vm-started", "vm-stopped", "vm-destroyed"] {
        assert_eq!(stage.count(kind), 1, "{kind}");
    }
    assert!(stage.lab.inventory().is_empty());
    stage.ask(check_vmid(VMID)).await.unwrap();
    stage.lab.break_("proxmox", "task-failed").unwrap();
    stage.refused(clone(), Class::Permanent).await;
}

#[tokio::test]
async fn the_seed_is_announced_in_the_serial_number() {
    let stage = Stage::open().await;
    stage.ask(clone()).await.unwrap();
    stage.ask(configure()).await.unwrap();
    let config = pve(&stage).await.look("/nodes/pve1/qemu/10000/config").await.unwrap().unwrap();
    let smbios = config["smbios1"].as_str().unwrap();
    assert!(
        smbios.starts_with("uuid=")
            && smbios.contains(",base64=1,serial=ZHM9bm9jbG91ZDtkc21vZGU9bmV0O3M9"),
        "{smbios}"
    );
}

#[tokio::test]
async fn a_running_machine_is_stopped_before_it_is_destroyed() {
    let stage = Stage::open().await;
    stage.ask(clone()).await.unwrap();
    stage.ask(start()).await.unwrap();
    stage.ask(destroy()).await.unwrap();
    assert_eq!((stage.count("vm-stopped"), stage.count("vm-destroyed")), (1, 1));
}

fn survey() -> Survey {
    Survey {
        login: LOGIN.to_owned(),
        nodes: ["pve1", "pve2", "pve9"].map(str::to_owned).into(),
        template: 9000,
        storage: StorageBackend::Nvme,
        vmid_first: VMID,
        vmid_last: VMID + 9,
        machine: None,
    }
}

#[tokio::test]
async fn one_look_shows_what_there_is_room_for() {
    let stage = Stage::open().await;
    stage.lab.resize_node("pve2", 40 << 30);
    let before = stage.ask(survey()).await.unwrap();
    assert_eq!((before.template_node.as_deref(), before.template_is_shared), (Some("pve1"), true));
    assert_eq!((before.vmids_taken, before.login_ends), (0, None));
    stage.lab.end_login("proxmox", 3_600);
    assert!(stage.ask(survey()).await.unwrap().login_ends.is_some(), "our token says so");
    let free = |seen: &stead_schemas::step::proxmox::Surveyed, at: usize| {
        (seen.nodes[at].memory_free_mib >> 10, seen.nodes[at].cores_given)
    };
    assert_eq!((free(&before, 0), free(&before, 1)), ((248, 0), (32, 0)));
    assert!(before.nodes[1].is_online && !before.nodes[2].is_online, "{before:?}");
    assert!(before.nodes[0].storage_free_gb.is_some_and(|free| free > 1_000), "{before:?}");
    assert_eq!(before.nodes[2].storage_free_gb, None);
    stage.ask(clone()).await.unwrap();
    stage.ask(configure()).await.unwrap();
    stage.ask(start()).await.unwrap();
    let after = stage.ask(survey()).await.unwrap();
    assert_eq!((after.vmids_taken, free(&after, 0)), (1, (240, 4)), "what runs has its memory");
    let machine = |node: &str, is_running| Some(MachineSeen { node: node.to_owned(), is_running });
    let one = Survey { nodes: vec!["pve2".to_owned()], machine: Some(VMID), ..survey() };
    let seen = stage.ask(one.clone()).await.unwrap();
    let names: Vec<_> = seen.nodes.iter().map(|node| node.node.as_str()).collect();
    assert_eq!((names, seen.machine), (vec!["pve2", "pve1"], machine("pve1", true)));
    stage.ask(shutdown()).await.unwrap();
    assert_eq!(stage.ask(one.clone()).await.unwrap().machine, machine("pve1", false));
    let unseen = Survey { machine: Some(VMID + 1), ..one };
    assert_eq!(stage.ask(unseen).await.unwrap().machine, None);
    let nothing = stage.ask(Survey { template: 9999, ..survey() }).await.unwrap();
    assert_eq!((nothing.template_node, nothing.template_is_shared), (None, false));
    assert_eq!(stage.count("vm-cloned"), 1, "a look makes nothing");
}

fn check_template() -> CheckTemplate {
    CheckTemplate {
        login: LOGIN.to_owned(),
        nodes: ["pve1", "pve2"].map(str::to_owned).into(),
        template: 9002,
        storage: StorageBackend::Nvme,
        clone_kind: CloneKind::Linked,
        network: Some(vlan(20)),
        seed_storage: Some("isos".to_owned()),
        storage_network: None,
        rights_at: None,
    }
}

#[tokio::test]
async fn a_login_that_may_only_look_is_found_before_a_machine_is_made() {
    let stage = Stage::open().await;
    let ask = || CheckTemplate { rights_at: Some(VMID), ..check_template() };
    stage.ask(ask()).await.expect("it may do all of it");
    stage.lab.break_("proxmox", "forbidden").unwrap();
    let failure = stage.refused(ask(), Class::Auth).await;
    let words = format!("our login at Proxmox lacks VM.Allocate on /vms/{VMID}");
    assert_eq!(failure.words, words);
    stage.ask(check_template()).await.expect("nobody asks whether it may");
}

fn vlan(number: u16) -> Network {
    Network { bridge: "vmbr1".to_owned(), vlan: Some(number) }
}

#[tokio::test]
async fn what_cannot_be_cloned_or_plugged_in_as_wanted_is_refused_in_words() {
    let stage = Stage::open().await;
    let checked = stage.ask(check_template()).await.unwrap();
    assert_eq!(checked.without_bridge, ["pve2"]);
    let refused = async |ask: CheckTemplate, words: &str| {
        let failure = stage.refused(ask, Class::Permanent).await;
        assert!(failure.words.contains(words), "{failure}");
    };
    let whole =
        CheckTemplate { template: 9000, storage: StorageBackend::Iscsi, ..check_template() };
    refused(whole.clone(), "iscsi-pool, where it lies, is a storage (lvm) of full clones").await;
    let elsewhere = CheckTemplate { storage: StorageBackend::Iscsi, ..check_template() };
    refused(elsewhere, "9002 is on nvme-pool, and iscsi-pool is wanted").await;
    refused(CheckTemplate { template: 9999, ..check_template() }, "no template 9999").await;
    let bridge = Some(Network { bridge: "vmbr9".to_owned(), vlan: None });
    refused(CheckTemplate { network: bridge, ..check_template() }, "no node has the bridge vmbr9")
        .await;
    let bridges = "no node has the bridges vmbr1 and vmbr9";
    let storage_network = Some(Network { bridge: "vmbr9".to_owned(), vlan: None });
    refused(CheckTemplate { storage_network, ..check_template() }, bridges).await;
    let seed_storage = Some("nvme-pool".to_owned());
    refused(CheckTemplate { seed_storage, ..check_template() }, "pve1 has no storage nvme-pool")
        .await;
    let plain = CheckTemplate { clone_kind: CloneKind::Full, network: None, ..whole };
    assert_eq!(stage.ask(plain).await.unwrap().without_bridge, [""; 0]);
    // Somebody has moved the template since it was looked at.
    stage.refused(CloneVm { clone_kind: CloneKind::Linked, ..clone() }, Class::Permanent).await;
    assert!(stage.lab.inventory().is_empty());
}

#[tokio::test]
async fn a_linked_clone_lies_beside_its_template_and_grows() {
    let stage = Stage::open().await;
    let linked = CloneKind::Linked;
    let clone =
        CloneVm { template: 9002, storage: StorageBackend::Nvme, clone_kind: linked, ..clone() };
    for _ in 0..2 {
        stage.ask(clone.clone()).await.unwrap();
    }
    stage.ask(resize(40)).await.unwrap();
    let config = pve(&stage).await.look("/nodes/pve1/qemu/10000/config").await.unwrap().unwrap();
    assert_eq!(config["scsi0"], "nvme-pool:base-9002-disk-0/vm-10000-disk-0,size=40G");
    stage.ask(destroy()).await.unwrap();
    assert!(stage.lab.inventory().is_empty());
}

#[tokio::test]
async fn a_taken_vmid_is_seen() {
    let stage = Stage::open().await;
    assert_eq!(stage.ask(check_vmid(VMID)).await.unwrap(), VmidState::Free);
    stage.ask(clone()).await.unwrap();
    assert_eq!(stage.ask(check_vmid(VMID)).await.unwrap(), VmidState::Taken);
    let lasting = CallFault::FailLasting;
    stage.lab.break_call_times("proxmox", "GET /cluster/nextid", lasting, 1).unwrap();
    stage.refused(check_vmid(VMID), Class::Auth).await;
}

#[tokio::test]
async fn a_lost_answer_ends_with_one_effect() {
    let stage = Stage::open().await;
    let lost = ("proxmox", "lost-response");
    stage.lose_answer("proxmox", "POST /clone");
    stage.refused(clone(), Class::Ambiguous).await;
    stage.insist(clone()).await;
    stage.survives(lost, Class::Ambiguous, configure()).await;
    stage.survives(lost, Class::Ambiguous, resize(40)).await;
    stage.survives(lost, Class::Ambiguous, start()).await;
    stage.survives(lost, Class::Ambiguous, shutdown()).await;
    stage.survives(lost, Class::Ambiguous, destroy()).await;
    for kind in ["vm-cloned", "vm-started", "vm-stopped", "vm-destroyed"] {
        assert_eq!(stage.count(kind), 1, "{kind}");
    }
    assert!(stage.lab.inventory().is_empty());
}

#[tokio::test]
async fn a_machine_whose_birth_was_not_seen_is_found() {
    let stage = Stage::open().await;
    for fault in ["proxy-timeout", "unexpected-status"] {
        stage.survives(("proxmox", fault), Class::Ambiguous, clone()).await;
        stage.ask(destroy()).await.unwrap();
    }
    assert_eq!((stage.count("vm-cloned"), stage.count("vm-destroyed")), (2, 2));
}

#[tokio::test]
async fn a_task_with_warnings_or_a_slow_birth_is_a_success() {
    let stage = Stage::open().await;
    stage.lab.break_times("proxmox", "task-warnings", 1).unwrap();
    stage.ask(clone()).await.unwrap();
    stage.lab.break_times("proxmox", "newborn-task", 2).unwrap();
    stage.ask(start()).await.unwrap();
}

#[tokio::test]
async fn a_strangers_machine_is_not_touched() {
    let stage = Stage::open().await;
    put_stranger(&stage).await;
    stage.refused(clone(), Class::Conflict).await;
    stage.refused(configure(), Class::Conflict).await;
    stage.refused(resize(40), Class::Conflict).await;
    stage.refused(start(), Class::Conflict).await;
    stage.ask(shutdown()).await.unwrap();
    stage.ask(destroy()).await.unwrap();
    assert_eq!((stage.count("vm-started"), stage.count("vm-destroyed")), (0, 0));
}

#[tokio::test]
async fn a_stranger_who_was_faster_is_a_conflict() {
    let stage = Stage::open().await;
    stage.lab.break_times("proxmox", "vmid-taken", 1).unwrap();
    let failure = stage.refused(clone(), Class::Conflict).await;
    assert!(failure.words.contains("stranger"), "{failure}");
    stage.ask(destroy()).await.unwrap();
    assert_eq!(stage.count("vm-destroyed"), 0);
}

#[tokio::test]
async fn two_attempts_at_once_make_one_machine() {
    let stage = Stage::open().await;
    tokio::join!(stage.insist(clone()), stage.insist(clone()), stage.insist(clone()));
    assert_eq!(stage.count("vm-cloned"), 1);
}

#[tokio::test]
async fn a_lock_that_a_crash_left_is_named_and_not_touched() {
    let stage = Stage::open().await;
    stage.lab.break_times("proxmox", "lock-left", 1).unwrap();
    stage.refused(clone(), Class::Ambiguous).await;
    let failure = stage.refused(clone(), Class::Wait).await;
    assert!(failure.words.contains("unlock"), "{failure}");
    stage.refused(destroy(), Class::Wait).await;
    stage.refused(shutdown(), Class::Wait).await;
}

#[tokio::test]
async fn a_machine_that_moved_is_found_on_its_new_node() {
    let stage = Stage::open().await;
    stage.ask(clone()).await.unwrap();
    stage.survives(("proxmox", "ha-moved"), Class::Retry, start()).await;
    assert_eq!(stage.lab.inventory().vms[0].node, "pve2");
    stage.survives(("proxmox", "ha-moved"), Class::Retry, destroy()).await;
    assert!(stage.lab.inventory().is_empty());
}

#[tokio::test]
async fn each_trouble_has_its_class() {
    let stage = Stage::open().await;
    for (fault, class) in [
        ("no-quorum", Class::VendorDown),
        ("node-down", Class::VendorDown),
        ("unauthorized", Class::Auth),
        ("forbidden", Class::Auth),
        ("task-failed", Class::Permanent),
        ("storage-full", Class::Permanent),
        ("locked", Class::Wait),
    ] {
        stage.lab.break_("proxmox", fault).unwrap();
        stage.refused(clone(), class).await;
        stage.lab.mend();
        assert_eq!(stage.count("vm-cloned"), 0, "{fault}");
    }
    stage.ask(clone()).await.unwrap();
}

#[tokio::test]
async fn a_full_storage_is_called_so() {
    let stage = Stage::open().await;
    stage.lab.break_("proxmox", "storage-full").unwrap();
    let failure = stage.refused(clone(), Class::Permanent).await;
    assert_eq!(failure.words, "the storage is full");
}

#[tokio::test]
async fn a_cluster_that_is_away_is_down() {
    let stage = Stage::open().await;
    let mut config = config(&stage.lab);
    config.proxmox.address = "http://127.0.0.1:1".parse().unwrap();
    let away = Stage::with(stage.lab.clone(), crate::Workers::new(config).unwrap());
    away.refused(clone(), Class::VendorDown).await;
}

#[tokio::test]
async fn a_cancelled_step_stops_waiting() {
    let stage = Stage::open().await;
    stage.lab.break_("proxmox", "task-stuck").unwrap();
    let (cancel, cancelled) = tokio::sync::watch::channel(false);
    let (progress, mut seen) = tokio::sync::watch::channel(None);
    let address = stead_schemas::dispatch::StepAddress { run: run(), seq: 1 };
    let cx = stead_runtime::worker::StepContext::new(address, progress, cancelled);
    let worker = stage.workers.only(["proxmox"]).unwrap().remove(0);
    let request = serde_json::to_value(clone()).unwrap();
    let attempt = tokio::spawn(worker.begin("proxmox.clone-vm", cx, request));
    seen.changed().await.unwrap();
    cancel.send_replace(true);
    let failure = attempt.await.unwrap().unwrap_err();
    assert_eq!(failure.class, Class::Cancelled, "{failure}");
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_missing() {
    let stage = Stage::open().await;
    stage.refused(start(), Class::Permanent).await;
    stage.refused(configure(), Class::Permanent).await;
    stage.refused(CloneVm { template: 9999, ..clone() }, Class::Permanent).await;
    stage.ask(clone()).await.unwrap();
    stage.refused(ResizeDisk { disk: "scsi9".to_owned(), ..resize(40) }, Class::Permanent).await;
    let broken = json!({ "machine": 1 });
    let worker = stage.workers.only(["proxmox"]).unwrap().remove(0);
    let cx = stead_runtime::worker::StepContext::unwatched(run());
    let failure = worker.begin("proxmox.start-vm", cx, broken).await.unwrap_err();
    assert_eq!(failure.class, Class::Permanent);
}

#[tokio::test]
async fn the_machines_on_our_numbers_are_listed_with_their_marks() {
    let stage = Stage::open().await;
    let sight = |vmid_last, after: Option<u32>| SightMachines {
        login: LOGIN.to_owned(),
        vmid_first: VMID,
        vmid_last,
        after: after.map(|vmid| vmid.to_string()),
    };
    assert_eq!(stage.ask(sight(19_999, None)).await.unwrap(), Sighted::default());
    put_stranger(&stage).await;
    let next = Machine { vmid: VMID + 1, ..machine() };
    stage.ask(CloneVm { machine: next, ..clone() }).await.unwrap();
    let seen = |page: Sighted| {
        assert_eq!(page.after, None);
        let things = page.things.into_iter();
        things.map(|thing| (thing.resource.id, thing.marker)).collect::<Vec<_>>()
    };
    let (stranger, ours) = (("10000".to_owned(), None), ("10001".to_owned(), Some(marker())));
    let all = stage.ask(sight(19_999, None)).await.unwrap();
    assert_eq!(seen(all), [stranger.clone(), ours.clone()]);
    assert_eq!(seen(stage.ask(sight(VMID, None)).await.unwrap()), [stranger]);
    assert_eq!(seen(stage.ask(sight(19_999, Some(VMID))).await.unwrap()), [ours]);
}

#[tokio::test]
async fn a_mark_is_put_on_the_machine_that_was_seen_and_on_no_other() {
    let stage = Stage::open().await;
    let mark = |was: Option<&str>| MarkVm {
        machine: machine(),
        was: was.map(str::to_owned),
        restores: false,
        gives: false,
        undoes: false,
    };
    stage.refused(mark(None), Class::Permanent).await;
    put_stranger(&stage).await;
    let failure = stage.refused(mark(Some("another")), Class::Conflict).await;
    assert!(failure.words.contains("carries no mark by now"), "{failure}");
    let before = stage.lab.inventory().vms;
    for undoes in [false, false, true, true] {
        stage.ask(MarkVm { undoes, ..mark(None) }).await.unwrap();
        assert_eq!(stage.lab.inventory().vms[0].description.contains(&marker()), !undoes);
    }
    assert_eq!(stage.lab.inventory().vms, before);
    stage.ask(mark(None)).await.unwrap();
    stage.ask(DestroyVm { machine: machine() }).await.unwrap();
    stage.ask(MarkVm { undoes: true, ..mark(None) }).await.unwrap();
    assert_eq!(stage.lab.inventory().vms, []);
}
