//! Feeds a run facts by hand, shows what it decides as text, and replays it after every fact.

use serde_json::{Value, json};
use stead_core::context::Context;
use stead_core::definition::{Admission, Admitted, Definition, Execution};
use stead_core::run::{Run, is_fact};
use stead_schemas::dispatch::Caller;
use stead_schemas::event::{
    ByHand, CancelRequested, Event, RunStarted, Seq, StepCompleted, StepFailed, TimerFired,
};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::Owner;
use stead_schemas::refusal::Refusal;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION};

pub struct Desk {
    definition: Definition,
    pub run: Run,
    pub history: Vec<Transition>,
}

/// A definition around a workflow; nobody asks it at the door.
pub const fn definition(execute: fn(Context) -> Execution) -> Definition {
    Definition { kind: "test", public: true, verbs: &["go"], signals: &["go"], execute, admit }
}

fn admit(_: &Admission<'_>) -> Result<Admitted, Refusal> {
    Ok(Admitted { payload: Value::Null, begins: true, interrupts: false })
}

pub fn owner() -> Owner {
    Owner::new("john").expect("a name")
}

pub fn by_hand(why: &str) -> ByHand {
    ByHand { by: Caller::Api, why: why.into(), id: None }
}

impl Desk {
    /// A run that has just been started, and what it decided.
    pub fn start(execute: fn(Context) -> Execution) -> (Self, String) {
        let definition = definition(execute);
        let run = Run::new(definition, EntityKey::of("test", &owner(), "x").run(1));
        let mut desk = Self { definition, run, history: Vec::new() };
        let (workflow, build) = ("test".into(), "test".into());
        let started = RunStarted { workflow, owner: owner(), name: "x".into(), build };
        let told = desk.fact(Event::RunStarted(started));
        (desk, told)
    }

    /// Feeds one fact; returns the decisions as text, or that the fact was not legal.
    pub fn fact(&mut self, fact: Event) -> String {
        let told = self.facts(vec![fact]);
        self.replays_on(self.definition);
        told
    }

    /// The same with facts that go into one transition, which nobody replays yet.
    pub fn facts(&mut self, facts: Vec<Event>) -> String {
        let at = Timestamp::from_millis(1000 * (self.history.len() as i64 + 1));
        let decided = self.run.decide(at, facts).expect("its decisions are legal");
        if decided.events.is_empty() {
            return "not legal".into();
        }
        let decisions = decided.events.iter().filter(|event| !is_fact(event));
        let told: Vec<String> = decisions.map(tell).collect();
        self.history.push(Transition {
            v: VERSION,
            run: self.run.id().clone(),
            n: self.run.transitions(),
            at,
            engine: "e".into(),
            prev: String::new(),
            events: decided.events,
        });
        told.join(", ")
    }

    /// The history replays to the same state.
    pub fn replays_on(&self, definition: Definition) {
        let mut again = Run::new(definition, self.run.id().clone());
        for transition in &self.history {
            let decoded = Transition::decode(&transition.encode()).expect("it can be read");
            again.replay(&decoded).unwrap_or_else(|divergence| panic!("{divergence}"));
        }
        assert_eq!(again.folded(), self.run.folded());
    }

    pub fn done(&mut self, seq: Seq) -> String {
        self.fact(Event::StepCompleted(StepCompleted {
            seq,
            answer: json!({}),
            attempts: 1,
            met: None,
        }))
    }

    pub fn failed(&mut self, seq: Seq) -> String {
        let failure = Failure::new(Class::Permanent, "no");
        self.fact(Event::StepFailed(StepFailed { seq, failure, attempts: 1 }))
    }

    pub fn cancel(&mut self) -> String {
        let (by, why) = (Caller::Api, "no".into());
        let command = self.run.command_under_way().map(str::to_owned);
        self.fact(Event::CancelRequested(CancelRequested { by, why, command, id: None }))
    }

    pub fn fired(&mut self, seq: Seq) -> String {
        self.fact(Event::TimerFired(TimerFired { seq }))
    }
}

fn tell(event: &Event) -> String {
    match event {
        Event::StepScheduled(step) => {
            let undo = if step.undo { "undo " } else { "" };
            let what = match step.request.get("number") {
                Some(number) => format!("{} {number}", step.step),
                None => step.step.clone(),
            };
            format!("{undo}{}: {what}", step.seq)
        }
        Event::StepDropped(step) => format!("dropped {}", step.seq),
        Event::TimerStarted(timer) => format!("timer {}: {}", timer.seq, timer.reason),
        Event::TimerDropped(timer) => format!("timer {} dropped", timer.seq),
        Event::RunCompleted(completed) => format!("completed {}", completed.result),
        Event::RunFailed(failed) => format!("failed {}", failed.failure),
        Event::RunTerminated(terminated) => {
            let left: Vec<_> =
                terminated.left.iter().map(|left| format!("{} {}", left.step, left.why)).collect();
            format!("terminated, left [{}] view {}", left.join("; "), terminated.view)
        }
        other => other.name().into(),
    }
}
