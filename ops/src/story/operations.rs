//! Which steps belong to which command: an entity carries out one command at a time, in the
//! order in which they came.

use std::collections::VecDeque;

use stead_schemas::dispatch::StepAddress;
use stead_schemas::event::{Event, Outcome, Seq};
use stead_schemas::failure::Failure;
use stead_schemas::time::Timestamp;

use super::Moment;

/// A command and the steps that carried it out.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// The command's id; empty for what a run does by itself.
    pub id: String,
    /// What was asked: `create`.
    pub verb: String,
    /// The step of another run that waits for it, where one does.
    pub reply: Option<StepAddress>,
    /// When it was asked.
    pub from: Timestamp,
    /// When it was answered; nothing while it goes on.
    pub until: Option<Timestamp>,
    /// How it ended, once it has.
    pub outcome: Option<Outcome>,
    /// Its steps, in order.
    pub steps: Vec<StepSpan>,
}

/// A step's time.
#[derive(Clone, Debug, PartialEq)]
pub struct StepSpan {
    /// Its number in the run.
    pub seq: Seq,
    /// Its name.
    pub name: String,
    /// Whether it takes something back.
    pub is_undo: bool,
    /// When it was asked for.
    pub from: Timestamp,
    /// When it was settled; nothing while it is not.
    pub until: Option<Timestamp>,
    /// How it ended.
    pub end: End,
    /// How many attempts it took.
    pub attempts: u32,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// It has not.
    Open,
    /// It is done.
    Done,
    /// It failed.
    Failed(Failure),
    /// Nobody waits for it any more.
    Cancelled,
}

impl End {
    /// The word for it.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Failed(_) => "failed",
            Self::Cancelled => "stopped",
        }
    }
}

/// Takes a history apart into operations, oldest first.
pub fn operations(moments: &[Moment]) -> Vec<Operation> {
    let mut sorter = Sorter::default();
    for moment in moments {
        sorter.take(moment);
    }
    sorter.operations
}

#[derive(Default)]
struct Sorter {
    operations: Vec<Operation>,
    /// The places of commands that are not answered yet, in the order of their turns.
    turns: VecDeque<usize>,
}

impl Sorter {
    fn take(&mut self, moment: &Moment) {
        let at = moment.at;
        match &moment.event {
            Event::CommandAccepted(command) => {
                self.turns.push_back(self.operations.len());
                self.operations.push(Operation {
                    id: command.id.clone(),
                    verb: command.verb.clone(),
                    reply: command.reply.clone(),
                    ..by_itself(at)
                });
            }
            Event::CommandCompleted(command) => {
                let known = self.operations.iter().rposition(|known| known.id == command.id);
                let Some(place) = known else { return };
                self.turns.retain(|turn| *turn != place);
                let operation = &mut self.operations[place];
                operation.until = Some(at);
                operation.outcome = Some(command.outcome.clone());
            }
            Event::StepScheduled(step) => self.current(at).steps.push(StepSpan {
                seq: step.seq,
                name: step.step.clone(),
                is_undo: step.undo,
                from: at,
                until: None,
                end: End::Open,
                attempts: 0,
            }),
            Event::StepCompleted(step) => self.settle(step.seq, at, End::Done, step.attempts),
            Event::StepFailed(step) => {
                self.settle(step.seq, at, End::Failed(step.failure.clone()), step.attempts);
            }
            Event::StepCancelled(step) => self.settle(step.seq, at, End::Cancelled, 0),
            Event::StepDropped(step) => self.settle(step.seq, at, End::Cancelled, 0),
            Event::UndoAbandoned(step) => self.settle(step.seq, at, End::Cancelled, 0),
            Event::StepSkipped(step) => self.settle(step.seq, at, End::Done, 0),
            Event::RunStarted(_)
            | Event::TimerStarted(_)
            | Event::TimerFired(_)
            | Event::TimerDropped(_)
            | Event::CancelRequested(_)
            | Event::StepRetried(_)
            | Event::StepEdited(_)
            | Event::RunPaused(_)
            | Event::RunResumed(_)
            | Event::SignalReceived(_)
            | Event::ChangeMarked(_)
            | Event::TerminateRequested(_)
            | Event::RunTerminated(_)
            | Event::RunCompleted(_)
            | Event::RunFailed(_)
            | Event::ContinuedAsNew(_)
            | Event::Noted(_) => {}
        }
    }

    /// The operation whose turn it is.
    fn current(&mut self, at: Timestamp) -> &mut Operation {
        let last = self.operations.len().wrapping_sub(1);
        let place = match self.turns.front() {
            Some(place) => *place,
            None if self.operations.last().is_some_and(|last| last.id.is_empty()) => last,
            None => {
                self.operations.push(by_itself(at));
                self.operations.len() - 1
            }
        };
        &mut self.operations[place]
    }

    fn settle(&mut self, seq: Seq, at: Timestamp, end: End, attempts: u32) {
        let steps = self.operations.iter_mut().rev().flat_map(|operation| &mut operation.steps);
        let step = steps.into_iter().find(|step| step.seq == seq);
        if let Some(step) = step {
            (step.until, step.end, step.attempts) = (Some(at), end, attempts);
        }
    }
}

fn by_itself(at: Timestamp) -> Operation {
    Operation {
        id: String::new(),
        verb: "by itself".to_owned(),
        reply: None,
        from: at,
        until: None,
        outcome: None,
        steps: Vec::new(),
    }
}

impl Operation {
    /// When the last that is known of it happened.
    pub fn last(&self) -> Timestamp {
        let settled = self.steps.iter().map(|step| step.until.unwrap_or(step.from));
        self.until.into_iter().chain(settled).max().unwrap_or(self.from)
    }
}
