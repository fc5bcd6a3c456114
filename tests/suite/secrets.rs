//! Secrets never travel: after a whole life with faults, none is found in any stream, event,
//! answer, log or index.

use std::collections::HashMap;
use std::path::Path;

use serde_json::json;
use stead_lab::CallFault;
use stead_schemas::event::Outcome;

use crate::metrics::page;
use crate::stage::{Setting, Stage, free_addresses};

/// No secret is as short.
const HEAD: usize = 8;

/// A place that was searched, and what is there.
pub type Place = (String, Vec<u8>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_found_anywhere() {
    // All that can be heard, of the crates that are silenced unless they are named, too.
    let log = "trace,vaultrs=trace,rustify=trace,async_nats=trace";
    let setting = Setting { log, metrics: Some(free_addresses()), ..Setting::default() };
    let mut stage = Stage::with(setting).await;
    troubled_life(&mut stage).await;
    let mut places = places(&stage).await;
    // What an engine keeps in memory, it writes down when it ends.
    stage.stop_engine(0).await;
    files(&stage.index(0), &mut places);
    // What must be found shows that the search would find a secret, too.
    for kind in ["STEAD_LOG_", "STEAD_REFUSALS", "stead.evt.", "engine-0.log", "answer", "index"] {
        let found =
            places.iter().any(|(place, bytes)| place.contains(kind) && holds(bytes, "john"));
        assert!(found, "{kind}: not even the owner's name is found");
    }
    let secrets = stage.lab.secrets();
    assert!(secrets.len() > 5, "the lab knows its secrets");
    check_none(&secrets, &places);
    stage.finish().await;
}

/// No secret is in any of these places.
pub fn check_none(secrets: &[String], places: &[Place]) {
    // Each place is looked at once, however many secrets there are.
    let mut by_head: HashMap<&[u8], Vec<&str>> = HashMap::new();
    for secret in secrets {
        by_head.entry(&secret.as_bytes()[..HEAD]).or_default().push(secret);
    }
    for (place, bytes) in places {
        for (at, head) in bytes.windows(HEAD).enumerate() {
            for secret in by_head.get(head).into_iter().flatten() {
                let found = bytes[at..].starts_with(secret.as_bytes());
                assert!(!found, "a secret that begins with {secret:.12} is in {place}");
            }
        }
    }
}

/// Everything that a workspace can go through, with vendors that fail in the middle of it.
async fn troubled_life(stage: &mut Stage) {
    let john = stage.desk("john").await;
    let lab = stage.lab.clone();
    let vendors = ["vault", "proxmox", "truenas", "coder", "s3", "forgejo"];
    let trouble = |fault, times| {
        for vendor in vendors {
            lab.break_call_times(vendor, "", fault, times).expect("a vendor");
        }
    };
    lab.break_call_times("coder", "POST /workspaces", CallFault::FailLasting, 1).expect("a vendor");
    john.fail("create", json!({ "name": "dev" })).await;
    trouble(CallFault::FailPassing, 2);
    let created = john.carry_out("create", json!({ "name": "dev" })).await;
    trouble(CallFault::LoseResponse, 1);
    let bucket = john.ask("bucket", "create", json!({ "name": "dev" })).await.expect("let in");
    let outcome = john.outcome(&bucket).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    let token = json!({ "name": "ci", "repository": "templates" });
    let token = john.ask("token", "create", token).await.expect("let in");
    let outcome = john.outcome(&token).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    john.carry_out("resize", json!({ "cpu_cores": 8, "storage_quota_gb": 99 })).await;
    stage.kill_worker();
    stage.start_worker();
    john.carry_out("restart", json!({})).await;
    for fault in ["unauthorized", "rate-limited"] {
        lab.break_times("coder", fault, 1).expect("a fault");
    }
    lab.break_times("truenas", "key-revoked", 1).expect("a fault");
    lab.break_times("vault", "token-expired", 1).expect("a fault");
    let outcome = john.order("stop", json!({})).await;
    john.outcome(&outcome).await;
    lab.mend();
    stage.stop_engine(0).await;
    stage.start_engine(0);
    john.view(&created.run).await;
    let bad = serde_json::from_value(json!({ "name": "dev", "colour": "red" })).expect("fields");
    let published = stage.client.publish_command(&john.owner, "workspace", "create", &bad).await;
    published.expect("the inbox takes it");
    let is_refused = |event: &crate::stage::Seen| event.name() == "refused";
    stage.events.first("a refusal", 0, is_refused).await;
    john.carry_out("delete", json!({})).await;
}

/// Everything that was ever written or said, but for the index.
pub async fn places(stage: &Stage) -> Vec<Place> {
    let mut all = Vec::new();
    for address in stage.metrics() {
        let (_, text) = page(address, "/metrics").await.expect("metrics are shown");
        assert!(text.contains("stead_build_info"), "{text}");
        all.push((format!("metrics of {address}"), text.into_bytes()));
    }
    let mut streams = stage.streams().await;
    for stream in streams.names().await {
        for kept in streams.messages(&stream).await {
            let bytes = [kept.headers.as_bytes(), kept.subject.as_bytes(), &kept.body].concat();
            all.push((format!("{stream} {}", kept.seq), bytes));
        }
    }
    for seen in stage.events.since(0) {
        all.push((seen.subject.clone(), seen.to_string().into_bytes()));
    }
    for (path, text) in stage.said() {
        all.push((path.display().to_string(), text.into_bytes()));
    }
    for line in stage.client.list_all().await.expect("a list") {
        let view = stage.client.view(&line.run).await.expect("an answer").expect("a run");
        let text = json!({ "line": line, "view": view }).to_string();
        all.push((format!("answer about {}", line.run), text.into_bytes()));
    }
    all
}

/// Every file in a folder, however deep.
pub fn files(folder: &Path, all: &mut Vec<Place>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files(&path, all),
            false => all.push((path.display().to_string(), std::fs::read(&path).expect("a file"))),
        }
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
