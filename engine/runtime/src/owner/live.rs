//! A run in memory.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use stead_core::run::Run;
use stead_core::trace::Tracing;
use stead_schemas::dispatch::StepAddress;
use stead_schemas::event::{Event, Seq};
use stead_schemas::time::Timestamp;
use stead_schemas::trace::Span;
use stead_schemas::transition::Transition;

use super::attempts::Attempt;
use super::counting::Begun;
use super::parked::Parked;
use super::strays::Strays;
use crate::ports::ReplyTo;
use crate::trace;

/// An append that takes longer is one that the log does not take now.
const UNTAKEN_AFTER: Duration = Duration::from_secs(5);

/// A living run.
pub(super) struct Live {
    pub run: Run,
    /// The sequence of the last message of its history.
    pub last_seq: u64,
    /// The link of that message.
    pub prev: String,
    /// The append under way.
    pub writing: Option<Writing>,
    /// Facts that wait for that append to end.
    pub queue: VecDeque<Fact>,
    /// What is being done about the open steps.
    pub attempts: BTreeMap<Seq, Attempt>,
    /// Attempts at settled steps that a worker may still be at.
    pub strays: Strays,
    /// Who asked for a command that is not in the log yet.
    pub askers: HashMap<String, Vec<Asker>>,
    /// The steps of other runs that want a command of theirs cancelled, by that command.
    pub cancels: BTreeMap<String, Vec<StepAddress>>,
    /// The commands under way, for metrics.
    pub begun: BTreeMap<String, Begun>,
    /// What is under way, for traces; nothing where nobody collects them.
    pub tracing: Option<Box<Tracing>>,
    /// Why the run is not continued by this build.
    pub parked: Option<Parked>,
    /// When the history last grew.
    pub updated: Timestamp,
}

/// An append under way.
pub(super) struct Writing {
    pub transition: Transition,
    pub link: String,
    pub tell: Vec<Tell>,
    /// Whether the log has not taken it for so long that people must know.
    pub untaken: bool,
}

/// A fact on its way into the history.
pub(super) struct Fact {
    pub event: Event,
    pub tell: Option<Tell>,
    /// Whether it goes into the history together with the one behind it, or neither does.
    pub with_next: bool,
}

/// Whom to tell once a fact is in the log.
pub(super) enum Tell {
    /// Somebody who gave an order.
    Order(ReplyTo),
    /// Somebody outside who handed an answer in.
    Outside(ReplyTo),
}

/// Who asked for a command.
pub(super) enum Asker {
    /// Somebody outside.
    Caller(ReplyTo),
    /// A step of another run; its partition is computed when it is told.
    Step(StepAddress),
}

impl Live {
    pub fn new(run: Run, at: Timestamp) -> Self {
        Self {
            run,
            last_seq: 0,
            prev: String::new(),
            writing: None,
            queue: VecDeque::new(),
            attempts: BTreeMap::new(),
            strays: Strays::default(),
            askers: HashMap::new(),
            cancels: BTreeMap::new(),
            begun: BTreeMap::new(),
            tracing: None,
            parked: None,
            updated: at,
        }
    }

    /// Puts facts at the end of the line that go into the history together. Whoever waits for the
    /// first of them, from which the others follow, is told then.
    pub fn queue_together(&mut self, events: Vec<Event>, mut tell: Option<Tell>) {
        let facts = events.into_iter();
        self.queue.extend(facts.map(|event| Fact { event, tell: tell.take(), with_next: true }));
        if let Some(last) = self.queue.back_mut() {
            last.with_next = false;
        }
    }

    /// The spans of what has ended with this transition, where somebody collects them.
    pub fn spans(&mut self, transition: &Transition) -> Vec<Span> {
        if !trace::is_on() {
            return Vec::new();
        }
        self.tracing.get_or_insert_default().take(transition)
    }

    /// For how long the append under way has not been acknowledged.
    pub fn note_untaken(&mut self, now: Timestamp) -> Option<Duration> {
        let writing = self.writing.as_mut()?;
        let waits = now.since(writing.transition.at);
        writing.untaken = waits > UNTAKEN_AFTER;
        Some(waits)
    }

    /// What the log does not take.
    pub fn untaken(&self) -> Option<&Transition> {
        let writing = self.writing.as_ref().filter(|writing| writing.untaken)?;
        Some(&writing.transition)
    }

    /// Whether the run waits to be resumed.
    pub fn is_paused(&self) -> bool {
        self.run.folded().paused.is_some()
    }

    /// Whether the end of a command is on its way into the log.
    pub fn is_writing_end_of(&self, id: &str) -> bool {
        let is_end =
            |event: &Event| matches!(event, Event::CommandCompleted(ended) if ended.id == id);
        self.writing.as_ref().is_some_and(|writing| writing.transition.events.iter().any(is_end))
    }

    /// Whether another request of a step waits for its turn, or is on its way into the log.
    pub fn is_being_edited(&self, seq: Seq) -> bool {
        let is_edit =
            |event: &Event| matches!(event, Event::StepEdited(edited) if edited.seq == seq);
        let waits = self.queue.iter().any(|fact| is_edit(&fact.event));
        let writing = self.writing.as_ref().map(|writing| &writing.transition.events);
        waits || writing.is_some_and(|events| events.iter().any(is_edit))
    }

    /// Whether it does not go on before a person does something.
    pub fn needs_a_person(&self) -> bool {
        let is_asked = self.run.folded().timers.values().any(|open| open.timer.for_person);
        self.parked.is_some() || self.is_paused() || is_asked
    }

    /// Whether a cancel is on its way into the log.
    pub fn is_being_cancelled(&self) -> bool {
        let is_cancel = |event: &Event| matches!(event, Event::CancelRequested(_));
        let waits = self.queue.iter().any(|fact| is_cancel(&fact.event));
        let writing = self.writing.as_ref().map(|writing| &writing.transition.events);
        waits || writing.is_some_and(|events| events.iter().any(is_cancel))
    }

    /// Takes out what is being done about a step. Most runs wait with none open, and an empty
    /// map would keep the room of eleven.
    pub fn take_attempt(&mut self, seq: Seq) -> Option<Attempt> {
        let attempt = self.attempts.remove(&seq);
        if self.attempts.is_empty() {
            self.attempts = BTreeMap::new();
        }
        attempt
    }

    /// Takes out who asked for a command.
    pub fn take_askers(&mut self, id: &str) -> Vec<Asker> {
        let askers = self.askers.remove(id).unwrap_or_default();
        if self.askers.is_empty() {
            self.askers = HashMap::new();
        }
        askers
    }
}

impl From<Event> for Fact {
    fn from(event: Event) -> Self {
        Self { event, tell: None, with_next: false }
    }
}
