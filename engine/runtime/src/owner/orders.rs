//! What people do to a run by hand. Every order is an event with its reason, and one that makes
//! no sense where the run stands is refused in words: `stead-core` knows which (`order.rs`).

use stead_core::order::Beside;
use stead_schemas::dispatch::{OrderRun, RunOrder};
use stead_schemas::event::{Event, Signal};
use stead_schemas::refusal::Refusal;

use super::Owner;
use super::attempts::{Attempt, Phase};
use super::live::{Live, Tell};
use super::parked::{Parked, refused};
use crate::inbound::{OrderReply, encoded};
use crate::ports::{Outgoing, ReplyTo};

/// The order does not fit any more.
pub(super) const LATE: &str = "run.order-late";

impl Owner {
    /// Takes an order in, or refuses it; in either case says so, but an acceptance only once it is
    /// in the log.
    pub(super) fn order(&mut self, order: OrderRun, to: ReplyTo) {
        let known = |live: &Live| {
            let id = order.by.id.as_deref();
            id.is_some_and(|id| live.run.folded().knows_order(id))
        };
        let live = self.runs.get_mut(&order.run);
        if let Some(live) = live.filter(|live| live.parked.is_none() && known(live)) {
            // In memory a run may be ahead of the log.
            if let Some(writing) = &mut live.writing {
                return writing.tell.push(Tell::Order(to));
            }
            return self.reply_to_order(to, &Ok(()));
        }
        let parked = self.runs.get(&order.run).and_then(|live| live.parked.as_ref());
        if order.order == RunOrder::Terminate && parked.is_some_and(Parked::may_be_ended) {
            return self.terminate_parked(order, to);
        }
        let events = match self.events_of(&order) {
            Ok(events) => events,
            Err(refusal) => return self.reply_to_order(to, &Err(refusal)),
        };
        let Some(live) = self.runs.get_mut(&order.run) else { return };
        live.queue_together(events, Some(Tell::Order(to)));
        self.advance(&order.run);
    }

    fn events_of(&self, order: &OrderRun) -> Result<Vec<Event>, Refusal> {
        let live = self.runs.get(&order.run).ok_or_else(|| {
            Refusal::new("run.over", "the run is over; nothing can be done to it any more")
        })?;
        if let Some(parked) = &live.parked {
            return Err(refused(parked));
        }
        let is_idle = |attempt: &Attempt| attempt.give_up.is_none() && attempt.phase.is_idle();
        let waits = |seq| live.attempts.get(&seq).map(is_idle);
        let queued = live.queue.iter().filter_map(|fact| match &fact.event {
            Event::SignalReceived(received) => Some(&received.signal),
            _ => None,
        });
        let queued: Vec<&Signal> = queued.collect();
        live.run.order(&order.order, order.by.clone(), &Beside { waits: &waits, queued: &queued })
    }

    /// The run has changed while the order was on its way into the history.
    pub(super) fn order_came_late(&self, to: ReplyTo) {
        let words = "the run went on in the same moment, and the order no longer fits; look again";
        self.reply_to_order(to, &Err(Refusal::new(LATE, words)));
    }

    pub(super) fn reply_to_order(&self, to: ReplyTo, reply: &OrderReply) {
        self.send(Outgoing::Reply { to, bytes: encoded(reply) });
    }
}

impl Phase {
    /// Whether nobody is at work on the step just now.
    const fn is_idle(self) -> bool {
        match self {
            Self::Pausing | Self::NoListener | Self::Limit | Self::Stuck | Self::Held => true,
            Self::Sent { .. } | Self::Queued { .. } | Self::Outside | Self::Over => false,
        }
    }
}
