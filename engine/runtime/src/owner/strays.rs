//! Strays: attempts at steps that are settled, which a worker may still be at.
//!
//! Another worker was quicker, or another owner: one that asked again between the last words of
//! the owner before it and the reading that this owner began with has left nothing in the log. What is
//! undone next must not be done once more afterwards. So before a run's first undo those workers
//! are told to stop, and given their time.

use std::collections::VecDeque;

use stead_schemas::event::{Event, Seq};
use stead_schemas::ids::RunId;
use stead_schemas::transition::Transition;
use tokio::time::Instant;

use super::Owner;
use super::attempts::Phase;
use super::live::Live;

/// How many steps are remembered: more than a workflow has reason to keep open at a time.
const KEPT: usize = 1_024;

/// What workers may still be at.
#[derive(Default)]
pub(super) struct Strays {
    /// Each with how often this owner has sent it.
    steps: VecDeque<(Seq, u32)>,
    /// Until when undos wait.
    until: Option<Instant>,
}

impl Strays {
    /// A worker may still be at this step, which is settled.
    pub(super) fn add(&mut self, seq: Seq, sendings: u32) {
        if self.steps.len() == KEPT {
            self.steps.pop_front();
        }
        self.steps.push_back((seq, sendings));
    }
}

impl Live {
    /// Notes which steps a transition of the history settles, before it is replayed.
    pub fn note_settled(&mut self, transition: &Transition) {
        for event in &transition.events {
            let open = settled(event).and_then(|seq| self.run.folded().steps.get(&seq));
            if let Some(open) = open.filter(|open| open.step.route.is_worker() && !open.step.undo) {
                self.strays.add(open.step.seq, 0);
            }
        }
    }

    /// Nobody undoes what was done before the run came to rest.
    pub fn forget_strays_of_the_past(&mut self) {
        let folded = self.run.folded();
        let is_at_rest = || folded.steps.is_empty() && folded.open_commands().is_empty();
        if !self.strays.steps.is_empty() && is_at_rest() {
            self.strays = Strays::default();
        }
    }
}

impl Owner {
    /// Notes that a worker may still be at this step, if so, now that it is settled.
    pub(super) fn note_stray(&mut self, run: &RunId, seq: Seq) {
        let Some(live) = self.runs.get_mut(run) else { return };
        let loose = live.attempts.get(&seq).filter(|attempt| attempt.loose);
        let sendings = loose.map(|attempt| attempt.sendings);
        let open = live.run.folded().steps.get(&seq);
        if let Some(sendings) = sendings.filter(|_| open.is_some_and(|open| !open.step.undo)) {
            live.strays.add(seq, sendings);
        }
    }

    /// Whether this step is an undo that has to wait until strays have had their time.
    pub(super) fn awaits_strays(&mut self, run: &RunId, seq: Seq) -> bool {
        let (now, grace) = (Instant::now(), self.env.tuning.grace);
        let Some((_, open)) = self.open_step(run, seq) else { return false };
        if !open.step.undo || !open.step.route.is_worker() {
            return false;
        }
        let Some(live) = self.runs.get_mut(run) else { return false };
        let strays = std::mem::take(&mut live.strays.steps);
        if !strays.is_empty() {
            live.strays.until = Some(now + grace);
        }
        let left = live.strays.until.map(|until| until.saturating_duration_since(now));
        for (seq, sendings) in strays {
            self.stop_workers(run, seq, sendings);
        }
        let Some(left) = left.filter(|left| !left.is_zero()) else { return false };
        if let Some((attempt, _)) = self.open_step(run, seq) {
            attempt.phase = Phase::Pausing;
        }
        self.wake_in(run, seq, left);
        true
    }
}

/// The step that this event settles without an undo.
const fn settled(event: &Event) -> Option<Seq> {
    match event {
        Event::StepCompleted(step) => Some(step.seq),
        Event::StepFailed(step) => Some(step.seq),
        Event::StepCancelled(step) => Some(step.seq),
        Event::StepDropped(step) => Some(step.seq),
        Event::StepSkipped(step) => Some(step.seq),
        _ => None,
    }
}
