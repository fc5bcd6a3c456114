//! Snapshots of a workspace's machine: taken, gone back to, dropped, and gone with their machine.

use serde_json::{Value, json};
use stead_testkit::{Kit, Lapse, Trouble, Which, tells};

use crate::kits::{self, HOME};
use crate::tale::{Tale, done, failed};
use crate::world::World;

/// A machine is kept, changed, brought back, exchanged, kept under the same name and brought back while it
/// is off, and goes with all that was kept of it.
pub fn snapshots() -> Kit<World> {
    let with = |machine| ["coder dev", HOME[0], HOME[1], machine];
    let kept = |snapshot, machine| ["coder dev", HOME[0], HOME[1], snapshot, machine];
    kits::create()
        .command("snapshot", json!({ "snapshot": "monday", "description": "before the upgrade" }))
        .leaves(kept("snapshot 10000/monday", "vm 10000"))
        .command("resize", json!({ "cpu_cores": 8 }))
        .command("rollback", json!({ "snapshot": "monday" }))
        .command("snapshots", json!({}))
        .leaves(kept("snapshot 10000/monday", "vm 10000"))
        .command("rebuild", json!({}))
        .leaves(with("vm 10001"))
        .command("stop", json!({}))
        .command("snapshot", json!({ "snapshot": "monday" }))
        .command("rollback", json!({ "snapshot": "monday" }))
        .leaves(kept("snapshot 10001/monday", "vm 10001"))
        .command("delete", json!({}))
        .leaves([])
}

fn made(trouble: Trouble) -> Tale {
    let mut tale = Tale::new(trouble);
    done(tale.workspace("create", "dev", json!({})));
    tale
}

fn named(snapshot: &str) -> Value {
    json!({ "snapshot": snapshot })
}

#[test]
fn a_rollback_reads_like_this() {
    let kit = kits::create()
        .command("snapshot", named("monday"))
        .command("rollback", named("monday"))
        .command("drop", named("monday"));
    tells(
        &kit,
        "
        command  workspace.create
        step     vault.pin-secrets      done
        changed  coder-is-surveyed
        step     coder.survey           done
        step     proxmox.survey         done
        note     on pve1: 64 GiB of memory free, the most
        step     truenas.survey-pool    done
        step     home.attach            done
        step     vmids.reserve          done
        step     proxmox.clone-vm       done
        step     proxmox.configure-vm   done
        step     proxmox.resize-disk    done
        step     coder.start-workspace  done
        step     proxmox.start-vm       done
        step     guest.await-home       done
        step     coder.await-agent      done
        done     workspace.create
        command  workspace.snapshot
        step     vault.pin-secrets      done
        step     proxmox.list-snapshots done
        step     proxmox.snapshot-vm    done
        done     workspace.snapshot
        command  workspace.rollback
        step     vault.pin-secrets      done
        step     proxmox.list-snapshots done
        step     vault.pin-secrets      done
        step     proxmox.shutdown-vm    done
        step     coder.stop-workspace   done
        step     vault.pin-secrets      done
        step     proxmox.roll-back-vm   done
        note     the machine is back at monday
        step     proxmox.configure-vm   done
        step     proxmox.resize-disk    done
        step     vault.pin-secrets      done
        changed  starts-look-for-room
        step     proxmox.survey         done
        step     coder.start-workspace  done
        step     proxmox.start-vm       done
        step     guest.await-home       done
        step     coder.await-agent      done
        done     workspace.rollback
        command  workspace.drop
        step     vault.pin-secrets      done
        step     proxmox.delete-snapshot done
        done     workspace.drop
        ",
    );
}

#[test]
fn a_machine_that_is_back_has_the_size_that_the_workspace_has() {
    let mut tale = made(Trouble::default().crash());
    done(tale.workspace("snapshot", "dev", named("monday")));
    done(tale.workspace("resize", "dev", json!({ "cpu_cores": 8, "disk_gb": 60 })));
    done(tale.workspace("rollback", "dev", named("monday")));
    let world = &tale.stage.world;
    assert_eq!((world.cores[&10_000], world.disks[&10_000]), (8, 60));
    let view = tale.view("dev");
    assert_eq!((&view["phase"], &view["size"]["disk_gb"]), (&json!("ready"), &json!(60)));
    assert_eq!(view["snapshots"][0]["snapshot"], "monday");
    tale.stage.everything_replays();
}

#[test]
fn what_cannot_go_back_runs_again_as_it_was() {
    let mut tale = made(Trouble::failing("proxmox.roll-back-vm"));
    done(tale.workspace("snapshot", "dev", named("monday")));
    let failure = failed(tale.workspace("rollback", "dev", named("monday")));
    assert_eq!(failure.step.as_deref(), Some("proxmox.roll-back-vm"));
    assert_eq!(tale.view("dev")["phase"], "ready");
    assert!(tale.stage.world.running.contains_key(&10_000));
    tale.stage.everything_replays();
}

#[test]
fn a_machine_that_is_back_and_not_set_up_says_so() {
    let mut tale = made(Trouble::default());
    done(tale.workspace("snapshot", "dev", named("monday")));
    tale.stage.world.fails_next = Some("proxmox.configure-vm".to_owned());
    let failure = failed(tale.workspace("rollback", "dev", named("monday")));
    let words = "the machine is back at monday, and is not what it is to be: it was made to fail";
    assert_eq!(failure.words, words);
    assert_eq!(tale.view("dev")["phase"], "ready");
    tale.stage.world.fails_next = Some("proxmox.start-vm".to_owned());
    let failure = failed(tale.workspace("rollback", "dev", named("monday")));
    assert!(failure.words.contains("back at monday, and does not start"), "{failure}");
    assert_eq!(tale.view("dev")["phase"], "stopped");
    done(tale.workspace("start", "dev", json!({})));
}

#[test]
fn what_is_gone_at_proxmox_is_found_out_before_anything_stops() {
    let mut tale = made(Trouble::default());
    done(tale.workspace("snapshot", "dev", named("monday")));
    tale.stage.world.things.remove("snapshot 10000/monday");
    let failure = failed(tale.workspace("rollback", "dev", named("monday")));
    assert_eq!(failure.words, "Proxmox has no snapshot monday any more; drop it");
    assert!(!tale.stage.world.log.contains(&"proxmox.shutdown-vm".to_owned()));
    tale.stage.world.things.insert("snapshot 10000/monday".into(), "another".into());
    let failure = failed(tale.workspace("rollback", "dev", named("monday")));
    assert!(failure.words.contains("is not ours by now"), "{failure}");
    done(tale.workspace("drop", "dev", named("monday")));
    let refusal = tale.workspace("drop", "dev", named("monday")).unwrap_err();
    assert_eq!(refusal.code, "snapshot.unknown");
}

#[test]
fn a_snapshot_is_not_taken_for_another_one_of_its_name() {
    let mut tale = made(Trouble::default());
    tale.stage.world.things.insert("snapshot 10000/theirs".into(), String::new());
    let failure = failed(tale.workspace("snapshot", "dev", named("theirs")));
    assert!(failure.words.contains("theirs already, which is not ours"), "{failure}");
    for verb in ["drop", "rollback"] {
        let refusal = tale.workspace(verb, "dev", named("theirs")).unwrap_err();
        assert_eq!((refusal.code.as_str(), verb), ("snapshot.unknown", verb));
    }
    done(tale.workspace("snapshot", "dev", named("mine")));
    let failure = failed(tale.workspace("snapshot", "dev", named("mine")));
    assert_eq!(failure.words, "there is a snapshot mine already; choose another name");
    assert!(tale.things().contains(&"snapshot 10000/theirs"));
}

#[test]
fn names_are_as_proxmox_has_them() {
    let mut tale = made(Trouble::default());
    let long = "a".repeat(41);
    for name in ["a", "1st", "Monday", "a.b", "current", "pending", "vzdump", long.as_str(), ""] {
        let refusal = tale.workspace("snapshot", "dev", named(name)).unwrap_err();
        assert_eq!((refusal.code.as_str(), name), ("snapshot.name-invalid", name));
    }
    for text in ["two\nlines", "", &"x".repeat(201)] {
        let ask = json!({ "snapshot": "ab", "description": text });
        let refusal = tale.workspace("snapshot", "dev", ask).unwrap_err();
        assert_eq!(refusal.code, "snapshot.description-invalid");
    }
    done(tale.workspace("snapshot", "dev", named(&"a".repeat(40))));
    done(tale.workspace("snapshot", "dev", json!({})));
    let by_time = tale.view("dev")["snapshots"][1]["snapshot"].as_str().unwrap().to_owned();
    assert!(by_time.starts_with("at-1970-01-01t00-"), "{by_time}");
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    assert!(by_time.len() <= 40 && by_time.chars().all(fits), "{by_time}");
}

#[test]
fn who_keeps_many_drops_one_before_he_takes_another() {
    let mut tale = made(Trouble::default());
    for number in 0..8 {
        done(tale.workspace("snapshot", "dev", named(&format!("n{number}"))));
    }
    let failure = failed(tale.workspace("snapshot", "dev", named("more")));
    assert_eq!(failure.words, "8 snapshots are kept already; drop one of them first");
    done(tale.workspace("drop", "dev", named("n3")));
    done(tale.workspace("snapshot", "dev", named("more")));
}

#[test]
fn a_drop_that_is_not_known_to_be_done_can_be_asked_for_again() {
    let which = Which::Named("proxmox.delete-snapshot".into());
    let mut tale = made(Trouble::fault(which, Lapse::AfterEffect));
    done(tale.workspace("snapshot", "dev", named("monday")));
    failed(tale.workspace("drop", "dev", named("monday")));
    assert_eq!(tale.view("dev")["snapshots"][0]["snapshot"], "monday");
    done(tale.workspace("drop", "dev", named("monday")));
    assert_eq!(tale.view("dev")["snapshots"], json!(null));
}
