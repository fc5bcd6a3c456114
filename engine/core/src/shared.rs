//! What a run and its workflow share: facts go in on one side, decisions come out on the other.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::future::Future;
use core::pin::Pin;

use serde_json::Value;
use stead_schemas::dispatch::Route;
use stead_schemas::event::{
    ChangeMarked, Event, LeftBehind, RunStarted, Seq, Signal, StepDropped, StepScheduled,
    TimerDropped, TimerStarted,
};
use stead_schemas::failure::Failure;
use stead_schemas::ids::RunId;
use stead_schemas::policy::StepPolicy;
use stead_schemas::time::Timestamp;

use crate::context::Command;
use crate::fold::take;
use crate::run::Awaited;
use crate::size::{ASKED_BYTES_MAX, step_bytes};

/// How a step or a timer ended.
pub(crate) enum Settled {
    Done(Value),
    Failed(Failure),
    Cancelled,
    Fired,
}

/// What a timer is for.
#[derive(Clone, Copy)]
pub(crate) struct Wait<'a> {
    /// In words.
    pub reason: &'a str,
    /// Whether a person is to act before it runs out.
    pub for_person: bool,
}

/// How to take a step back.
#[derive(Clone)]
pub(crate) struct Undo {
    pub step: String,
    pub route: Route,
    pub request: Value,
    /// How many bytes the request has in the log.
    pub request_bytes: usize,
}

/// A step that the workflow wants.
pub(crate) struct Wanted {
    pub step: String,
    pub route: Route,
    pub request: Value,
    /// How many bytes the request has in the log.
    pub request_bytes: usize,
    pub within_ms: u64,
    pub undo: bool,
    pub detached: bool,
    pub policy: StepPolicy,
    pub shape: Shape,
}

/// What a step's request and answer must look like; asked before somebody writes one by hand.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub request: fn(&Value) -> Result<(), String>,
    pub answer: fn(&Value) -> Result<(), String>,
}

impl Undo {
    /// At least how many bytes it has in the log.
    fn bytes(&self) -> usize {
        step_bytes(&self.step, &self.route, &StepPolicy::default(), self.request_bytes)
    }
}

impl Wanted {
    /// At least how many bytes it has in the log.
    pub fn bytes(&self) -> usize {
        step_bytes(&self.step, &self.route, &self.policy, self.request_bytes)
    }
}

/// What is asked for already, where more has to fit into the same message.
#[derive(Clone, Copy, Default)]
pub(crate) struct Asked {
    /// The bytes of all steps since the last fact.
    pub since_fact: usize,
    /// The bytes of all steps in this transition.
    pub in_transition: usize,
    /// Whether an undo is asked for and not settled.
    pub undo_is_open: bool,
}

/// The number of an operation within its run.
pub(crate) type ScopeId = u32;

/// An operation that is open.
#[derive(Default)]
pub(crate) struct Scope {
    pub parent: Option<ScopeId>,
    /// What would take it back, in the order in which it was asked for.
    pub undos: Vec<Undo>,
    /// Whether it is being taken back: a cancel does not stop that.
    pub undoing: bool,
    /// The undo that is asked for and not known to be done.
    pub under_way: Option<Seq>,
    /// Whether it is no operation of the workflow's, but one thing that is taken back by itself.
    pub apart: bool,
}

/// Something that goes on beside the workflow until it is done: taking back what was dropped.
pub(crate) type Aside = Pin<Box<dyn Future<Output = ()>>>;

pub(crate) struct Shared {
    pub run: RunId,
    pub started: RunStarted,
    /// What was carried over when the run last began anew.
    pub carried: Option<Value>,
    pub now: Timestamp,
    /// Transitions since the run last began anew.
    pub transitions: u64,
    pub inbox: VecDeque<Command>,
    pub signals: VecDeque<Signal>,
    /// The signals that the workflow waits for now.
    pub awaited: BTreeMap<u64, Awaited>,
    next_awaited: u64,
    pub settled: BTreeMap<Seq, Settled>,
    pub shapes: BTreeMap<Seq, Shape>,
    pub decisions: Vec<Event>,
    /// The operations that are open.
    pub scopes: BTreeMap<ScopeId, Scope>,
    /// The operation whose body is being polled.
    pub current: Option<ScopeId>,
    next_scope: ScopeId,
    pub aside: Vec<Aside>,
    pub cancel: Option<Failure>,
    pub phase: String,
    pub view: Value,
    pub next_seq: Seq,
    /// The signals that the definition names.
    pub listed: &'static [&'static str],
    pub asked: Asked,
    /// Which changes this run has, as far as it was asked.
    pub changes: BTreeMap<String, bool>,
    /// On replay: the changes that the history has marked at this point.
    pub recorded_changes: Option<Vec<String>>,
    /// Nothing that is dropped from now on is a decision: the run itself is thrown away.
    pub over: bool,
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
            signals: VecDeque::new(),
            awaited: BTreeMap::new(),
            next_awaited: 0,
            settled: BTreeMap::new(),
            shapes: BTreeMap::new(),
            decisions: Vec::new(),
            scopes: BTreeMap::new(),
            current: None,
            next_scope: 1,
            aside: Vec::new(),
            cancel: None,
            phase: String::new(),
            view: Value::Null,
            next_seq: 1,
            listed: &[],
            asked: Asked::default(),
            changes: BTreeMap::new(),
            recorded_changes: None,
            over: false,
        }
    }

    /// Whether this run decides as builds with the change `name` do. What the engine itself decides
    /// otherwise than before is a change, too: histories that exist replay as they are.
    pub fn changed(&mut self, name: &str) -> bool {
        if let Some(known) = self.changes.get(name) {
            return *known;
        }
        let recorded = self.recorded_changes.as_ref();
        let changed = recorded.is_none_or(|marked| marked.iter().any(|mark| mark == name));
        self.changes.insert(name.to_string(), changed);
        if changed {
            let name = name.to_string();
            self.decisions.push(Event::ChangeMarked(ChangeMarked { name }));
        }
        changed
    }

    /// The command whose turn it is. A run that waits for the next one keeps no room for others.
    pub fn next_command(&mut self) -> Option<Command> {
        let next = self.inbox.pop_front();
        if self.inbox.is_empty() {
            self.inbox = VecDeque::new();
        }
        if next.is_some() {
            self.end_cancel();
        }
        next
    }

    /// A cancel is not for the command that comes next, though what the one before has dropped may
    /// still be taken back. As long as something goes on that it stops, it is not over.
    fn end_cancel(&mut self) {
        let is_over = self.cancel.is_some() && self.scopes.values().all(|scope| scope.undoing);
        if is_over && self.changed("stead.cancels-end-with-commands") {
            self.cancel = None;
        }
    }

    pub fn schedule(&mut self, wanted: Wanted) -> Seq {
        let seq = self.take_seq();
        self.shapes.insert(seq, wanted.shape);
        let bytes = wanted.bytes();
        self.asked.since_fact += bytes;
        self.asked.in_transition += bytes;
        self.asked.undo_is_open |= wanted.undo;
        self.decisions.push(Event::StepScheduled(StepScheduled {
            seq,
            step: wanted.step,
            route: wanted.route,
            request: wanted.request,
            within_ms: wanted.within_ms,
            undo: wanted.undo,
            detached: wanted.detached,
            policy: wanted.policy,
        }));
        seq
    }

    /// What became of a step or timer, once it is settled.
    pub fn take_settled(&mut self, seq: Seq) -> Option<Settled> {
        let settled = take(&mut self.settled, seq)?;
        take(&mut self.shapes, seq);
        Some(settled)
    }

    pub fn drop_step(&mut self, seq: Seq) {
        take(&mut self.shapes, seq);
        self.decisions.push(Event::StepDropped(StepDropped { seq }));
    }

    pub fn start_timer(&mut self, after: core::time::Duration, wait: Wait<'_>) -> Seq {
        let seq = self.take_seq();
        let after_ms = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        self.decisions.push(Event::TimerStarted(TimerStarted {
            seq,
            due: self.now.after(after),
            after_ms,
            reason: wait.reason.to_string(),
            for_person: wait.for_person,
        }));
        seq
    }

    /// From now on the workflow waits for a signal, as those are told who ask.
    pub fn await_signal(&mut self, name: &str) -> u64 {
        self.next_awaited += 1;
        self.awaited.insert(self.next_awaited, Awaited { name: name.to_string(), since: self.now });
        self.next_awaited
    }

    pub fn drop_timer(&mut self, seq: Seq) {
        self.decisions.push(Event::TimerDropped(TimerDropped { seq }));
    }

    /// Opens an operation inside the one that is being polled.
    pub fn open_scope(&mut self) -> ScopeId {
        self.open(Scope { parent: self.current, ..Scope::default() })
    }

    /// Opens what is nobody's part and takes one thing back.
    pub fn open_apart(&mut self, undo: Undo) -> ScopeId {
        let (undos, undoing, apart) = ([undo].into(), true, true);
        self.open(Scope { undos, undoing, apart, ..Scope::default() })
    }

    fn open(&mut self, scope: Scope) -> ScopeId {
        let id = self.next_scope;
        self.next_scope += 1;
        self.scopes.insert(id, scope);
        id
    }

    /// Whether the next undo of an operation is not asked for yet: there is no room for it in the
    /// message. It waits for another one that is under way: whatever becomes of that is a fact,
    /// behind which there is room. Where none is, it has to go with what is there.
    pub fn undo_waits(&mut self, scope: ScopeId) -> bool {
        let Some(undo) = self.scopes.get(&scope).and_then(|scope| scope.undos.last()) else {
            return false;
        };
        let bytes = self.asked.in_transition + undo.bytes();
        self.asked.undo_is_open && bytes > ASKED_BYTES_MAX && self.changed("stead.undos-wait")
    }

    /// Closes an operation. What it has done is its parent's to take back from now on, if it was
    /// done at all.
    pub fn close_scope(&mut self, id: ScopeId) {
        let Some(scope) = take(&mut self.scopes, id) else { return };
        let parent = scope.parent.and_then(|parent| self.scopes.get_mut(&parent));
        if let Some(parent) = parent {
            parent.undos.extend(scope.undos);
        }
        if self.scopes.values().all(|scope| scope.apart) {
            self.cancel = None;
        }
    }

    /// Whether there is something that a cancel would stop.
    pub fn can_cancel(&self) -> bool {
        self.cancel.is_none() && self.scopes.values().any(|scope| !scope.undoing)
    }

    /// Whether the operation that is being polled has been cancelled.
    pub fn is_cancelled_here(&self) -> bool {
        self.cancel.is_some() && self.current.is_some()
    }

    /// What the open operations would have taken back, latest first.
    pub fn not_undone(&self) -> Vec<LeftBehind> {
        let undos = self.scopes.values().rev().flat_map(|scope| scope.undos.iter().rev());
        undos
            .map(|undo| LeftBehind {
                step: undo.step.clone(),
                request: undo.request.clone(),
                why: "undo not begun".to_string(),
            })
            .collect()
    }

    /// The same run, begun anew.
    pub fn anew(&mut self, carried: Value) -> Self {
        let mut anew = Self::new(self.run.clone(), self.started.clone(), self.now);
        anew.carried = Some(carried);
        anew.next_seq = self.next_seq;
        (anew.listed, anew.asked) = (self.listed, self.asked);
        anew.phase.clone_from(&self.phase);
        anew.view = self.view.clone();
        anew.signals = core::mem::take(&mut self.signals);
        anew.recorded_changes = self.recorded_changes.take();
        anew
    }

    fn take_seq(&mut self) -> Seq {
        let seq = self.next_seq;
        self.next_seq += 1;
        seq
    }
}
