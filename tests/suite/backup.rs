//! A backup is made, everything is destroyed, and what was under way or waited goes on: of an
//! encrypted platform, and of one on which commands go on meanwhile.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use stead_schemas::event::Outcome;
use stead_schemas::ids::RunId;
use stead_schemas::public::RunState;

use crate::encryption::{FIRST, SECOND};
use crate::stage::effects::check_once;
use crate::stage::{CALL, Desk, Seen, Setting, Stage, check_gone, check_whole, until};
use crate::upgrade::give_commands;

/// Owners who give one command after the other while a backup is made.
const LANES: usize = 2;
/// A probe that waits for an engine.
const WAITING: &str = "waiting";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_destroyed_is_restored_and_runs_go_on() {
    let mut stage = Stage::with(Setting { keys: FIRST, ..Setting::default() }).await;
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

    // John's next command finds no engine, and waits in the inbox.
    stage.kill_engine(0);
    leave_in_the_inbox(&john).await;

    let place = stage.place("backup");
    let made = backup(&stage, "create", &place).await;
    assert!(made.status.success(), "{made:?}");
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(said.contains("[encryption]"), "whoever makes it hears what is not in it: {said}");
    let again = backup(&stage, "create", &place).await;
    assert_eq!(again.status.code(), Some(2), "a backup is never written over: {again:?}");
    let refused = backup(&stage, "restore", &place).await;
    assert!(!refused.status.success(), "onto a platform that is there: {refused:?}");

    lose_everything(&mut stage).await;
    check_damage(&stage, &place).await;

    let restored = backup(&stage, "restore", &place).await;
    assert!(restored.status.success(), "{restored:?}");
    stage.start_engine(0);
    stage.start_worker();
    stage.lab.mend();
    what_waited_is_carried_out(&stage).await;
    let outcome = jane.outcome(&under_way).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    check_whole(&stage.lab, "jane");
    check_once(&stage.lab.effects(), "a restore");
    assert_eq!(history(&stage, &done.run).await, told, "what was written is as it was");
    let known = john.ask("probe", "start", json!({ "name": "p", "id": "probe-1" })).await;
    assert!(known.expect("it is known").repeated, "what is in the archive is known, too");
    let keys = [("STEAD_ENCRYPTION_KEYS", SECOND.to_owned())];
    let replayed = stage.verb_with(&["replay", done.run.as_str()], &keys).await;
    let said = String::from_utf8_lossy(&replayed.stderr);
    assert!(said.contains("the key `k1`"), "what was sealed still is: {replayed:?}");
    john.carry_out("delete", json!({})).await;
    let whole = stage.verb(&["audit", "verify"]).await;
    assert!(whole.status.success(), "{whole:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_made_while_commands_go_on_is_restored() {
    let mut stage = Stage::with(Setting { partitions: 4, ..Setting::default() }).await;
    let mut desks = Vec::new();
    for lane in 0..LANES {
        let desk = stage.desk(&format!("lane-{lane}")).await;
        desk.carry_out("create", json!({})).await;
        desks.push(desk);
    }
    stage.slow_down(CALL);
    let is_over = Arc::new(AtomicBool::new(false));
    let on = |desk: &Desk| tokio::spawn(give_commands(desk.clone(), Arc::clone(&is_over)));
    let lanes: Vec<_> = desks.iter().map(on).collect();
    let place = made_meanwhile(&stage).await;
    is_over.store(true, Ordering::Relaxed);
    for lane in lanes {
        lane.await.expect("no command fails");
    }

    lose_everything(&mut stage).await;
    let restored = backup(&stage, "restore", &place).await;
    assert!(restored.status.success(), "{restored:?}");
    stage.start_engine(0);
    stage.start_worker();
    stage.lab.mend();
    let whole = stage.verb(&["audit", "verify"]).await;
    assert!(whole.status.success(), "{whole:?}");
    // Wherever the backup has caught them, and whatever their machines have done since.
    for desk in &desks {
        desk.carry_out("delete", json!({})).await;
        check_gone(&stage.lab, desk.owner.as_str());
    }
    stage.finish().await;
}

/// A backup during which something was appended to the log, as its manifest and whoever made it say.
async fn made_meanwhile(stage: &Stage) -> PathBuf {
    let mut number = 0;
    until("something happens while a backup is made", || {
        number += 1;
        let place = stage.place(&format!("backup-{number}"));
        async move {
            let made = backup(stage, "create", &place).await;
            assert!(made.status.success(), "{made:?}");
            let said = String::from_utf8_lossy(&made.stdout).into_owned();
            let manifest = std::fs::read(place.join("manifest.json")).expect("a manifest");
            let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
            let meanwhile = manifest["at_one_moment"] == json!(false);
            assert_eq!(said.contains("since the log went on meanwhile"), meanwhile, "{said}");
            meanwhile.then_some(place)
        }
    })
    .await
}

async fn leave_in_the_inbox(john: &Desk) {
    let waiting = json!({ "name": WAITING, "id": "waits-1" });
    let waiting = waiting.as_object().expect("fields");
    let kept = john.client.publish_command(&john.owner, "probe", "start", waiting).await;
    kept.expect("the inbox takes it");
}

async fn what_waited_is_carried_out(stage: &Stage) {
    until("what waited is carried out", || async {
        let runs = stage.client.list_all().await.ok()?;
        let run = runs.into_iter().find(|run| run.name == WAITING)?;
        (run.state == RunState::Completed).then_some(())
    })
    .await;
}

async fn lose_everything(stage: &mut Stage) {
    stage.kill_worker();
    if let Some(engine) = stage.engines[0].take() {
        engine.kill9();
    }
    stage.nats.lose_store().await;
    assert!(stage.streams().await.names().await.is_empty(), "all is lost");
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
