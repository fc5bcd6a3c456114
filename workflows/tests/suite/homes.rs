//! What must not get lost: a home before its time, and a snapshot that somebody relies on.

use std::time::Duration;

use serde_json::{Value, json};
use stead_schemas::ids::EntityKey;
use stead_schemas::time::Timestamp;
use stead_testkit::Trouble;

use crate::kits::john;
use crate::tale::{Tale, done, failed};

const HOUR: Duration = Duration::from_secs(60 * 60);
const HOME: [&str; 2] = ["dataset tank/home/john", "share /mnt/tank/home/john"];

/// John's workspace on a home that is kept for an hour.
fn made() -> Tale {
    let mut tale = Tale::new(Trouble::default().crash());
    tale.stage.site.truenas.grace_seconds = HOUR.as_secs();
    done(tale.workspace("create", "dev", json!({})));
    tale
}

/// How much John's home may hold, in GiB.
fn quota(tale: &Tale) -> u64 {
    tale.stage.world.quotas["tank/home/john"]
}

/// Deletes a workspace; no time passes. What was going to happen, as it was said.
fn delete(tale: &mut Tale, name: &str, fields: Value) -> Vec<String> {
    let run = tale.give("delete", name, fields);
    let plan = tale.plan(&run);
    tale.stage.work();
    plan
}

#[test]
fn a_snapshot_is_not_taken_for_another_one_of_its_name() {
    let mut tale = made();
    let snapshots = |tale: &Tale| {
        tale.stage.world.log.iter().filter(|step| *step == "truenas.snapshot-dataset").count()
    };
    done(tale.home("snapshot", json!({ "snapshot": "monday" })));
    let failure = failed(tale.home("snapshot", json!({ "snapshot": "monday" })));
    assert_eq!(failure.words, "there is a snapshot monday already; choose another name");
    assert_eq!(snapshots(&tale), 1);
    // TrueNAS has taken that one; whoever could call it his could drop it.
    let failure = failed(tale.home("snapshot", json!({ "snapshot": "auto" })));
    assert!(failure.words.contains("which is not ours"), "{failure}");
    assert_eq!(
        tale.home("drop", json!({ "snapshot": "auto" })).unwrap_err().code,
        "snapshot.unknown"
    );
    assert_eq!(snapshots(&tale), 1);
    done(tale.home("snapshot", json!({ "snapshot": "tuesday" })));
    assert_eq!(snapshots(&tale), 2);
    tale.stage.everything_replays();
}

#[test]
fn only_a_snapshot_that_was_asked_for_is_dropped() {
    let mut tale = made();
    let drop = json!({ "snapshot": "monday" });
    assert_eq!(tale.home("drop", drop.clone()).unwrap_err().code, "snapshot.unknown");
    done(tale.home("snapshot", drop.clone()));
    done(tale.home("drop", drop.clone()));
    assert_eq!(tale.home("drop", drop.clone()).unwrap_err().code, "snapshot.unknown");
    done(tale.home("snapshot", drop));
    tale.stage.everything_replays();
}

#[test]
fn who_keeps_many_snapshots_drops_one_before_he_takes_another() {
    let mut tale = made();
    for number in 0..50 {
        done(tale.home("snapshot", json!({ "snapshot": format!("n{number}") })));
    }
    let failure = failed(tale.home("snapshot", json!({ "snapshot": "more" })));
    assert_eq!(failure.words, "50 snapshots are kept already; drop one of them first");
    done(tale.home("drop", json!({ "snapshot": "n7" })));
    done(tale.home("snapshot", json!({ "snapshot": "more" })));
    tale.stage.everything_replays();
}

#[test]
fn a_home_is_resized_by_its_owner_within_what_the_site_allows() {
    let mut tale = made();
    done(tale.home("quota", json!({ "quota_gb": 120 })));
    let run = tale.stage.latest(&EntityKey::of("home", &john(), "home")).expect("it lives");
    assert_eq!(tale.stage.view(&run)["quota_gb"], 120);
    for (quota, words) in [(501, "501 is out of range; 20 to 500 may be chosen"), (0, "0 is out")] {
        let refusal = tale.home("quota", json!({ "quota_gb": quota })).unwrap_err();
        assert!(refusal.words.starts_with(words), "{refusal:?}");
    }
    // Nobody gets around that by writing what a workspace would.
    let fields = json!({ "quota_gb": 9000, "owner": "john" });
    assert_eq!(tale.home("quota", fields).unwrap_err().code, "command.unknown-field");
}

#[test]
fn a_resize_that_fails_leaves_a_shared_home_as_others_have_it() {
    for used_gb in [30, 150] {
        let mut tale = made();
        done(tale.workspace("create", "two", json!({})));
        done(tale.home("quota", json!({ "quota_gb": 200 })));
        tale.stage.world.used_gb = used_gb;
        tale.stage.world.fails_next = Some("proxmox.configure-vm".into());
        let larger = json!({ "storage_quota_gb": 300, "cpu_cores": 16 });
        let failure = failed(tale.workspace("resize", "dev", larger));
        assert_eq!(failure.step.as_deref(), Some("proxmox.configure-vm"));
        assert_eq!((tale.view("dev")["phase"].as_str(), quota(&tale)), (Some("ready"), 200));
        // Once the home has been asked, what others have laid there since may need what it holds.
        tale.stage.world.fails_next = Some("proxmox.resize-disk".into());
        let larger = json!({ "storage_quota_gb": 300, "disk_gb": 60 });
        failed(tale.workspace("resize", "dev", larger));
        let view = tale.view("dev");
        assert_eq!((view["phase"].as_str(), quota(&tale)), (Some("ready"), 300));
        assert_eq!(view["size"]["storage_quota_gb"], 300, "what is kept is shown");
        done(tale.workspace("delete", "dev", json!({})));
        tale.stage.everything_replays();
    }
}

#[test]
fn a_resize_asks_the_home_whatever_the_workspace_knows_of_it() {
    let mut tale = made();
    assert_eq!(tale.view("dev")["size"]["storage_quota_gb"], 50);
    done(tale.home("quota", json!({ "quota_gb": 200 })));
    done(tale.workspace("resize", "dev", json!({ "storage_quota_gb": 50 })));
    assert_eq!(quota(&tale), 50);
    // What is refused is refused before anything grows that does not shrink.
    done(tale.home("quota", json!({ "quota_gb": 200 })));
    tale.stage.world.used_gb = 150;
    let smaller = json!({ "storage_quota_gb": 50, "cpu_cores": 8, "disk_gb": 60 });
    let failure = failed(tale.workspace("resize", "dev", smaller));
    assert!(failure.words.contains("150 GiB are kept already"), "{failure}");
    let cores = tale.stage.world.cores[&10_000];
    assert_eq!((quota(&tale), cores, tale.stage.world.disks[&10_000]), (200, 4, 40));
    tale.stage.everything_replays();
}

#[test]
fn a_home_is_exported_to_whom_the_site_names_by_now() {
    let exported = |tale: &Tale| tale.stage.world.exports["/mnt/tank/home/john"].clone();
    let mut tale = made();
    let mut number = 0;
    let mut moves = |tale: &mut Tale| {
        number += 1;
        let network = format!("10.10.{number}.0/24");
        tale.stage.site.truenas.networks = vec![network.clone()];
        json!([network])
    };
    let networks = moves(&mut tale);
    done(tale.workspace("create", "two", json!({})));
    assert_eq!(exported(&tale), networks);
    let networks = moves(&mut tale);
    done(tale.home("quota", json!({ "quota_gb": 120 })));
    assert_eq!(exported(&tale), networks);
    let networks = moves(&mut tale);
    done(tale.home("repair", json!({})));
    assert_eq!(exported(&tale), networks);
    // What a workspace was told of the site when it was made does not count when it is brought back.
    let networks = moves(&mut tale);
    delete(&mut tale, "dev", json!({}));
    done(tale.workspace_now("undelete", "dev", json!({})));
    assert_eq!(exported(&tale), networks);
    let ensured = |tale: &Tale| {
        tale.stage.world.log.iter().filter(|step| *step == "truenas.ensure-share").count()
    };
    let before = ensured(&tale);
    done(tale.workspace("create", "three", json!({})));
    assert_eq!(ensured(&tale), before, "nothing has changed");
    tale.stage.everything_replays();
}

#[test]
fn a_home_is_found_and_destroyed_with_the_key_and_at_the_address_that_are_said_now() {
    let source = |tale: &Tale, name: &str| tale.view(name)["home_source"].clone();
    let used = |tale: &Tale, step: &str| tale.stage.world.logins[step].clone();
    let mut tale = made();
    let old = source(&tale, "dev");
    tale.stage.site.truenas.secret = "vault:secret/data/truenas/moved".into();
    tale.stage.site.truenas.nfs_server = "10.10.99.9".into();
    done(tale.workspace("create", "two", json!({})));
    assert_eq!(source(&tale, "two"), "10.10.99.9:/mnt/tank/home/john");
    assert_eq!(source(&tale, "dev"), old, "its machine has mounted it there");
    done(tale.home("snapshot", json!({ "snapshot": "monday" })));
    assert_eq!(used(&tale, "truenas.snapshot-dataset"), "vault:secret/data/truenas/moved#1");
    tale.stage.site.truenas.secret = "vault:secret/data/truenas/again".into();
    delete(&mut tale, "dev", json!({ "now": true }));
    delete(&mut tale, "two", json!({ "now": true }));
    assert!(tale.things().is_empty(), "{:?}", tale.things());
    for step in ["truenas.remove-share", "truenas.destroy-dataset"] {
        assert_eq!(used(&tale, step), "vault:secret/data/truenas/again#1");
    }
    tale.stage.everything_replays();
}

#[test]
fn a_home_is_kept_for_as_long_as_the_delete_has_promised() {
    let mut tale = made();
    tale.stage.site.truenas.grace_seconds = 5 * HOUR.as_secs();
    let plan = delete(&mut tale, "dev", json!({}));
    assert!(plan[2].ends_with("and for 5 h after the last one"), "{plan:?}");
    tale.stage.pass(2 * HOUR);
    assert_eq!(tale.things(), HOME);
    tale.give("undelete", "dev", json!({}));
    tale.stage.work();
    assert_eq!(tale.view("dev")["phase"], "ready");
    // A shorter promise does not take the longer one back, which another workspace may rely on.
    tale.stage.site.truenas.grace_seconds = HOUR.as_secs();
    delete(&mut tale, "dev", json!({}));
    tale.stage.pass(4 * HOUR);
    assert_eq!(tale.things(), HOME);
    tale.stage.pass(2 * HOUR);
    assert!(tale.things().is_empty(), "{:?}", tale.things());
    tale.stage.everything_replays();
}

#[test]
fn a_home_is_there_up_to_the_last_moment_in_which_its_workspace_comes_back() {
    let mut tale = made();
    delete(&mut tale, "dev", json!({}));
    assert!(tale.stage.fire_next(Timestamp::from_millis(i64::MAX)));
    tale.stage.work();
    let refusal = tale.workspace("undelete", "dev", json!({})).unwrap_err();
    assert_eq!(refusal.code, "workspace.unknown", "the workspace is forgotten first");
    assert_eq!(tale.things(), HOME);
}

#[test]
fn a_delete_without_grace_says_what_it_takes_from_others() {
    let mut tale = made();
    done(tale.workspace("create", "two", json!({})));
    let plan = delete(&mut tale, "two", json!({}));
    assert!(!plan[2].contains("does not count"), "{plan:?}");
    let plan = delete(&mut tale, "dev", json!({ "now": true }));
    let words = "(one that is deleted and could still be brought back does not count)";
    assert!(plan[2].contains(words), "{plan:?}");
    assert!(tale.things().is_empty(), "{:?}", tale.things());
    // What is gone is not made again by an undelete.
    tale.give("undelete", "two", json!({}));
    tale.stage.work();
    let view = tale.view("two");
    assert_eq!(view["phase"], "deleted");
    assert!(view["trouble"].as_str().is_some_and(|words| words.contains("the home is gone")));
    assert!(tale.things().is_empty(), "{:?}", tale.things());
}

#[test]
fn a_delete_says_what_becomes_of_a_create_that_is_not_done() {
    for (patience, steps) in [("take-back", 8), ("wait", 100)] {
        let mut tale = Tale::new(Trouble::failing("coder.await-agent"));
        tale.stage.site.truenas.grace_seconds = HOUR.as_secs();
        tale.give("create", "dev", json!({ "on_failure": patience }));
        for _ in 0..steps {
            tale.stage.one_step();
        }
        let plan = delete(&mut tale, "dev", json!({ "now": true }));
        assert_eq!(plan.len(), 2, "{plan:?}");
        assert!(plan[0].starts_with("create: taken back with all that it has made"), "{plan:?}");
        assert!(plan[1].ends_with("kept for 1 h, and while another workspace uses it"), "{plan:?}");
        assert_eq!(tale.things(), HOME);
        assert_eq!(tale.give("create", "dev", json!({})).life(), 2, "its name is free");
    }
}

#[test]
fn a_delete_says_what_becomes_of_an_undelete_that_is_not_done() {
    let undeleting = || {
        let mut tale = made();
        delete(&mut tale, "dev", json!({}));
        tale.give("undelete", "dev", json!({}));
        for _ in 0..8 {
            tale.stage.one_step();
        }
        assert_eq!(tale.view("dev")["phase"], "undeleting");
        tale
    };
    let mut tale = undeleting();
    let plan = delete(&mut tale, "dev", json!({}));
    assert_eq!(plan.last().expect("a line"), "workspace: it stays deleted, as it was before");
    assert_eq!((tale.view("dev")["phase"].as_str(), tale.things()), (Some("deleted"), HOME.into()));
    let mut tale = undeleting();
    let plan = delete(&mut tale, "dev", json!({ "now": true }));
    assert_eq!(plan.last().expect("a line"), "workspace: it cannot be brought back any more");
    assert!(tale.things().is_empty(), "{:?}", tale.things());
}
