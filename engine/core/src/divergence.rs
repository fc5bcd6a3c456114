//! Where a build decides otherwise than a history says, and what of a decision counts for that.

use alloc::string::{String, ToString};

use stead_schemas::event::Event;

use crate::fold::Illegal;

/// This build decides otherwise than the history says.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Divergence {
    /// The history has a decision that this build does not make.
    #[error("transition {n}: the history has\n  {recorded}\nand this build decides\n  {decided}")]
    Other {
        /// Where.
        n: u64,
        /// What stands in the history.
        recorded: String,
        /// What this build decides.
        decided: String,
    },
    /// An event is not legal where it stands.
    #[error("transition {n}: {illegal}")]
    Illegal {
        /// Where.
        n: u64,
        /// What is wrong with it.
        illegal: Illegal,
    },
    /// A transition is missing or in the wrong place.
    #[error("transition {expected} should follow, but {found} does")]
    Gap {
        /// What should follow.
        expected: u64,
        /// What does.
        found: u64,
    },
}

/// Whether a build decides as the history says. How patient one is with a step, and how long a
/// timer runs, may change from build to build: what is recorded holds for the run.
pub(crate) fn is_same(recorded: &Event, decided: &Event) -> bool {
    match (recorded, decided) {
        (Event::StepScheduled(old), Event::StepScheduled(new)) => {
            (old.seq, &old.step, &old.route, old.undo, old.detached)
                == (new.seq, &new.step, &new.route, new.undo, new.detached)
                && old.request == new.request
        }
        (Event::TimerStarted(old), Event::TimerStarted(new)) => old.seq == new.seq,
        (recorded, decided) => recorded == decided,
    }
}

/// One decision too many, too few, or another one.
pub(crate) fn other(n: u64, recorded: Option<&Event>, decided: Option<&Event>) -> Divergence {
    Divergence::Other { n, recorded: shown(recorded), decided: shown(decided) }
}

fn shown(event: Option<&Event>) -> String {
    match event {
        None => "nothing".to_string(),
        Some(event) => serde_json::to_string(event).unwrap_or_else(|_| event.name().to_string()),
    }
}
