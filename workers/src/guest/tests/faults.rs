//! Boots that are held up, and boots that fail. What counts is the report of the home: it comes once the
//! home is there, and never before.

use stead_schemas::dispatch::StepReply;
use stead_schemas::step::coder::AwaitAgent;
use stead_schemas::step::proxmox::StartVm;

use super::{Scene, furnish};

impl Scene {
    /// One whose machine boots under this fault, and has come to this stage.
    async fn booted(fault: &str, stage: &str) -> Self {
        let scene = Self::ready().await;
        let machine = furnish(&scene.stage, false).await;
        scene.stage.lab.break_("guest", fault).unwrap();
        scene.stage.ask(StartVm { machine }).await.unwrap();
        scene.stage.lab.until(|seen| seen.vms[0].guest_stage == stage).await;
        scene
    }

    async fn await_agent(&self) {
        let login = "vault:secret/data/coder/api#1".to_owned();
        let id = self.stage.lab.inventory().coder_workspaces[0].id.clone();
        self.stage.ask(AwaitAgent { login, id }).await.unwrap();
    }

    /// Whether this was shown of the boot.
    fn has_shown(&self, words: &str) -> bool {
        let answers = self.office.answers().into_iter();
        let mut shown = answers.filter_map(|answer| match answer.reply {
            StepReply::Heartbeat { progress } => progress,
            _ => None,
        });
        shown.any(|shown| shown == words)
    }
}

#[tokio::test]
async fn a_boot_that_is_held_up_reports_its_home_once_it_is_there_and_not_before() {
    for (fault, stage) in [
        ("home-never-mounts", "waiting-for-home"),
        ("home-read-only", "home-not-writable"),
        ("no-lease", "no-lease"),
    ] {
        let scene = Scene::booted(fault, stage).await;
        assert!(scene.office.reports().is_empty(), "{fault}");
        scene.stage.lab.mend();
        scene.await_agent().await;
        assert_eq!(scene.office.reports().len(), 1, "{fault}");
    }
}

#[tokio::test]
async fn neither_a_warning_nor_a_clock_that_is_behind_holds_a_boot_up() {
    for fault in ["cloud-init-warns", "clock-behind"] {
        let scene = Scene::booted(fault, "agent-ready").await;
        scene.await_agent().await;
        assert_eq!(scene.office.reports().len(), 1, "{fault}");
        assert!(scene.has_shown("cloud-init: modules-final"), "{fault}");
    }
}

#[tokio::test]
async fn a_boot_that_fails_is_not_taken_for_one_that_has_its_home() {
    for (fault, stage) in [
        ("agent-before-home", "agent-ready"),
        ("cloud-init-fails", "cloud-init-failed"),
        ("never-boots", "never-boots"),
    ] {
        let scene = Scene::booted(fault, stage).await;
        assert!(scene.office.reports().is_empty(), "{fault}");
        let failed = scene.has_shown("cloud-init: modules-final failed");
        assert_eq!(failed, fault == "cloud-init-fails", "{fault}");
    }
    // It has its home, and what it lacks Coder shows.
    let scene = Scene::booted("agent-never-connects", "agent-starting").await;
    assert_eq!(scene.office.reports().len(), 1);
    let agent = scene.stage.lab.inventory().coder_workspaces[0].agent.clone();
    assert_eq!(agent.map(|agent| agent.status).as_deref(), Some("connecting"));
}
