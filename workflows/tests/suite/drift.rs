//! Drift is about everybody's things, so that only the platform has a say in it.

use serde_json::{Map, Value, json};
use stead_schemas::dispatch::{Caller, EntityCommand};
use stead_schemas::owner::Owner;
use stead_testkit::Trouble;

use crate::kits;

fn refused(owner: &str, verb: &str, name: &str, fields: &Value) -> String {
    let mut stage = kits::drift().stage(&Trouble::default());
    let fields: Map<String, Value> = fields.as_object().cloned().unwrap_or_default();
    let command = EntityCommand {
        kind: "drift".into(),
        owner: Owner::new(owner).expect("a good owner"),
        name: name.into(),
        verb: verb.into(),
        fields,
        id: "c-1".into(),
        by: Caller::Api,
    };
    stage.ask(&command).map(|_| ()).expect_err("it is refused").code
}

#[test]
fn nobody_but_the_platform_scans_or_decides() {
    let stranger =
        json!({ "drift": "stranger", "system": "proxmox", "kind": "machine", "id": "1" });
    let order = json!({ "why": "it is in my way", "found": stranger });
    for verb in ["adopt", "destroy", "ignore", "repair"] {
        assert_eq!(refused("john", verb, "decisions", &order), "drift.owner", "{verb}");
    }
    assert_eq!(refused("john", "scan", "site", &json!({})), "drift.owner");
    assert_eq!(refused("stead", "destroy", "decisions", &order), "drift.senseless");
}
