//! How patient an engine is with one step, where the workflow says so.
//!
//! The four timeouts have the names that the field uses. The fourth, schedule-to-close, is
//! `within_ms` of the step itself: it is a deadline of the workflow's own making and fails the
//! step, whereas attempts that are used up only pause the run.

use core::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How long a step is tried again before the run is paused, where nothing else is said.
pub const RETRY_FOR: Duration = Duration::from_secs(60 * 60);

/// See the module's head. Zero stands for "as usual" everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct StepPolicy {
    /// The step fails if no worker has begun with it by then; usually it may wait for ever.
    #[serde(skip_serializing_if = "is_zero")]
    pub schedule_to_start_ms: u64,
    /// One attempt may take this long; then it is stopped and counts as failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub start_to_close_ms: u64,
    /// A worker that has said nothing for this long is taken for dead; usually as the engine is
    /// tuned.
    #[serde(skip_serializing_if = "is_zero")]
    pub heartbeat_ms: u64,
    /// The run is paused after so many failed attempts; usually only after [`Self::retry_for`].
    /// Counted in memory: an engine that takes over counts anew.
    #[serde(skip_serializing_if = "is_none")]
    pub attempts: u32,
    /// The run is paused when a step has been tried in vain for this long; usually
    /// [`RETRY_FOR`].
    #[serde(skip_serializing_if = "is_zero")]
    pub retry_for_ms: u64,
    /// The pause after the first attempt; usually by the kind of trouble.
    #[serde(skip_serializing_if = "is_zero")]
    pub first_pause_ms: u64,
    /// The longest pause between attempts; usually half a minute.
    #[serde(skip_serializing_if = "is_zero")]
    pub pause_max_ms: u64,
    /// Whether trouble that lasts pauses the run, too, for a person to mend, instead of failing
    /// the step.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub pause_on_lasting: bool,
}

impl StepPolicy {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// How long the step is tried again before the run is paused.
    #[must_use]
    pub const fn retry_for(&self) -> Duration {
        match self.retry_for_ms {
            0 => RETRY_FOR,
            ms => Duration::from_millis(ms),
        }
    }
}

/// Zero is no limit.
#[must_use]
pub const fn limit(ms: u64) -> Option<Duration> {
    match ms {
        0 => None,
        ms => Some(Duration::from_millis(ms)),
    }
}

// serde hands these references.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(ms: &u64) -> bool {
    *ms == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_none(attempts: &u32) -> bool {
    *attempts == 0
}
