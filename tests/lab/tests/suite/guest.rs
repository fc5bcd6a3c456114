//! The guest: what becomes of a machine that is given a seed.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use stead_lab::{Guests, LabOptions};

use crate::machine::{announce, at_stage, make, serial, token, workspace};
use crate::rig::Rig;
use crate::rpc::Nas;
use crate::seed::{SAFE, Seed, Unit};

const VMID: u32 = 10000;

struct Stage {
    rig: Rig,
    nas: Nas,
    seed: Seed,
    workspace: String,
}

/// A workspace whose seed is ready, with or without a home.
async fn stage(unit: Unit, with_home: bool) -> Stage {
    let rig = Rig::start().await;
    let mut nas = Nas::login(&rig).await;
    if with_home {
        nas.home("alice").await;
    }
    let seed = Seed::start().await;
    let (workspace, token) = workspace(&rig, "dev").await;
    seed.serve("i-1", "alice", &token, unit);
    Stage { rig, nas, seed, workspace }
}

async fn reboot(rig: &Rig) {
    assert_eq!(
        rig.task("POST", &format!("/nodes/pve1/qemu/{VMID}/status/reboot"), &[]).await,
        "OK"
    );
}

fn agent(rig: &Rig) -> (String, String) {
    let agent = rig.lab.inventory().coder_workspaces[0].agent.clone().expect("an agent");
    (agent.status, agent.lifecycle)
}

#[tokio::test]
async fn a_correct_seed_leads_to_a_ready_agent() {
    let at = stage(SAFE, true).await;
    make(&at.rig, VMID, &serial(&at.seed.url)).await;
    at_stage(&at.rig, VMID, "agent-ready").await;
    assert_eq!(agent(&at.rig), ("connected".to_owned(), "ready".to_owned()));
    assert_eq!(at.seed.fetched(), ["network-config", "meta-data", "user-data", "vendor-data"]);
    let report = at.seed.reports("home-verified").pop().expect("a report");
    assert_eq!(report["detail"]["source"], "127.0.0.1:/mnt/tank/coder-home/alice");
    assert_eq!(at.seed.reports("agent-started")[0]["boot_id"], report["boot_id"]);
    let ping = at.rig.pve("POST", &format!("/nodes/pve1/qemu/{VMID}/agent/ping"), &[]).await;
    assert_eq!(ping.expect("an answer").status, 200);
    assert!(
        at.seed
            .events()
            .iter()
            .any(|event| event["name"] == "init-network/config-mounts"
                && event["result"] == "SUCCESS")
    );

    assert_eq!(
        at.rig.task("POST", &format!("/nodes/pve1/qemu/{VMID}/status/shutdown"), &[]).await,
        "OK"
    );
    assert_eq!(agent(&at.rig), ("disconnected".to_owned(), "off".to_owned()));
}

#[tokio::test]
async fn without_dsmode_net_the_seed_is_fetched_and_thrown_away() {
    let at = stage(SAFE, true).await;
    make(&at.rig, VMID, &format!("ds=nocloud;s={}/seed/", at.seed.url)).await;
    at_stage(&at.rig, VMID, "seed-discarded").await;
    assert!(at.seed.fetched().contains(&"user-data".to_owned()));
    assert!(at.seed.reports("home-verified").is_empty());
}

#[tokio::test]
async fn a_seed_that_is_no_cloud_config_configures_nothing() {
    let at = stage(SAFE, true).await;
    at.seed.serve_raw("i-1", "#cloud-config\nusers: [".to_owned());
    make(&at.rig, VMID, &serial(&at.seed.url)).await;
    at_stage(&at.rig, VMID, "unconfigured").await;
}

#[tokio::test]
async fn without_requires_mounts_for_a_reboot_puts_the_agent_on_the_local_disk() {
    let at = stage(Unit { requires_mount: false, verifies: false, upholds: false }, true).await;
    make(&at.rig, VMID, &serial(&at.seed.url)).await;
    // A healthy first boot does not show it.
    at_stage(&at.rig, VMID, "agent-ready").await;
    reboot(&at.rig).await;
    at_stage(&at.rig, VMID, "agent-on-local-disk").await;
    at.rig
        .until(|now| {
            now.coder_workspaces[0].agent.as_ref().is_some_and(|agent| agent.lifecycle == "ready")
        })
        .await;
    at_stage(&at.rig, VMID, "agent-on-local-disk").await;
}

#[tokio::test]
async fn with_its_safeguards_a_reboot_verifies_the_home_again() {
    let at = stage(SAFE, true).await;
    make(&at.rig, VMID, &serial(&at.seed.url)).await;
    at_stage(&at.rig, VMID, "agent-ready").await;
    reboot(&at.rig).await;
    at_stage(&at.rig, VMID, "agent-ready").await;
    let reports = at.seed.reports("home-verified");
    assert_eq!(reports.len(), 2);
    assert_ne!(reports[0]["boot_id"], reports[1]["boot_id"]);
}

#[tokio::test]
async fn a_late_home_heals_only_what_is_upheld() {
    let mut at = stage(SAFE, false).await;
    make(&at.rig, VMID, &serial(&at.seed.url)).await;
    at_stage(&at.rig, VMID, "waiting-for-home").await;
    at.nas.home("alice").await;
    at_stage(&at.rig, VMID, "agent-ready").await;

    let at = stage(Unit { upholds: false, ..SAFE }, false).await;
    make(&at.rig, VMID, &serial(&at.seed.url)).await;
    at_stage(&at.rig, VMID, "home-mount-failed").await;
}

#[tokio::test]
async fn a_home_that_belongs_to_root_is_refused_until_it_is_chowned() {
    let mut at = stage(SAFE, true).await;
    let path = "/mnt/tank/coder-home/alice";
    let job = at.nas.ok("filesystem.chown", json!([{ "path": path, "uid": 0, "gid": 0 }])).await;
    at.nas.job(&job).await;
    make(&at.rig, VMID, &serial(&at.seed.url)).await;
    at_stage(&at.rig, VMID, "home-not-writable").await;
    at.nas.ok("filesystem.chown", json!([{ "path": path, "uid": 1000, "gid": 1000 }])).await;
    at_stage(&at.rig, VMID, "agent-ready").await;
}

#[tokio::test]
async fn a_new_build_throws_the_old_agent_out_until_a_new_instance_brings_its_token() {
    let at = stage(SAFE, true).await;
    make(&at.rig, VMID, &serial(&at.seed.url)).await;
    at_stage(&at.rig, VMID, "agent-ready").await;
    for transition in ["stop", "start"] {
        let order = json!({ "transition": transition });
        let path = format!("/workspaces/{}/builds", at.workspace);
        assert_eq!(at.rig.coder("POST", &path, Some(order)).await.expect("an answer").status, 201);
        let status = if transition == "stop" { "stopped" } else { "running" };
        at.rig.until(|now| now.coder_workspaces[0].status == status).await;
    }
    at_stage(&at.rig, VMID, "agent-refused").await;
    let fresh = token(&at.rig, &at.workspace).await;
    // Files are written once per instance: the same instance keeps the old token.
    at.seed.serve("i-1", "alice", &fresh, SAFE);
    reboot(&at.rig).await;
    at_stage(&at.rig, VMID, "agent-refused").await;
    at.seed.serve("i-2", "alice", &fresh, SAFE);
    reboot(&at.rig).await;
    at_stage(&at.rig, VMID, "agent-ready").await;
}

#[tokio::test]
async fn every_fault_of_the_guest_fires() {
    let at = stage(SAFE, true).await;
    let break_ = |fault| at.rig.lab.break_("guest", fault).expect("known");
    break_("never-boots");
    make(&at.rig, VMID, &serial(&at.seed.url)).await;
    at_stage(&at.rig, VMID, "never-boots").await;
    let shutdown = format!("/nodes/pve1/qemu/{VMID}/status/shutdown");
    assert_eq!(at.rig.task("POST", &shutdown, &[]).await, "VM quit/powerdown failed - got timeout");
    assert_eq!(at.rig.task("POST", &shutdown, &[("forceStop", "1")]).await, "OK");
    at.rig.lab.mend();
    break_("home-never-mounts");
    announce(&at.rig, VMID, &serial(&at.seed.url)).await;
    assert_eq!(
        at.rig.task("POST", &format!("/nodes/pve1/qemu/{VMID}/status/start"), &[]).await,
        "OK"
    );
    at_stage(&at.rig, VMID, "waiting-for-home").await;
    break_("home-read-only");
    at.rig.lab.mend_one("guest", "home-never-mounts");
    at_stage(&at.rig, VMID, "home-not-writable").await;
    at.rig.lab.break_times("guest", "report-lost", 1).expect("known");
    at.rig.lab.break_("coder", "agent-never-ready").expect("known");
    at.rig.lab.mend_one("guest", "home-read-only");
    at_stage(&at.rig, VMID, "agent-connected").await;
    assert_eq!(at.seed.reports("home-verified").len(), 2);
    assert_eq!(agent(&at.rig), ("connected".to_owned(), "starting".to_owned()));
    at.rig.lab.mend();
    at.rig.lab.break_("coder", "agent-start-error").expect("known");
    reboot(&at.rig).await;
    at.rig
        .until(|now| {
            now.coder_workspaces[0]
                .agent
                .as_ref()
                .is_some_and(|agent| agent.lifecycle == "start_error")
        })
        .await;
    break_("agent-never-connects");
    reboot(&at.rig).await;
    at_stage(&at.rig, VMID, "agent-starting").await;
    assert_eq!(agent(&at.rig).0, "disconnected");
}

#[tokio::test]
async fn a_boot_ends_as_cloud_init_says_and_starts_its_agent_or_not() {
    let at = stage(SAFE, true).await;
    let once = |fault| at.rig.lab.break_times("guest", fault, 1).expect("known");
    let ended = |result: &str| {
        let events = at.seed.events();
        events.iter().any(|event| event["name"] == "modules-final" && event["result"] == result)
    };
    at.rig.lab.break_("guest", "no-lease").expect("known");
    make(&at.rig, VMID, &serial(&at.seed.url)).await;
    at_stage(&at.rig, VMID, "no-lease").await;
    assert!(at.seed.fetched().is_empty());
    at.rig.lab.mend();
    at_stage(&at.rig, VMID, "agent-ready").await;
    once("cloud-init-fails");
    reboot(&at.rig).await;
    at_stage(&at.rig, VMID, "cloud-init-failed").await;
    assert!(ended("FAIL") && !ended("WARN"));
    once("cloud-init-warns");
    once("clock-behind");
    let day = 86_400.0;
    let now = seconds();
    reboot(&at.rig).await;
    at_stage(&at.rig, VMID, "agent-ready").await;
    let behind = |event: &Value| event["timestamp"].as_f64().is_some_and(|at| at < now - day / 2.0);
    assert_eq!(at.seed.events().iter().filter(|event| behind(event)).count(), 1);
    once("agent-before-home");
    reboot(&at.rig).await;
    at_stage(&at.rig, VMID, "agent-on-local-disk").await;
}

fn seconds() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    since.as_secs_f64()
}

#[tokio::test]
async fn a_guest_that_lives_elsewhere_is_left_alone_and_hears_the_power_button() {
    let rig = Rig::with(LabOptions { guests: Guests::Elsewhere, ..LabOptions::default() }).await;
    let seed = Seed::start().await;
    make(&rig, VMID, &serial(&seed.url)).await;
    at_stage(&rig, VMID, "elsewhere").await;
    let place = format!("/nodes/pve1/qemu/{VMID}");
    let ping = rig.pve("POST", &format!("{place}/agent/ping"), &[]).await;
    assert_eq!(ping.expect("an answer").status, 200);
    assert_eq!(rig.task("POST", &format!("{place}/status/shutdown"), &[]).await, "OK");
    at_stage(&rig, VMID, "off").await;
    assert!(seed.fetched().is_empty());
}
