//! What changes a workspace that lives: rebuild, update, resize, delete and its undoing; what is
//! looked at before anything is made; and a create that waits when something fails.

use std::time::Duration;

use serde_json::{Value, json};
use stead_schemas::failure::Class;
use stead_schemas::site::Allowance;
use stead_testkit::{Trouble, tells};

use crate::kits::{self, CODER_ID};
use crate::tale::{Tale, done, failed};

const GRACE: u64 = 3_600;

/// John's workspace, made.
fn made(trouble: Trouble) -> Tale {
    let mut tale = Tale::new(trouble);
    tale.stage.site.truenas.grace_seconds = GRACE;
    done(tale.workspace("create", "dev", json!({})));
    tale
}

#[test]
fn a_rebuild_exchanges_the_machine_and_keeps_everything_else() {
    let mut tale = made(Trouble::default().crash());
    let before = tale.view("dev");
    done(tale.workspace("rebuild", "dev", json!({})));
    let after = tale.view("dev");
    assert_eq!((&before["vmid"], &after["vmid"]), (&json!(10_000), &json!(10_001)));
    assert_eq!(before["home_source"], after["home_source"]);
    assert_eq!((&after["phase"], &after["debts"]), (&json!("ready"), &json!(null)));
    assert!(tale.things().contains(&"vm 10001") && !tale.things().contains(&"vm 10000"));
    assert_eq!(tale.stage.world.running.keys().collect::<Vec<_>>(), [&10_001]);
    tale.stage.everything_replays();
}

#[test]
fn a_rebuild_of_a_workspace_that_is_off_leaves_it_off() {
    let mut tale = made(Trouble::default());
    done(tale.workspace("stop", "dev", json!({})));
    done(tale.workspace("rebuild", "dev", json!({})));
    assert_eq!(tale.view("dev")["phase"], "stopped");
    assert!(tale.stage.world.running.is_empty());
    done(tale.workspace("start", "dev", json!({})));
    assert_eq!(tale.stage.world.running.keys().collect::<Vec<_>>(), [&10_001]);
}

#[test]
fn a_machine_that_cannot_take_over_leaves_the_one_from_before() {
    for step in ["proxmox.start-vm", "guest.await-home", "coder.await-agent", "proxmox.survey"] {
        let mut tale = made(Trouble::default());
        tale.stage.world.fails_next = Some(step.to_owned());
        let failure = failed(tale.workspace("rebuild", "dev", json!({})));
        assert_eq!(failure.step.as_deref(), Some(step));
        let view = tale.view("dev");
        assert_eq!((&view["phase"], &view["vmid"]), (&json!("ready"), &json!(10_000)), "{step}");
        let trouble = view["trouble"].as_str().expect("it says what went wrong");
        assert!(trouble.starts_with("the machine from before, 10000, is kept"), "{trouble}");
        assert_eq!(tale.stage.world.running.keys().collect::<Vec<_>>(), [&10_000], "{step}");
        assert!(!tale.things().contains(&"vm 10001"), "{step}");
        done(tale.workspace("rebuild", "dev", json!({})));
        assert_eq!(tale.view("dev")["trouble"], json!(null), "it is over");
    }
}

#[test]
fn a_disk_only_grows_and_what_waits_for_a_restart_is_shown() {
    let mut tale = made(Trouble::default());
    let refusal = tale.workspace("resize", "dev", json!({ "disk_gb": 39 })).unwrap_err();
    assert_eq!(
        (refusal.code.as_str(), refusal.field.as_deref()),
        ("disk.shrinks", Some("disk_gb"))
    );
    assert!(refusal.words.contains("it has 40 GiB"), "{refusal}");
    done(tale.workspace("resize", "dev", json!({ "disk_gb": 60, "cpu_cores": 8 })));
    let view = tale.view("dev");
    assert_eq!(view["size"]["cpu_cores"], 8);
    assert_eq!(view["runs_with"], json!({ "cpu_cores": 4, "memory_gb": 8 }), "until it restarts");
    assert_eq!(tale.stage.world.disks[&10_000], 60);
    done(tale.workspace("restart", "dev", json!({})));
    assert_eq!(tale.view("dev")["runs_with"], json!(null));
    assert_eq!(
        tale.workspace("resize", "dev", json!({ "disk_gb": 59 })).unwrap_err().code,
        "disk.shrinks"
    );
}

#[test]
fn a_machine_does_not_grow_beyond_its_node() {
    let mut tale = made(Trouble::default());
    let node = tale.view("dev")["node"].as_str().expect("a node").to_owned();
    tale.stage.world.nodes.insert(node.clone(), 4);
    let failure = failed(tale.workspace("resize", "dev", json!({ "memory_gb": 16 })));
    let words = format!("{node} has 12 GiB of memory free, and 16 are wanted");
    assert_eq!(failure.words, words, "8 of them are its own");
    assert_eq!(tale.view("dev")["size"]["memory_gb"], 8, "nothing has changed");
    done(tale.workspace("resize", "dev", json!({ "memory_gb": 12 })));
    done(tale.workspace("stop", "dev", json!({})));
    let failure = failed(tale.workspace("resize", "dev", json!({ "memory_gb": 14 })));
    assert_eq!(failure.words, format!("{node} has 4 GiB of memory free, and 14 are wanted"));
    done(tale.workspace("resize", "dev", json!({ "memory_gb": 4 })));
    tale.stage.world.nodes.insert(node, 1);
    done(tale.workspace("resize", "dev", json!({ "disk_gb": 60 })));
    tale.stage.everything_replays();
}

#[test]
fn a_deleted_workspace_is_brought_back_with_its_home() {
    let mut tale = made(Trouble::default().crash());
    tale.give("delete", "dev", json!({}));
    tale.stage.work();
    assert_eq!(tale.things(), ["dataset tank/home/john", "share /mnt/tank/home/john"]);
    assert_eq!(tale.view("dev")["phase"], "deleted");
    assert_eq!(tale.workspace("start", "dev", json!({})).unwrap_err().code, "workspace.deleted");
    tale.give("undelete", "dev", json!({}));
    tale.stage.work();
    let view = tale.view("dev");
    assert_eq!((&view["phase"], &view["vmid"]), (&json!("ready"), &json!(10_001)));
    assert!(!tale.stage.world.log.contains(&"truenas.destroy-dataset".to_owned()));
    assert_eq!(
        tale.workspace("undelete", "dev", json!({})).unwrap_err().code,
        "workspace.not-deleted"
    );
    tale.stage.everything_replays();
}

#[test]
fn what_is_not_brought_back_in_time_is_gone_and_its_home_after_it() {
    let mut tale = made(Trouble::default());
    tale.give("delete", "dev", json!({}));
    tale.stage.work();
    tale.stage.pass(Duration::from_secs(GRACE - 60));
    assert_eq!(tale.view("dev")["phase"], "deleted");
    tale.stage.pass(Duration::from_secs(120));
    assert!(tale.things().is_empty(), "{:?}", tale.things());
    assert_eq!(tale.workspace("undelete", "dev", json!({})).unwrap_err().code, "workspace.unknown");
}

#[test]
fn a_delete_without_grace_says_so_itself() {
    let mut tale = made(Trouble::default());
    tale.give("delete", "dev", json!({ "now": true }));
    tale.stage.work();
    assert!(tale.things().is_empty(), "{:?}", tale.things());
    let mut tale = made(Trouble::default());
    tale.give("delete", "dev", json!({}));
    tale.stage.work();
    assert_eq!(tale.workspace("delete", "dev", json!({})).unwrap_err().code, "workspace.deleted");
    tale.give("delete", "dev", json!({ "now": true }));
    tale.stage.work();
    assert!(tale.things().is_empty(), "somebody did not want to wait: {:?}", tale.things());
}

#[test]
fn the_debts_of_a_delete_shrink_one_by_one() {
    let mut tale = made(Trouble::default());
    tale.give("delete", "dev", json!({}));
    let mut seen = Vec::new();
    while tale.stage.one_step() {
        let debts = tale.view("dev")["debts"].as_array().map_or(0, Vec::len);
        if seen.last() != Some(&debts) {
            seen.push(debts);
        }
    }
    assert_eq!(seen, [5, 4, 3, 2, 1, 0]);
}

#[test]
fn a_name_is_free_while_its_workspace_goes_and_while_it_could_come_back() {
    let mut tale = made(Trouble::default());
    tale.give("delete", "dev", json!({}));
    tale.give("create", "dev", json!({ "cpu_cores": 8 }));
    tale.stage.work();
    let view = tale.view("dev");
    assert_eq!((&view["phase"], &view["size"]["cpu_cores"]), (&json!("ready"), &json!(8)));
    tale.give("delete", "dev", json!({}));
    tale.stage.work();
    tale.give("create", "dev", json!({ "cpu_cores": 2 }));
    tale.stage.work();
    assert_eq!(tale.view("dev")["size"]["cpu_cores"], 2);
    tale.stage.everything_replays();
}

#[test]
fn nothing_is_made_where_there_is_no_room() {
    let refused = |spoil: fn(&mut Tale), words: &str| {
        let mut tale = Tale::new(Trouble::default());
        spoil(&mut tale);
        let failure = failed(tale.workspace("create", "dev", json!({})));
        assert_eq!(failure.class, Class::Permanent);
        assert_eq!(failure.words, words);
        let looks = ["coder.survey", "vault.pin-secrets", "proxmox.survey", "truenas.survey-pool"];
        let acts = tale.stage.world.log.iter().filter(|step| !looks.contains(&step.as_str()));
        assert_eq!(acts.count(), 0, "{:?}", tale.stage.world.log);
    };
    let full = |tale: &mut Tale| {
        tale.stage.world.nodes = [("pve1".to_owned(), 7)].into();
    };
    refused(
        full,
        "no node has room: pve1 has 7 GiB of memory free, and 8 are wanted; pve2 does not answer",
    );
    refused(
        |tale| tale.stage.world.free_gb = 49,
        "tank/home has 49 GiB free, and a home of 50 GiB is wanted",
    );
}

#[test]
fn the_node_is_chosen_and_the_history_says_why() {
    let mut tale = Tale::new(Trouble::default());
    tale.stage.world.nodes.insert("pve1".into(), 4);
    done(tale.workspace("create", "dev", json!({})));
    let words = "pve2: 32 GiB of memory free; pve1 has 4 GiB of memory free, and 8 are wanted";
    assert_eq!(tale.view("dev")["placement"], words);
    assert_eq!(tale.view("dev")["node"], "pve2");
    assert!(tale.has_told("dev", &format!("on {words}")));
}

#[test]
fn an_owner_has_no_more_than_the_site_allows() {
    let mut tale = Tale::new(Trouble::default());
    tale.stage.site.allowance =
        Allowance { workspaces: Some(2), cpu_cores: Some(10), memory_gb: None };
    done(tale.workspace("create", "one", json!({})));
    let failure = failed(tale.workspace("create", "two", json!({ "cpu_cores": 8 })));
    assert_eq!(
        failure.words,
        "john would have 12 cores, and may have 10; stopped workspaces count"
    );
    assert_eq!(tale.things().len(), 4, "nothing was made for it");
    done(tale.workspace("create", "two", json!({})));
    let failure = failed(tale.workspace("create", "three", json!({ "cpu_cores": 2 })));
    assert!(failure.words.contains("3 workspaces, and may have 2"), "{failure}");
    let failure = failed(tale.workspace("resize", "one", json!({ "cpu_cores": 8 })));
    assert!(failure.words.contains("12 cores"), "{failure}");
    assert_eq!(tale.view("one")["size"]["cpu_cores"], 4, "nothing has changed");
    done(tale.workspace("resize", "one", json!({ "cpu_cores": 2 })));
    done(tale.workspace("resize", "two", json!({ "cpu_cores": 8 })));
    done(tale.workspace("delete", "two", json!({})));
    done(tale.workspace("create", "three", json!({ "cpu_cores": 8 })));
}

#[test]
fn what_a_resize_has_given_up_it_has_again_when_it_fails() {
    let mut tale = Tale::new(Trouble::default());
    tale.stage.site.allowance = Allowance { cpu_cores: Some(8), ..Allowance::default() };
    done(tale.workspace("create", "one", json!({})));
    tale.stage.world.fails_next = Some("proxmox.configure-vm".to_owned());
    tale.give("resize", "one", json!({ "cpu_cores": 2 }));
    tale.stage.one_step();
    // Somebody takes what has become free, before it is wanted back.
    tale.give("create", "two", json!({ "cpu_cores": 6 }));
    tale.stage.work();
    assert_eq!(tale.view("two")["phase"], "ready");
    assert_eq!(
        (&tale.view("one")["phase"], &tale.view("one")["size"]["cpu_cores"]),
        (&json!("ready"), &json!(4))
    );
    done(tale.workspace("delete", "one", json!({})));
}

#[test]
fn a_machine_does_not_get_the_number_of_one_before_it() {
    let mut tale = made(Trouble::default().crash());
    for number in [10_001, 10_000] {
        tale.give("delete", "dev", json!({}));
        tale.stage.work();
        tale.give("create", "dev", json!({}));
        tale.stage.work();
        assert_eq!(tale.view("dev")["vmid"], number);
    }
    // While it goes, too.
    tale.give("delete", "dev", json!({ "now": true }));
    tale.give("create", "dev", json!({}));
    tale.stage.work();
    assert_eq!(tale.view("dev")["vmid"], 10_001);
    tale.stage.everything_replays();
}

#[test]
fn another_coder_template_is_shown_before_the_machine_boots() {
    let mut tale = made(Trouble::default());
    tale.give("rebuild", "dev", json!({ "template": "debian-13" }));
    let awaited = |tale: &Tale| {
        tale.stage.world.log.iter().filter(|step| *step == "guest.await-home").count()
    };
    while awaited(&tale) == 1 {
        assert!(tale.stage.one_step(), "it boots");
    }
    assert_eq!(tale.view("dev")["coder_id"], "coder-dev-stead-machine-13");
}

#[test]
fn what_was_made_in_coder_is_made_anew_by_us_where_its_template_changes() {
    let mut tale = Tale::new(Trouble::default());
    done(tale.workspace("create", "dev", json!({ "coder_id": CODER_ID })));
    assert_eq!(tale.view("dev")["coder_id"], CODER_ID);
    done(tale.workspace("rebuild", "dev", json!({ "template": "debian-13" })));
    assert_eq!(tale.view("dev")["coder_id"], "coder-dev-stead-machine-13");
    assert!(tale.stage.world.joined_gone.contains(CODER_ID));
    assert!(tale.things().contains(&"coder dev"), "{:?}", tale.things());
    done(tale.workspace("delete", "dev", json!({})));
    assert!(tale.things().is_empty(), "{:?}", tale.things());
    tale.stage.everything_replays();
}

#[test]
fn what_is_to_be_joined_is_not_shown_as_ours_before_somebody_has_looked_whose_it_is() {
    let mut tale = Tale::new(Trouble::default());
    tale.give("create", "dev", json!({ "coder_id": CODER_ID }));
    let joined =
        |tale: &Tale| tale.stage.world.log.iter().any(|step| step == "coder.join-workspace");
    while !joined(&tale) {
        let view = tale.view("dev");
        assert_eq!((&view["coder_id"], &view["joins"]), (&json!(null), &json!(CODER_ID)));
        assert!(tale.stage.one_step(), "it gets so far");
    }
    tale.stage.work();
    assert_eq!(tale.view("dev")["coder_id"], CODER_ID);
}

#[test]
fn what_was_made_in_coder_comes_back_as_one_that_we_made() {
    let mut tale = Tale::new(Trouble::default());
    tale.stage.site.truenas.grace_seconds = GRACE;
    done(tale.workspace_now("create", "dev", json!({ "coder_id": CODER_ID })));
    for verb in ["stop", "start", "delete"] {
        done(tale.workspace_now(verb, "dev", json!({})));
    }
    assert!(tale.stage.world.joined_gone.contains(CODER_ID));
    done(tale.workspace_now("undelete", "dev", json!({})));
    assert_eq!(tale.view("dev")["coder_id"], "coder-dev-stead-machine");
    tale.stage.everything_replays();
}

#[test]
fn what_is_to_be_joined_must_be_shown_as_the_site_says() {
    let mut tale = Tale::new(Trouble::default());
    let mut refused = |fields: Value| {
        let refusal = tale.workspace("create", "dev", fields).unwrap_err();
        (refusal.code, refusal.field.unwrap_or_default())
    };
    let code = |code: &str, field: &str| (code.to_owned(), field.to_owned());
    assert_eq!(refused(json!({ "coder_id": "dev" })), code("parameter.wrong-type", "coder_id"));
    let unknown = code("template.unknown", "coder_template");
    assert_eq!(refused(json!({ "coder_template": "none" })), unknown);
    let other = json!({ "template": "debian-13", "coder_template": "stead-machine" });
    assert_eq!(refused(other), unknown);
    done(tale.workspace("create", "dev", json!({ "coder_template": "stead-machine-13" })));
    assert_eq!(tale.view("dev")["template"], "debian-13");
}

#[test]
fn the_machine_that_goes_makes_room_for_the_one_that_comes() {
    let full = |tale: &mut Tale| {
        tale.stage.world.nodes = [("pve1".to_owned(), 1), ("pve2".to_owned(), 7)].into();
    };
    let mut tale = made(Trouble::default());
    full(&mut tale);
    done(tale.workspace("rebuild", "dev", json!({})));
    assert_eq!(tale.view("dev")["node"], "pve1");
    // One that is off has nothing to give.
    done(tale.workspace("stop", "dev", json!({})));
    let failure = failed(tale.workspace("rebuild", "dev", json!({})));
    assert!(failure.words.contains("pve1 has 1 GiB of memory free"), "{failure}");
}

#[test]
fn a_create_that_waits_goes_on_from_the_step_that_failed() {
    let mut tale = Tale::new(Trouble::failing("proxmox.clone-vm").crash());
    tale.give("create", "dev", json!({ "on_failure": "wait" }));
    tale.stage.work();
    let view = tale.view("dev");
    assert_eq!(view["phase"], "stuck");
    assert!(view["trouble"].as_str().is_some_and(|words| words.contains("clone-vm")), "{view}");
    assert_eq!(tale.workspace("stop", "dev", json!({})).unwrap_err().code, "workspace.stuck");
    let homes = |tale: &Tale| {
        tale.stage.world.log.iter().filter(|step| *step == "truenas.ensure-dataset").count()
    };
    assert_eq!(homes(&tale), 1);
    tale.give("retry", "dev", json!({ "storage_backend": "nvme", "cpu_cores": 2, "node": "pve2" }));
    tale.stage.work();
    let view = tale.view("dev");
    assert_eq!((&view["phase"], &view["node"]), (&json!("ready"), &json!("pve2")));
    assert_eq!((&view["storage_backend"], &view["size"]["cpu_cores"]), (&json!("nvme"), &json!(2)));
    assert_eq!(homes(&tale), 1, "what was done is not done again");
    assert_eq!(view["trouble"], json!(null));
    tale.stage.everything_replays();
}

#[test]
fn a_machine_that_is_there_already_is_changed_or_goes() {
    for (change, vmid, cores) in [
        (json!({}), 10_000, 4),
        (json!({ "cpu_cores": 8 }), 10_000, 8),
        (json!({ "template": "debian-13" }), 10_001, 4),
    ] {
        let mut tale = Tale::new(Trouble::failing("coder.await-agent"));
        tale.give("create", "dev", json!({ "on_failure": "wait" }));
        tale.stage.work();
        assert!(tale.things().contains(&"vm 10000"), "it is left to be looked at");
        tale.give("retry", "dev", change.clone());
        tale.stage.work();
        let view = tale.view("dev");
        assert_eq!(view["phase"], "ready", "{change}: {view}");
        assert_eq!((&view["vmid"], &view["size"]["cpu_cores"]), (&json!(vmid), &json!(cores)));
        assert_eq!(tale.things().iter().filter(|thing| thing.starts_with("vm ")).count(), 1);
        assert_eq!(tale.stage.world.running.keys().collect::<Vec<_>>(), [&vmid]);
    }
}

#[test]
fn a_create_that_waits_in_vain_is_taken_back_and_so_is_one_that_is_deleted() {
    let mut tale = Tale::new(Trouble::failing("proxmox.clone-vm"));
    let failure = failed(tale.workspace("create", "dev", json!({ "on_failure": "wait" })));
    assert_eq!(failure.step.as_deref(), Some("proxmox.clone-vm"));
    assert!(tale.things().is_empty());
    let mut tale = Tale::new(Trouble::failing("guest.await-home"));
    tale.give("create", "dev", json!({ "on_failure": "wait" }));
    tale.stage.work();
    done(tale.workspace("delete", "dev", json!({})));
    assert!(tale.things().is_empty());
    assert_eq!(tale.give("create", "dev", json!({})).life(), 2);
}

#[test]
fn a_rebuild_reads_like_this() {
    let kit = kits::create().command("rebuild", json!({}));
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
        command  workspace.rebuild
        step     vault.pin-secrets      done
        step     coder.look-up-template done
        step     proxmox.survey         done
        note     on pve1: 72 GiB of memory free, the most
        step     vmids.reserve          done
        step     proxmox.clone-vm       done
        step     proxmox.configure-vm   done
        step     proxmox.resize-disk    done
        step     proxmox.shutdown-vm    done
        step     coder.stop-workspace   done
        step     coder.start-workspace  done
        step     proxmox.start-vm       done
        step     guest.await-home       done
        step     coder.await-agent      done
        undo     vault.pin-secrets      done
        undo     proxmox.destroy-vm     done
        undo     vmids.release          done
        done     workspace.rebuild
        ",
    );
}
