//! What follows from a history alone, without its workflow: what is open, what is over.
//!
//! Every event passes through here, on replay and before it is written: an event that is not
//! legal where it stands is a bug of ours (or a damaged log) and is named.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use stead_schemas::event::{
    CommandAccepted, CommandCompleted, Event, Outcome, RunStarted, Seq, StepScheduled, TimerStarted,
};
use stead_schemas::time::Timestamp;

/// A step that is scheduled and not settled.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenStep {
    /// What is asked.
    pub step: StepScheduled,
    /// Since when.
    pub since: Timestamp,
}

/// A timer that is started and neither fired nor dropped.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenTimer {
    /// What was started.
    pub timer: TimerStarted,
    /// Since when.
    pub since: Timestamp,
}

/// A command that was accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownCommand {
    /// As it was accepted.
    pub command: CommandAccepted,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
}

/// How many completed commands are remembered when a run begins anew.
const COMMANDS_KEPT: usize = 16;

/// What follows from a history.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Folded {
    /// How the run began; nothing before the first event.
    pub started: Option<RunStarted>,
    /// When it began.
    pub started_at: Timestamp,
    /// The steps that are open.
    pub steps: BTreeMap<Seq, OpenStep>,
    /// The timers that are open.
    pub timers: BTreeMap<Seq, OpenTimer>,
    /// The commands, oldest first.
    pub commands: Vec<KnownCommand>,
    /// The event that ended the run, once one has.
    pub ended: Option<Event>,
    highest_seq: Seq,
}

/// An event stands where it may not stand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{event}` is not legal here: {why}")]
pub struct Illegal {
    /// The event's name.
    pub event: &'static str,
    /// What is wrong.
    pub why: &'static str,
}

impl Folded {
    /// Takes the next event of the history.
    ///
    /// # Errors
    /// If the event may not stand there; then nothing has changed.
    pub fn apply(&mut self, event: &Event, at: Timestamp) -> Result<(), Illegal> {
        self.check_life(event)?;
        match event {
            Event::RunStarted(started) => self.start(started, at),
            Event::CommandAccepted(command) => return self.accept(command),
            Event::CommandCompleted(completed) => return self.complete(completed),
            Event::StepScheduled(step) => return self.schedule(step, at),
            Event::TimerStarted(timer) => return self.start_timer(timer, at),
            Event::StepCompleted(done) => return self.settle_step(done.seq, event),
            Event::StepFailed(failed) => return self.settle_step(failed.seq, event),
            Event::StepCancelled(cancelled) => return self.settle_step(cancelled.seq, event),
            Event::TimerFired(fired) => return self.settle_timer(fired.seq, event),
            Event::TimerDropped(dropped) => return self.settle_timer(dropped.seq, event),
            Event::CancelRequested(_) => {}
            Event::ContinuedAsNew(next) => return self.begin_anew(next.next_seq),
            Event::RunCompleted(_) | Event::RunFailed(_) => self.ended = Some(event.clone()),
        }
        Ok(())
    }

    /// The command of this id, if it was accepted.
    #[must_use]
    pub fn command(&self, id: &str) -> Option<&KnownCommand> {
        self.commands.iter().find(|known| known.command.id == id)
    }

    /// The ids of commands that have no outcome yet.
    #[must_use]
    pub fn open_commands(&self) -> Vec<String> {
        let open = self.commands.iter().filter(|known| known.outcome.is_none());
        open.map(|known| known.command.id.clone()).collect()
    }

    fn check_life(&self, event: &Event) -> Result<(), Illegal> {
        let is_start = matches!(event, Event::RunStarted(_));
        match (&self.started, &self.ended) {
            (_, Some(_)) => illegal(event, "the run is over"),
            (None, None) if !is_start => illegal(event, "the run has not started"),
            (Some(_), None) if is_start => illegal(event, "the run has started already"),
            _ => Ok(()),
        }
    }

    fn start(&mut self, started: &RunStarted, at: Timestamp) {
        self.started = Some(started.clone());
        self.started_at = at;
    }

    /// Nothing may be open: what is open would be forgotten. Commands are kept for those who
    /// look, as many as a person would.
    fn begin_anew(&mut self, next_seq: Seq) -> Result<(), Illegal> {
        let quiet = self.steps.is_empty() && self.timers.is_empty();
        if !quiet || !self.open_commands().is_empty() || next_seq != self.highest_seq + 1 {
            return Err(Illegal { event: "continued-as-new", why: "something is still open" });
        }
        let old = self.commands.len().saturating_sub(COMMANDS_KEPT);
        self.commands.drain(..old);
        Ok(())
    }

    fn accept(&mut self, command: &CommandAccepted) -> Result<(), Illegal> {
        if self.command(&command.id).is_some() {
            return Err(Illegal {
                event: "command-accepted",
                why: "a command of this id is known",
            });
        }
        self.commands.push(KnownCommand { command: command.clone(), outcome: None });
        Ok(())
    }

    fn complete(&mut self, completed: &CommandCompleted) -> Result<(), Illegal> {
        let open =
            |known: &&mut KnownCommand| known.command.id == completed.id && known.outcome.is_none();
        match self.commands.iter_mut().find(open) {
            Some(known) => known.outcome = Some(completed.outcome.clone()),
            None => {
                return Err(Illegal { event: "command-completed", why: "no such command is open" });
            }
        }
        Ok(())
    }

    fn schedule(&mut self, step: &StepScheduled, at: Timestamp) -> Result<(), Illegal> {
        self.take_seq(step.seq, "step-scheduled")?;
        self.steps.insert(step.seq, OpenStep { step: step.clone(), since: at });
        Ok(())
    }

    fn start_timer(&mut self, timer: &TimerStarted, at: Timestamp) -> Result<(), Illegal> {
        self.take_seq(timer.seq, "timer-started")?;
        self.timers.insert(timer.seq, OpenTimer { timer: timer.clone(), since: at });
        Ok(())
    }

    fn take_seq(&mut self, seq: Seq, event: &'static str) -> Result<(), Illegal> {
        if seq != self.highest_seq + 1 {
            return Err(Illegal { event, why: "its number is not the next one" });
        }
        self.highest_seq = seq;
        Ok(())
    }

    fn settle_step(&mut self, seq: Seq, event: &Event) -> Result<(), Illegal> {
        match self.steps.remove(&seq) {
            Some(_) => Ok(()),
            None => illegal(event, "no such step is open"),
        }
    }

    fn settle_timer(&mut self, seq: Seq, event: &Event) -> Result<(), Illegal> {
        match self.timers.remove(&seq) {
            Some(_) => Ok(()),
            None => illegal(event, "no such timer is open"),
        }
    }
}

fn illegal(event: &Event, why: &'static str) -> Result<(), Illegal> {
    Err(Illegal { event: event.name(), why })
}
