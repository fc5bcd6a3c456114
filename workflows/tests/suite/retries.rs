//! What a retry takes up, and what it must not pass by: the limits, and what is there already.

use serde_json::{Value, json};
use stead_schemas::ids::EntityKey;
use stead_schemas::site::Allowance;
use stead_testkit::{Lapse, Trouble, Which};

use crate::kits::john;
use crate::tale::{Tale, done, failed};

/// John's create, which has failed and waits.
fn stuck(trouble: Trouble) -> Tale {
    let mut tale = Tale::new(trouble);
    tale.stage.site.allowance = Allowance { workspaces: None, cpu_cores: Some(6), memory_gb: None };
    tale.give("create", "dev", json!({ "on_failure": "wait" }));
    tale.stage.work();
    assert_eq!(tale.view("dev")["phase"], "stuck");
    tale
}

/// The cores that are counted against what john may have.
fn counted(tale: &Tale) -> u64 {
    let run = tale.stage.latest(&EntityKey::of("allowance", &john(), "owner"));
    let view = tale.stage.view(&run.expect("it is counted"));
    let shares = view["by_workspace"].as_object().expect("shares").values();
    shares.map(|share| share["cpu_cores"].as_u64().expect("cores")).sum()
}

fn retry(tale: &mut Tale, fields: Value) -> Value {
    tale.give("retry", "dev", fields);
    tale.stage.work();
    tale.view("dev")
}

#[test]
fn a_retry_goes_through_the_limits_again() {
    for step in ["coder.await-agent", "proxmox.clone-vm", "proxmox.configure-vm"] {
        let mut tale = stuck(Trouble::failing(step).crash());
        for cores in [8, 16] {
            let view = retry(&mut tale, json!({ "cpu_cores": cores }));
            assert_eq!(view["phase"], "stuck", "{step}");
            let words = format!("john would have {cores} cores, and may have 6");
            assert!(view["trouble"].as_str().is_some_and(|told| told.contains(&words)), "{view}");
            assert_eq!(counted(&tale), 4, "what it has is still counted");
        }
        let failure = failed(tale.workspace_now("create", "two", json!({})));
        assert!(failure.words.contains("8 cores"), "{failure}");
        let view = retry(&mut tale, json!({ "cpu_cores": 6 }));
        assert_eq!((&view["phase"], &view["size"]["cpu_cores"]), (&json!("ready"), &json!(6)));
        assert_eq!(counted(&tale), 6);
        done(tale.workspace("delete", "dev", json!({})));
        done(tale.workspace("create", "two", json!({ "cpu_cores": 6 })));
        tale.stage.everything_replays();
    }
}

#[test]
fn a_retry_logs_in_anew() {
    for change in [json!({}), json!({ "template": "debian-13" })] {
        let mut tale = stuck(Trouble::failing("coder.await-agent"));
        tale.stage.world.version = 2;
        assert_eq!(retry(&mut tale, change)["phase"], "ready");
        for step in ["coder.await-agent", "proxmox.start-vm"] {
            let login = &tale.stage.world.logins[step];
            assert!(login.ends_with("#2"), "{step}: {login}");
        }
    }
}

#[test]
fn a_retry_that_was_refused_still_does_all_that_was_to_be_done() {
    let mut tale = stuck(Trouble::failing("coder.await-agent"));
    let view = retry(&mut tale, json!({ "cpu_cores": 8, "template": "debian-13" }));
    assert_eq!((&view["phase"], &view["vmid"]), (&json!("stuck"), &json!(10_000)));
    let view = retry(&mut tale, json!({ "cpu_cores": 2 }));
    assert_eq!((&view["phase"], &view["vmid"]), (&json!("ready"), &json!(10_001)));
    assert_eq!(tale.stage.world.cores[&10_001], 2);

    let mut tale = stuck(Trouble::failing("coder.await-agent"));
    tale.stage.world.fails_next = Some("vault.pin-secrets".to_owned());
    assert_eq!(retry(&mut tale, json!({}))["phase"], "stuck");
    assert_eq!(retry(&mut tale, json!({ "cpu_cores": 2 }))["phase"], "ready");
    assert_eq!(tale.stage.world.cores[&10_000], 2);
}

#[test]
fn a_machine_whose_clone_has_failed_is_not_met_again() {
    let clone = Which::Named("proxmox.clone-vm".to_owned());
    for change in [json!({}), json!({ "template": "debian-13" })] {
        let mut tale = stuck(Trouble::fault(clone.clone(), Lapse::AfterEffect).crash());
        assert!(!tale.things().contains(&"vm 10000"), "it was made, and is taken back");
        let view = retry(&mut tale, change.clone());
        assert_eq!((&view["phase"], &view["vmid"]), (&json!("ready"), &json!(10_001)), "{change}");
        tale.stage.everything_replays();
    }
}

#[test]
fn a_create_that_finds_no_room_goes_on_with_less() {
    let mut tale = Tale::new(Trouble::default());
    tale.stage.world.free_gb = 29;
    tale.give("create", "dev", json!({ "on_failure": "wait" }));
    tale.stage.work();
    let trouble = tale.view("dev")["trouble"].to_string();
    assert!(trouble.contains("29 GiB free, and a home of 50 GiB is wanted"), "{trouble}");
    let view = retry(&mut tale, json!({ "storage_quota_gb": 20, "disk_gb": 60 }));
    let size = &view["size"];
    assert_eq!((&view["phase"], &size["storage_quota_gb"]), (&json!("ready"), &json!(20)));
    assert_eq!(size["disk_gb"], 60);
    tale.stage.everything_replays();
}

#[test]
fn nothing_is_made_for_whom_coder_does_not_know_until_it_does() {
    let mut tale = Tale::new(Trouble::default());
    tale.stage.world.fails_next = Some("coder.survey".to_owned());
    tale.give("create", "dev", json!({ "on_failure": "wait" }));
    tale.stage.work();
    assert_eq!(tale.view("dev")["phase"], "stuck");
    assert_eq!(tale.stage.world.log, ["vault.pin-secrets", "coder.survey"]);
    assert_eq!(retry(&mut tale, json!({}))["phase"], "ready");
    tale.stage.everything_replays();
}

#[test]
fn a_retry_leaves_a_home_that_is_there_and_shrinks_no_disk() {
    let mut tale = stuck(Trouble::failing("coder.await-agent"));
    let refused = tale.workspace("retry", "dev", json!({ "storage_quota_gb": 20 }));
    assert_eq!(refused.expect_err("the home is there").code, "retry.there-already");
    tale.stage.world.fails_next = Some("coder.await-agent".to_owned());
    assert_eq!(retry(&mut tale, json!({ "disk_gb": 80 }))["phase"], "stuck");
    let view = retry(&mut tale, json!({ "disk_gb": 40 }));
    assert_eq!((&view["phase"], &view["size"]["disk_gb"]), (&json!("ready"), &json!(80)));
    tale.stage.everything_replays();
}
