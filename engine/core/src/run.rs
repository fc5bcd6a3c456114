//! One run: facts in, decisions out; and the same again on replay, compared.
//!
//! Facts are fed one at a time and the workflow is polled after each: feeding two at once would
//! change who wins a race between them.

use alloc::boxed::Box;
use alloc::format;
use alloc::rc::Rc;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::{Ref, RefCell};
use core::task::{self, Poll, Waker};

use serde_json::Value;
use stead_schemas::event::{
    CommandCompleted, ContinuedAsNew, Event, Outcome, RunCompleted, RunFailed, RunStarted,
};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::RunId;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;

use crate::context::{Command, Context};
use crate::definition::{Definition, Ending, Execution};
use crate::fold::{Folded, Illegal};
use crate::shared::{Settled, Shared};

/// A run in memory. It is thrown away and replayed whenever an append was not ours.
pub struct Run {
    id: RunId,
    definition: Definition,
    folded: Folded,
    transitions: u64,
    shared: Option<Rc<RefCell<Shared>>>,
    execution: Option<Execution>,
}

/// What [`Run::decide`] made of some facts.
pub struct Decided {
    /// The events of the next transition; none if no fact was legal.
    pub events: Vec<Event>,
    /// For each fact, whether it was legal and is among the events.
    pub taken: Vec<bool>,
}

/// This build decides otherwise than the history says.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Divergence {
    /// The history has a decision that this build does not make.
    #[error("transition {n}: the history has\n  {recorded}\nand this build decides\n  {decided}")]
    Other {
        /// Where.
        n: u64,
        /// What stands in the history.
        recorded: String,
        /// What this build decides.
        decided: String,
    },
    /// An event is not legal where it stands.
    #[error("transition {n}: {illegal}")]
    Illegal {
        /// Where.
        n: u64,
        /// What is wrong with it.
        illegal: Illegal,
    },
    /// A transition is missing or in the wrong place.
    #[error("transition {expected} should follow, but {found} does")]
    Gap {
        /// What should follow.
        expected: u64,
        /// What does.
        found: u64,
    },
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
        }
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

    /// Takes facts in and returns them with the decisions that follow, in order: the events of
    /// the next transition. A fact that is not legal (any more) is left out; if none is legal
    /// there is no transition. The run is then ahead of the log; if the append fails it must be
    /// thrown away.
    ///
    /// # Errors
    /// If the workflow decides something illegal, which is a bug of ours. The run must be thrown
    /// away then, too.
    pub fn decide(&mut self, at: Timestamp, facts: Vec<Event>) -> Result<Decided, Illegal> {
        let mut decided =
            Decided { events: Vec::with_capacity(facts.len() + 1), taken: Vec::new() };
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
            for decision in self.poll() {
                self.folded.apply(&decision, at)?;
                decided.events.push(decision);
            }
        }
        Ok(decided)
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
        for event in &transition.events {
            if is_fact(event) {
                let early = decided.next();
                if let Some(early) = early {
                    return Err(other(n, Some(event), Some(&early)));
                }
                self.apply(n, event, transition.at)?;
                self.feed(event, transition.at);
                decided = self.poll().into_iter();
            } else {
                let decision = decided.next();
                if decision.as_ref() != Some(event) {
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

    fn apply(&mut self, n: u64, event: &Event, at: Timestamp) -> Result<(), Divergence> {
        self.folded.apply(event, at).map_err(|illegal| Divergence::Illegal { n, illegal })
    }

    fn begin_transition(&mut self, at: Timestamp) {
        self.transitions += 1;
        if let Some(shared) = &self.shared {
            let mut shared = shared.borrow_mut();
            shared.now = at;
            shared.transitions += 1;
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
            }
            _ => {}
        }
    }

    fn begin(&mut self, started: &RunStarted, at: Timestamp) {
        let mut shared = Shared::new(self.id.clone(), started.clone(), at);
        shared.transitions = 1;
        let shared = Rc::new(RefCell::new(shared));
        self.execution = Some((self.definition.execute)(Context::new(shared.clone())));
        self.shared = Some(shared);
    }

    /// Lets the workflow go on as far as it can and returns what it decided.
    fn poll(&mut self) -> Vec<Event> {
        let mut decisions = Vec::new();
        while let Some(result) = self.poll_once(&mut decisions) {
            match result {
                Ok(Ending::ContinueAsNew(carried)) => decisions.extend(self.begin_anew(carried)),
                Ok(Ending::Completed(result)) => {
                    let last = Event::RunCompleted(RunCompleted { result });
                    self.end(&mut decisions, last);
                }
                Err(failure) => self.end(&mut decisions, Event::RunFailed(RunFailed { failure })),
            }
        }
        decisions
    }

    /// Polls the execution; nothing if it waits or there is none.
    fn poll_once(&mut self, decisions: &mut Vec<Event>) -> Option<Result<Ending, Failure>> {
        let (shared, execution) = (self.shared.as_ref()?, self.execution.as_mut()?);
        let polled = execution.as_mut().poll(&mut task::Context::from_waker(Waker::noop()));
        decisions.append(&mut shared.borrow_mut().decisions);
        match polled {
            Poll::Ready(result) => {
                self.execution = None;
                Some(result)
            }
            Poll::Pending => None,
        }
    }

    fn begin_anew(&mut self, carried: Value) -> Option<Event> {
        let shared = self.shared.as_ref()?;
        let anew = shared.borrow().anew(carried.clone());
        let next_seq = anew.next_seq;
        *shared.borrow_mut() = anew;
        self.execution = Some((self.definition.execute)(Context::new(shared.clone())));
        Some(Event::ContinuedAsNew(ContinuedAsNew { carried, next_seq }))
    }

    /// The last events of a run: nobody who gave a command is left without an answer.
    fn end(&self, decisions: &mut Vec<Event>, last: Event) {
        let answered = |id: &String| {
            decisions.iter().any(|event| matches!(event, Event::CommandCompleted(c) if c.id == *id))
        };
        let open: Vec<String> =
            self.folded.open_commands().into_iter().filter(|id| !answered(id)).collect();
        let words = "it was over before this command's turn came";
        decisions.extend(open.into_iter().map(|id| {
            let outcome = Outcome::Failed(Failure::new(Class::Refused, words));
            Event::CommandCompleted(CommandCompleted { id, outcome })
        }));
        decisions.push(last);
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
    )
}

fn other(n: u64, recorded: Option<&Event>, decided: Option<&Event>) -> Divergence {
    Divergence::Other { n, recorded: shown(recorded), decided: shown(decided) }
}

fn shown(event: Option<&Event>) -> String {
    match event {
        None => "nothing".to_string(),
        Some(event) => serde_json::to_string(event).unwrap_or_else(|_| event.name().to_string()),
    }
}

/// Makes an execution out of an async function's future.
#[must_use]
pub fn execution(future: impl Future<Output = Result<Ending, Failure>> + 'static) -> Execution {
    Box::pin(future)
}
