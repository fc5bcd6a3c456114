//! A stage, and somebody who gives commands to one entity on it. Each page's tests say in an `impl` of
//! their own how it begins.

use serde::de::DeserializeOwned;
use serde_json::Value;
use stead_schemas::dispatch::{Caller, EntityCommand};
use stead_schemas::event::{Event, Outcome};
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::refusal::Refusal;
use stead_schemas::site::Site;
use stead_testkit::{Kit, Stage, Trouble};
use stead_workflows::WORKFLOWS;

use crate::world::World;

/// See the module's head.
pub struct Asker {
    pub stage: Stage<World>,
    pub kind: &'static str,
    pub owner: &'static str,
    pub name: &'static str,
    commands: u32,
}

impl Asker {
    /// Of the entity `kind`, `owner`, `name`; nothing has been asked of it yet.
    pub fn of([kind, owner, name]: [&'static str; 3], site: Site) -> Self {
        let stage = Kit::of(WORKFLOWS).site(site).stage(&Trouble::default());
        Self { stage, kind, owner, name, commands: 0 }
    }

    pub fn command(&mut self, verb: &str, fields: Value) -> EntityCommand {
        self.commands += 1;
        EntityCommand {
            kind: self.kind.into(),
            owner: self.owner(),
            name: self.name.into(),
            verb: verb.into(),
            fields: fields.as_object().cloned().unwrap_or_default(),
            id: format!("command-{}", self.commands),
            by: Caller::Api,
        }
    }

    /// Gives a command and carries everything out that follows. No time passes: what waits for the
    /// end of a grace period goes on waiting.
    pub fn give(&mut self, verb: &str, fields: Value) -> Result<Outcome, Refusal> {
        let command = self.command(verb, fields);
        self.stage.give(&command)?;
        self.stage.work();
        let outcome = self.stage.outcome(&command.key(), &command.id);
        Ok(outcome.expect("the command has an outcome"))
    }

    pub fn done(&mut self, verb: &str, fields: Value) -> Value {
        match self.give(verb, fields) {
            Ok(Outcome::Done(result)) => result,
            other => panic!("{verb}: {other:?}"),
        }
    }

    /// Why a command that was let in has failed.
    pub fn failed(&mut self, verb: &str, fields: Value) -> String {
        match self.give(verb, fields) {
            Ok(Outcome::Failed(failure)) => failure.words,
            other => panic!("{verb}: {other:?}"),
        }
    }

    /// The code with which a command is refused at the door.
    pub fn refused(&mut self, verb: &str, fields: Value) -> String {
        self.give(verb, fields).expect_err("it is refused").code
    }

    /// What the entity shows of itself.
    pub fn view<T: DeserializeOwned>(&self) -> T {
        serde_json::from_value(self.stage.view(&self.run())).expect("a view")
    }

    /// What its run has noted for people, in order.
    pub fn notes(&self) -> Vec<String> {
        let history = self.stage.history(&self.run());
        let events = history.iter().flat_map(|transition| &transition.events);
        let noted = events.filter_map(|event| match event {
            Event::Noted(noted) => Some(format!("{}: {}", noted.what, noted.words)),
            _ => None,
        });
        noted.collect()
    }

    fn owner(&self) -> Owner {
        Owner::new(self.owner).expect("a name")
    }

    fn run(&self) -> RunId {
        let key = EntityKey::of(self.kind, &self.owner(), self.name);
        self.stage.latest(&key).expect("it lives, or has lived")
    }
}
