//! How long a step may take: what is left of its deadlines, and what was wrong when one is over.

use std::time::Duration;

use stead_core::fold::OpenStep;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::policy::limit;
use stead_schemas::step::system;
use stead_schemas::time::{Timestamp, spoken};

use super::attempts::{Attempt, Phase};

/// What is left until the step is over, whichever deadline comes first; nothing if it has none.
pub(super) fn time_left(open: &OpenStep, begun: bool, now: Timestamp) -> Option<Duration> {
    let close = deadline(open, open.step.within_ms);
    let start = deadline(open, open.step.policy.schedule_to_start_ms).filter(|_| !begun);
    [close, start].into_iter().flatten().min().map(|deadline| deadline.since(now))
}

/// The failure of a step whose time is over.
pub(super) fn timed_out(open: &OpenStep, attempt: &Attempt, now: Timestamp) -> Failure {
    let step = &open.step;
    let close = deadline(open, step.within_ms).is_some_and(|deadline| now >= deadline);
    let words = match (&attempt.last, close) {
        (_, false) if attempt.phase == Phase::Limit => {
            let span = said(step.policy.schedule_to_start_ms);
            format!("its turn did not come within {span}")
        }
        (_, false) => {
            let span = said(step.policy.schedule_to_start_ms);
            format!("no worker for {} began with it within {span}", system(&step.step))
        }
        (Some(last), true) => {
            let span = said(step.within_ms);
            format!("not done within {span}; the last trouble was: {}", last.words)
        }
        (None, true) => format!("not done within {}", said(step.within_ms)),
    };
    let mut failure = Failure::new(Class::TimedOut, words).at(&step.step);
    failure.vendor = attempt.last.as_ref().and_then(|last| last.vendor.clone());
    failure
}

/// How long a worker may be silent before it is taken for dead.
pub(super) fn silence(open: &OpenStep, usual: Duration) -> Duration {
    limit(open.step.policy.heartbeat_ms).unwrap_or(usual)
}

/// What is left of the time that one attempt may take; nothing if it may take any, or does not
/// run.
pub(super) fn attempt_left(open: &OpenStep, attempt: &Attempt) -> Option<Duration> {
    let Phase::Sent { .. } = attempt.phase else { return None };
    let within = limit(open.step.policy.start_to_close_ms)?;
    Some(within.saturating_sub(attempt.sent?.elapsed()))
}

/// The failure of an attempt that took too long.
pub(super) fn attempt_took_too_long(open: &OpenStep) -> Failure {
    let span = said(open.step.policy.start_to_close_ms);
    Failure::new(Class::Ambiguous, format!("the attempt took longer than {span} and was stopped"))
        .at(&open.step.step)
}

fn deadline(open: &OpenStep, ms: u64) -> Option<Timestamp> {
    limit(ms).map(|within| open.since.after(within).after(open.paused))
}

fn said(ms: u64) -> String {
    spoken(Duration::from_millis(ms))
}
