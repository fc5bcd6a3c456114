//! What a workspace becomes when its template has changed: the site's, or the version of Coder's.

use serde_json::{Value, json};
use stead_schemas::failure::Class;
use stead_schemas::site::Template;
use stead_testkit::Trouble;

use crate::kits::CODER_ID;
use crate::tale::{Tale, done, failed};

const OURS: &str = "coder-dev-stead-machine";
const NOTHING: &str = "it is made from this version of its template already";
const AS_ACTIVE: &str = "Coder workspace: built anew, and the machine restarts, if another version \
                         than v0 of stead-machine is active";

/// John's workspace, made of `v0` in Coder.
fn made(trouble: Trouble) -> Tale {
    let mut tale = Tale::new(trouble);
    done(tale.workspace("create", "dev", json!({})));
    tale
}

/// The plan of an update, which is then carried out.
fn update(tale: &mut Tale) -> Vec<String> {
    let run = tale.give("update", "dev", json!({}));
    tale.stage.work();
    tale.plan(&run)
}

/// The version that Coder has built, and that the workspace shows.
fn built(tale: &Tale) -> (String, Value) {
    let shown = tale.view("dev")["made_from"]["coder_version"].clone();
    (tale.stage.world.built[OURS].clone(), shown)
}

#[test]
fn an_update_takes_the_template_as_it_is_now() {
    let mut tale = made(Trouble::default());
    let failure = failed(tale.workspace("update", "dev", json!({})));
    assert_eq!((failure.class, failure.words.as_str()), (Class::Refused, NOTHING));
    assert_eq!(
        (&tale.view("dev")["phase"], &tale.view("dev")["trouble"]),
        (&json!("ready"), &json!(null))
    );
    tale.stage.site.templates[0].vmid = 9_100;
    done(tale.workspace("update", "dev", json!({})));
    let view = tale.view("dev");
    assert_eq!((&view["made_from"]["vmid"], &view["vmid"]), (&json!(9_100), &json!(10_001)));
    // What differs in size alone needs no other machine.
    tale.stage.site.templates[0].disk_gb = 80;
    assert_eq!(update(&mut tale), ["disk in GiB: 40 becomes 80", AS_ACTIVE]);
    assert_eq!(tale.view("dev")["vmid"], 10_001);
    assert_eq!(tale.stage.world.disks[&10_001], 80);
    // What has become smaller stays as large as it is, and is shown so.
    tale.stage.site.templates[0].disk_gb = 20;
    assert_eq!(update(&mut tale), ["disk in GiB: stays at 80", AS_ACTIVE]);
    assert_eq!(tale.stage.world.disks[&10_001], 80);
    assert_eq!(tale.view("dev")["size"]["disk_gb"], 80);
    let refusal = tale.workspace("resize", "dev", json!({ "disk_gb": 79 })).unwrap_err();
    assert_eq!(refusal.words, "a disk only grows: it has 80 GiB");
}

#[test]
fn an_update_takes_the_version_that_is_active_in_coder_and_keeps_the_machine() {
    let mut tale = made(Trouble::default().crash());
    assert_eq!(built(&tale), ("id-v0".to_owned(), json!("v0")));
    tale.stage.world.active = "id-v1".to_owned();
    for verb in ["stop", "start"] {
        done(tale.workspace(verb, "dev", json!({})));
    }
    assert_eq!(built(&tale), ("id-v0".to_owned(), json!("v0")), "a start keeps what it has");
    assert_eq!(update(&mut tale), [AS_ACTIVE]);
    assert_eq!(built(&tale), ("id-v1".to_owned(), json!("v1")));
    assert_eq!(
        (&tale.view("dev")["phase"], &tale.view("dev")["vmid"]),
        (&json!("ready"), &json!(10_000))
    );
    assert_eq!(tale.stage.world.running.keys().collect::<Vec<_>>(), [&10_000]);
    assert_eq!(failed(tale.workspace("update", "dev", json!({}))).words, NOTHING);
    // One that is off stays off.
    done(tale.workspace("stop", "dev", json!({})));
    tale.stage.world.active = "id-v2".to_owned();
    done(tale.workspace("update", "dev", json!({})));
    assert_eq!((built(&tale).0.as_str(), &tale.view("dev")["phase"]), ("id-v2", &json!("stopped")));
    assert!(tale.stage.world.running.is_empty());
    tale.stage.world.active = "id-v3".to_owned();
    done(tale.workspace("rebuild", "dev", json!({})));
    assert_eq!(built(&tale), ("id-v3".to_owned(), json!("v3")), "a rebuild takes it, too");
    tale.stage.everything_replays();
}

#[test]
fn an_update_that_fails_leaves_the_version_from_before() {
    for step in
        ["coder.start-workspace", "proxmox.start-vm", "guest.await-home", "coder.await-agent"]
    {
        let mut tale = made(Trouble::default());
        tale.stage.world.active = "id-v1".to_owned();
        tale.stage.world.fails_next = Some(step.to_owned());
        let failure = failed(tale.workspace("update", "dev", json!({})));
        assert_eq!(failure.step.as_deref(), Some(step));
        assert_eq!(built(&tale), ("id-v0".to_owned(), json!("v0")), "{step}");
        assert_eq!(tale.view("dev")["phase"], "ready", "{step}");
        assert_eq!(tale.stage.world.running.keys().collect::<Vec<_>>(), [&10_000], "{step}");
        done(tale.workspace("update", "dev", json!({})));
        assert_eq!(built(&tale), ("id-v1".to_owned(), json!("v1")), "{step}");
    }
}

#[test]
fn another_coder_template_that_fails_brings_back_the_version_from_before() {
    let mut tale = made(Trouble::default());
    tale.stage.world.active = "id-v1".to_owned();
    tale.stage.world.fails_next = Some("coder.await-agent".to_owned());
    failed(tale.workspace("rebuild", "dev", json!({ "template": "debian-13" })));
    assert_eq!(built(&tale), ("id-v0".to_owned(), json!("v0")));
}

#[test]
fn what_a_developer_made_in_coder_is_updated_as_well() {
    let mut tale = Tale::new(Trouble::default());
    done(tale.workspace("create", "dev", json!({ "coder_id": CODER_ID })));
    tale.stage.world.active = "id-v1".to_owned();
    done(tale.workspace("update", "dev", json!({})));
    assert_eq!(tale.stage.world.built[CODER_ID], "id-v1");
    assert_eq!(tale.view("dev")["made_from"]["coder_version"], "v1");
}

#[test]
fn what_a_machine_is_told_to_be_and_where_it_is_plugged_in_reaches_it_with_an_update() {
    type Change = fn(&mut Template);
    let changes: [(Change, &str); 4] = [
        (|one| one.guest.docker = true, "guest: Linux becomes Linux with Docker"),
        (
            |one| {
                one.network =
                    Some(serde_json::from_value(json!({ "bridge": "vmbr1", "vlan": 7 })).unwrap())
            },
            "network: the template's own becomes vmbr1, VLAN 7",
        ),
        (
            |one| one.clone_kind = serde_json::from_value(json!("linked")).unwrap(),
            "disk: copied from the template becomes linked to the template",
        ),
        // The disk grows beside it, and nothing is left out.
        (
            |one| {
                one.disk_gb = 80;
                one.network = Some(serde_json::from_value(json!({ "bridge": "vmbr1" })).unwrap());
            },
            "network: the template's own becomes vmbr1",
        ),
    ];
    for (change, words) in changes {
        let mut tale = made(Trouble::default());
        change(&mut tale.stage.site.templates[0]);
        let plan = update(&mut tale);
        assert!(plan.iter().any(|line| line == words), "{words}: {plan:?}");
        assert!(plan.iter().any(|line| line.starts_with("new machine")), "{plan:?}");
        let view = tale.view("dev");
        assert_eq!((&view["phase"], &view["vmid"]), (&json!("ready"), &json!(10_001)), "{words}");
        let network = json!(tale.stage.site.templates[0].network);
        let asked = tale.stage.world.asked.iter().rfind(|(step, _)| step == "proxmox.configure-vm");
        assert_eq!(asked.expect("it is set up").1["network"], network, "{words}");
        assert_eq!(failed(tale.workspace("update", "dev", json!({}))).words, NOTHING, "{words}");
    }
}
