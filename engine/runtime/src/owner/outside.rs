//! Steps that nobody is sent for: somebody outside reports by himself, as a guest does that boots.

use stead_schemas::dispatch::{OutsideAnswer, OutsideReply, Route, StepReply};
use stead_schemas::event::{Event, StepCompleted, StepFailed};

use super::Owner;
use super::live::{Fact, Tell};
use crate::inbound::encoded;
use crate::ports::{Outgoing, ReplyTo};

impl Owner {
    /// An answer that nobody was sent for.
    pub(super) fn outside(&mut self, answer: OutsideAnswer, to: ReplyTo) {
        // A parked run would never take it in: whoever reports comes again.
        let goes_on = self.runs.get(&answer.run).filter(|live| live.parked.is_none());
        let waiting = goes_on.and_then(|live| {
            let mut open = live.run.folded().steps.values();
            open.find(|open| open.step.route == Route::Outside && open.step.step == answer.step)
        });
        let Some(seq) = waiting.map(|open| open.step.seq) else {
            let bytes = encoded(&OutsideReply::NotWaiting);
            return self.send(Outgoing::Reply { to, bytes });
        };
        let event = match answer.reply {
            StepReply::Done(answer) => {
                Event::StepCompleted(StepCompleted { seq, answer, attempts: 1, met: None })
            }
            StepReply::Failed(failure) => {
                let failure = failure.at(&answer.step);
                Event::StepFailed(StepFailed { seq, failure, attempts: 1 })
            }
            // How far it is out there is told and shown, and written nowhere.
            alive @ (StepReply::Heartbeat { .. } | StepReply::Queued) => {
                if let StepReply::Heartbeat { progress } = alive {
                    self.heartbeat(&answer.run, seq, progress);
                }
                let bytes = encoded(&OutsideReply::Accepted);
                return self.send(Outgoing::Reply { to, bytes });
            }
        };
        let tell = Some(Tell::Outside(to));
        self.take(&answer.run, Fact { tell, ..event.into() });
    }
}
