//! What destroys something says beforehand what: the door's plan, which a rehearsal shows.

use serde_json::{Value, json};
use stead_core::definition::{Admission, Living};
use stead_schemas::command::COMMANDS;
use stead_schemas::owner::Owner;
use stead_workflows::WORKFLOWS;

use crate::kits::site;

/// Verbs that destroy something, whatever it is that they are said of.
const DESTROYS: [&str; 7] = ["delete", "destroy", "drain", "drop", "forget", "rebuild", "remove"];

const AT: &str = "2026-12-01T00:00:00.000Z";

fn workspace() -> Value {
    json!({
        "phase": "ready", "template": "debian-12", "storage_backend": "iscsi", "node": "pve1",
        "size": { "cpu_cores": 4, "memory_gb": 8, "storage_quota_gb": 50 }, "vmid": 10_000,
        "made_from": { "vmid": 9000, "disk_gb": 20, "coder_template": "stead-machine" },
    })
}

fn with_snapshots() -> Value {
    let mut view = workspace();
    view["snapshots"] = json!([{ "snapshot": "a", "at": AT }, { "snapshot": "b", "at": AT }]);
    view
}

/// Which, whose, what is said, and what it shows of itself.
fn table() -> Vec<([&'static str; 4], Value, Value)> {
    let (workspace, at) = (workspace(), AT);
    let people = json!({ "owners": [{
        "owner": "john", "standing": "active", "since": at, "workspaces": [],
    }], "doubted": [] });
    let why = json!({ "owner": "john", "why": "another John has come" });
    vec![
        (["bucket", "delete", "john", "data"], json!({}), bucket(json!([]))),
        (
            ["home", "drop", "john", "home"],
            json!({ "snapshot": "a" }),
            json!({
                "snapshots": [{ "snapshot": "a", "at": at }],
            }),
        ),
        (
            ["mcp", "remove", "stead", "outline"],
            json!({}),
            json!({
                "phase": "ready", "namespace": "mcp", "releases": [], "active": "outline@sha256:a",
            }),
        ),
        (["people", "forget", "stead", "site"], why, people),
        (
            ["pool", "drain", "stead", "spare"],
            json!({}),
            json!({
                "wanted": 2, "by_hand": false, "ready": 2, "making": 0, "given": 0, "spares": [],
            }),
        ),
        (["schedule", "delete", "john", "nightly"], json!({}), json!({})),
        (
            ["template", "forget", "platform", "stead-machine"],
            json!({}),
            json!({
                "phase": "ready", "repository": "platform/templates", "branch": "main", "path": "m",
                "versions": [],
            }),
        ),
        (
            ["token", "delete", "john", "ci"],
            json!({}),
            json!({
                "phase": "ready", "repository": "john/templates", "secret": "CODER_TOKEN",
                "pace": { "life_days": 7, "every_days": 6 }, "generation": 1, "failures": 0,
                "expires_at": at,
            }),
        ),
        (["workspace", "delete", "john", "dev"], json!({}), workspace.clone()),
        (["workspace", "drop", "john", "dev"], json!({ "snapshot": "a" }), with_snapshots()),
        (["workspace", "rollback", "john", "dev"], json!({ "snapshot": "a" }), with_snapshots()),
        (["workspace", "rebuild", "john", "dev"], json!({}), workspace.clone()),
        (["workspace", "update", "john", "dev"], json!({}), workspace),
    ]
}

fn bucket(users: Value) -> Value {
    json!({
        "phase": "ready", "bucket": "john-data", "endpoint": "https://s3.lan", "quota_gb": 10,
        "users": users,
    })
}

fn plan([kind, verb, owner, name]: [&str; 4], fields: &Value, view: &Value) -> Vec<String> {
    let known = WORKFLOWS.iter().find(|known| known.kind == kind).expect("a workflow");
    let (site, owner) = (site(), Owner::new(owner).expect("a name"));
    let phase = view["phase"].as_str().unwrap_or("ready");
    let fields = fields.as_object().expect("an object");
    let living = Some(Living { phase, view });
    let admission = Admission { site: &site, owner: &owner, name, living, verb, fields };
    let admitted = (known.admit)(&admission).map_err(|refusal| format!("{kind}.{verb}: {refusal}"));
    let payload = admitted.unwrap_or_else(|words| panic!("{words}")).payload;
    let lines = payload["plan"].as_array().cloned().unwrap_or_default();
    lines.iter().map(|line| line.as_str().expect("a text").to_owned()).collect()
}

#[test]
fn whatever_destroys_says_beforehand_what() {
    let table = table();
    for (which, fields, view) in &table {
        assert!(!plan(*which, fields, view).is_empty(), "{which:?}");
    }
    // What drift destroys is another thing each time, and `meaning.rs` has a table of its own.
    let known = |kind, verb| {
        (kind, verb) == ("drift", "destroy")
            || table.iter().any(|(which, ..)| which[..2] == [kind, verb])
    };
    for asked in COMMANDS.iter().filter(|asked| DESTROYS.contains(&asked.verb)) {
        assert!(known(asked.kind, asked.verb), "{}.{} has no plan here", asked.kind, asked.verb);
    }
}

#[test]
fn the_plan_of_a_buckets_delete_says_when_it_would_stay() {
    let delete = |fields: Value, users| {
        plan(["bucket", "delete", "john", "data"], &fields, &bucket(users)).join("\n")
    };
    let told = delete(json!({}), json!([]));
    let words = "if it holds anything: it stays, and the delete fails; --confirm data deletes that";
    assert!(told.contains(words), "{told}");
    let told = delete(json!({ "confirm": "data" }), json!([]));
    assert!(told.contains("then destroyed with all of it; `stead bucket restore data`"), "{told}");
    let told = delete(json!({ "confirm": "data" }), json!(["dev", "ml"]));
    assert!(told.contains("stays, and the delete fails") && told.contains("dev, ml"), "{told}");
}

#[test]
fn what_becomes_of_a_machines_snapshots_is_said() {
    let plan = |verb, fields| plan(["workspace", verb, "john", "dev"], &fields, &with_snapshots());
    let told = plan("rollback", json!({ "snapshot": "a" }));
    let lost = format!(
        "machine 10000 on pve1: what was written to its own disk since {AT} is lost; it is as in a, but \
         for cores, memory and the size of its disk"
    );
    let later = "snapshots taken later (b): kept; a storage that goes back to the latest one only, as \
                 ZFS does, refuses until they are dropped";
    assert_eq!(
        told,
        [
            lost.as_str(),
            "workspace: stopped for it, and started again",
            "the home: stays as it is",
            later
        ]
    );
    let gone = "its snapshots (a, b): destroyed with it; the next machine has none".to_owned();
    for verb in ["delete", "rebuild"] {
        assert!(plan(verb, json!({})).contains(&gone), "{verb}");
    }
}
