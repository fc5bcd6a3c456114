//! What happens, told as text.

use serde_json::json;
use stead_schemas::event::Outcome;

use crate::stage::{Stage, Trouble};

fn done(outcome: Outcome) {
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
}

#[test]
fn a_workspace_lives_and_dies() {
    let mut stage = Stage::new(Trouble::default());
    done(stage.workspace("create", "dev", json!({ "cpu_cores": 8 })).unwrap());
    let things = ["coder dev", "dataset tank/home/john", "share /mnt/tank/home/john", "vm 10000"];
    assert_eq!(stage.world.names(), things);
    for verb in ["stop", "stop", "start", "restart"] {
        done(stage.workspace(verb, "dev", json!({})).unwrap());
    }
    done(stage.workspace("resize", "dev", json!({ "storage_quota_gb": 100 })).unwrap());
    done(stage.workspace("delete", "dev", json!({})).unwrap());
    assert!(stage.world.names().is_empty(), "{:?}", stage.world);
    stage.everything_replays();
}

#[test]
fn a_create_reads_like_this() {
    let mut stage = Stage::new(Trouble::default());
    stage.workspace("create", "dev", json!({})).unwrap();
    let story = stage.story(&stage.latest("dev"));
    assert_eq!(
        story,
        [
            "command create",
            "step vault.pin-secrets",
            "step home.attach",
            "step vmids.reserve",
            "step proxmox.clone-vm",
            "step proxmox.configure-vm",
            "step proxmox.resize-disk",
            "step coder.start-workspace",
            "step proxmox.start-vm",
            "step guest.await-home",
            "step coder.await-agent",
            "done",
        ]
    );
}

#[test]
fn what_cannot_be_made_is_taken_back() {
    // The step that fails: coder.await-agent, the last one.
    let mut stage = Stage::new(Trouble::default());
    stage.workspace("create", "dev", json!({})).unwrap();
    let last = stage.asked - 1;
    let mut stage = Stage::new(Trouble { fail_at: Some(last), ..Trouble::default() });
    stage.workspace("create", "dev", json!({})).unwrap();
    let story = stage.story(&stage.latest("dev"));
    assert_eq!(
        story[10..],
        [
            "step coder.await-agent failed: it was made to fail",
            "undo coder.delete-workspace",
            "undo proxmox.destroy-vm",
            "undo vmids.release",
            "undo home.detach",
            "failed: coder.await-agent: it was made to fail",
            "run failed",
        ]
    );
}

#[test]
fn two_workspaces_share_a_home() {
    let mut stage = Stage::new(Trouble::default());
    done(stage.workspace("create", "one", json!({})).unwrap());
    done(stage.workspace("create", "two", json!({})).unwrap());
    done(stage.workspace("delete", "one", json!({})).unwrap());
    let things = ["coder two", "dataset tank/home/john", "share /mnt/tank/home/john", "vm 10001"];
    assert_eq!(stage.world.names(), things);
    done(stage.workspace("delete", "two", json!({})).unwrap());
    assert!(stage.world.names().is_empty());
}

#[test]
fn a_home_outlives_its_last_workspace_by_the_grace_period() {
    let mut stage = Stage::new(Trouble::default());
    stage.site.truenas.grace_seconds = 3_600;
    done(stage.workspace("create", "one", json!({})).unwrap());
    stage.give("workspace", "john", "one", "delete", json!({})).unwrap();
    while stage.one_step() {}
    assert_eq!(stage.world.names(), ["dataset tank/home/john", "share /mnt/tank/home/john"]);
    done(stage.workspace("create", "two", json!({})).unwrap());
    assert!(!stage.world.log.contains(&"truenas.destroy-dataset".to_owned()));
    done(stage.workspace("delete", "two", json!({})).unwrap());
    assert!(stage.world.names().is_empty(), "the timer has fired");
}

#[test]
fn a_stranger_on_our_vmid_is_stepped_around() {
    let mut stage = Stage::new(Trouble::default());
    stage.world.things.insert("vm 10000".into(), "a stranger".into());
    done(stage.workspace("create", "dev", json!({})).unwrap());
    assert_eq!(stage.world.things["vm 10000"], "a stranger");
    assert!(stage.world.things.contains_key("vm 10001"));
    done(stage.workspace("delete", "dev", json!({})).unwrap());
    assert_eq!(stage.world.names(), ["vm 10000"]);
}

#[test]
fn a_cancel_takes_everything_back_wherever_it_comes() {
    for steps in 0..40 {
        let mut stage = Stage::new(Trouble { crash: true, ..Trouble::default() });
        stage.give("workspace", "john", "dev", "create", json!({})).unwrap();
        for _ in 0..steps {
            stage.one_step();
        }
        let run = stage.latest("dev");
        if stage.phase(&run) == "ready" {
            assert!(steps > 10);
            return;
        }
        stage.cancel(&run);
        stage.settle();
        assert!(stage.world.names().is_empty(), "after {steps} steps: {:?}", stage.world);
        stage.everything_replays();
    }
    panic!("the workspace was never ready");
}

#[test]
fn a_delete_does_not_wait_for_a_create() {
    for steps in 0..14 {
        let mut stage = Stage::new(Trouble::default());
        stage.give("workspace", "john", "dev", "create", json!({})).unwrap();
        for _ in 0..steps {
            stage.one_step();
        }
        done(stage.workspace("delete", "dev", json!({})).unwrap());
        assert!(stage.world.names().is_empty(), "after {steps} steps: {:?}", stage.world);
    }
}

#[test]
fn a_name_is_free_again_after_a_delete() {
    let mut stage = Stage::new(Trouble::default());
    done(stage.workspace("create", "dev", json!({})).unwrap());
    let refusal = stage.workspace("create", "dev", json!({})).unwrap_err();
    assert_eq!(refusal.code, "workspace.exists");
    done(stage.workspace("delete", "dev", json!({})).unwrap());
    done(stage.workspace("create", "dev", json!({})).unwrap());
    assert_eq!(stage.latest("dev").life(), 2);
}

#[test]
fn a_long_life_begins_anew_and_goes_on() {
    let mut stage = Stage::new(Trouble { crash: true, ..Trouble::default() });
    done(stage.workspace("create", "dev", json!({})).unwrap());
    for _ in 0..40 {
        done(stage.workspace("restart", "dev", json!({})).unwrap());
    }
    done(stage.workspace("delete", "dev", json!({})).unwrap());
    assert!(stage.world.names().is_empty());
    stage.everything_replays();
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
        (json!({ "colour": "red" }), "command.unknown-field", "colour"),
    ];
    for (fields, code, field) in cases {
        let mut stage = Stage::new(Trouble::default());
        let refusal = stage.workspace("create", "dev", fields).unwrap_err();
        assert_eq!((refusal.code.as_str(), refusal.field.as_deref()), (code, Some(field)));
    }
    for name in ["", "Dev", "a.b", "a b", "*", ">", "-a", "a-", "🦀", &"x".repeat(300)] {
        let mut stage = Stage::new(Trouble::default());
        let refusal = stage.workspace("create", name, json!({})).unwrap_err();
        assert_eq!(refusal.code, "workspace.name-invalid", "{name}");
    }
    let mut stage = Stage::new(Trouble::default());
    assert_eq!(stage.workspace("start", "no", json!({})).unwrap_err().code, "workspace.unknown");
}
