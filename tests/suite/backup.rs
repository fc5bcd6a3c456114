//! A backup is made under load, everything is destroyed, and what was under way goes on.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use stead_schemas::event::Outcome;
use stead_schemas::ids::RunId;

use crate::stage::effects::check_once;
use crate::stage::{Seen, Stage, check_whole, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_destroyed_is_restored_and_runs_go_on() {
    let mut stage = Stage::start().await;
    let john = stage.desk("john").await;
    let done = john.carry_out("create", json!({})).await;
    let told = history(&stage, &done.run).await;
    let probe = john.ask("probe", "start", json!({ "name": "p", "id": "probe-1" })).await;
    let probe = probe.expect("it is let in");
    john.outcome(&probe).await;
    until("the probe is in the archive", || async {
        let said = stage.verb(&["archive", "list", "--json"]).await;
        let segments: Value = serde_json::from_slice(&said.stdout).ok()?;
        if segments.as_array().is_some_and(|segments| !segments.is_empty()) {
            return Some(());
        }
        stage.verb(&["archive", "now"]).await;
        None
    })
    .await;
    // Jane's workspace is under way, and cannot end before Coder is mended.
    stage.lab.break_("coder", "build-stuck").expect("a fault");
    let jane = stage.desk("jane").await;
    let under_way = jane.order("create", json!({})).await;
    let is_it = |event: &Seen| {
        event.owner() == "jane" && event.scheduled() == Some("coder.start-workspace")
    };
    stage.events.first("Jane's machine is there", 0, is_it).await;

    let place = stage.place("backup");
    let made = backup(&stage, "create", &place).await;
    assert!(made.status.success(), "{made:?}");
    let again = backup(&stage, "create", &place).await;
    assert_eq!(again.status.code(), Some(2), "a backup is never written over: {again:?}");
    let refused = backup(&stage, "restore", &place).await;
    assert!(!refused.status.success(), "onto a platform that is there: {refused:?}");

    stage.kill_worker();
    stage.kill_engine(0);
    stage.nats.lose_store().await;
    assert!(stage.streams().await.names().await.is_empty(), "all is lost");
    check_damage(&stage, &place).await;

    let restored = backup(&stage, "restore", &place).await;
    assert!(restored.status.success(), "{restored:?}");
    stage.start_engine(0);
    stage.start_worker();
    stage.lab.mend();
    let outcome = jane.outcome(&under_way).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    check_whole(&stage.lab, "jane");
    check_once(&stage.lab.effects(), "a restore");
    assert_eq!(history(&stage, &done.run).await, told, "what was written is as it was");
    let known = john.ask("probe", "start", json!({ "name": "p", "id": "probe-1" })).await;
    assert!(known.expect("it is known").repeated, "what is in the archive is known, too");
    john.carry_out("delete", json!({})).await;
    stage.finish().await;
}

/// Whatever is wrong with a backup is found before anything is restored from it.
async fn check_damage(stage: &Stage, place: &Path) {
    assert!(backup(stage, "verify", place).await.status.success());
    let files: Vec<_> = std::fs::read_dir(place).expect("a folder").collect();
    assert!(files.len() >= 5, "{files:?}");
    let file = place.join("STEAD_LOG_0_0.snapshot");
    let file = if file.exists() { file } else { place.join("STEAD_LOG_1_0.snapshot") };
    let whole = std::fs::read(&file).expect("a snapshot");
    let mut bytes = whole.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).expect("a file");
    for verb in ["verify", "restore"] {
        let said = backup(stage, verb, place).await;
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        let words = String::from_utf8_lossy(&said.stderr);
        assert!(words.contains("is not what was written"), "{words}");
    }
    assert!(stage.streams().await.names().await.is_empty(), "nothing of it was restored");
    std::fs::write(&file, &whole).expect("a file");
}

async fn backup(stage: &Stage, verb: &str, place: &Path) -> Output {
    stage.verb(&["backup", verb, &place.display().to_string()]).await
}

/// A history as it lies in the log, or in the archive.
async fn history(stage: &Stage, run: &RunId) -> Vec<Vec<u8>> {
    let found = until("a history", || async { stage.client.history(run).await.ok() }).await;
    found.messages.iter().map(|message| message.bytes.clone()).collect()
}
