//! What a run and its workflow share: facts go in on one side, decisions come out on the other.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::Value;
use stead_schemas::dispatch::Route;
use stead_schemas::event::{Event, RunStarted, Seq, StepScheduled, TimerDropped, TimerStarted};
use stead_schemas::failure::Failure;
use stead_schemas::ids::RunId;
use stead_schemas::time::Timestamp;

use crate::context::Command;

/// How a step or a timer ended.
pub(crate) enum Settled {
    Done(Value),
    Failed(Failure),
    Cancelled,
    Fired,
}

/// How to take a step back.
pub(crate) struct Undo {
    pub step: &'static str,
    pub route: Route,
    pub request: Value,
}

/// A step that the workflow wants.
pub(crate) struct Wanted {
    pub step: &'static str,
    pub route: Route,
    pub request: Value,
    pub within_ms: u64,
    pub undo: bool,
}

pub(crate) struct Shared {
    pub run: RunId,
    pub started: RunStarted,
    /// What was carried over when the run last began anew.
    pub carried: Option<Value>,
    pub now: Timestamp,
    /// Transitions since the run last began anew.
    pub transitions: u64,
    pub inbox: VecDeque<Command>,
    pub settled: BTreeMap<Seq, Settled>,
    pub decisions: Vec<Event>,
    /// The operations that are open, innermost last, each with what would take it back.
    pub scopes: Vec<Vec<Undo>>,
    /// Set while steps are being taken back: a cancel does not stop that.
    pub undoing: bool,
    pub cancel: Option<Failure>,
    pub phase: String,
    pub view: Value,
    pub next_seq: Seq,
}

impl Shared {
    pub fn new(run: RunId, started: RunStarted, now: Timestamp) -> Self {
        Self {
            run,
            started,
            carried: None,
            now,
            transitions: 0,
            inbox: VecDeque::new(),
            settled: BTreeMap::new(),
            decisions: Vec::new(),
            scopes: Vec::new(),
            undoing: false,
            cancel: None,
            phase: String::new(),
            view: Value::Null,
            next_seq: 1,
        }
    }

    pub fn schedule(&mut self, wanted: Wanted) -> Seq {
        let seq = self.take_seq();
        self.decisions.push(Event::StepScheduled(StepScheduled {
            seq,
            step: wanted.step.to_string(),
            route: wanted.route,
            request: wanted.request,
            within_ms: wanted.within_ms,
            undo: wanted.undo,
        }));
        seq
    }

    pub fn start_timer(&mut self, after: core::time::Duration, reason: &str) -> Seq {
        let seq = self.take_seq();
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        self.decisions.push(Event::TimerStarted(TimerStarted {
            seq,
            due: self.now.after(after),
            after_ms,
            reason: reason.to_string(),
        }));
        seq
    }

    pub fn drop_timer(&mut self, seq: Seq) {
        self.decisions.push(Event::TimerDropped(TimerDropped { seq }));
    }

    /// Whether there is something that a cancel would stop.
    pub fn can_cancel(&self) -> bool {
        !self.scopes.is_empty() && !self.undoing && self.cancel.is_none()
    }

    /// The same run, begun anew.
    pub fn anew(&self, carried: Value) -> Self {
        let mut anew = Self::new(self.run.clone(), self.started.clone(), self.now);
        anew.carried = Some(carried);
        anew.next_seq = self.next_seq;
        anew.phase.clone_from(&self.phase);
        anew.view = self.view.clone();
        anew
    }

    fn take_seq(&mut self) -> Seq {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }
}
