//! Histories for tests, decided by the workflows themselves: what is asked for is answered at once.

use serde_json::Value;
use stead_core::run::Run;
use stead_schemas::dispatch::Caller;
use stead_schemas::event::{
    CommandAccepted, Event, RunStarted, StepCompleted, StepFailed, StepScheduled,
};
use stead_schemas::failure::Failure;
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::Owner;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION};
use stead_workflows::WORKFLOWS;

/// How a step is answered; not at all if by nothing.
pub type Answer = Option<Result<Value, Failure>>;

/// A life of an entity of john's.
pub struct Life {
    run: Run,
    name: String,
    /// What has happened in it.
    pub history: Vec<Transition>,
    /// What time it is.
    pub at: Timestamp,
}

impl Life {
    /// One that is about to begin.
    pub fn new(kind: &str, name: &str) -> Self {
        let known = WORKFLOWS.iter().find(|known| known.kind == kind).expect("a workflow");
        let run = Run::new(*known, EntityKey::of(kind, &john(), name).run(1));
        let (name, history, at) = (name.to_owned(), Vec::new(), Timestamp::from_millis(0));
        Self { run, name, history, at }
    }

    /// It is given a command, the first of which it begins with.
    pub fn asked(&mut self, id: &str, verb: &str, payload: Value, by: Caller) {
        let (workflow, name) = (self.run.id().kind().to_owned(), self.name.clone());
        let build = "a test".to_owned();
        let started = Event::RunStarted(RunStarted { workflow, owner: john(), name, build });
        let reply = match &by {
            Caller::Run(address) => Some(address.clone()),
            _ => None,
        };
        let (id, verb, digest) = (id.to_owned(), verb.to_owned(), String::new());
        let priority = Default::default();
        let asked = CommandAccepted { id, verb, payload, digest, by, reply, priority };
        let facts = [started, Event::CommandAccepted(asked)];
        let known = usize::from(!self.history.is_empty());
        self.decide(facts.into_iter().skip(known).collect());
    }

    /// Every step that is asked for is answered, until nothing is asked for that is.
    pub fn answered(&mut self, answer: impl Fn(&StepScheduled) -> Answer) {
        loop {
            let mut open = self.run.folded().steps.values();
            let told = open.find_map(|open| Some((open.step.seq, answer(&open.step)?)));
            let fact = match told {
                None => return,
                Some((seq, Ok(answer))) => {
                    Event::StepCompleted(StepCompleted { seq, answer, attempts: 1, met: None })
                }
                Some((seq, Err(failure))) => {
                    Event::StepFailed(StepFailed { seq, failure, attempts: 1 })
                }
            };
            self.decide(vec![fact]);
        }
    }

    fn decide(&mut self, facts: Vec<Event>) {
        let events = self.run.decide(self.at, facts).expect("legal facts").events;
        let (run, n, at) = (self.run.id().clone(), self.history.len() as u64 + 1, self.at);
        let (engine, prev) = ("engine".to_owned(), String::new());
        self.history.push(Transition { v: VERSION, run, n, at, engine, prev, events });
    }
}

/// Whose all of it is.
pub fn john() -> Owner {
    Owner::new("john").expect("a plain name")
}
