//! Stand-in engines: one run, of which the test decides what it shows and whether it waits.

use std::sync::Mutex;

use serde_json::json;
use stead_runtime::worker::Engines;
use stead_schemas::dispatch::{OutsideAnswer, OutsideReply, StepReply};
use stead_schemas::ids::RunId;
use stead_schemas::owner::Owner;
use stead_schemas::public::{RunState, RunSummary, RunView, Waiting};
use stead_schemas::site::Guest;
use stead_schemas::step::Step;
use stead_schemas::step::guest::AwaitHome;
use stead_schemas::step::volume::AttachedVolume;
use stead_schemas::time::Timestamp;

use crate::testing::run;

/// What the engines know.
pub(super) struct Office {
    inside: Mutex<Inside>,
}

struct Inside {
    view: Option<RunView>,
    is_waiting: bool,
    is_away: bool,
    answers: Vec<OutsideAnswer>,
}

impl Office {
    pub(super) fn new() -> Self {
        let (view, is_waiting, is_away, answers) = (Some(view()), true, false, Vec::new());
        Self { inside: Mutex::new(Inside { view, is_waiting, is_away, answers }) }
    }

    /// Shows a workspace with these.
    pub(super) fn show(&self, home_source: Option<&str>, coder_id: Option<&str>) {
        self.show_guest(home_source, coder_id, Guest::default());
    }

    /// Shows a workspace with these, whose machine is such a guest.
    pub(super) fn show_guest(
        &self,
        home_source: Option<&str>,
        coder_id: Option<&str>,
        guest: Guest,
    ) {
        let mut view = view();
        view.view = json!({
            "guest": guest,
            "phase": "creating", "template": "debian-12", "storage_backend": "nvme", "node": "pve1",
            "size": { "cpu_cores": 4, "memory_gb": 8, "storage_quota_gb": 20 },
            "home_source": home_source, "coder_id": coder_id,
        });
        self.change(|inside| inside.view = Some(view));
    }

    /// Its machine has this card for storage.
    pub(super) fn show_storage_card(&self, card: &str) {
        self.change(|inside| {
            if let Some(view) = &mut inside.view {
                view.view["storage_card"] = card.into();
            }
        });
    }

    /// Shows a workspace with these, which has this volume.
    pub(super) fn show_volume(
        &self,
        home_source: Option<&str>,
        coder_id: Option<&str>,
        volume: &AttachedVolume,
    ) {
        self.show(home_source, coder_id);
        let shown = serde_json::to_value(volume).unwrap();
        self.change(|inside| {
            if let Some(view) = &mut inside.view {
                view.view["volume"] = shown;
            }
        });
    }

    /// The run is over.
    pub(super) fn finish(&self) {
        self.change(|inside| {
            if let Some(view) = &mut inside.view {
                view.summary.state = RunState::Completed;
            }
        });
    }

    /// There never was such a run.
    pub(super) fn forget(&self) {
        self.change(|inside| inside.view = None);
    }

    /// What the run waits for.
    pub(super) fn wait_for(&self, what: &str) {
        self.change(|inside| {
            inside.is_waiting = what == AwaitHome::NAME;
            if let Some(view) = &mut inside.view {
                view.waiting = vec![waiting(what)];
            }
        });
    }

    /// No engine answers any more.
    pub(super) fn leave(&self) {
        self.change(|inside| inside.is_away = true);
    }

    /// What was handed in and taken.
    pub(super) fn answers(&self) -> Vec<OutsideAnswer> {
        self.change(|inside| inside.answers.clone())
    }

    /// What was handed in and taken as an end, not as a sign of life.
    pub(super) fn reports(&self) -> Vec<StepReply> {
        let replies = self.answers().into_iter().map(|answer| answer.reply);
        replies.filter(|reply| !matches!(reply, StepReply::Heartbeat { .. })).collect()
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inside) -> T) -> T {
        change(&mut self.inside.lock().unwrap())
    }
}

fn waiting(what: &str) -> Waiting {
    Waiting {
        seq: 1,
        what: what.to_owned(),
        reason: "running".to_owned(),
        words: String::new(),
        since: Timestamp::default(),
        attempts: 1,
        cause: String::new(),
    }
}

fn view() -> RunView {
    let summary = RunSummary {
        run: run(),
        kind: "workspace".to_owned(),
        owner: Owner::new("john").unwrap(),
        name: "dev".to_owned(),
        state: RunState::Running,
        phase: "creating".to_owned(),
        waiting: String::new(),
        started: Timestamp::default(),
        updated: Timestamp::default(),
        transitions: 1,
    };
    RunView {
        summary,
        view: json!({}),
        waiting: Vec::new(),
        commands: Vec::new(),
        outcome: None,
        left: Vec::new(),
        warnings: Vec::new(),
    }
}

#[async_trait::async_trait]
impl Engines for Office {
    async fn view(&self, wanted: &RunId) -> Result<Option<RunView>, String> {
        self.change(|inside| match inside.is_away {
            true => Err("no engine answers".to_owned()),
            false => Ok(inside.view.clone().filter(|view| view.summary.run == *wanted)),
        })
    }

    async fn answer(&self, answer: OutsideAnswer) -> Result<OutsideReply, String> {
        self.change(|inside| match (inside.is_away, inside.is_waiting) {
            (true, _) => Err("no engine answers".to_owned()),
            (false, false) => Ok(OutsideReply::NotWaiting),
            (false, true) => {
                inside.answers.push(answer);
                Ok(OutsideReply::Accepted)
            }
        })
    }
}
