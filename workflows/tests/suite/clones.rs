//! Machines that are not cloned and plugged in as any template can be: that is looked at first, and
//! then asked for.

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

#[test]
fn what_any_template_can_is_not_looked_at() {
    let mut tale = Tale::new(Trouble::default());
    done(tale.workspace("create", "dev", json!({})));
    assert!(asked(&tale, "proxmox.check-template", "clone_kind").is_empty());
    assert_eq!(asked(&tale, "proxmox.clone-vm", "clone_kind"), [Value::Null]);
}
