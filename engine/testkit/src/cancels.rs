//! A run wants a command cancelled that it gave before. It asks until it hears that the command
//! is over; on the stage, that is whenever something has been done.

use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use serde_json::json;
use stead_schemas::dispatch::{Caller, EntityCommand, StepAddress};
use stead_schemas::event::{CancelRequested, Event, Outcome};
use stead_schemas::ids::RunId;

use crate::stage::Stage;
use crate::world::World;

impl<W: World> Stage<W> {
    /// Cancels the command, or says that it is over already.
    pub(crate) fn cancel_command(&mut self, command: &EntityCommand, asker: &StepAddress) {
        let id = command.fields.get("command").and_then(|id| id.as_str()).unwrap_or_default();
        let entity = self.entities.get(&command.key());
        let known = entity.and_then(|entity| entity.commands.get(id));
        let Some(known) = known.filter(|known| known.outcome.is_none()) else {
            return self.answer_step(asker, Outcome::Done(json!({})));
        };
        let run = known.run.clone();
        let askers = self.cancels.entry((run.clone(), id.to_string())).or_default();
        if !askers.contains(asker) {
            askers.push(asker.clone());
        }
        self.press_cancel(&run);
    }

    /// Asks again for every command that is to be cancelled and is not over.
    pub(crate) fn press_cancels(&mut self) {
        let runs: Vec<RunId> = self.cancels.keys().map(|(run, _)| run.clone()).collect();
        for run in runs {
            self.press_cancel(&run);
        }
    }

    /// Stops what the run does if it is a command that is to be cancelled. One whose turn has not
    /// come waits for it.
    fn press_cancel(&mut self, run: &RunId) {
        let Some(actor) = self.runs.get(run).filter(|actor| actor.run.can_cancel()) else { return };
        let Some(id) = actor.run.command_under_way().map(ToString::to_string) else { return };
        let askers = self.cancels.get(&(run.clone(), id.clone()));
        let Some(asker) = askers.and_then(|askers| askers.first()).cloned() else { return };
        let why = "the run that had asked for this no longer wants it".to_string();
        let cancel = CancelRequested { by: Caller::Run(asker), why, command: Some(id), id: None };
        self.take(run, vec![Event::CancelRequested(cancel)]);
    }

    /// A command is over: those who wanted it cancelled hear so.
    pub(crate) fn cancelled(&mut self, run: &RunId, id: &str) {
        let askers = self.cancels.remove(&(run.clone(), id.to_string()));
        for asker in askers.into_iter().flatten() {
            self.answer_step(&asker, Outcome::Done(json!({})));
        }
    }
}
