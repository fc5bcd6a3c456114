//! How long a step may take: what is left of its deadlines, what was wrong when one is over, and for
//! how long it was tried.
//!
//! Tried is what a worker may be at, or what waits for its next attempt. What waits for a worker,
//! for its turn, for an engine or for another entity is not, however long that takes.

use std::time::Duration;

use stead_core::fold::OpenStep;
use stead_core::retry;
use stead_schemas::event::Seq;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::RunId;
use stead_schemas::policy::{StepPolicy, limit};
use stead_schemas::step::system;
use stead_schemas::time::{Timestamp, spoken};
use tokio::time::Instant;

use super::Owner;
use super::attempts::{Attempt, Phase};

/// How often to look at a step that only somebody else brings on: its deadlines come first.
const REST: Duration = Duration::from_secs(3600);

/// For how long a step was tried in vain.
#[derive(Default)]
pub(super) struct Spent {
    /// By this owner, since somebody last wanted it tried as if for the first time.
    pub trying: Duration,
    /// By the owners before, as far as it counts. For how much of that time they tried it, and how
    /// much they waited or were not there, nobody knows any more: each owner tries it for half of
    /// the whole time at least.
    pub before: Duration,
    /// How old it was when this owner took it up: whether a worker had begun with it is not known.
    unseen: Duration,
    /// When somebody last wanted it tried as if for the first time.
    anew: Option<Instant>,
}

impl Spent {
    /// By the owners before.
    pub fn before(open: &OpenStep, now: Timestamp) -> Self {
        let most = open.step.policy.retry_for() / 2;
        let unseen = now.since(open.since).saturating_sub(open.paused);
        Self { before: now.since(open.tried_since).min(most), unseen, ..Self::default() }
    }

    /// Somebody wants it tried as if for the first time.
    pub fn begin_anew(&mut self) {
        let anew = Some(Instant::now());
        *self = Self { unseen: self.unseen, anew, ..Self::default() };
    }
}

impl Attempt {
    /// What was sent has come to nothing, or the pause after it is over. The time from then on counts
    /// from `next`.
    pub(super) fn lap(&mut self, next: Option<Instant>) {
        let since = std::mem::replace(&mut self.sent, next);
        let since = since.max(self.spent.anew.filter(|_| since.is_some()));
        self.spent.trying += since.map(|since| since.elapsed()).unwrap_or_default();
    }

    /// Whether it was tried for long or often enough, if the next attempt came after `rest`.
    pub(super) fn is_used_up(&self, policy: &StepPolicy, rest: Duration) -> bool {
        let Spent { trying, before, .. } = self.spent;
        retry::is_used_up(policy, self.tried, trying + before, rest)
    }
}

impl Owner {
    /// Looks at a step that is under way again when its worker may have fallen silent, or when
    /// its time is over.
    pub(super) fn look_again(&mut self, run: &RunId, seq: Seq) {
        let usual = self.env.tuning.silence;
        let Some((_, open)) = self.open_step(run, seq) else { return };
        let silence = silence(open, usual);
        self.wake_in(run, seq, silence);
    }

    /// Leaves a step alone until its time is over, or somebody else brings it on. One that nobody
    /// waits for any more has a grace that runs already.
    pub(super) fn rest(&mut self, run: &RunId, seq: Seq) {
        let Some((attempt, _)) = self.open_step(run, seq) else { return };
        if attempt.give_up.is_none() {
            self.wake_in(run, seq, REST);
        }
    }

    /// Looks at the step again in `span`, or when its time is over, whichever is first.
    pub(super) fn wake_in(&mut self, run: &RunId, seq: Seq, span: Duration) {
        let now = self.env.ports.clock.now();
        // The time of a paused run stands still: what is over would wake us again and again.
        let paused = self.runs.get(run).is_some_and(|live| live.is_paused());
        let Some((attempt, open)) = self.open_step(run, seq) else { return };
        let ends_by_itself = attempt.give_up.is_none() && !paused;
        let ends = [
            Some(span),
            time_left(open, attempt, now).filter(|_| ends_by_itself),
            attempt_left(open, attempt).filter(|_| !attempt.overdue && attempt.give_up.is_none()),
        ];
        let when = Instant::now() + ends.into_iter().flatten().min().unwrap_or(span);
        let before = attempt.wake.replace(when);
        if let Some(before) = before {
            self.wakes.remove(&(before, run.clone(), seq));
        }
        self.wakes.insert((when, run.clone(), seq));
    }
}

/// What is left until the step is over, whichever deadline comes first; nothing if it has none.
pub(super) fn time_left(open: &OpenStep, attempt: &Attempt, now: Timestamp) -> Option<Duration> {
    let close = deadline(open, open.step.within_ms);
    let start = deadline(open, open.step.policy.schedule_to_start_ms).filter(|_| !attempt.begun);
    let start = start.map(|deadline| deadline.after(attempt.spent.unseen));
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
            let system = system(&step.step);
            let since = match attempt.spent.unseen {
                Duration::ZERO => "",
                _ => " since this engine took over",
            };
            format!("no worker for {system} began with it within {span}{since}")
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
