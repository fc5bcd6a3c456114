//! Machines that are not cloned, plugged in or told what they are as any template's are.

use serde_json::{Value, json};
use stead_schemas::failure::Class;
use stead_schemas::site::{CloneKind, Network};
use stead_testkit::Trouble;

use crate::tale::{Tale, done, failed};

fn tale(trouble: Trouble) -> Tale {
    let mut tale = Tale::new(trouble);
    let template = &mut tale.stage.site.templates[0];
    template.clone_kind = CloneKind::Linked;
    template.network = Some(Network { bridge: "vmbr1".into(), vlan: Some(20) });
    tale
}

/// What a step was asked for, each time.
fn asked(tale: &Tale, step: &str, field: &str) -> Vec<Value> {
    let asks = tale.stage.world.asked.iter().filter(|(name, _)| name == step);
    asks.map(|(_, ask)| ask[field].clone()).collect()
}

#[test]
fn a_workspace_is_made_where_its_template_can_be_linked_and_plugged_in() {
    let mut tale = tale(Trouble::default().crash());
    // The other node has more room, and no such bridge.
    tale.stage.world.nodes.insert("pve1".to_owned(), 64);
    tale.stage.world.nodes.insert("pve2".to_owned(), 32);
    tale.stage.world.without_bridge = vec!["pve1".to_owned()];
    done(tale.workspace("create", "dev", json!({})));
    let view = tale.view("dev");
    let placed = "pve2: 32 GiB of memory free; pve1 has no bridge vmbr1";
    assert_eq!((&view["node"], &view["placement"]), (&json!("pve2"), &json!(placed)));
    let linked = |all: Vec<Value>| !all.is_empty() && all.iter().all(|kind| kind == "linked");
    assert!(linked(asked(&tale, "proxmox.check-template", "clone_kind")));
    assert!(linked(asked(&tale, "proxmox.clone-vm", "clone_kind")));
    let plugged = json!({ "bridge": "vmbr1", "vlan": 20 });
    let cards = asked(&tale, "proxmox.configure-vm", "network");
    assert!(!cards.is_empty() && cards.iter().all(|card| *card == plugged), "{cards:?}");
    tale.stage.everything_replays();
}

#[test]
fn a_workspace_that_cannot_be_linked_is_refused_before_anything_is_made() {
    let mut tale = tale(Trouble::default());
    tale.stage.world.fails_next = Some("proxmox.check-template".to_owned());
    let failure = failed(tale.workspace("create", "dev", json!({})));
    assert_eq!(failure.step.as_deref(), Some("proxmox.check-template"));
    assert_eq!(failure.class, Class::Permanent);
    assert!(tale.things().is_empty(), "{:?}", tale.things());
}

/// A site whose guests cannot fetch their seed.
fn remote(trouble: Trouble) -> Tale {
    let mut tale = Tale::new(trouble);
    tale.stage.site.proxmox.seed_storage = Some("isos".to_owned());
    tale
}

fn has_seed(tale: &Tale) -> bool {
    tale.things().iter().any(|thing| thing.starts_with("seed"))
}

#[test]
fn a_seed_lies_in_the_drive_from_before_the_start_until_the_agent_answers() {
    let mut tale = remote(Trouble::default().crash());
    for (verb, machine) in
        [("create", 10_000), ("stop", 10_000), ("start", 10_000), ("rebuild", 10_001)]
    {
        done(tale.workspace(verb, "dev", json!({})));
        assert!(!has_seed(&tale), "{verb} has left the secrets of {machine} behind");
    }
    let starts = |step: &str| tale.stage.world.log.iter().filter(|done| *done == step).count();
    assert_eq!(starts("proxmox.insert-seed"), starts("proxmox.start-vm"));
    assert!(starts("proxmox.start-vm") >= 3);
    assert_eq!(starts("guest.await-home"), 0, "a guest that reaches nobody was waited for");
    assert!(
        asked(&tale, "proxmox.configure-vm", "seed_in_drive").iter().all(|is| *is == json!(true))
    );
    done(tale.workspace("delete", "dev", json!({})));
    assert!(tale.things().is_empty(), "{:?}", tale.things());
    tale.stage.everything_replays();
}

#[test]
fn whatever_fails_no_seed_stays() {
    for step in ["proxmox.insert-seed", "proxmox.start-vm", "coder.await-agent"] {
        let mut tale = remote(Trouble::default());
        tale.stage.world.fails_next = Some(step.to_owned());
        let failure = failed(tale.workspace("create", "dev", json!({})));
        assert_eq!(failure.step.as_deref(), Some(step));
        assert!(tale.things().is_empty(), "{step}: {:?}", tale.things());
        let mut tale = remote(Trouble::default());
        done(tale.workspace("create", "dev", json!({})));
        for verb in ["rebuild", "restart"] {
            tale.stage.world.fails_next = Some(step.to_owned());
            failed(tale.workspace(verb, "dev", json!({})));
            assert!(!has_seed(&tale), "{verb}: {step}: {:?}", tale.things());
        }
    }
}

#[test]
fn a_create_that_waits_leaves_no_seed_behind_and_is_given_another_one() {
    let mut tale = remote(Trouble::failing("coder.await-agent"));
    tale.give("create", "dev", json!({ "on_failure": "wait" }));
    tale.stage.work();
    assert_eq!((&tale.view("dev")["phase"], has_seed(&tale)), (&json!("stuck"), false));
    for (change, vmid) in
        [(json!({ "cpu_cores": 2 }), 10_000), (json!({ "template": "debian-13" }), 10_001)]
    {
        tale.stage.world.fails_next = (vmid == 10_000).then(|| "coder.await-agent".to_owned());
        tale.give("retry", "dev", change);
        tale.stage.work();
        let inserted = asked(&tale, "proxmox.insert-seed", "machine");
        assert_eq!(inserted.last().expect("a seed")["vmid"], vmid);
        assert!(!has_seed(&tale), "{:?}", tale.things());
    }
    assert_eq!(tale.view("dev")["phase"], "ready");
}

#[test]
fn a_machine_from_before_is_given_its_seed_again() {
    let mut tale = remote(Trouble::default());
    done(tale.workspace("create", "dev", json!({})));
    tale.stage.world.fails_next = Some("coder.await-agent".to_owned());
    failed(tale.workspace("rebuild", "dev", json!({})));
    let inserted = asked(&tale, "proxmox.insert-seed", "machine");
    let machines: Vec<&Value> = inserted.iter().map(|machine| &machine["vmid"]).collect();
    assert_eq!(machines, [10_000, 10_001, 10_000]);
    assert_eq!(tale.view("dev")["phase"], "ready");
    assert!(!has_seed(&tale));
    // Its agent's token would lie elsewhere.
    let failure = failed(tale.workspace("rebuild", "dev", json!({ "template": "debian-13" })));
    assert!(failure.words.contains("another Coder template"), "{failure}");
}

#[test]
fn a_machine_gets_a_card_for_storage_and_its_guest_is_told_which_it_is() {
    let mut tale = remote(Trouble::default());
    let network = Some(Network { bridge: "vmbr2".to_owned(), vlan: Some(30) });
    tale.stage.site.proxmox.storage_network = network.clone();
    done(tale.workspace("create", "dev", json!({})));
    assert_eq!(tale.view("dev")["storage_card"], "BC:10000");
    done(tale.workspace("resize", "dev", json!({ "cpu_cores": 2 })));
    done(tale.workspace("rebuild", "dev", json!({})));
    assert_eq!(tale.view("dev")["storage_card"], "BC:10001");
    for step in ["proxmox.check-template", "proxmox.configure-vm"] {
        assert!(asked(&tale, step, "storage_network").iter().all(|at| *at == json!(network)));
    }
    let told = asked(&tale, "proxmox.insert-seed", "storage_card");
    assert_eq!(told, ["BC:10000", "BC:10001"]);
}

#[test]
fn what_any_template_can_is_not_looked_at() {
    let mut tale = Tale::new(Trouble::default());
    done(tale.workspace("create", "dev", json!({})));
    assert!(asked(&tale, "proxmox.check-template", "clone_kind").is_empty());
    assert_eq!(asked(&tale, "proxmox.clone-vm", "clone_kind"), [Value::Null]);
}
