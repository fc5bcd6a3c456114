//! What follows from a history alone, without its workflow: what is open, what is over.
//!
//! Every event passes through here, on replay and before it is written: an event that is not
//! legal where it stands is a bug of ours (or a damaged log) and is named.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use serde_json::Value;
use stead_schemas::event::{
    ByHand, CommandAccepted, CommandCompleted, Event, LeftBehind, Outcome, RunPaused, RunStarted,
    Seq, StepEdited, StepScheduled, TimerStarted, UndoAbandoned,
};
use stead_schemas::limit::Priority;
use stead_schemas::time::Timestamp;

/// A step that is scheduled and not settled.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenStep {
    /// What is asked, with what was edited since.
    pub step: StepScheduled,
    /// Since when.
    pub since: Timestamp,
    /// Since when it has been tried: later than `since` if somebody resumed or retried it.
    pub tried_since: Timestamp,
    /// How much of the time since then the run was paused; no deadline counts that.
    pub paused: Duration,
    /// Whether it was open when a cancel was let in: then it is not tried any more, by whoever owns
    /// the run.
    pub cancelled: bool,
}

/// Why a run does not go on until it is resumed.
#[derive(Clone, Debug, PartialEq)]
pub struct Paused {
    /// The step that could not go on, where it was one.
    pub seq: Option<Seq>,
    /// Who wanted it, and why.
    pub order: ByHand,
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
    /// As it was accepted, but for its payload, which the workflow has.
    pub command: CommandAccepted,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
}

/// How many completed commands are remembered when a run begins anew.
const COMMANDS_KEPT: usize = 16;
/// How many orders are remembered, to know one that comes twice.
const ORDERS_KEPT: usize = 32;

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
    /// Why the run does not go on, while it is paused.
    pub paused: Option<Paused>,
    /// What was given up and stays outside.
    pub left: Vec<LeftBehind>,
    /// The event that ended the run, once one has.
    pub ended: Option<Event>,
    orders: VecDeque<String>,
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
        self.check_order(event)?;
        match event {
            Event::RunStarted(started) => self.start(started, at),
            Event::CommandAccepted(command) => self.accept(command)?,
            Event::CommandCompleted(completed) => self.complete(completed)?,
            Event::StepScheduled(step) => self.schedule(step, at)?,
            Event::TimerStarted(timer) => self.start_timer(timer, at)?,
            Event::StepCompleted(done) => self.settle_step(done.seq, event)?,
            Event::StepFailed(failed) => self.settle_step(failed.seq, event)?,
            Event::StepCancelled(cancelled) => self.settle_step(cancelled.seq, event)?,
            Event::StepDropped(dropped) => self.settle_step(dropped.seq, event)?,
            Event::StepSkipped(skipped) => self.skip(skipped.seq, event)?,
            Event::StepRetried(retried) => self.open_step(retried.seq, event)?.tried_since = at,
            Event::StepEdited(edited) => self.edit(edited, event, at)?,
            Event::UndoAbandoned(abandoned) => self.abandon(abandoned, event)?,
            Event::TimerFired(fired) => self.settle_timer(fired.seq, event)?,
            Event::TimerDropped(dropped) => self.settle_timer(dropped.seq, event)?,
            Event::RunPaused(paused) => self.pause(paused, event, at)?,
            Event::RunResumed(_) => self.resume(event, at)?,
            Event::CancelRequested(_)
            | Event::SignalReceived(_)
            | Event::ChangeMarked(_)
            | Event::Noted(_)
            | Event::TerminateRequested(_) => {}
            Event::ContinuedAsNew(next) => self.begin_anew(next.next_seq)?,
            Event::RunTerminated(terminated) => {
                self.left.clone_from(&terminated.left);
                self.ended = Some(event.clone());
            }
            Event::RunCompleted(_) | Event::RunFailed(_) => self.ended = Some(event.clone()),
        }
        self.note_order(event);
        Ok(())
    }

    /// Whether an order of this id was carried out, as far as they are remembered.
    #[must_use]
    pub fn knows_order(&self, id: &str) -> bool {
        self.orders.iter().any(|known| known == id)
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

    /// How much what the run does now is wanted: as much as the command that it carries out.
    #[must_use]
    pub fn priority(&self) -> Priority {
        let open = self.commands.iter().find(|known| known.outcome.is_none());
        open.map_or(Priority::Normal, |known| known.command.priority)
    }

    /// A cancel is let in: what is open is not tried any more, but for undos, which no cancel stops.
    pub(crate) fn cancel_open_steps(&mut self) {
        let open = self.steps.values_mut().filter(|open| !open.step.undo);
        open.for_each(|open| open.cancelled = true);
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

    fn check_order(&self, event: &Event) -> Result<(), Illegal> {
        match order_id(event) {
            Some(id) if self.knows_order(id) => illegal(event, "an order of this id is known"),
            _ => Ok(()),
        }
    }

    fn note_order(&mut self, event: &Event) {
        let Some(id) = order_id(event) else { return };
        if self.orders.len() == ORDERS_KEPT {
            self.orders.pop_front();
        }
        self.orders.push_back(id.to_string());
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
        let command = CommandAccepted {
            id: command.id.clone(),
            verb: command.verb.clone(),
            payload: Value::Null,
            digest: command.digest.clone(),
            by: command.by.clone(),
            reply: command.reply.clone(),
            priority: command.priority,
        };
        if self.commands.is_empty() {
            // Most runs know one command all their life; a first push would make room for four.
            self.commands.reserve_exact(1);
        }
        self.commands.push(KnownCommand { command, outcome: None });
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
        let (paused, cancelled) = (Duration::ZERO, false);
        let open = OpenStep { step: step.clone(), since: at, tried_since: at, paused, cancelled };
        self.steps.insert(step.seq, open);
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

    fn open_step(&mut self, seq: Seq, event: &Event) -> Result<&mut OpenStep, Illegal> {
        let why = "no such step is open";
        self.steps.get_mut(&seq).ok_or(Illegal { event: event.name(), why })
    }

    fn settle_step(&mut self, seq: Seq, event: &Event) -> Result<(), Illegal> {
        self.open_step(seq, event)?;
        take(&mut self.steps, seq);
        Ok(())
    }

    fn skip(&mut self, seq: Seq, event: &Event) -> Result<(), Illegal> {
        if self.open_step(seq, event)?.step.undo {
            return illegal(event, "an undo cannot be skipped, only abandoned");
        }
        self.settle_step(seq, event)
    }

    fn edit(&mut self, edited: &StepEdited, event: &Event, at: Timestamp) -> Result<(), Illegal> {
        let open = self.open_step(edited.seq, event)?;
        open.step.request = edited.request.clone();
        open.tried_since = at;
        Ok(())
    }

    fn abandon(&mut self, abandoned: &UndoAbandoned, event: &Event) -> Result<(), Illegal> {
        let open = self.open_step(abandoned.seq, event)?;
        if !open.step.undo {
            return illegal(event, "only an undo can be abandoned");
        }
        let (step, request) = (open.step.step.clone(), open.step.request.clone());
        self.left.push(LeftBehind { step, request, why: "undo abandoned".to_string() });
        self.settle_step(abandoned.seq, event)
    }

    fn pause(&mut self, paused: &RunPaused, event: &Event, at: Timestamp) -> Result<(), Illegal> {
        if self.paused.is_some() {
            return illegal(event, "the run is paused already");
        }
        let (seq, order) = (paused.seq, paused.order.clone());
        self.paused = Some(Paused { seq, order, since: at });
        Ok(())
    }

    /// Whatever waited is tried as if for the first time, and no deadline counts the pause.
    fn resume(&mut self, event: &Event, at: Timestamp) -> Result<(), Illegal> {
        let Some(paused) = self.paused.take() else {
            return illegal(event, "the run is not paused");
        };
        for open in self.steps.values_mut() {
            open.paused += at.since(paused.since.max(open.since));
            open.tried_since = at;
        }
        Ok(())
    }

    fn settle_timer(&mut self, seq: Seq, event: &Event) -> Result<(), Illegal> {
        match take(&mut self.timers, seq) {
            Some(_) => Ok(()),
            None => illegal(event, "no such timer is open"),
        }
    }
}

/// The id of the order that an event follows, where it had one.
fn order_id(event: &Event) -> Option<&str> {
    let order = match event {
        Event::CancelRequested(cancel) => return cancel.id.as_deref(),
        Event::StepRetried(event) => &event.order,
        Event::StepSkipped(event) => &event.order,
        Event::StepEdited(event) => &event.order,
        Event::UndoAbandoned(event) => &event.order,
        Event::RunPaused(event) => &event.order,
        Event::RunResumed(event) => &event.order,
        Event::SignalReceived(event) => &event.order,
        Event::TerminateRequested(event) => &event.order,
        _ => return None,
    };
    order.id.as_deref()
}

/// Takes an entry out. Most runs live with nothing open, and an empty map would keep the room of
/// eleven entries, which is most of what such a run takes.
pub(crate) fn take<T>(open: &mut BTreeMap<Seq, T>, seq: Seq) -> Option<T> {
    let taken = open.remove(&seq);
    if open.is_empty() {
        *open = BTreeMap::new();
    }
    taken
}

fn illegal(event: &Event, why: &'static str) -> Result<(), Illegal> {
    Err(Illegal { event: event.name(), why })
}
