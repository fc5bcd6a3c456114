//! A line of the ledger: something outside that a run of ours made or may have made, for whom, and
//! how sure that is.

use alloc::string::String;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::RunId;
use crate::owner::Owner;
use crate::step::touch::Resource;
use crate::time::Timestamp;

/// How a resource stands, as far as the log knows.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It is there and wanted.
    Wanted,
    /// Somebody was asked to make or remove it, and what became of that is not known, or not yet.
    Unknown,
    /// It is being taken away.
    Debt,
    /// It was given up, or its run is over: nobody will take it away.
    Left,
}

impl Standing {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Wanted => "wanted",
            Self::Unknown => "unknown",
            Self::Debt => "debt",
            Self::Left => "left",
        }
    }
}

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Held {
    /// What it is.
    #[serde(flatten)]
    pub resource: Resource,
    /// Our name tag on it.
    pub marker: String,
    /// How it stands.
    pub standing: Standing,
    /// Whose it is.
    pub owner: Owner,
    /// The kind of entity that needs it.
    pub entity: String,
    /// The entity's name.
    pub name: String,
    /// The run that made it.
    pub run: RunId,
    /// When it was asked for first.
    pub since: Timestamp,
    /// When a step was last done that needs it to be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<Timestamp>,
    /// How much it may hold, as the step that is done last set it; nothing while that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    /// The step that had to do with it last.
    pub step: String,
    /// Why it stands so, where that needs words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

impl Held {
    /// The mark that it was made with; of what can carry none, as a secret in Forgejo, the run that
    /// made it.
    #[must_use]
    pub fn mark(&self) -> &str {
        if self.marker.is_empty() { self.run.as_str() } else { &self.marker }
    }
}
