//! What follows from an acknowledged transition.

use stead_core::run::Run;
use stead_schemas::event::{Event, Noted, TimerStarted};
use stead_schemas::ids::RunId;
use stead_schemas::transition::Transition;
use tokio::time::Instant;

use super::attempts::GiveUp;
use super::live::Live;
use super::{Owner, queries};
use crate::metric;

impl Owner {
    /// Carries out what a transition says, event by event.
    pub(super) fn act(&mut self, transition: &Transition) {
        let run = &transition.run;
        self.publish(transition);
        // An edited step gives its place back before a run that is resumed asks for it, and is tried only
        // when all else is known: a cancel in the same moment may end it.
        let edited = transition.events.iter().filter_map(|event| match event {
            Event::StepEdited(step) => Some(step.seq),
            _ => None,
        });
        edited.clone().for_each(|seq| self.leave(run, seq));
        for event in &transition.events {
            match event {
                Event::StepScheduled(step) => self.first_attempt(run, step.seq),
                Event::StepCompleted(step) => self.settled(run, step.seq),
                Event::StepFailed(step) => self.settled(run, step.seq),
                Event::StepCancelled(step) => self.settled(run, step.seq),
                Event::StepDropped(step) => self.stop_and_forget(run, step.seq),
                Event::StepSkipped(step) => self.stop_and_forget(run, step.seq),
                Event::UndoAbandoned(step) => self.stop_and_forget(run, step.seq),
                Event::StepRetried(step) => self.try_now(run, step.seq),
                Event::RunPaused(_) => self.hold(run),
                Event::RunResumed(_) => self.go_on(run),
                Event::TimerStarted(timer) => self.watch_timer(run, timer),
                Event::CommandCompleted(completed) => self.command_completed(run, completed),
                Event::CancelRequested(_) => self.give_up_cancelled_steps(run),
                Event::RunCompleted(_) | Event::RunFailed(_) => self.end(run),
                Event::RunTerminated(_) => {
                    self.stop_all(run);
                    self.end(run);
                }
                Event::Noted(noted) => count_note(run, noted),
                Event::RunStarted(_)
                | Event::StepEdited(_)
                | Event::CommandAccepted(_)
                | Event::TimerFired(_)
                | Event::TimerDropped(_)
                | Event::SignalReceived(_)
                | Event::ChangeMarked(_)
                | Event::TerminateRequested(_)
                | Event::ContinuedAsNew(_) => {}
            }
        }
        edited.for_each(|seq| self.try_now(run, seq));
    }

    pub(super) fn watch_timer(&mut self, run: &RunId, timer: &TimerStarted) {
        // What it is set by counts for what comes: later looks tell by how much the clocks parted since.
        let now = Instant::now();
        self.compare_clocks(now);
        let when = now + timer.due.since(self.env.ports.clock.now());
        self.wakes.insert((when, run.clone(), timer.seq));
    }

    fn give_up_cancelled_steps(&mut self, run: &RunId) {
        let Some(live) = self.runs.get(run) else { return };
        let open = live.run.folded().steps.values().filter(|open| open.cancelled);
        let open: Vec<_> = open.map(|open| open.step.seq).collect();
        for seq in open {
            self.give_up(run, seq, GiveUp::Cancelled);
        }
    }

    /// Begins a run, which knows of nothing yet.
    pub(super) fn begin(&mut self, id: &RunId) {
        let Some(definition) = self.env.definition(id.kind()).copied() else { return };
        let live = Live::new(Run::new(definition, id.clone()), self.env.ports.clock.now());
        self.entities.begun(id);
        self.runs.insert(id.clone(), Box::new(live));
    }

    /// Lets go of a run that is over.
    pub(super) fn end(&mut self, run: &RunId) {
        self.miss_what_waits(run);
        let Some(live) = self.runs.remove(run) else { return };
        tracing::info!(%run, "the run is over");
        self.over += live.run.transitions();
        self.no_more_outcomes(run);
        self.ended.push(queries::line(&live));
        self.dirty.remove(run);
    }
}

fn count_note(run: &RunId, noted: &Noted) {
    metric::NOTES.count([run.kind(), &noted.what]);
}
