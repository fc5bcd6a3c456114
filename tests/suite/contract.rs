//! What the workers ask of the vendors in a life, and what the lab answers them, checked against the
//! vendors' own API descriptions. Those are not part of this repository: `STEAD_SPECS` says where they
//! lie, and without them the check says that it was skipped. Each step by itself is checked by the
//! workers' own tests.

use std::collections::BTreeMap;

use serde_json::json;
use stead_contract::{Specs, faults};
use stead_lab::CallFault;
use stead_schemas::event::Outcome;

use crate::stage::{Setting, Stage};

/// The vendors that a life has to do with.
const VENDORS: [&str; 4] = ["coder", "proxmox", "truenas", "vault"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_of_a_life_is_one_that_the_vendor_knows_and_every_answer() {
    let Some(specs) = Specs::find() else { return };
    let stage = Stage::with(Setting { keeps_answers: true, ..Setting::default() }).await;
    a_life(&stage).await;
    let calls = stage.lab.requests();
    for vendor in VENDORS {
        let asked = calls.iter().filter(|call| call.vendor == vendor);
        let answered = asked.clone().filter(|call| call.answer.is_some()).count();
        assert!(answered > 5, "{vendor}: {} calls, {answered} answers", asked.count());
    }
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for fault in calls.iter().flat_map(|call| faults(specs, call)) {
        *found.entry(fault.to_string()).or_default() += 1;
    }
    assert!(found.is_empty(), "{found:#?}");
    stage.finish().await;
}

/// A life of a workspace, a token and a template, and a life that fails; some answers are lost.
async fn a_life(stage: &Stage) {
    let john = stage.desk("john").await;
    for vendor in ["proxmox", "truenas", "coder"] {
        stage.lab.break_call_times(vendor, "", CallFault::LoseResponse, 1).expect("a vendor");
    }
    john.carry_out("create", json!({ "storage_backend": "nvme", "volume_gb": 10 })).await;
    let larger = json!({ "cpu_cores": 8, "storage_quota_gb": 99, "volume_gb": 12 });
    john.carry_out("resize", larger).await;
    john.carry_out("restart", json!({})).await;
    for verb in ["create", "rotate", "delete"] {
        let mut fields = json!({ "name": "ci" });
        if verb == "create" {
            fields["repository"] = "templates".into();
        }
        let token = john.ask("token", verb, fields).await.expect("let in");
        let outcome = john.outcome(&token).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{verb}: {outcome:?}");
    }
    let platform = stage.desk("platform").await;
    for verb in ["push", "rollback", "promote"] {
        let template = json!({ "name": "stead-machine" });
        let template = platform.ask("template", verb, template).await.expect("let in");
        let outcome = platform.outcome(&template).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{verb}: {outcome:?}");
    }
    stage.lab.break_times("coder", "import-failed", 1).expect("a fault");
    let files = [("stead-machine/more.tf", "# more")];
    stage.lab.commit("platform/templates", "main", &files).expect("a commit");
    let template = json!({ "name": "stead-machine" });
    let template = platform.ask("template", "push", template).await.expect("let in");
    assert!(matches!(platform.outcome(&template).await, Outcome::Failed(_)));
    john.carry_out("delete", json!({})).await;
    stage
        .lab
        .break_call_times("coder", "POST /workspaces", CallFault::FailLasting, 1)
        .expect("a vendor");
    john.fail("create", json!({})).await;
}
