//! Snapshots of machines: kept, gone back to while processes are killed, dropped, and gone with their
//! machine.

use serde_json::{Value, json};
use stead_lab::VmEntry;
use stead_schemas::event::Outcome;

use crate::stage::effects::count;
use crate::stage::{CALL, Desk, Seen, Stage, check_gone, check_ledger, check_whole};

fn named(snapshot: &str) -> Value {
    json!({ "snapshot": snapshot })
}

/// The machine, on a storage that takes snapshots.
async fn made(stage: &Stage) -> Desk {
    let john = stage.desk("john").await;
    john.carry_out("create", json!({ "storage_backend": "nvme" })).await;
    john
}

fn machine(stage: &Stage) -> VmEntry {
    stage.lab.inventory().vms.remove(0)
}

fn kept(stage: &Stage) -> Vec<String> {
    machine(stage).snapshots.into_iter().map(|one| one.name).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_goes_back_to_a_snapshot_though_the_engine_and_the_worker_are_killed() {
    let mut stage = Stage::start().await;
    let john = made(&stage).await;
    let home = stage.lab.inventory().datasets;
    john.carry_out("snapshot", json!({ "snapshot": "before", "description": "whole" })).await;
    john.carry_out("resize", json!({ "cpu_cores": 8, "disk_gb": 40 })).await;
    john.carry_out("restart", json!({})).await;
    let changed = machine(&stage);
    assert_eq!((changed.written, changed.cores, changed.disk_gib), (2, 8, 40));
    for victim in ["engine", "worker"] {
        stage.slow_down(CALL);
        let from = stage.events.count();
        let accepted = john.order("rollback", named("before")).await;
        let asked = |event: &Seen| event.scheduled() == Some("proxmox.roll-back-vm");
        stage.events.first("the rollback is asked for", from, asked).await;
        match victim {
            "engine" => {
                stage.kill_engine(0);
                stage.start_engine(0);
            }
            _ => {
                stage.kill_worker();
                stage.start_worker();
            }
        }
        stage.lab.mend();
        let outcome = john.outcome(&accepted).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{victim}: {outcome:?}");
        check_whole(&stage.lab, "john");
        // What its first boot had written, and what the boot after the rollback has.
        let back = machine(&stage);
        assert_eq!((back.written, back.cores, back.disk_gib), (2, 8, 40), "{victim}");
        assert_eq!(kept(&stage), ["before"]);
        check_ledger(&stage).await;
    }
    assert_eq!(stage.lab.inventory().datasets, home);
    john.carry_out("drop", named("before")).await;
    assert_eq!(kept(&stage), [""; 0]);
    let effects = stage.lab.effects();
    assert_eq!(
        (count(&effects, "vm-snapshot-taken"), count(&effects, "vm-snapshot-deleted")),
        (1, 1)
    );
    check_ledger(&stage).await;
    john.carry_out("delete", json!({})).await;
    check_gone(&stage.lab, "john");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_storage_cannot_is_refused_in_words_and_nothing_stops() {
    let stage = Stage::start().await;
    let john = made(&stage).await;
    for name in ["first", "second"] {
        john.carry_out("snapshot", named(name)).await;
    }
    // ZFS goes back to the latest one only: the machine runs again as it was.
    let failure = john.fail("rollback", named("first")).await;
    assert!(failure.words.contains("drop what was taken later first: second"), "{failure}");
    check_whole(&stage.lab, "john");
    assert_eq!(count(&stage.lab.effects(), "vm-rolled-back"), 0);
    john.carry_out("drop", named("second")).await;
    john.carry_out("rollback", named("first")).await;
    // The next machine has none, and lies on LVM, which takes none.
    john.carry_out("rebuild", json!({})).await;
    assert_eq!(kept(&stage), [""; 0]);
    check_ledger(&stage).await;
    john.carry_out("delete", json!({})).await;
    john.carry_out("create", json!({})).await;
    let failure = john.fail("snapshot", named("first")).await;
    assert_eq!(failure.words, "the storage beneath its disk takes no snapshots");
    check_whole(&stage.lab, "john");
    check_ledger(&stage).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_see_what_is_kept_and_what_a_rollback_loses() {
    let stage = Stage::start().await;
    let john = made(&stage).await;
    let verb = async |words: &[&str]| {
        let told = stage.verb(&[&["workspace"], words, &["--owner=john"]].concat()).await;
        let said = [told.stdout, told.stderr].concat();
        (told.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let (code, said) =
        verb(&["snapshot", "dev", "before", "--description=Debian 12", "--wait"]).await;
    assert!(code == Some(0) && said.contains("before is taken"), "{said}");
    let (code, said) = verb(&["snapshots", "dev"]).await;
    assert!(code == Some(0) && said.contains("before") && said.contains("Debian 12"), "{said}");
    let (code, said) = verb(&["snapshot", "dev", "current"]).await;
    assert!(code == Some(3) && said.contains("means something else"), "{said}");
    let (code, said) = verb(&["rollback", "dev", "before", "--dry-run"]).await;
    assert!(code == Some(0) && said.contains("is lost; it is as in before"), "{said}");
    for doing in ["rebuild", "delete"] {
        let (_, said) = verb(&[doing, "dev", "--dry-run"]).await;
        assert!(said.contains("its snapshots (before): destroyed with it"), "{said}");
    }
    let (code, said) = verb(&["show", "dev"]).await;
    assert!(code == Some(0) && said.contains("before"), "{said}");
    let (code, said) = verb(&["rollback", "dev", "before", "--wait"]).await;
    assert!(code == Some(0) && said.contains("john/dev is ready"), "{said}");
    let (code, said) = verb(&["drop", "dev", "before", "--wait"]).await;
    assert!(code == Some(0), "{said}");
    let (_, said) = verb(&["snapshots", "dev"]).await;
    assert!(said.contains("there is no snapshot"), "{said}");
    john.carry_out("delete", json!({})).await;
    check_gone(&stage.lab, "john");
    stage.finish().await;
}
