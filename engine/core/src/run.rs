//! One run: facts in, decisions out; and the same again on replay, compared.
//!
//! Facts are fed one at a time and the workflow is polled after each: feeding two at once would
//! change who wins a race between them.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::{Ref, RefCell};
use core::task::{self, Poll, Waker};

use serde_json::Value;
use stead_schemas::event::{
    ContinuedAsNew, Event, RunCompleted, RunFailed, RunStarted, Seq, Signal,
};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::RunId;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;

use crate::context::{Command, Context};
use crate::definition::{Definition, Ending, Execution};
use crate::divergence::{Divergence, is_same, other};
use crate::fold::{Folded, Illegal};
use crate::shared::{Aside, Settled, Shared};
use crate::size::fits;

mod ending;

/// A run in memory. It is thrown away and replayed whenever an append was not ours.
pub struct Run {
    id: RunId,
    definition: Definition,
    folded: Folded,
    transitions: u64,
    shared: Option<Rc<RefCell<Shared>>>,
    execution: Option<Execution>,
    /// What is being taken back beside the workflow.
    aside: Vec<Aside>,
    /// How the execution ended, until what goes on beside it is done.
    ending: Option<Result<Ending, Failure>>,
}

/// A signal that a workflow waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// What it is called.
    pub name: String,
    /// Since when.
    pub since: Timestamp,
}

/// What [`Run::decide`] made of some facts.
#[derive(Default)]
pub struct Decided {
    /// The events of the next transition; none if no fact was legal.
    pub events: Vec<Event>,
    /// For each fact, whether it was legal and is among the events.
    pub taken: Vec<bool>,
}

impl Run {
    /// A run before its first event.
    #[must_use]
    pub fn new(definition: Definition, id: RunId) -> Self {
        Self {
            id,
            definition,
            folded: Folded::default(),
            transitions: 0,
            shared: None,
            execution: None,
            aside: Vec::new(),
            ending: None,
        }
    }

    /// A run as its history says, whatever this build would have decided. It has no workflow:
    /// there is nothing to be done with it but to terminate it, and what the workflow would have
    /// taken back is not known.
    ///
    /// # Errors
    /// If an event is not legal where it stands.
    pub fn of_history(
        definition: Definition,
        id: RunId,
        history: &[&Transition],
    ) -> Result<Self, Illegal> {
        let mut run = Self::new(definition, id);
        for transition in history {
            run.begin_transition(transition.at);
            for event in &transition.events {
                run.folded.apply(event, transition.at)?;
                if let Event::RunStarted(started) = event {
                    run.begin(started, transition.at);
                    run.execution = None;
                }
            }
        }
        Ok(run)
    }

    /// What follows from the history so far.
    #[must_use]
    pub fn folded(&self) -> &Folded {
        &self.folded
    }

    /// The run's id.
    #[must_use]
    pub fn id(&self) -> &RunId {
        &self.id
    }

    /// How many transitions the history has.
    #[must_use]
    pub fn transitions(&self) -> u64 {
        self.transitions
    }

    /// How many of them since it last began anew: as many as a replay has to take in.
    #[must_use]
    pub fn transitions_to_replay(&self) -> u64 {
        self.shared.as_ref().map_or(0, |shared| shared.borrow().transitions)
    }

    /// The signals that its workflow waits for.
    #[must_use]
    pub const fn signals(&self) -> &'static [&'static str] {
        self.definition.signals
    }

    /// The signals that it waits for now, the first one first.
    #[must_use]
    pub fn awaited(&self) -> Vec<Awaited> {
        let shared = self.shared.as_ref();
        shared.map_or_else(Vec::new, |shared| shared.borrow().awaited.values().cloned().collect())
    }

    /// The signals that were sent and that its workflow has not taken, the first one first.
    #[must_use]
    pub fn untaken_signals(&self) -> Option<Ref<'_, VecDeque<Signal>>> {
        self.shared.as_ref().map(|shared| Ref::map(shared.borrow(), |shared| &shared.signals))
    }

    /// The workflow's word for where it stands.
    #[must_use]
    pub fn phase(&self) -> String {
        self.shared.as_ref().map_or_else(String::new, |shared| shared.borrow().phase.clone())
    }

    /// What the workflow shows of itself.
    #[must_use]
    pub fn view(&self) -> Option<Ref<'_, Value>> {
        self.shared.as_ref().map(|shared| Ref::map(shared.borrow(), |shared| &shared.view))
    }

    /// Whether a cancel would stop something.
    #[must_use]
    pub fn can_cancel(&self) -> bool {
        self.folded.ended.is_none()
            && self.shared.as_ref().is_some_and(|shared| shared.borrow().can_cancel())
    }

    /// The command that the run is at: the oldest one that its workflow has taken and that has no
    /// outcome. Nothing if it waits for one, or is at something that no command has asked for.
    #[must_use]
    pub fn command_under_way(&self) -> Option<&str> {
        let shared = self.shared.as_ref()?.borrow();
        let open = self.folded.commands.iter().find(|known| known.outcome.is_none())?;
        let id = open.command.id.as_str();
        // They are taken in the order in which they came.
        (!shared.inbox.iter().any(|waiting| waiting.id == id)).then_some(id)
    }

    /// Whether a fact still finds what it was meant for; one that does not is not to be decided on.
    /// A cancel is for what the run was at when somebody wanted it: facts before it may have ended
    /// that, and begun something else.
    #[must_use]
    pub fn is_in_time(&self, fact: &Event) -> bool {
        match fact {
            Event::CancelRequested(cancel) => {
                self.can_cancel() && cancel.command.as_deref() == self.command_under_way()
            }
            _ => true,
        }
    }

    /// Whether `answer` is what the open step `seq` could have answered.
    ///
    /// # Errors
    /// In words, if it is not.
    pub fn check_answer(&self, seq: Seq, answer: &Value) -> Result<(), String> {
        let Some(shared) = &self.shared else { return Ok(()) };
        shared.borrow().shapes.get(&seq).map_or(Ok(()), |shape| (shape.answer)(answer))
    }

    /// Whether `request` is what the open step `seq` could have been asked.
    ///
    /// # Errors
    /// In words, if it is not.
    pub fn check_request(&self, seq: Seq, request: &Value) -> Result<(), String> {
        let Some(shared) = &self.shared else { return Ok(()) };
        shared.borrow().shapes.get(&seq).map_or(Ok(()), |shape| (shape.request)(request))
    }

    /// Takes facts in and returns them with the decisions that follow, in order: the events of
    /// the next transition. A fact that is not legal (any more) is left out; if none is legal
    /// there is no transition. The run is then ahead of the log; if the append fails it must be
    /// thrown away.
    ///
    /// # Errors
    /// If the workflow decides something illegal, which is a bug of ours. The run must be thrown
    /// away then, too.
    pub fn decide(&mut self, at: Timestamp, facts: Vec<Event>) -> Result<Decided, Illegal> {
        let mut decided = Decided::default();
        self.decide_more(at, facts, &mut decided)?;
        Ok(decided)
    }

    /// The same with more facts for a transition that is not written yet.
    ///
    /// # Errors
    /// As [`Self::decide`]; nothing of the transition may be written then.
    pub fn decide_more(
        &mut self,
        at: Timestamp,
        facts: Vec<Event>,
        decided: &mut Decided,
    ) -> Result<(), Illegal> {
        decided.events.reserve(facts.len() + 1);
        for fact in facts {
            let legal = self.folded.apply(&fact, at).is_ok();
            decided.taken.push(legal);
            if !legal {
                continue;
            }
            if decided.events.is_empty() {
                self.begin_transition(at);
            }
            self.feed(&fact, at);
            decided.events.push(fact);
            for decision in self.follow(decided.events.last()) {
                fits(&decision).and_then(|()| self.folded.apply(&decision, at))?;
                decided.events.push(decision);
            }
        }
        Ok(())
    }

    /// Takes a transition of the history in and compares its decisions with those of this build.
    ///
    /// # Errors
    /// If they differ. The run must not be continued then.
    pub fn replay(&mut self, transition: &Transition) -> Result<(), Divergence> {
        let n = transition.n;
        if n != self.transitions() + 1 {
            return Err(Divergence::Gap { expected: self.transitions() + 1, found: n });
        }
        self.begin_transition(transition.at);
        let mut decided = Vec::new().into_iter();
        for (place, event) in transition.events.iter().enumerate() {
            if is_fact(event) {
                let marked = changes_marked(&transition.events[place + 1..]);
                let early = decided.next();
                if let Some(early) = early {
                    return Err(other(n, Some(event), Some(&early)));
                }
                self.apply(n, event, transition.at)?;
                self.feed(event, transition.at);
                self.recall_changes(Some(marked));
                decided = self.follow(Some(event)).into_iter();
                self.recall_changes(None);
            } else {
                let decision = decided.next();
                if !decision.as_ref().is_some_and(|decision| is_same(event, decision)) {
                    return Err(other(n, Some(event), decision.as_ref()));
                }
                self.apply(n, event, transition.at)?;
            }
        }
        match decided.next() {
            Some(more) => Err(other(n, None, Some(&more))),
            None => Ok(()),
        }
    }

    /// On replay: which changes the history has marked before the next fact.
    fn recall_changes(&self, marked: Option<Vec<String>>) {
        if let Some(shared) = &self.shared {
            shared.borrow_mut().recorded_changes = marked;
        }
    }

    fn apply(&mut self, n: u64, event: &Event, at: Timestamp) -> Result<(), Divergence> {
        self.folded.apply(event, at).map_err(|illegal| Divergence::Illegal { n, illegal })
    }

    fn begin_transition(&mut self, at: Timestamp) {
        self.transitions += 1;
        if let Some(shared) = &self.shared {
            let mut shared = shared.borrow_mut();
            shared.now = at;
            shared.transitions += 1;
            shared.asked.in_transition = 0;
        }
    }

    fn feed(&mut self, fact: &Event, at: Timestamp) {
        if let Event::RunStarted(started) = fact {
            self.begin(started, at);
        }
        let Some(shared) = &self.shared else { return };
        let mut shared = shared.borrow_mut();
        match fact {
            Event::CommandAccepted(accepted) => shared.inbox.push_back(Command {
                id: accepted.id.clone(),
                verb: accepted.verb.clone(),
                payload: accepted.payload.clone(),
            }),
            Event::StepCompleted(done) => {
                shared.settled.insert(done.seq, Settled::Done(done.answer.clone()));
            }
            Event::StepSkipped(skipped) => {
                shared.settled.insert(skipped.seq, Settled::Done(skipped.answer.clone()));
            }
            Event::UndoAbandoned(abandoned) => {
                let words = format!("it was abandoned: {}", abandoned.order.why);
                let failure = Failure::new(Class::Cancelled, words);
                shared.settled.insert(abandoned.seq, Settled::Failed(failure));
            }
            Event::SignalReceived(received) => shared.signals.push_back(received.signal.clone()),
            Event::StepFailed(failed) => {
                shared.settled.insert(failed.seq, Settled::Failed(failed.failure.clone()));
            }
            Event::StepCancelled(step) => {
                shared.settled.insert(step.seq, Settled::Cancelled);
            }
            Event::TimerFired(fired) => {
                shared.settled.insert(fired.seq, Settled::Fired);
            }
            Event::CancelRequested(cancel) if shared.can_cancel() => {
                let words = format!("it was cancelled: {}", cancel.why);
                shared.cancel = Some(Failure::new(Class::Cancelled, words));
                self.folded.cancel_open_steps();
            }
            _ => {}
        }
    }

    fn begin(&mut self, started: &RunStarted, at: Timestamp) {
        let mut shared = Shared::new(self.id.clone(), started.clone(), at);
        shared.listed = self.definition.signals;
        shared.transitions = 1;
        let shared = Rc::new(RefCell::new(shared));
        self.execution = Some((self.definition.execute)(Context::new(shared.clone())));
        self.shared = Some(shared);
    }

    /// What follows from a fact that has been taken in.
    fn follow(&mut self, fact: Option<&Event>) -> Vec<Event> {
        match fact {
            Some(Event::TerminateRequested(request)) => self.terminate(&request.order.why),
            _ => self.poll(),
        }
    }

    /// Lets the workflow go on as far as it can and returns what it decided.
    fn poll(&mut self) -> Vec<Event> {
        let mut decisions = Vec::new();
        if let Some(shared) = &self.shared {
            let asked = &mut shared.borrow_mut().asked;
            asked.since_fact = 0;
            asked.undo_is_open = self.folded.steps.values().any(|open| open.step.undo);
        }
        // What the workflow ended with before, while something was still to be taken back.
        let mut has_waited = self.ending.is_some();
        loop {
            self.poll_execution(&mut decisions);
            self.poll_aside(&mut decisions);
            if !self.aside.is_empty() {
                break;
            }
            match self.ending.take() {
                None => break,
                Some(Ok(Ending::ContinueAsNew(carried))) if has_waited && self.has_command() => {
                    has_waited = false;
                    self.go_on_with(carried);
                }
                Some(Ok(Ending::ContinueAsNew(carried))) => {
                    decisions.extend(self.begin_anew(carried));
                }
                Some(Ok(Ending::Completed(result))) => {
                    self.end(&mut decisions, Event::RunCompleted(RunCompleted { result }));
                }
                Some(Err(failure)) => {
                    self.end(&mut decisions, Event::RunFailed(RunFailed { failure }));
                }
            }
        }
        decisions
    }

    fn poll_execution(&mut self, decisions: &mut Vec<Event>) {
        let (Some(shared), Some(execution)) = (&self.shared, &mut self.execution) else { return };
        let polled = execution.as_mut().poll(&mut task::Context::from_waker(Waker::noop()));
        // Taken with its room: a run that waits for long decides nothing.
        decisions.extend(core::mem::take(&mut shared.borrow_mut().decisions));
        if let Poll::Ready(result) = polled {
            self.execution = None;
            self.ending = Some(result);
        }
    }

    fn poll_aside(&mut self, decisions: &mut Vec<Event>) {
        let Some(shared) = &self.shared else { return };
        self.aside.append(&mut shared.borrow_mut().aside);
        let mut waker = task::Context::from_waker(Waker::noop());
        self.aside.retain_mut(|aside| aside.as_mut().poll(&mut waker).is_pending());
        decisions.append(&mut shared.borrow_mut().decisions);
    }

    fn has_command(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| !shared.borrow().inbox.is_empty())
    }

    /// A command came between the end of the workflow and its new beginning: it is carried out first,
    /// by the same workflow with what it wanted to carry over. The history does not begin anew yet.
    fn go_on_with(&mut self, carried: Value) {
        let Some(shared) = &self.shared else { return };
        shared.borrow_mut().carried = Some(carried);
        self.execution = Some((self.definition.execute)(Context::new(shared.clone())));
    }

    fn begin_anew(&mut self, carried: Value) -> Option<Event> {
        let shared = self.shared.as_ref()?;
        let anew = shared.borrow_mut().anew(carried.clone());
        let (next_seq, signals) = (anew.next_seq, anew.signals.iter().cloned().collect());
        *shared.borrow_mut() = anew;
        self.execution = Some((self.definition.execute)(Context::new(shared.clone())));
        Some(Event::ContinuedAsNew(ContinuedAsNew { carried, next_seq, signals }))
    }
}

/// Whether an event comes from outside, rather than from the workflow.
#[must_use]
pub const fn is_fact(event: &Event) -> bool {
    matches!(
        event,
        Event::RunStarted(_)
            | Event::CommandAccepted(_)
            | Event::StepCompleted(_)
            | Event::StepFailed(_)
            | Event::StepCancelled(_)
            | Event::TimerFired(_)
            | Event::CancelRequested(_)
            | Event::StepRetried(_)
            | Event::StepSkipped(_)
            | Event::StepEdited(_)
            | Event::UndoAbandoned(_)
            | Event::RunPaused(_)
            | Event::RunResumed(_)
            | Event::SignalReceived(_)
            | Event::TerminateRequested(_)
    )
}

impl Drop for Run {
    /// What is dropped with the run is no decision of its workflow.
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.borrow_mut().over = true;
        }
    }
}

/// The changes that are marked before the next fact.
fn changes_marked(events: &[Event]) -> Vec<String> {
    let decisions = events.iter().take_while(|event| !is_fact(event));
    decisions
        .filter_map(|event| match event {
            Event::ChangeMarked(mark) => Some(mark.name.clone()),
            _ => None,
        })
        .collect()
}

/// Makes an execution out of an async function's future.
#[must_use]
pub fn execution(future: impl Future<Output = Result<Ending, Failure>> + 'static) -> Execution {
    Box::pin(future)
}
