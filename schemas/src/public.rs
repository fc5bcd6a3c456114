//! What is shown of a run to those who ask.

use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{LeftBehind, Outcome, RunStarted, Seq};
use crate::failure::Failure;
use crate::glance::Glance;
use crate::ids::RunId;
use crate::owner::Owner;
use crate::time::Timestamp;

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RunState {
    /// It lives.
    #[serde(rename = "running")]
    Running,
    /// It is over, all well.
    #[serde(rename = "completed")]
    Completed,
    /// It is over, and went wrong.
    #[serde(rename = "failed")]
    Failed,
    /// It lives, and waits to be resumed.
    #[serde(rename = "paused")]
    Paused,
    /// It was ended by hand.
    #[serde(rename = "terminated")]
    Terminated,
}

impl RunState {
    /// Whether the run goes on, or may.
    #[must_use]
    pub const fn lives(self) -> bool {
        matches!(self, Self::Running | Self::Paused)
    }

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Paused => "paused",
            Self::Terminated => "terminated",
        }
    }
}

/// One line of a list. Plain fields only: the index keeps it in a format that knows no others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunSummary {
    /// The run.
    pub run: RunId,
    /// Its workflow.
    pub kind: String,
    /// Whose it is.
    pub owner: Owner,
    /// The entity's name.
    pub name: String,
    /// Where it stands.
    pub state: RunState,
    /// The workflow's own word for where it stands: `ready`. Empty in lists once the run is over.
    pub phase: String,
    /// What it waits for, in words; empty if for nothing.
    pub waiting: String,
    /// When it began.
    pub started: Timestamp,
    /// When its history last grew.
    pub updated: Timestamp,
    /// How many transitions its history has.
    pub transitions: u64,
}

impl RunSummary {
    /// The line of a run that is over: how it began, and when, how it ended, and its last
    /// transition.
    #[must_use]
    pub fn of_ended(
        started: &RunStarted,
        began: Timestamp,
        state: RunState,
        last: &Glance,
    ) -> Self {
        Self {
            run: last.run.clone(),
            kind: started.workflow.clone(),
            owner: started.owner.clone(),
            name: started.name.clone(),
            state,
            phase: String::new(),
            waiting: String::new(),
            started: began,
            updated: last.at,
            transitions: last.n,
        }
    }
}

/// Some runs of a partition, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunPage {
    /// Their lines.
    pub lines: Vec<RunSummary>,
    /// Whether there may be more behind the last one.
    pub more: bool,
    /// How far was looked, where that is further than the last line: the next page begins there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upto: Option<RunId>,
}

/// What a run waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Waiting {
    /// The step's or timer's number.
    pub seq: Seq,
    /// The step, or `signal`, or `timer`.
    pub what: String,
    /// Why it is not done yet: `running`, `queued`, `no-worker`, `retrying`, `outside`, `signal`,
    /// `timer`, `entity`, `limit`, `paused`, `human`, `log`.
    pub reason: String,
    /// In words, with the last trouble where there was one.
    pub words: String,
    /// Since when.
    pub since: Timestamp,
    /// How many attempts have been made.
    pub attempts: u32,
    /// Why the run is parked, if that is what it waits for: `diverged`, `unreadable`, `illegal`,
    /// `panicked`, `log`, `unknown-kind`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cause: String,
}

/// A command and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommandView {
    /// Its id.
    pub id: String,
    /// What was asked.
    pub verb: String,
    /// How it ended; nothing while it has not.
    pub outcome: Option<Outcome>,
}

/// Published while a step goes on, written nowhere: `step-progress`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepProgress {
    /// The run.
    pub run: RunId,
    /// When.
    pub at: Timestamp,
    /// The step's number.
    pub seq: Seq,
    /// The step.
    pub step: String,
    /// How far it is.
    pub words: String,
}

/// Published when an attempt at a step has failed and another will follow, written nowhere:
/// `step-retrying`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepRetrying {
    /// The run.
    pub run: RunId,
    /// When.
    pub at: Timestamp,
    /// The step's number.
    pub seq: Seq,
    /// The step.
    pub step: String,
    /// Which attempt has failed, counted from 1.
    pub attempt: u32,
    /// Why.
    pub failure: Failure,
    /// How long until the next attempt, in milliseconds.
    pub pause_ms: u64,
}

/// Everything about a run but its history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunView {
    /// The line that stands in a list.
    pub summary: RunSummary,
    /// What the workflow shows of itself.
    pub view: Value,
    /// What it waits for.
    pub waiting: Vec<Waiting>,
    /// The commands it has taken in, oldest first.
    pub commands: Vec<CommandView>,
    /// How the run ended, once it has.
    pub outcome: Option<Outcome>,
    /// What it was ended or given up with: what may stand outside and belongs to nobody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<LeftBehind>,
    /// What somebody should know before it becomes trouble: a history that grows long.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
