//! A stage, and john who gives commands to his workspaces on it.

use serde_json::{Value, json};
use stead_schemas::dispatch::{Caller, EntityCommand};
use stead_schemas::event::{Event, Outcome};
use stead_schemas::failure::Failure;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::refusal::Refusal;
use stead_testkit::{Stage, Trouble};

use crate::kits::{self, john};
use crate::world::World;

/// A stage, and the workspaces of john on it.
pub struct Tale {
    pub stage: Stage<World>,
    commands: u32,
}

impl Tale {
    pub fn new(trouble: Trouble) -> Self {
        Self { stage: kits::create().stage(&trouble), commands: 0 }
    }

    /// Gives a command to a workspace and carries everything out that follows.
    pub fn workspace(&mut self, verb: &str, name: &str, fields: Value) -> Result<Outcome, Refusal> {
        let command = self.command(verb, name, fields);
        self.stage.ask(&command).map(|outcome| outcome.expect("the command has an outcome"))
    }

    /// The same; no time passes.
    pub fn workspace_now(
        &mut self,
        verb: &str,
        name: &str,
        fields: Value,
    ) -> Result<Outcome, Refusal> {
        let command = self.command(verb, name, fields);
        self.stage.give(&command)?;
        self.stage.work();
        let outcome = self.stage.outcome(&command.key(), &command.id);
        Ok(outcome.expect("the command has an outcome"))
    }

    /// Gives a command to the home and carries everything out that follows.
    pub fn home(&mut self, verb: &str, fields: Value) -> Result<Outcome, Refusal> {
        let command = EntityCommand { kind: "home".into(), ..self.command(verb, "home", fields) };
        self.stage.ask(&command).map(|outcome| outcome.expect("the command has an outcome"))
    }

    /// Gives a command to a workspace and leaves it at that.
    pub fn give(&mut self, verb: &str, name: &str, fields: Value) -> RunId {
        let command = self.command(verb, name, fields);
        self.stage.give(&command).expect("it is let in")
    }

    fn command(&mut self, verb: &str, name: &str, fields: Value) -> EntityCommand {
        self.commands += 1;
        EntityCommand {
            kind: "workspace".into(),
            owner: john(),
            name: name.into(),
            verb: verb.into(),
            fields: fields.as_object().cloned().unwrap_or_default(),
            id: format!("command-{}", self.commands),
            by: Caller::Api,
        }
    }

    pub fn things(&self) -> Vec<&str> {
        self.stage.world.names()
    }
}

pub fn done(outcome: Result<Outcome, Refusal>) {
    assert!(matches!(outcome, Ok(Outcome::Done(_))), "{outcome:?}");
}

/// Why a command was not carried out.
pub fn failed(outcome: Result<Outcome, Refusal>) -> Failure {
    match outcome {
        Ok(Outcome::Failed(failure)) => failure,
        other => panic!("it should have failed: {other:?}"),
    }
}

impl Tale {
    /// What a workspace shows of itself.
    pub fn view(&self, name: &str) -> Value {
        let latest = self.stage.latest(&EntityKey::of("workspace", &john(), name));
        latest.map_or(json!(null), |run| self.stage.view(&run))
    }

    /// What was going to happen, as the latest command of a run has it.
    pub fn plan(&self, run: &RunId) -> Vec<String> {
        let accepted = |event: &Event| match event {
            Event::CommandAccepted(accepted) => Some(accepted.payload["plan"].clone()),
            _ => None,
        };
        let events = self.stage.history(run).iter().flat_map(|transition| &transition.events);
        let plan = events.filter_map(accepted).next_back().expect("it was let in");
        serde_json::from_value(plan).expect("a plan")
    }

    /// Whether so much of a workspace's story has been told.
    pub fn has_told(&self, name: &str, line: &str) -> bool {
        self.stage.story(&EntityKey::of("workspace", &john(), name)).contains(line)
    }
}
