//! Places of steps that are settled while somebody may be at them: a step that was skipped, dropped
//! or abandoned, or whose run was terminated. Its worker was told to stop; until it has answered, or
//! has had its time, its place is kept. Of such a step nothing else is in memory, and its run may be
//! over. The next owner knows nothing of it: then the place ends with its lease.

use stead_schemas::dispatch::{StepAddress, StepReply};
use stead_schemas::event::Seq;
use stead_schemas::ids::RunId;
use stead_schemas::limit::PlaceWanted;
use stead_schemas::proof::Proof;
use tokio::time::Instant;

use super::Owner;
use super::gate::Place;
use crate::keeper::RENEW;

/// See the module's head.
pub(super) struct Leaving {
    place: Box<Place>,
    /// What the one worker shows that may be at it; nothing where there may be more than one.
    proof: Option<Proof>,
}

impl Owner {
    /// The step is settled and its worker was told to stop.
    pub(super) fn leave_when_stopped(&mut self, run: &RunId, seq: Seq) {
        let until = Instant::now() + self.env.tuning.grace;
        let live = self.runs.get_mut(run);
        let Some(attempt) = live.and_then(|live| live.attempts.get_mut(&seq)) else { return };
        let is_loose = attempt.loose;
        let proof = attempt.proof.take().filter(|_| !is_loose);
        // Where nobody has heard the last attempt, or its turn has not come, somebody may be at an
        // earlier one.
        let place = attempt.place.take_if(|place| place.is_at_work || is_loose);
        if let Some(mut place) = place {
            place.leaves.get_or_insert(until);
            let step = StepAddress { run: run.clone(), seq };
            self.gate.leaving.insert(step, Leaving { place, proof });
            self.tend_leaving(run, seq);
        }
    }

    /// Says of a step that is leaving that it has its place still, or has left; whether it is one.
    pub(super) fn tend_leaving(&mut self, run: &RunId, seq: Seq) -> bool {
        let (step, now) = (StepAddress { run: run.clone(), seq }, Instant::now());
        let Some(mut leaving) = self.gate.leaving.remove(&step) else { return false };
        let place = &mut leaving.place;
        let until = place.leaves.unwrap_or(now);
        if until <= now {
            self.give_back(place);
            return true;
        }
        let before = std::mem::replace(&mut place.due, until.min(now + RENEW));
        self.gate.due.remove(&(before, run.clone(), seq));
        self.gate.due.insert((place.due, run.clone(), seq));
        let asks = self.gate.ask_all(place, PlaceWanted::Stay);
        self.gate.leaving.insert(step, leaving);
        self.say(asks);
        true
    }

    /// If this is the last word of a worker that was told to stop, its place is given back.
    pub(super) fn has_stopped(
        &mut self,
        step: &StepAddress,
        proof: Option<&Proof>,
        reply: &StepReply,
    ) {
        let Some(leaving) = self.gate.leaving.get(step) else { return };
        if reply.is_end() && proof.is_some() && proof == leaving.proof.as_ref() {
            self.gate.leaving.remove(step).into_iter().for_each(|it| self.give_back(&it.place));
        }
    }
}
