//! What happens to a workspace by itself, on real processes: it is stopped when nobody uses it, starts
//! when its owner comes, and says in time that it will be dormant, and deleted.

use std::path::{Path, PathBuf};

use serde_json::json;
use stead_contract::skipped;

use crate::stage::{Seen, Stage, until};

/// Whether a workflow noted this.
fn noted(what: &'static str) -> impl Fn(&Seen) -> bool {
    move |seen| seen.name() == "noted" && seen.body["event"]["Noted"]["what"] == what
}

/// Whether any machine is on.
fn is_on(stage: &Stage) -> bool {
    stage.lab.inventory().vms.iter().any(|vm| vm.status == "running")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_uses_is_stopped_and_starts_at_its_time() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    let run = john.carry_out("create", json!({})).await.run;
    let from = stage.events.count();
    let when = json!({ "autostop_minutes": 1, "autostart": "* * * * *" });
    john.carry_out("configure", when).await;
    stage.events.first("nobody uses it", from, noted("autostop")).await;
    let stopped = stage.events.count();
    stage.events.first("its time has come", stopped, noted("autostart")).await;
    let asked = |step: &'static str| move |seen: &Seen| seen.scheduled() == Some(step);
    stage.events.first("it is shut down", from, asked("proxmox.shutdown-vm")).await;
    stage.events.first("it is started", stopped, asked("proxmox.start-vm")).await;
    until("it runs", || async {
        let phase = john.view(&run).await.summary.phase;
        (phase == "ready" && is_on(&stage)).then_some(())
    })
    .await;
    stage.finish().await;
}

/// What lets a process believe that it is another day, where it is installed.
fn other_days() -> Option<PathBuf> {
    let file = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
    let found = Path::new(file).is_file();
    if !found {
        skipped("there is no libfaketime here, and nobody waits for two days (package faketime)");
    }
    found.then(|| file.into())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_had_its_time_is_deleted_and_what_nobody_misses_is_dormant() {
    let mut stage = Stage::start().await;
    let john = stage.desk("john").await;
    let from = stage.events.count();
    for (name, ends) in [("old", "ttl_hours"), ("idle", "dormant_days")] {
        john.carry_out("create", json!({ "name": name })).await;
        john.carry_out("configure", json!({ "name": name, ends: 1 })).await;
    }
    stage.events.first("one is deleted soon", from, noted("expires-soon")).await;
    stage.events.first("the other is dormant soon", from, noted("dormant-soon")).await;
    let Some(other_days) = other_days() else { return stage.finish().await };
    stage.kill_engine(0);
    let preload = other_days.display().to_string();
    let later = [
        ("LD_PRELOAD", preload),
        ("FAKETIME", "+2d".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    stage.start_engine_with(0, &later);
    stage.events.first("its time is over", from, noted("expired")).await;
    stage.events.first("nobody has missed it", from, noted("dormant")).await;
    until("one is gone, and the other off", || async {
        let machines = stage.lab.inventory().vms;
        (machines.len() == 1 && machines[0].status == "stopped").then_some(())
    })
    .await;
    stage.finish().await;
}
