//! What changes a workspace that is there: rebuild, resize, delete and bringing it back; what is
//! refused before anything is made; and a create that waits to be gone on with.

use serde_json::{Value, json};
use stead_lab::CallFault;
use stead_schemas::event::Outcome;
use stead_schemas::failure::Class;

use crate::stage::effects::count;
use crate::stage::{Desk, Setting, Stage, check_gone, check_ledger, check_whole, until};

const GIB: u64 = 1 << 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_exchanges_the_machine_or_leaves_the_one_from_before() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    john.carry_out("create", json!({})).await;
    let home = stage.lab.inventory().datasets;
    john.carry_out("rebuild", json!({})).await;
    check_whole(&stage.lab, "john");
    let inventory = stage.lab.inventory();
    assert_eq!((inventory.vms[0].vmid, &inventory.datasets), (10_001, &home));
    stage
        .lab
        .break_call_times("proxmox", "POST /status/start", CallFault::FailLasting, 1)
        .expect("a vendor");
    let failure = john.fail("rebuild", json!({ "template": "debian-12-desktop" })).await;
    assert_eq!(failure.step.as_deref(), Some("proxmox.start-vm"));
    // The guest boots; nobody waits for it.
    let ready = |inventory: &stead_lab::Inventory| {
        inventory.vms.len() == 1 && inventory.vms[0].guest_stage == "agent-ready"
    };
    crate::stage::within("the machine from before runs", stage.lab.until(ready)).await;
    assert_eq!(stage.lab.inventory().vms[0].vmid, 10_001);
    check_ledger(&stage).await;
    john.carry_out("rebuild", json!({ "template": "debian-12-desktop" })).await;
    check_whole(&stage.lab, "john");
    assert_eq!(count(&stage.lab.effects(), "dataset-created"), 1);
    assert_eq!(count(&stage.lab.effects(), "dataset-destroyed"), 0);
    john.carry_out("delete", json!({})).await;
    check_gone(&stage.lab, "john");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_workspace_is_brought_back_with_what_is_in_its_home() {
    let setting = Setting { grace_seconds: 3_600, ..Setting::default() };
    let stage = Stage::with(setting).await;
    let john = stage.desk("john").await;
    let created = john.carry_out("create", json!({})).await;
    stage.lab.fill("tank/coder-home/john", 3 * GIB);
    john.carry_out("delete", json!({})).await;
    let inventory = stage.lab.inventory();
    assert_eq!((inventory.vms.len(), inventory.datasets.len()), (0, 1), "{inventory:#?}");
    check_ledger(&stage).await;
    let view = john.view(&created.run).await;
    assert_eq!(view.summary.phase, "deleted");
    assert!(view.view["undelete_until"].is_string(), "{view:?}");
    john.carry_out("undelete", json!({})).await;
    check_whole(&stage.lab, "john");
    assert_eq!(stage.lab.inventory().datasets[0].used_bytes, 3 * GIB);
    john.carry_out("delete", json!({ "now": true })).await;
    check_gone(&stage.lab, "john");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_is_kept_in_a_snapshot_and_shown() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    let unknown = john.ask("home", "snapshot", json!({ "name": "home" })).await.unwrap_err();
    assert_eq!(unknown.code, "home.unknown");
    john.carry_out("create", json!({})).await;
    let fields = json!({ "name": "home", "snapshot": "before-upgrade" });
    let taken = john.ask("home", "snapshot", fields.clone()).await.expect("it is let in");
    assert!(matches!(john.outcome(&taken).await, Outcome::Done(_)));
    let again = john.ask("home", "snapshot", fields).await.expect("it is let in");
    let Outcome::Failed(failure) = john.outcome(&again).await else {
        panic!("nothing is kept under a name that is taken");
    };
    assert!(failure.words.contains("a snapshot before-upgrade already"), "{failure}");
    let snapshots = &stage.lab.inventory().datasets[0].snapshots;
    assert_eq!(snapshots, &["before-upgrade"]);
    let told = stage.verb(&["home", "show", "--owner=john"]).await;
    let said = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.status.success() && said.contains("before-upgrade"), "{said}");
    let told = stage.verb(&["home", "snapshot", "stead-x", "--owner=john"]).await;
    assert_eq!(told.status.code(), Some(3));
    let told = stage.verb(&["home", "snapshots", "--owner=john"]).await;
    let said = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.status.success() && said.contains("before-upgrade"), "{said}");
    let told = stage.verb(&["home", "drop", "before-upgrade", "--owner=john", "--wait"]).await;
    assert!(told.status.success(), "{told:?}");
    let told = stage.verb(&["home", "resize", "--quota-gb=60", "--owner=john", "--wait"]).await;
    assert!(told.status.success(), "{told:?}");
    let home = &stage.lab.inventory().datasets[0];
    assert!(home.snapshots.is_empty());
    john.carry_out("delete", json!({})).await;
    check_gone(&stage.lab, "john");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_happen_is_said_and_does_not_happen() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    john.carry_out("create", json!({})).await;
    let before = stage.streams().await.transitions().await;
    for (verb, words) in [
        ("delete", "machine 10000 on pve1: shut down and destroyed"),
        ("delete", "with the last one it is destroyed at once"),
        ("rebuild", "new machine: made from debian-12 on the node with the most free memory"),
        ("update", "Coder workspace: built anew, and the machine restarts, if another version"),
    ] {
        let told = stage.verb(&["workspace", verb, "dev", "--owner=john", "--dry-run"]).await;
        let said = String::from_utf8_lossy(&told.stdout);
        assert!(told.status.success() && said.contains(words), "{verb}: {said}");
    }
    let words = ["workspace", "delete", "dev", "--owner=john", "--dry-run", "--json"];
    let told: Value = serde_json::from_slice(&stage.verb(&words).await.stdout).expect("JSON");
    assert_eq!(told["plan"].as_array().map(Vec::len), Some(4), "{told}");
    assert_eq!(stage.streams().await.transitions().await, before, "nothing is written");
    check_whole(&stage.lab, "john");
    // In the inbox nobody would hear it, and it must not be carried out instead.
    let fields = json!({ "name": "dev", "dry_run": true });
    let fields = fields.as_object().expect("fields");
    stage.client.publish_command(&john.owner, "workspace", "delete", fields).await.expect("kept");
    until("the inbox is empty", || async {
        (stage.streams().await.count("STEAD_INBOX").await == 0).then_some(())
    })
    .await;
    assert_eq!(stage.streams().await.transitions().await, before, "nothing is written");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_there_is_no_room_nothing_is_made() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    stage.lab.resize_node("pve1", 15 * GIB);
    let failure = john.fail("create", json!({})).await;
    let words = "no node has room: pve1 has 7 GiB of memory free, and 8 are wanted";
    assert_eq!((failure.class, failure.words.as_str()), (Class::Permanent, words));
    stage.lab.resize_node("pve1", 256 * GIB);
    for (vendor, name) in [("coder", "Coder"), ("proxmox", "Proxmox VE"), ("truenas", "TrueNAS")] {
        stage.lab.end_login(vendor, 7_000);
        let failure = john.fail("create", json!({})).await;
        let words = format!("the login that Stead has at {name} ends in 1 h");
        assert!(failure.words.contains(&words), "{failure}");
        stage.lab.end_login(vendor, 700_000);
    }
    let jane = stage.desk("jane").await;
    assert!(stage.lab.suspend("jane"));
    let failure = jane.fail("create", json!({})).await;
    assert_eq!(failure.step.as_deref(), Some("coder.survey"));
    assert!(failure.words.starts_with("jane is suspended in Coder"), "{failure}");
    stage.lab.resize_pool(30 * GIB);
    let failure = john.fail("create", json!({})).await;
    assert!(failure.words.contains("29 GiB free, and a home of 50 GiB is wanted"), "{failure}");
    assert!(stage.lab.effects().is_empty(), "{:#?}", stage.lab.effects());
    stage.lab.resize_pool(100 * GIB);
    let created = john.carry_out("create", json!({})).await;
    let view = john.view(&created.run).await.view;
    assert_eq!(view["placement"], "pve1: 248 GiB of memory free");
    stage.lab.fill("tank/coder-home/john", 40 * GIB);
    let failure = john.fail("resize", json!({ "storage_quota_gb": 30 })).await;
    assert!(failure.words.contains("keeps 40 GiB already"), "{failure}");
    assert_eq!(stage.lab.inventory().datasets[0].refquota_bytes, 50 * GIB);
    john.carry_out("resize", json!({ "disk_gb": 60, "memory_gb": 16 })).await;
    assert_eq!(stage.lab.inventory().vms[0].disk_gib, 60);
    let view = john.view(&created.run).await.view;
    assert_eq!(view["runs_with"]["memory_gb"], 8, "until it is restarted: {view}");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_that_waits_goes_on_with_another_parameter() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    stage.lab.break_("proxmox", "storage-full").expect("a fault");
    let created = john.order("create", json!({ "on_failure": "wait" })).await;
    stuck(&john, &created.run).await;
    stage.lab.mend();
    let fields = json!({ "storage_backend": "nvme", "cpu_cores": 2 });
    john.carry_out("retry", fields).await;
    assert!(matches!(john.outcome(&created).await, Outcome::Done(_)));
    check_whole(&stage.lab, "john");
    assert_eq!(stage.lab.inventory().vms[0].cores, 2);
    assert_eq!(count(&stage.lab.effects(), "dataset-created"), 1, "it went on from the clone");
    john.carry_out("delete", json!({})).await;
    check_gone(&stage.lab, "john");
    stage.finish().await;
}

async fn stuck(john: &Desk, run: &stead_schemas::ids::RunId) {
    until("the create waits", || async {
        let view = john.view(run).await;
        (view.summary.phase == "stuck").then_some(())
    })
    .await;
    let view = john.view(run).await;
    let trouble = view.view["trouble"].to_string();
    assert!(trouble.contains("the storage is full"), "{trouble}");
    let waits = &view.waiting[0];
    assert_eq!((waits.what.as_str(), waits.reason.as_str()), ("the run", "human"), "{waits:?}");
    assert!(waits.words.starts_with("somebody to retry the create"), "{waits:?}");
}
