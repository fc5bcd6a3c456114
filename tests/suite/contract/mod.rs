//! What the workers ask of the vendors, checked against the vendors' own API descriptions. Those
//! are not part of this repository: `STEAD_SPECS` says where they lie, and without them the
//! check is skipped.

mod coder;
mod proxmox;
mod truenas;
mod vault;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};
use stead_lab::{CallFault, RecordedRequest};
use stead_schemas::event::Outcome;

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_of_a_life_is_one_that_the_vendor_knows() {
    let Some(specs) = specs() else {
        return skipped("the vendors' API descriptions are not at hand (STEAD_SPECS)");
    };
    let stage = Stage::start().await;
    a_life(&stage).await;
    let requests = stage.lab.requests();
    let mut faults: BTreeMap<String, usize> = BTreeMap::new();
    let mut checked = BTreeMap::new();
    for (vendor, file, check) in VENDORS {
        let spec = read(&specs, file);
        for call in requests.iter().filter(|call| call.vendor == *vendor) {
            *checked.entry(*vendor).or_insert(0) += 1;
            for fault in check(&spec, call) {
                let words = format!("{vendor} {} {}: {fault}", call.method, call.path);
                *faults.entry(words).or_default() += 1;
            }
        }
    }
    for (vendor, ..) in VENDORS {
        assert!(checked.get(vendor).is_some_and(|count| *count > 5), "{vendor}: {checked:?}");
    }
    // There is no known difference. One that the vendor itself makes would be named here.
    assert!(faults.is_empty(), "{faults:#?}");
    stage.finish().await;
}

type Check = fn(&Value, &RecordedRequest) -> Vec<String>;

const VENDORS: &[(&str, &str, Check)] = &[
    ("coder", "coder/swagger.json", coder::check),
    ("proxmox", "proxmox/apidata.json", proxmox::check),
    ("truenas", "truenas/subset-v25.10.5.json", truenas::check),
    ("vault", "vault/openapi.json", vault::check),
];

/// A life in which every kind of step is asked for, and each answer is lost once.
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

pub fn specs() -> Option<PathBuf> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/specs");
    let named = std::env::var_os("STEAD_SPECS").map(PathBuf::from);
    let folder = named.unwrap_or_else(|| PathBuf::from(beside));
    folder.join("proxmox/apidata.json").is_file().then_some(folder)
}

pub fn read(specs: &std::path::Path, file: &str) -> Value {
    let bytes = std::fs::read(specs.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[expect(clippy::print_stderr, reason = "a test that checks nothing says so")]
pub fn skipped(words: &str) {
    eprintln!("skipped: {words}");
}

/// The values of a template's placeholders if the path fits it.
fn placeholders<'a>(template: &'a str, path: &'a str) -> Option<BTreeMap<&'a str, &'a str>> {
    let (wanted, found): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    if wanted.len() != found.len() {
        return None;
    }
    let mut values = BTreeMap::new();
    for (part, is) in wanted.into_iter().zip(found) {
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) => drop(values.insert(name, is)),
            None if part == is => {}
            None => return None,
        }
    }
    Some(values)
}

/// The faults of a value by a JSON schema.
fn schema_faults(schema: &Value, value: &Value) -> Vec<String> {
    match jsonschema::validator_for(schema) {
        Ok(validator) => validator
            .iter_errors(value)
            .map(|fault| format!("{} at `{}`", fault, fault.instance_path()))
            .collect(),
        Err(error) => vec![format!("the description itself is broken: {error}")],
    }
}
