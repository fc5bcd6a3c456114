//! What happens, told as text.

use serde_json::json;
use stead_testkit::{Trouble, tells, tells_of};

use crate::findings;
use crate::kits;
use crate::tale::{Tale, done};

#[test]
fn a_workspace_lives_and_dies() {
    let mut tale = Tale::new(Trouble::default());
    done(tale.workspace("create", "dev", json!({ "cpu_cores": 8 })));
    let things = ["coder dev", "dataset tank/home/john", "share /mnt/tank/home/john", "vm 10000"];
    assert_eq!(tale.things(), things);
    for verb in ["stop", "stop", "start", "restart"] {
        done(tale.workspace(verb, "dev", json!({})));
    }
    done(tale.workspace("resize", "dev", json!({ "storage_quota_gb": 100 })));
    done(tale.workspace("delete", "dev", json!({})));
    assert!(tale.things().is_empty(), "{:?}", tale.stage.world);
    tale.stage.everything_replays();
}

#[test]
fn a_create_reads_like_this() {
    tells(
        &kits::create(),
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
        ",
    );
}

#[test]
fn what_nobody_wants_in_coder_any_more_is_taken_back_and_no_build_is_asked_for() {
    let order = json!({ "coder_id": kits::CODER_ID });
    tells_of(
        &kits::create_with(order),
        &Trouble::failing("coder.join-workspace"),
        "
        command  workspace.create
        step     vault.pin-secrets     done
        changed  coder-is-surveyed
        step     coder.survey          done
        step     proxmox.survey        done
        note     on pve1: 64 GiB of memory free, the most
        step     truenas.survey-pool   done
        step     home.attach           done
        step     vmids.reserve         done
        step     proxmox.clone-vm      done
        step     proxmox.configure-vm  done
        step     proxmox.resize-disk   done
        step     coder.join-workspace  failed lasting: it was made to fail
        undo     coder.leave-workspace done
        undo     proxmox.destroy-vm    done
        undo     vmids.release         done
        undo     home.detach           done
        failed   coder.join-workspace: it was made to fail
        over     failed
        ",
    );
}

#[test]
fn what_cannot_be_made_is_taken_back() {
    tells_of(
        &kits::create(),
        &Trouble::failing("proxmox.clone-vm"),
        "
        command  workspace.create
        step     vault.pin-secrets   done
        changed  coder-is-surveyed
        step     coder.survey        done
        step     proxmox.survey      done
        note     on pve1: 64 GiB of memory free, the most
        step     truenas.survey-pool done
        step     home.attach         done
        step     vmids.reserve       done
        step     proxmox.clone-vm    failed lasting: it was made to fail
        undo     proxmox.destroy-vm  done
        undo     vmids.release       done
        undo     home.detach         done
        failed   proxmox.clone-vm: it was made to fail
        over     failed
        ",
    );
}

#[test]
fn a_home_reads_like_this() {
    tells(
        &kits::home(),
        "
        command  home.attach
        step     vault.pin-secrets         done
        step     truenas.ensure-dataset    done
        step     truenas.set-permissions   done
        step     truenas.ensure-share      done
        done     home.attach
        command  home.attach
        step     vault.pin-secrets         done
        step     truenas.update-quota      done
        done     home.attach
        command  home.resize
        step     vault.pin-secrets         done
        step     truenas.update-quota      done
        done     home.resize
        command  home.repair
        step     vault.pin-secrets         done
        step     truenas.update-quota      done
        step     truenas.ensure-share      done
        done     home.repair
        command  home.snapshot
        step     vault.pin-secrets         done
        changed  home-looks-for-the-name
        step     truenas.list-snapshots    done
        step     truenas.snapshot-dataset  done
        done     home.snapshot
        command  home.snapshots
        step     vault.pin-secrets         done
        step     truenas.list-snapshots    done
        done     home.snapshots
        command  home.drop
        step     vault.pin-secrets         done
        step     truenas.delete-snapshot   done
        done     home.drop
        command  home.detach
        done     home.detach
        command  home.detach
        done     home.detach
        timer    the grace period of a home that no workspace uses
        undo     vault.pin-secrets         done
        undo     truenas.remove-share      done
        undo     truenas.snapshot-dataset  done
        undo     truenas.destroy-dataset   done
        over     completed
        ",
    );
}

#[test]
fn a_ledger_and_a_probe_read_like_this() {
    tells(
        &kits::vmids(),
        "
        command  vmids.reserve
        step     proxmox.check-vmid  done
        done     vmids.reserve
        command  vmids.reserve
        step     proxmox.check-vmid  done
        done     vmids.reserve
        command  vmids.release
        done     vmids.release
        command  vmids.reserve
        step     proxmox.check-vmid  done
        done     vmids.reserve
        ",
    );
    let steps = "step     probe.noop  done\n".repeat(6);
    tells(
        &kits::probe(),
        &format!("command  probe.start\n{steps}done     probe.start\nover     completed"),
    );
}

#[test]
fn a_scan_for_drift_reads_like_this() {
    tells(
        &findings::drift(),
        "
        command  drift.scan
        step     vault.pin-secrets       done
        step     proxmox.sight-machines  done
        step     proxmox.sight-machines  done
        step     truenas.sight-datasets  done
        step     truenas.sight-datasets  done
        step     truenas.sight-shares    done
        step     truenas.sight-shares    done
        step     coder.sight-workspaces  done
        step     coder.sight-workspaces  done
        step     proxmox.sight-seeds     done
        step     proxmox.sight-seeds     done
        changed  scans-see-snapshots
        step     proxmox.sight-snapshots done
        step     proxmox.sight-snapshots done
        step     truenas.sight-datasets  done
        step     truenas.sight-datasets  done
        step     truenas.sight-extents   done
        step     truenas.sight-extents   done
        step     truenas.sight-targets   done
        step     truenas.sight-targets   done
        step     s3.sight-buckets        done
        step     s3.sight-buckets        done
        step     s3.sight-keys           done
        step     s3.sight-keys           done
        step     vault.sight-secrets     done
        step     vault.sight-secrets     done
        step     vault.sight-secrets     done
        step     vault.sight-secrets     done
        step     coder.sight-tokens      done
        step     coder.sight-tokens      done
        step     coder.sight-versions    done
        step     coder.sight-versions    done
        step     forgejo.sight-repositories  done
        step     forgejo.sight-repositories  done
        step     kubernetes.sight-servers    done
        step     kubernetes.sight-servers    done
        done     drift.scan
        over     completed
        ",
    );
}

#[test]
fn what_is_decided_about_findings_reads_like_this() {
    tells(
        &findings::decisions(),
        "
        command  drift.destroy
        done     drift.destroy
        command  drift.destroy
        step     entity.look-up-run  done
        undo     vault.pin-secrets   done
        undo     s3.delete-key       done
        done     drift.destroy
        command  drift.destroy
        step     entity.look-up-run  done
        undo     vault.pin-secrets    done
        undo     proxmox.remove-seed  done
        done     drift.destroy
        command  drift.destroy
        step     entity.look-up-run  done
        step     vault.pin-secrets   done
        step     coder.revoke-token  done
        done     drift.destroy
        command  drift.destroy
        step     entity.look-up-run     done
        step     vault.pin-secrets      done
        step     coder.archive-version  done
        done     drift.destroy
        command  drift.destroy
        step     entity.look-up-run  done
        undo     vault.pin-secrets   done
        undo     kubernetes.remove   done
        done     drift.destroy
        timer    the grace period of something that is to be destroyed
        step     entity.look-up-run  done
        undo     vault.pin-secrets   done
        undo     s3.empty-bucket     done
        undo     s3.delete-bucket    done
        undo     s3.delete-key       done
        note     s3/bucket/mary-data is destroyed
        command  drift.ignore
        done     drift.ignore
        command  drift.adopt
        step     vault.pin-secrets   done
        step     proxmox.mark-vm     done
        done     drift.adopt
        command  drift.destroy
        undo     vault.pin-secrets   done
        undo     proxmox.destroy-vm  done
        done     drift.destroy
        ",
    );
}

#[test]
fn two_workspaces_share_a_home() {
    let mut tale = Tale::new(Trouble::default());
    done(tale.workspace("create", "one", json!({})));
    done(tale.workspace("create", "two", json!({})));
    done(tale.workspace("delete", "one", json!({})));
    let things = ["coder two", "dataset tank/home/john", "share /mnt/tank/home/john", "vm 10001"];
    assert_eq!(tale.things(), things);
    done(tale.workspace("delete", "two", json!({})));
    assert!(tale.things().is_empty());
}

#[test]
fn a_home_outlives_its_last_workspace_by_the_grace_period() {
    let mut tale = Tale::new(Trouble::default());
    tale.stage.site.truenas.grace_seconds = 3_600;
    done(tale.workspace("create", "one", json!({})));
    tale.give("delete", "one", json!({}));
    tale.stage.work();
    assert_eq!(tale.things(), ["dataset tank/home/john", "share /mnt/tank/home/john"]);
    done(tale.workspace("create", "two", json!({})));
    assert!(!tale.stage.world.log.contains(&"truenas.destroy-dataset".to_owned()));
    done(tale.workspace("delete", "two", json!({})));
    assert!(tale.things().is_empty(), "the timer has fired");
}

#[test]
fn a_stranger_on_our_vmid_is_stepped_around() {
    let mut tale = Tale::new(Trouble::default());
    tale.stage.world.things.insert("vm 10000".into(), "a stranger".into());
    done(tale.workspace("create", "dev", json!({})));
    assert_eq!(tale.stage.world.things["vm 10000"], "a stranger");
    assert!(tale.stage.world.things.contains_key("vm 10001"));
    done(tale.workspace("delete", "dev", json!({})));
    assert_eq!(tale.things(), ["vm 10000"]);
}

#[test]
fn a_cancel_takes_everything_back_wherever_it_comes() {
    for steps in 0..40 {
        let mut tale = Tale::new(Trouble::default().crash());
        let run = tale.give("create", "dev", json!({}));
        for _ in 0..steps {
            tale.stage.one_step();
        }
        if tale.stage.phase(&run) == "ready" {
            assert!(steps > 10);
            return;
        }
        tale.stage.cancel(&run, "a test");
        tale.stage.settle();
        assert!(tale.things().is_empty(), "after {steps} steps: {:?}", tale.stage.world);
        tale.stage.everything_replays();
    }
    panic!("the workspace was never ready");
}

#[test]
fn a_delete_does_not_wait_for_a_create() {
    for steps in 0..14 {
        let mut tale = Tale::new(Trouble::default());
        tale.give("create", "dev", json!({}));
        for _ in 0..steps {
            tale.stage.one_step();
        }
        done(tale.workspace("delete", "dev", json!({})));
        assert!(tale.things().is_empty(), "after {steps} steps: {:?}", tale.stage.world);
    }
}

#[test]
fn a_name_is_free_again_after_a_delete() {
    let mut tale = Tale::new(Trouble::default());
    done(tale.workspace("create", "dev", json!({})));
    let refusal = tale.workspace("create", "dev", json!({})).unwrap_err();
    assert_eq!(refusal.code, "workspace.exists");
    done(tale.workspace("delete", "dev", json!({})));
    assert_eq!(tale.give("create", "dev", json!({})).life(), 2);
}

#[test]
fn a_long_life_begins_anew_and_goes_on() {
    let mut tale = Tale::new(Trouble::default().crash());
    done(tale.workspace("create", "dev", json!({})));
    for _ in 0..40 {
        done(tale.workspace("restart", "dev", json!({})));
    }
    done(tale.workspace("delete", "dev", json!({})));
    assert!(tale.things().is_empty());
    tale.stage.everything_replays();
}

#[test]
fn bad_orders_are_refused_by_field() {
    let cases = [
        (json!({ "cpu_cores": 17 }), "parameter.out-of-range", "cpu_cores"),
        (json!({ "memory_gb": 3 }), "parameter.out-of-range", "memory_gb"),
        (json!({ "memory_gb": -3 }), "parameter.out-of-range", "memory_gb"),
        (json!({ "storage_quota_gb": "50" }), "parameter.wrong-type", "storage_quota_gb"),
        (json!({ "storage_backend": "floppy" }), "parameter.out-of-range", "storage_backend"),
        (json!({ "template": "os/2" }), "template.unknown", "template"),
        (json!({ "on_failure": "cry" }), "parameter.out-of-range", "on_failure"),
        (json!({ "disk_gb": 39 }), "parameter.out-of-range", "disk_gb"),
        (json!({ "colour": "red" }), "command.unknown-field", "colour"),
    ];
    for (fields, code, field) in cases {
        let mut tale = Tale::new(Trouble::default());
        let refusal = tale.workspace("create", "dev", fields).unwrap_err();
        assert_eq!((refusal.code.as_str(), refusal.field.as_deref()), (code, Some(field)));
    }
    for name in ["", "Dev", "a.b", "a b", "*", ">", "-a", "a-", "🦀", &"x".repeat(300)] {
        let mut tale = Tale::new(Trouble::default());
        let refusal = tale.workspace("create", name, json!({})).unwrap_err();
        assert_eq!(refusal.code, "workspace.name-invalid", "{name}");
    }
    let mut tale = Tale::new(Trouble::default());
    assert_eq!(tale.workspace("start", "no", json!({})).unwrap_err().code, "workspace.unknown");
}
