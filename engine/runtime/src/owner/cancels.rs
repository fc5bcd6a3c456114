//! A run wants a command cancelled that it gave to an entity of this partition before. It asks
//! until it hears that the command is over, so nothing of it needs to be kept. A command that has
//! not come yet is given up: if it is only late, it is refused.

use stead_schemas::dispatch::{Caller, EntityCommand, StepAddress, StepReply};
use stead_schemas::event::{CancelRequested, Event, Outcome};
use stead_schemas::ids::RunId;
use stead_schemas::step::Done;

use super::Owner;
use crate::ports::Outgoing;

impl Owner {
    /// Cancels the command, or says that it is over already.
    pub(super) fn cancel_command(&mut self, command: &EntityCommand, asker: StepAddress) {
        let id = command.fields.get("command").and_then(|id| id.as_str()).unwrap_or_default();
        let key = command.key();
        let known = self.entities.command(&key, id);
        if known.is_none() {
            self.entities.give_up(&key, id);
            // An owner before may have let it in since the log was read.
            if !self.tail.is_alone() {
                return self.is_at_it(asker);
            }
        }
        let run = known.map(|known| key.run(known.life)).filter(|run| self.is_open(run, id));
        let Some(run) = run else {
            return self.cancelled(asker);
        };
        self.is_at_it(asker.clone());
        if let Some(live) = self.runs.get_mut(&run) {
            let askers = live.cancels.entry(id.to_owned()).or_default();
            if !askers.contains(&asker) {
                askers.push(asker);
            }
        }
        self.press_cancel(&run);
    }

    /// Whether the command is not over: in the log without an outcome, or on its way there. One whose
    /// outcome is decided and not yet in the log is not over either.
    fn is_open(&self, run: &RunId, id: &str) -> bool {
        self.runs.get(run).is_some_and(|live| match live.run.folded().command(id) {
            Some(known) => known.outcome.is_none() || live.is_writing_end_of(id),
            None => live.askers.contains_key(id),
        })
    }

    /// Stops what the run does if it is the command that is to be cancelled. One whose turn has not
    /// come waits for it.
    fn press_cancel(&mut self, run: &RunId) {
        let Some(live) = self.runs.get(run) else { return };
        let under_way = live.run.command_under_way();
        let asker = |id: &str| live.cancels.get(id).and_then(|askers| askers.first());
        let Some((id, asker)) = under_way.and_then(|id| Some((id.to_owned(), asker(id)?.clone())))
        else {
            return;
        };
        // It is asked again and again. What a parked run is told it would never take in.
        if !live.run.can_cancel() || live.parked.is_some() || live.is_being_cancelled() {
            return;
        }
        let why = "the run that had asked for this no longer wants it".to_owned();
        let by = Caller::Run(asker);
        tracing::debug!(%run, id, "cancels a command for its parent");
        let cancel = CancelRequested { by, why, command: Some(id), id: None };
        self.take(run, Event::CancelRequested(cancel));
    }

    /// A command is over: those who wanted it cancelled hear so, and the next one's turn comes.
    pub(super) fn cancel_pressed(&mut self, run: &RunId, id: &str) {
        let askers = self.runs.get_mut(run).and_then(|live| live.cancels.remove(id));
        for asker in askers.into_iter().flatten() {
            self.cancelled(asker);
        }
        self.press_cancel(run);
    }

    /// It is heard, and asked again meanwhile.
    fn is_at_it(&self, asker: StepAddress) {
        let (to, reply) = (asker.run.partition(self.env.partitions), StepReply::Queued);
        self.send(Outgoing::Answer { to, address: asker, reply });
    }

    fn cancelled(&self, asker: StepAddress) {
        let done = serde_json::to_value(Done {}).unwrap_or_default();
        self.answer_step(asker, &Outcome::Done(done));
    }
}
