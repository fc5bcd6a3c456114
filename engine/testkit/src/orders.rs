//! What people do to a run by hand on the stage: the same as at an engine, and refused where that
//! refuses it.

use alloc::string::ToString;
use alloc::vec::Vec;

use stead_core::order::Beside;
use stead_schemas::dispatch::{Caller, RunOrder, StepAddress};
use stead_schemas::event::{ByHand, Seq};
use stead_schemas::ids::RunId;
use stead_schemas::refusal::Refusal;

use crate::stage::Stage;
use crate::world::World;

impl<W: World> Stage<W> {
    /// Does something to a run by hand, and leaves it at that. While a run is paused no step of it is
    /// carried out and no timer fires.
    ///
    /// # Errors
    /// In words, if it makes no sense where the run stands.
    pub fn order(&mut self, run: &RunId, order: &RunOrder, why: &str) -> Result<(), Refusal> {
        let living = self.runs.get(run).filter(|actor| actor.run.folded().ended.is_none());
        let Some(actor) = living else {
            let words = "the run is over; nothing can be done to it any more";
            return Err(Refusal::new("run.over", words));
        };
        let by = ByHand { by: Caller::Api, why: why.to_string(), id: None };
        let waits = |seq| Some(self.is_to_do(run, seq));
        let events = actor.run.order(order, by, &Beside { waits: &waits, queued: &[] })?;
        self.take(run, events);
        Ok(())
    }

    /// Stops what a run does and lets it take that back. False if there is nothing to stop.
    pub fn cancel(&mut self, run: &RunId, why: &str) -> bool {
        self.order(run, &RunOrder::Cancel, why).is_ok()
    }

    /// Whether there is anything to stop.
    #[must_use]
    pub fn can_cancel(&self, run: &RunId) -> bool {
        self.runs.get(run).is_some_and(|actor| actor.run.can_cancel())
    }

    /// The steps of a run that are open, by their numbers: what an order may name.
    #[must_use]
    pub fn open_steps(&self, run: &RunId) -> Vec<(Seq, &str)> {
        let steps = self.runs.get(run).map(|actor| &actor.run.folded().steps);
        let open = steps.into_iter().flatten();
        open.map(|(seq, open)| (*seq, open.step.step.as_str())).collect()
    }

    /// Whether any run waits for a signal now.
    pub(crate) fn awaits_signal(&self) -> bool {
        self.runs.values().any(|actor| !actor.run.awaited().is_empty())
    }

    pub(crate) fn is_paused(&self, run: &RunId) -> bool {
        self.runs.get(run).is_some_and(|actor| actor.run.folded().paused.is_some())
    }

    /// Whether a step waits for its turn; otherwise somebody else has been asked.
    fn is_to_do(&self, run: &RunId, seq: Seq) -> bool {
        self.to_do.contains(&StepAddress { run: run.clone(), seq })
    }
}
