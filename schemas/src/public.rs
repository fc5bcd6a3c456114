//! What is shown of a run to those who ask.

use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{Outcome, Seq};
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
}

impl RunState {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
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
    /// The workflow's own word for where it stands: `ready`.
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

/// What a run waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Waiting {
    /// The step's or timer's number.
    pub seq: Seq,
    /// The step, or `timer`.
    pub what: String,
    /// Why it is not done yet: `running`, `no-worker`, `retrying`, `outside`, `timer`, `entity`,
    /// `human`.
    pub reason: String,
    /// In words, with the last trouble where there was one.
    pub words: String,
    /// Since when.
    pub since: Timestamp,
    /// How many attempts have been made.
    pub attempts: u32,
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
}
