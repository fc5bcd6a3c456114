//! How commands come in on the stage: as at an engine's door, without a broker.

use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

use serde_json::json;
use stead_core::definition::{Admission, Admitted, Definition, Living};
use stead_schemas::dispatch::{Caller, EntityCommand};
use stead_schemas::event::{CancelRequested, CommandAccepted, Event, Outcome, RunStarted};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::RunId;
use stead_schemas::refusal::Refusal;
use stead_schemas::step::entity::{CancelCommand, LookUpRun};
use stead_schemas::transition::command_digest;

use crate::stage::{Actor, Known, Stage};
use crate::world::World;

impl<W: World> Stage<W> {
    /// Takes a command in and leaves it at that; the run that will carry it out. The same id
    /// again is the same command.
    ///
    /// # Errors
    /// If it is refused at the door.
    ///
    /// # Panics
    /// If the stage has no workflow of that kind.
    pub fn give(&mut self, command: &EntityCommand) -> Result<RunId, Refusal> {
        let key = command.key();
        let entity = self.entities.entry(key.clone()).or_default();
        if let Some(known) = entity.commands.get(&command.id) {
            return Ok(known.run.clone());
        }
        let (lives, living) = (entity.lives, entity.living.clone());
        let definition = self.definition(&command.kind);
        let admitted = self.admit(&definition, command, living.as_ref())?;
        let mut facts = Vec::new();
        let run = match living {
            Some(run) => run,
            None if admitted.begins => key.run(lives + 1),
            None => return Err(nobody(command)),
        };
        if !self.runs.contains_key(&run) {
            facts.push(started(command));
            self.runs.insert(run.clone(), Actor::new(definition, &run));
        }
        let living = self.runs.get(&run).filter(|actor| actor.run.can_cancel());
        if let Some(actor) = living.filter(|_| admitted.interrupts) {
            let by = Caller::Command { id: command.id.clone() };
            let (why, under_way) = (command.verb.clone(), actor.run.command_under_way());
            let under_way = under_way.map(ToString::to_string);
            let cancel = CancelRequested { by, why, command: under_way, id: None };
            facts.push(Event::CancelRequested(cancel));
        }
        facts.push(accepted(command, admitted));
        let entity = self.entities.entry(key).or_default();
        entity.lives = run.life();
        entity.living = Some(run.clone());
        let known = Known { run: run.clone(), outcome: None };
        entity.commands.insert(command.id.clone(), known);
        self.take(&run, facts);
        Ok(run)
    }

    /// Gives a command and carries out everything that follows, with as much time as that takes;
    /// nothing if the command has no outcome then.
    ///
    /// # Errors
    /// If it is refused at the door.
    pub fn ask(&mut self, command: &EntityCommand) -> Result<Option<Outcome>, Refusal> {
        self.give(command)?;
        self.settle();
        Ok(self.outcome(&command.key(), &command.id))
    }

    /// Gives a command that is a step of another run, twice if that is the trouble.
    pub(crate) fn ask_entity(&mut self, command: EntityCommand) {
        let Caller::Run(address) = &command.by else { return };
        let undo = self.open_step(address).is_some_and(|open| open.step.undo);
        let times = if self.is_twice(undo) { 2 } else { 1 };
        for _ in 0..times {
            // Every entity knows it, whatever its kind.
            if command.verb == CancelCommand::VERB {
                self.cancel_command(&command, address);
                continue;
            }
            if command.verb == LookUpRun::VERB {
                let entity = self.entities.get(&command.key());
                let living = entity.and_then(|entity| entity.living.clone());
                self.answer_step(address, Outcome::Done(json!({ "living": living })));
                continue;
            }
            match self.give(&command) {
                Ok(_) => {
                    // Asked again after it was answered, the entity says the same again.
                    if let Some(outcome) = self.outcome(&command.key(), &command.id) {
                        self.answer_step(address, outcome);
                    }
                }
                Err(refusal) => {
                    let failure = Failure::new(Class::Refused, refusal.to_string());
                    self.answer_step(address, Outcome::Failed(failure));
                }
            }
        }
    }

    fn definition(&self, kind: &str) -> Definition {
        match self.definitions.iter().find(|known| known.kind == kind) {
            Some(definition) => *definition,
            None => panic!("the stage has no workflow `{kind}`"),
        }
    }

    fn admit(
        &self,
        definition: &Definition,
        command: &EntityCommand,
        living: Option<&RunId>,
    ) -> Result<Admitted, Refusal> {
        if !definition.verbs.contains(&command.verb.as_str()) {
            let words = format!("`{}` knows no `{}`", command.kind, command.verb);
            return Err(Refusal::new("verb.unknown", words));
        }
        let actor = living.and_then(|run| self.runs.get(run));
        let phase = actor.map(|actor| actor.run.phase());
        let view = actor.and_then(|actor| actor.run.view());
        let living = match (&phase, &view) {
            (Some(phase), Some(view)) => Some(Living { phase, view }),
            _ => None,
        };
        (definition.admit)(&Admission {
            site: &self.site,
            owner: &command.owner,
            name: &command.name,
            living,
            verb: &command.verb,
            fields: &command.fields,
        })
    }
}

fn nobody(command: &EntityCommand) -> Refusal {
    let words = format!("there is no {} `{}`", command.kind, command.name);
    Refusal::new(&format!("{}.unknown", command.kind), words).field("name")
}

fn started(command: &EntityCommand) -> Event {
    Event::RunStarted(RunStarted {
        workflow: command.kind.clone(),
        owner: command.owner.clone(),
        name: command.name.clone(),
        build: "testkit".to_string(),
    })
}

fn accepted(command: &EntityCommand, admitted: Admitted) -> Event {
    let reply = match &command.by {
        Caller::Run(address) => Some(address.clone()),
        Caller::Inbox { .. }
        | Caller::Api
        | Caller::User(_)
        | Caller::Command { .. }
        | Caller::Engine => None,
    };
    Event::CommandAccepted(CommandAccepted {
        id: command.id.clone(),
        verb: command.verb.clone(),
        payload: admitted.payload,
        digest: command_digest(&command.verb, &command.fields),
        by: command.by.clone(),
        reply,
        priority: stead_schemas::limit::Priority::Normal,
    })
}
