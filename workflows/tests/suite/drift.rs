//! Drift is about everybody's things, so that only the platform has a say in it.

use serde_json::{Value, json};

use crate::asker::Asker;
use crate::kits::site;

fn refused(owner: &'static str, verb: &str, name: &'static str, fields: &Value) -> String {
    Asker::of(["drift", owner, name], site()).refused(verb, fields.clone())
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
    let forged = json!({ "why": "x\n2026-11-30 jane", "found": stranger });
    assert_eq!(refused("stead", "destroy", "decisions", &forged), "drift.why");
}
