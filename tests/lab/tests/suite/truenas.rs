//! TrueNAS through its own API.

use serde_json::{Value, json};
use stead_lab::CallFault;

use crate::rig::{Rig, text};
use crate::rpc::Nas;

const HOME: &str = "tank/coder-home/alice";

#[tokio::test]
async fn a_home_is_made_marked_shared_and_taken_back() {
    let rig = Rig::start().await;
    let mut nas = Nas::login(&rig).await;
    nas.home("alice").await;
    let found = nas.ok("pool.dataset.query", json!([[["id", "=", HOME]], { "get": true }])).await;
    assert_eq!(found["user_properties"]["stead:marker"]["value"], "run-alice");
    assert_eq!(
        (&found["refquota"]["parsed"], &found["refquota"]["value"]),
        (&json!(10_i64 << 30), &json!("10G"))
    );
    let stat = nas.ok("filesystem.stat", json!([format!("/mnt/{HOME}")])).await;
    assert_eq!((&stat["uid"], &stat["gid"]), (&json!(1000), &json!(1000)));
    let now = rig.lab.inventory();
    assert_eq!(
        (now.datasets[0].owner.as_str(), now.shares[0].comment.as_str()),
        ("run-alice", "run-alice")
    );
    let share = nas
        .ok("sharing.nfs.query", json!([[["path", "=", format!("/mnt/{HOME}")]], { "get": true }]))
        .await;
    assert_eq!(nas.ok("sharing.nfs.delete", json!([share["id"]])).await, json!(true));
    assert_eq!(nas.ok("pool.dataset.delete", json!([HOME])).await, json!(true));
    assert_eq!(nas.ok("pool.dataset.delete", json!([HOME])).await, Value::Null);
    assert!(rig.lab.inventory().is_empty());
}

#[tokio::test]
async fn errors_have_the_middlewares_shape() {
    let rig = Rig::start().await;
    let mut stranger = Nas::connect(&rig).await;
    let refused = stranger.err("pool.query", json!([])).await;
    assert_eq!(
        (&refused["code"], &refused["data"]["errname"]),
        (&json!(-32001), &json!("ENOTAUTHENTICATED"))
    );
    let mut nas = Nas::login(&rig).await;
    nas.home("alice").await;
    assert_eq!(nas.err("no.such", json!([])).await["code"], -32601);
    let twice = nas.err("pool.dataset.create", json!([{ "name": HOME }])).await;
    assert_eq!(twice["code"], -32602);
    assert_eq!(
        twice["data"]["extra"],
        json!([["pool_dataset_create.name", format!("Path /mnt/{HOME} already exists"), 17]])
    );
    let small = nas
        .err("pool.dataset.create", json!([{ "name": "tank/coder-home/b", "refquota": 5 }]))
        .await;
    assert_eq!(small["data"]["extra"][0][0], "data.refquota");
    let odd =
        nas.err("pool.dataset.create", json!([{ "name": "tank/coder-home/b", "colour": 5 }])).await;
    assert_eq!(odd["data"]["extra"][0][1], "Extra inputs are not permitted");
    let share = nas.err("sharing.nfs.create", json!([{ "path": format!("/mnt/{HOME}") }])).await;
    assert_eq!(share["data"]["extra"][0][0], "sharingnfs_create.networks");
    assert_eq!(nas.err("pool.query", json!({})).await["code"], -32600);
    rig.lab.fill(HOME, 5 << 30);
    let shrunk = nas.err("pool.dataset.update", json!([HOME, { "refquota": 2_i64 << 30 }])).await;
    assert!(text(&shrunk["data"]["extra"][0][1]).contains("size is less than current used"));
    assert_eq!(
        nas.ok("pool.dataset.update", json!([HOME, { "refquota": 6_i64 << 30 }])).await["refquota"]
            ["value"],
        "6G"
    );
}

#[tokio::test]
async fn a_plain_delete_of_a_home_with_snapshots_takes_the_share_and_keeps_the_data() {
    let rig = Rig::start().await;
    let mut nas = Nas::login(&rig).await;
    nas.home("alice").await;
    nas.ok("pool.snapshot.create", json!([{ "dataset": HOME, "name": "hourly" }])).await;
    let error = nas.err("pool.dataset.delete", json!([HOME])).await;
    assert!(text(&error["data"]["reason"]).contains("[ENOTEMPTY]"), "{error}");
    let now = rig.lab.inventory();
    assert!(now.shares.is_empty() && now.datasets.len() == 1 && !now.datasets[0].mounted);
    assert_eq!(now.datasets[0].snapshots, ["hourly"]);
    assert_eq!(
        nas.err("filesystem.stat", json!([format!("/mnt/{HOME}")])).await["data"]["errname"],
        "ENOENT"
    );
    assert_eq!(
        nas.ok("pool.dataset.delete", json!([HOME, { "recursive": true }])).await,
        json!(true)
    );
    assert!(rig.lab.inventory().is_empty());
}

#[tokio::test]
async fn jobs_are_told_by_number_by_notification_or_by_result() {
    let rig = Rig::start().await;
    let mut nas = Nas::login(&rig).await;
    nas.home("alice").await;
    assert!(nas.ok("core.subscribe", json!(["core.get_jobs"])).await.is_string());
    let wish = json!([{ "path": format!("/mnt/{HOME}"), "uid": 1001 }]);
    let id = nas.ok("filesystem.chown", wish.clone()).await;
    let ended =
        |note: &Value| note["params"]["id"] == id && note["params"]["fields"]["state"] == "SUCCESS";
    while !nas.notifications.iter().any(&ended) {
        let note = nas.message().await.expect("a notification");
        assert_eq!(note["method"], "collection_update");
        nas.notifications.push(note);
    }
    nas.ok("core.set_options", json!([{ "legacy_jobs": false }])).await;
    assert_eq!(nas.ok("filesystem.chown", wish).await, Value::Null);
    let lost = json!([{ "path": "/mnt/tank/none", "uid": 1 }]);
    assert_eq!(nas.err("filesystem.chown", lost).await["data"]["errname"], "ENOENT");
}

#[tokio::test]
async fn a_socket_that_closes_takes_the_answer_and_not_the_effect() {
    let rig = Rig::start().await;
    let mut nas = Nas::login(&rig).await;
    let order = json!([{ "name": HOME }]);
    rig.lab.break_times("truenas", "socket-closed-before", 1).expect("known");
    assert!(nas.call("pool.dataset.create", order.clone()).await.is_none());
    assert!(rig.lab.inventory().is_empty());
    let mut nas = Nas::login(&rig).await;
    rig.lab.break_times("truenas", "socket-closed", 1).expect("known");
    assert!(nas.call("pool.dataset.create", order).await.is_none());
    assert_eq!(rig.lab.inventory().datasets.len(), 1);
    let mut nas = Nas::login(&rig).await;
    rig.lab
        .break_call_times("truenas", "pool.dataset.delete", CallFault::LoseResponse, 1)
        .expect("known");
    assert!(nas.call("pool.dataset.delete", json!([HOME])).await.is_none());
    assert!(rig.lab.inventory().is_empty());
}

#[tokio::test]
async fn every_other_fault_of_truenas_fires() {
    let rig = Rig::start().await;
    let mut nas = Nas::login(&rig).await;
    let break_once = |fault| rig.lab.break_times("truenas", fault, 1).expect("known");
    break_once("overload");
    assert_eq!(nas.err("core.ping", json!([])).await["code"], -32000);
    break_once("pool-full");
    let full = nas.err("pool.dataset.create", json!([{ "name": HOME }])).await;
    assert_eq!(full["data"]["errname"], "ENOSPC");
    break_once("unmounted");
    nas.err("pool.dataset.create", json!([{ "name": HOME }])).await;
    assert!(!rig.lab.inventory().datasets[0].mounted);
    nas.ok("pool.dataset.delete", json!([HOME])).await;
    nas.home("alice").await;
    break_once("job-failed");
    let wish = json!([{ "path": format!("/mnt/{HOME}"), "uid": 1001 }]);
    let id = nas.ok("filesystem.chown", wish.clone()).await;
    assert_eq!(nas.job(&id).await["state"], "FAILED");
    break_once("job-list-lost");
    let id = nas.ok("filesystem.chown", wish).await;
    assert_eq!(nas.ok("core.get_jobs", json!([[["id", "=", id]]])).await, json!([]));
    break_once("ebusy-on-delete");
    assert_eq!(nas.err("pool.dataset.delete", json!([HOME])).await["data"]["errname"], "EBUSY");
    assert!(rig.lab.inventory().shares.is_empty());
    let mut late = Nas::connect(&rig).await;
    break_once("rate-limited");
    assert_eq!(late.err("auth.login_ex", Nas::key(&rig).await).await["data"]["errname"], "EBUSY");
    break_once("key-revoked");
    assert_eq!(late.ok("auth.login_ex", Nas::key(&rig).await).await["response_type"], "AUTH_ERR");
}

#[tokio::test]
async fn messages_have_a_limit_and_clones_die_with_their_origin() {
    let rig = Rig::start().await;
    let mut nas = Nas::login(&rig).await;
    nas.ok("pool.dataset.create", json!([{ "name": "tank/golden" }])).await;
    nas.ok("pool.snapshot.create", json!([{ "dataset": "tank/golden", "name": "base" }])).await;
    nas.ok("pool.snapshot.clone", json!([{ "snapshot": "tank/golden@base", "dataset_dst": HOME }]))
        .await;
    let entry = nas.ok("pool.dataset.get_instance", json!([HOME])).await;
    assert_eq!(entry["origin"]["value"], "tank/golden@base");
    nas.ok("pool.dataset.delete", json!(["tank/golden", { "recursive": true }])).await;
    assert!(rig.lab.inventory().is_empty());
    assert_eq!(nas.ok("pool.query", json!([[], { "get": true }])).await["name"], "tank");
    assert!(nas.ok("system.info", json!([])).await["version"].is_string());
    assert!(nas.call("core.ping", json!(["x".repeat(70_000)])).await.is_none());
}

const VOLUME: &str = "tank/coder-volumes/alice";

/// A volume that one initiator may see. Returns target, extent and what joins them.
async fn shown(nas: &mut Nas) -> [Value; 3] {
    let volume = json!([{
        "name": VOLUME, "type": "VOLUME", "volsize": 1_i64 << 30, "sparse": true,
        "user_properties": [{ "key": "stead:marker", "value": "run-alice" }],
    }]);
    let made = nas.ok("pool.dataset.create", volume).await;
    assert_eq!((&made["type"], &made["mountpoint"]), (&json!("VOLUME"), &Value::Null));
    let group = json!([{ "initiators": ["iqn.x:alice"], "comment": "run-alice" }]);
    let group = nas.ok("iscsi.initiator.create", group).await["id"].clone();
    let extent = json!([{ "name": "alice", "disk": format!("zvol/{VOLUME}") }]);
    let extent = nas.ok("iscsi.extent.create", extent).await["id"].clone();
    let groups = json!([{ "portal": 1, "initiator": group }]);
    let target = json!([{ "name": "alice", "groups": groups }]);
    let target = nas.ok("iscsi.target.create", target).await["id"].clone();
    let joint = json!([{ "target": target, "extent": extent }]);
    let joint = nas.ok("iscsi.targetextent.create", joint).await["id"].clone();
    [target, extent, joint]
}

#[tokio::test]
async fn whoever_is_logged_in_keeps_what_he_uses_until_the_volume_itself_goes() {
    let rig = Rig::start().await;
    let mut nas = Nas::login(&rig).await;
    let [target, extent, joint] = shown(&mut nas).await;
    let iqn = "iqn.2005-10.org.freenas.ctl:alice";
    assert!(!rig.lab.log_in(7, iqn, "iqn.x:bob"));
    assert!(rig.lab.log_in(7, iqn, "iqn.x:alice"));
    for (kind, id) in [("targetextent", &joint), ("extent", &extent), ("target", &target)] {
        let refused = nas.err(&format!("iscsi.{kind}.delete"), json!([id])).await;
        assert_eq!(refused["data"]["errname"], "EFAULT", "{kind}");
        assert!(text(&refused["data"]["reason"]).contains("alice is in use."), "{refused}");
    }
    // Without a question: the extent, and what joins it to the target.
    assert_eq!(nas.ok("pool.dataset.delete", json!([VOLUME])).await, json!(true));
    let left: Vec<_> = rig.lab.inventory().iscsi.into_iter().map(|one| one.kind).collect();
    assert_eq!(left, ["initiator", "target"]);
}

#[tokio::test]
async fn a_target_whose_group_is_deleted_is_open_to_everybody() {
    let rig = Rig::start().await;
    let mut nas = Nas::login(&rig).await;
    shown(&mut nas).await;
    let group = nas.ok("iscsi.initiator.query", json!([[], { "get": true }])).await;
    nas.ok("iscsi.initiator.delete", json!([group["id"]])).await;
    assert!(rig.lab.log_in(7, "iqn.2005-10.org.freenas.ctl:alice", "iqn.x:bob"));
}

#[tokio::test]
async fn names_sizes_and_places_have_rules() {
    let rig = Rig::start().await;
    let mut nas = Nas::login(&rig).await;
    shown(&mut nas).await;
    let name = "tank/coder-volumes/bob";
    let wrong = [
        ("pool.dataset.create", json!([{ "name": name, "type": "VOLUME" }])),
        ("pool.dataset.create", json!([{ "name": name, "type": "VOLUME", "volsize": 12_345 }])),
        (
            "pool.dataset.create",
            json!([{ "name": name, "type": "VOLUME", "volsize": 7_i64 << 40 }]),
        ),
        (
            "pool.dataset.create",
            json!([{ "name": name, "type": "VOLUME", "refquota": 1_i64 << 30 }]),
        ),
        ("pool.dataset.create", json!([{ "name": name, "volsize": 1_i64 << 30 }])),
        ("pool.dataset.update", json!([VOLUME, { "volsize": 1_i64 << 29 }])),
        ("pool.dataset.update", json!(["tank/coder-home", { "volsize": 1_i64 << 30 }])),
        ("iscsi.target.create", json!([{ "name": "Alice_2" }])),
        ("iscsi.target.create", json!([{ "name": "alice" }])),
        ("iscsi.target.create", json!([{ "name": "bob", "groups": [{ "portal": 2 }] }])),
        ("iscsi.extent.create", json!([{ "name": "bob", "disk": "zvol/tank/nowhere" }])),
        ("iscsi.extent.create", json!([{ "name": "bob", "disk": format!("zvol/{VOLUME}") }])),
        (
            "iscsi.extent.create",
            json!([{ "name": "a".repeat(65), "disk": format!("zvol/{VOLUME}") }]),
        ),
        ("iscsi.targetextent.create", json!([{ "target": 99, "extent": 99 }])),
    ];
    for (method, params) in wrong {
        let refused = nas.err(method, params.clone()).await;
        assert_eq!(refused["code"], -32602, "{method} {params}: {refused}");
    }
    let forced = json!([{
        "name": name, "type": "VOLUME", "volsize": 7_i64 << 40, "force_size": true, "sparse": true,
    }]);
    nas.ok("pool.dataset.create", forced).await;
}
