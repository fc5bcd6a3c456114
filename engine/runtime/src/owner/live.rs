//! A run in memory, and what is known of its entity.

use std::collections::{BTreeMap, HashMap, VecDeque};

use stead_core::run::Run;
use stead_schemas::dispatch::StepAddress;
use stead_schemas::event::{Event, Outcome, Seq};
use stead_schemas::ids::RunId;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;

use super::attempts::Attempt;
use crate::ports::ReplyTo;

/// All lives of one entity.
#[derive(Default)]
pub(super) struct Entity {
    /// The number of the latest life.
    pub life: u32,
    /// The run that lives now.
    pub living: Option<RunId>,
    /// Every command that was ever accepted, in any life that the log still holds.
    pub commands: HashMap<String, Known>,
    /// The latest step of each run that gave a command. A run asks an entity one thing after the
    /// other, so that whatever comes later and is older was given up long ago.
    pub latest: HashMap<RunId, Seq>,
}

impl Entity {
    /// A run's step has given a command.
    pub fn asked_by(&mut self, step: &StepAddress) {
        let latest = self.latest.entry(step.run.clone()).or_default();
        *latest = step.seq.max(*latest);
    }
}

/// A command that was accepted.
pub(super) struct Known {
    /// What it said.
    pub digest: String,
    /// Which life took it in.
    pub run: RunId,
    /// How it ended, kept only where another run asked and may ask again.
    pub outcome: Option<Outcome>,
}

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
    /// Who asked for a command that is not in the log yet.
    pub askers: HashMap<String, Vec<Asker>>,
    /// The steps of other runs that want a command of theirs cancelled, by that command.
    pub cancels: BTreeMap<String, Vec<StepAddress>>,
    /// Why the run is not continued by this build.
    pub parked: Option<String>,
    /// When the history last grew.
    pub updated: Timestamp,
}

/// An append under way.
pub(super) struct Writing {
    pub transition: Transition,
    pub link: String,
    pub tell: Vec<Tell>,
}

/// A fact on its way into the history.
pub(super) struct Fact {
    pub event: Event,
    pub tell: Option<Tell>,
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
            askers: HashMap::new(),
            cancels: BTreeMap::new(),
            parked: None,
            updated: at,
        }
    }

    /// Whether the run waits to be resumed.
    pub fn is_paused(&self) -> bool {
        self.run.folded().paused.is_some()
    }
}

impl From<Event> for Fact {
    fn from(event: Event) -> Self {
        Self { event, tell: None }
    }
}
