//! Lets steps rest and go on: a run that is paused, resumed, or over as it is.

use stead_schemas::dispatch::Caller;
use stead_schemas::event::{ByHand, Event, RunPaused, Seq};
use stead_schemas::ids::RunId;
use stead_schemas::step::system;
use stead_schemas::time::spoken;

use super::Owner;
use super::attempts::{Attempt, Phase};
use crate::metric;

impl Owner {
    /// The attempts at a step are used up: the run is paused, for a person to look at.
    pub(super) fn pause_for(&mut self, run: &RunId, seq: Seq) {
        let Some((attempt, open)) = self.open_step(run, seq) else { return };
        attempt.phase = Phase::Held;
        let mut tried = spoken(attempt.spent.trying);
        if !attempt.spent.before.is_zero() {
            tried += " since this engine took over,";
        }
        let (number, trouble) = (attempt.tried, attempt.last.as_ref().map(ToString::to_string));
        let why = format!(
            "step {seq} was tried {number} {} in {tried} without success: {}",
            if number == 1 { "time" } else { "times" },
            trouble.unwrap_or_else(|| open.step.step.clone()),
        );
        tracing::warn!(%run, step = open.step.step, why, "the run is paused");
        metric::PAUSED.count([system(&open.step.step)]);
        let order = ByHand { by: Caller::Engine, why, id: None };
        self.leave_soon(run, seq);
        self.take(run, Event::RunPaused(RunPaused { seq: Some(seq), order }));
    }

    /// The run has been paused: what waits for its next attempt waits for more than time now.
    /// What is being carried out goes on to its end.
    pub(super) fn hold(&mut self, run: &RunId) {
        let Some(live) = self.runs.get_mut(run) else { return };
        let mut left = Vec::new();
        for (seq, attempt) in &mut live.attempts {
            let idle = matches!(
                attempt.phase,
                Phase::Pausing | Phase::NoListener | Phase::Stuck | Phase::Limit
            );
            if idle && attempt.give_up.is_none() {
                attempt.phase = Phase::Held;
                if let Some(when) = attempt.wake.take() {
                    self.wakes.remove(&(when, run.clone(), *seq));
                }
                left.extend(attempt.place.is_some().then_some(*seq));
            }
        }
        left.into_iter().for_each(|seq| self.leave_soon(run, seq));
    }

    /// The run has been resumed: what waited is tried as if for the first time, and timers that
    /// have come due meanwhile fire.
    pub(super) fn go_on(&mut self, run: &RunId) {
        let Some(live) = self.runs.get(run) else { return };
        let steps: Vec<Seq> = live.attempts.keys().copied().collect();
        let timers: Vec<_> =
            live.run.folded().timers.values().map(|open| open.timer.clone()).collect();
        for seq in steps {
            self.try_now(run, seq);
        }
        for timer in timers {
            self.watch_timer(run, &timer);
        }
    }

    /// Tries a step now, as if for the first time, if nobody is at work on it.
    pub(super) fn try_now(&mut self, run: &RunId, seq: Seq) {
        let Some((attempt, _)) = self.open_step(run, seq) else { return };
        match attempt.phase {
            Phase::Over => {}
            // Whoever may be at it has been told to stop, and is given its time.
            _ if attempt.give_up.is_some() => {}
            // Its deadlines may have stood still and run on now.
            Phase::Sent { .. } | Phase::Queued { .. } | Phase::Outside => {
                attempt.spent.begin_anew();
                self.look_again(run, seq);
            }
            Phase::Pausing | Phase::NoListener | Phase::Limit | Phase::Stuck | Phase::Held => {
                attempt.last = None;
                attempt.tried = 0;
                attempt.spent.begin_anew();
                self.attempt(run, seq);
            }
        }
    }

    /// Nobody waits for this step any more: whoever may be at work on it is told to stop, and its
    /// place kept for that long.
    pub(super) fn stop_and_forget(&mut self, run: &RunId, seq: Seq) {
        let is_sent =
            |attempt: &Attempt| matches!(attempt.phase, Phase::Sent { .. } | Phase::Queued { .. });
        let Some(live) = self.runs.get_mut(run) else { return };
        let attempt = live.attempts.get(&seq);
        if let Some(attempt) = attempt.filter(|attempt| is_sent(attempt) || attempt.loose) {
            let sendings = attempt.sendings;
            if attempt.proof.is_some() || attempt.loose {
                live.strays.add(seq, sendings);
            }
            self.stop_workers(run, seq, sendings);
            self.leave_when_stopped(run, seq);
        }
        self.settled(run, seq);
    }

    /// The run is over as it is.
    pub(super) fn stop_all(&mut self, run: &RunId) {
        let Some(live) = self.runs.get(run) else { return };
        let steps: Vec<Seq> = live.attempts.keys().copied().collect();
        // For a run that was parked when it was read, nothing is being done here.
        let open = live.run.folded().steps.keys().filter(|seq| !live.attempts.contains_key(seq));
        for seq in open {
            self.stop_workers(run, *seq, 0);
        }
        for seq in steps {
            self.stop_and_forget(run, seq);
        }
    }
}
