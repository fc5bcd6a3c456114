//! Carries runs out in memory: no broker, no clock, one thing after the other, always in the
//! same order. What goes wrong is chosen before.
//!
//! `door.rs` is how commands come in, `orders.rs` what people do to a run, `cancels.rs` how a run has
//! one of its own cancelled, and `time.rs` how time passes.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use serde_json::{Value, json};
use stead_core::definition::Definition;
use stead_core::fold::OpenStep;
use stead_core::run::Run;
use stead_schemas::dispatch::{Caller, EntityCommand, Route, StepAddress};
use stead_schemas::event::{
    CommandAccepted, CommandCompleted, Event, Outcome, StepCancelled, StepCompleted, StepFailed,
};
use stead_schemas::failure::{Class, Failure, Kind};
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::site::Site;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION, link};

use crate::story;
use crate::trouble::{Lapse, Trouble, Which};
use crate::world::{Asked, World};

/// What passes from one transition to the next.
const TICK: Duration = Duration::from_millis(10);
/// A step that has not succeeded after so many attempts never will: a play has to end.
const ATTEMPTS_MAX: u32 = 25;
/// A play that takes more transitions than this does not end.
const TRANSITIONS_MAX: usize = 50_000;

/// Runs, the world they change, and what is still to be done.
pub struct Stage<W> {
    /// The world.
    pub world: W,
    /// The facts that orders are completed with.
    pub site: Site,
    pub(crate) definitions: Vec<Definition>,
    pub(crate) runs: BTreeMap<RunId, Actor>,
    pub(crate) entities: BTreeMap<EntityKey, Entity>,
    trouble: Trouble,
    struck: bool,
    pub(crate) to_do: VecDeque<StepAddress>,
    attempts: BTreeMap<StepAddress, u32>,
    /// Nothing is done about the steps of runs of these kinds.
    held: BTreeSet<String>,
    /// Commands that are to be cancelled, and the steps that wait for it.
    pub(crate) cancels: BTreeMap<(RunId, String), Vec<StepAddress>>,
    pub(crate) now: Timestamp,
    asked: usize,
    pub(crate) transitions: usize,
}

/// A run, and what is in its log.
pub(crate) struct Actor {
    pub run: Run,
    definition: Definition,
    history: Vec<Transition>,
    prev: String,
}

/// An entity, over all its lives.
#[derive(Default)]
pub(crate) struct Entity {
    pub lives: u32,
    pub living: Option<RunId>,
    pub commands: BTreeMap<String, Known>,
}

/// A command that was accepted.
#[derive(Clone)]
pub(crate) struct Known {
    pub run: RunId,
    pub outcome: Option<Outcome>,
}

impl<W: World> Stage<W> {
    /// A stage with these workflows, on which nothing has happened.
    #[must_use]
    pub fn new(definitions: &[Definition], site: Site, trouble: Trouble) -> Self {
        Self {
            world: W::default(),
            site,
            definitions: definitions.to_vec(),
            runs: BTreeMap::new(),
            entities: BTreeMap::new(),
            trouble,
            struck: false,
            to_do: VecDeque::new(),
            attempts: BTreeMap::new(),
            held: BTreeSet::new(),
            cancels: BTreeMap::new(),
            now: Timestamp::from_millis(1_000),
            asked: 0,
            transitions: 0,
        }
    }

    /// How many steps have been asked for that are not undo and no commands to other entities.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked
    }

    /// The run of an entity's latest life.
    #[must_use]
    pub fn latest(&self, key: &EntityKey) -> Option<RunId> {
        let entity = self.entities.get(key).filter(|entity| entity.lives > 0)?;
        Some(key.run(entity.lives))
    }

    /// A run's word for where it stands.
    #[must_use]
    pub fn phase(&self, run: &RunId) -> String {
        self.runs.get(run).map(|actor| actor.run.phase()).unwrap_or_default()
    }

    /// What a run shows of itself.
    #[must_use]
    pub fn view(&self, run: &RunId) -> Value {
        let view = self.runs.get(run).and_then(|actor| actor.run.view());
        view.map(|view| view.clone()).unwrap_or_default()
    }

    /// How a command to this entity ended, once it has.
    #[must_use]
    pub fn outcome(&self, key: &EntityKey, command: &str) -> Option<Outcome> {
        self.entities.get(key)?.commands.get(command)?.outcome.clone()
    }

    /// What happened to an entity in all its lives, as it can be read aloud.
    #[must_use]
    pub fn story(&self, key: &EntityKey) -> String {
        let lives = self.entities.get(key).map_or(0, |entity| entity.lives);
        let runs = (1..=lives).filter_map(|life| self.runs.get(&key.run(life)));
        runs.map(|actor| story::tell(&actor.history)).collect()
    }

    /// What is in a run's log.
    #[must_use]
    pub fn history(&self, run: &RunId) -> &[Transition] {
        self.runs.get(run).map_or(&[], |actor| &actor.history)
    }

    /// How many transitions a run has made from each of its beginnings to the next one: what a
    /// replay has to go through.
    #[must_use]
    pub fn stretches(&self, run: &RunId) -> Vec<usize> {
        let begins_anew = |event: &Event| matches!(event, Event::ContinuedAsNew(_));
        let stretches = self
            .history(run)
            .split_inclusive(|transition| transition.events.iter().any(begins_anew));
        stretches.map(<[Transition]>::len).collect()
    }

    /// Does nothing about the steps of runs of this kind, until they are let go.
    pub fn hold(&mut self, kind: &str) {
        self.held.insert(kind.to_string());
    }

    /// Goes on with the steps of runs of this kind, and carries out whatever is open.
    pub fn let_go(&mut self, kind: &str) {
        self.held.remove(kind);
        self.work();
    }

    /// Carries out one open step. False if there is none, or all are held or of paused runs.
    pub fn one_step(&mut self) -> bool {
        let is_held = |address: &StepAddress| {
            self.held.contains(address.run.kind()) || self.is_paused(&address.run)
        };
        let next = self.to_do.iter().position(|address| !is_held(address));
        let Some(address) = next.and_then(|at| self.to_do.remove(at)) else { return false };
        self.do_step(address);
        self.press_cancels();
        true
    }

    fn do_step(&mut self, address: StepAddress) {
        let Some(open) = self.open_step(&address) else { return };
        if let Route::Entity { kind, owner, name } = &open.step.route {
            let verb = open.step.step.split_once('.').map_or("", |(_, verb)| verb).to_string();
            let fields = open.step.request.as_object().cloned().unwrap_or_default();
            let (kind, owner, name) = (kind.clone(), owner.clone(), name.clone());
            let id = format!("{}:{}", address.run, address.seq);
            let by = Caller::Run(address);
            self.ask_entity(EntityCommand { kind, owner, name, verb, fields, id, by });
        } else {
            self.ask_world(&address, &open);
        }
    }

    /// Carries out all open steps; no time passes.
    pub fn work(&mut self) {
        while self.one_step() {}
    }

    /// Replays every history from nothing.
    ///
    /// # Panics
    /// If one of them is decided otherwise than before.
    pub fn everything_replays(&self) {
        for (id, actor) in &self.runs {
            actor.replayed(id, &self.trouble);
        }
    }

    /// Asks the world for a step, twice if that is the trouble, and hands its answer in.
    fn ask_world(&mut self, address: &StepAddress, open: &OpenStep) {
        let attempt = self.attempts.entry(address.clone()).or_default();
        *attempt += 1;
        let attempts = *attempt;
        let result = self.carry_out(&address.run, open, attempts);
        let seq = address.seq;
        let event = match result {
            Ok(answer) => Event::StepCompleted(StepCompleted { seq, answer, attempts, met: None }),
            Err(failure) if self.is_asked_again(open, &failure, attempts) => {
                self.to_do.push_back(address.clone());
                return;
            }
            Err(failure) => {
                let failure = failure.at(&open.step.step);
                Event::StepFailed(StepFailed { seq, failure, attempts })
            }
        };
        self.take(&address.run, vec![event.clone()]);
        if self.trouble.twice.holds_for(open.step.undo) {
            let taken = self.take(&address.run, vec![event]);
            assert!(!taken, "{}: a second answer was taken", self.trouble);
        }
    }

    fn carry_out(&mut self, run: &RunId, open: &OpenStep, attempt: u32) -> Result<Value, Failure> {
        let (step, undo) = (open.step.step.as_str(), open.step.undo);
        let lapse = if undo || attempt > 1 { None } else { self.strike(step) };
        if lapse == Some(Lapse::BeforeEffect) {
            return Err(Failure::new(Class::Permanent, "it was made to fail"));
        }
        let asked = Asked { run, step, request: &open.step.request };
        if self.trouble.twice.holds_for(undo) {
            self.world.carry_out(&asked)?;
        }
        let answer = self.world.carry_out(&asked)?;
        match lapse {
            None | Some(Lapse::BeforeEffect) => Ok(answer),
            Some(Lapse::AfterEffect) => Err(Failure::new(Class::Permanent, "it was made to fail")),
            Some(Lapse::AnswerLost) => Err(Failure::new(Class::Ambiguous, "the answer was lost")),
        }
    }

    /// Counts a step, and says what happens to it.
    fn strike(&mut self, step: &str) -> Option<Lapse> {
        let number = self.asked;
        self.asked += 1;
        let fault = self.trouble.fault.as_ref().filter(|_| !self.struck)?;
        self.struck = match &fault.which {
            Which::Nth(nth) => *nth == number,
            Which::Named(name) => name == step,
        };
        self.struck.then_some(fault.lapse)
    }

    /// As the engine decides: undo until it succeeds, the rest as long as asking can help.
    fn is_asked_again(&self, open: &OpenStep, failure: &Failure, attempts: u32) -> bool {
        let again = open.step.undo || failure.class.kind() != Kind::Lasting;
        let (step, trouble) = (&open.step.step, &self.trouble);
        assert!(
            !(again && attempts == ATTEMPTS_MAX && open.step.undo),
            "{trouble}: the undo {step} never succeeds: {failure}"
        );
        again && attempts < ATTEMPTS_MAX
    }

    pub(crate) fn open_step(&self, address: &StepAddress) -> Option<OpenStep> {
        self.runs.get(&address.run)?.run.folded().steps.get(&address.seq).cloned()
    }

    /// What the owner of a partition does with facts: decide, append, act. False if none of them
    /// was legal any more.
    pub(crate) fn take(&mut self, id: &RunId, facts: Vec<Event>) -> bool {
        self.now = self.now.after(TICK);
        self.transitions += 1;
        let trouble = &self.trouble;
        assert!(self.transitions < TRANSITIONS_MAX, "{trouble}: the play does not end");
        let Some(actor) = self.runs.get_mut(id) else { return false };
        let events = actor.decide(id, self.now, facts, trouble);
        for event in &events {
            self.act(id, event, &events);
        }
        !events.is_empty()
    }

    fn act(&mut self, id: &RunId, event: &Event, together: &[Event]) {
        match event {
            Event::StepScheduled(step) => {
                self.to_do.push_back(StepAddress { run: id.clone(), seq: step.seq });
            }
            Event::CommandAccepted(accepted) => self.command_accepted(accepted),
            Event::CommandCompleted(completed) => self.command_completed(id, completed),
            Event::CancelRequested(_) => self.cancel_open_steps(id, together),
            Event::RunCompleted(_) | Event::RunFailed(_) | Event::RunTerminated(_) => {
                self.entities.entry(id.key()).or_default().living = None;
                self.to_do.retain(|address| address.run != *id);
            }
            Event::RunStarted(_)
            | Event::StepCompleted(_)
            | Event::StepFailed(_)
            | Event::StepCancelled(_)
            | Event::TimerStarted(_)
            | Event::TimerFired(_)
            | Event::TimerDropped(_)
            | Event::StepDropped(_)
            | Event::StepRetried(_)
            | Event::StepSkipped(_)
            | Event::StepEdited(_)
            | Event::UndoAbandoned(_)
            | Event::RunPaused(_)
            | Event::RunResumed(_)
            | Event::SignalReceived(_)
            | Event::ChangeMarked(_)
            | Event::Noted(_)
            | Event::TerminateRequested(_)
            | Event::ContinuedAsNew(_) => {}
        }
    }

    /// Whoever gave a command detached has heard enough.
    fn command_accepted(&mut self, accepted: &CommandAccepted) {
        let Some(address) = &accepted.reply else { return };
        if self.open_step(address).is_some_and(|open| open.step.detached) {
            self.answer_step(address, Outcome::Done(json!({})));
        }
    }

    fn command_completed(&mut self, id: &RunId, completed: &CommandCompleted) {
        let entity = self.entities.entry(id.key()).or_default();
        if let Some(known) = entity.commands.get_mut(&completed.id) {
            known.outcome = Some(completed.outcome.clone());
        }
        self.cancelled(id, &completed.id);
        let known = self.runs.get(id).and_then(|actor| actor.run.folded().command(&completed.id));
        if let Some(address) = known.and_then(|known| known.command.reply.clone()) {
            self.answer_step(&address, completed.outcome.clone());
        }
    }

    /// Answers a step that was a command to another entity.
    pub(crate) fn answer_step(&mut self, address: &StepAddress, outcome: Outcome) {
        let (seq, attempts) = (address.seq, 1);
        if let (Some(open), Outcome::Failed(failure)) = (self.open_step(address), &outcome) {
            let (step, trouble) = (&open.step.step, &self.trouble);
            assert!(!open.step.undo, "{trouble}: the undo {step} never succeeds: {failure}");
        }
        let event = match outcome {
            Outcome::Done(answer) => {
                Event::StepCompleted(StepCompleted { seq, answer, attempts, met: None })
            }
            Outcome::Failed(failure) => Event::StepFailed(StepFailed { seq, failure, attempts }),
        };
        self.take(&address.run, vec![event]);
    }

    /// What is asked for because of the cancel is not cancelled by it.
    fn cancel_open_steps(&mut self, run: &RunId, together: &[Event]) {
        let Some(actor) = self.runs.get(run) else { return };
        let is_new = |seq| {
            together
                .iter()
                .any(|event| matches!(event, Event::StepScheduled(new) if new.seq == seq))
        };
        let open = actor.run.folded().steps.values().filter(|open| !open.step.undo);
        let open: Vec<_> = open.map(|open| open.step.seq).filter(|seq| !is_new(*seq)).collect();
        for seq in open {
            self.to_do.retain(|address| (&address.run, address.seq) != (run, seq));
            self.take(run, vec![Event::StepCancelled(StepCancelled { seq })]);
        }
    }

    /// Whether this step is to be asked for twice.
    pub(crate) fn is_twice(&self, undo: bool) -> bool {
        self.trouble.twice.holds_for(undo)
    }
}

impl Actor {
    pub fn new(definition: Definition, id: &RunId) -> Self {
        let run = Run::new(definition, id.clone());
        Self { run, definition, history: Vec::new(), prev: String::new() }
    }

    /// Decides and appends. Where runs are lost, this one is: once before the append and once
    /// after it.
    fn decide(
        &mut self,
        id: &RunId,
        at: Timestamp,
        facts: Vec<Event>,
        trouble: &Trouble,
    ) -> Vec<Event> {
        let decide = |run: &mut Run| match run.decide(at, facts.clone()) {
            Ok(decided) => decided.events,
            Err(illegal) => panic!("{trouble}: {id} decides what is not legal: {illegal}"),
        };
        let mut events = decide(&mut self.run);
        if trouble.crash {
            let before = core::mem::take(&mut events);
            self.run = self.replayed(id, trouble);
            events = decide(&mut self.run);
            assert_eq!(before, events, "{trouble}: {id} decides otherwise after a crash");
        }
        if !events.is_empty() {
            self.append(id, at, &events);
            if trouble.crash {
                self.run = self.replayed(id, trouble);
            }
        }
        events
    }

    fn append(&mut self, id: &RunId, at: Timestamp, events: &[Event]) {
        let transition = Transition {
            v: VERSION,
            run: id.clone(),
            n: self.run.transitions(),
            at,
            engine: "testkit".to_string(),
            prev: core::mem::take(&mut self.prev),
            events: events.to_vec(),
        };
        let bytes = transition.encode();
        self.prev = link(&bytes);
        match Transition::decode(&bytes) {
            Ok(read) => assert_eq!(read, transition, "{id}: what was written reads otherwise"),
            Err(error) => panic!("{id}: what was written cannot be read: {error}"),
        }
        self.history.push(transition);
    }

    fn replayed(&self, id: &RunId, trouble: &Trouble) -> Run {
        let mut run = Run::new(self.definition, id.clone());
        for transition in &self.history {
            if let Err(divergence) = run.replay(transition) {
                panic!("{trouble}: {id} decides otherwise when it is replayed: {divergence}");
            }
        }
        run
    }
}
