//! What an owner's desk stands on: a bus that keeps what was sent, a wall clock that may jump.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use stead_runtime::inbound::Inbound;
use stead_runtime::ports::{Bus, Clock, InboxError, Inboxes, Outgoing, ReplyTo};
use stead_schemas::ids::Partition;
use stead_schemas::time::Timestamp;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Everything that was sent, oldest first.
#[derive(Default)]
pub struct Sent {
    pub all: Mutex<VecDeque<Outgoing>>,
    /// Whose inbox is asked the next question as soon as the last one is answered.
    pub flood: OnceLock<mpsc::UnboundedSender<Inbound>>,
}

/// The question that is never the last one.
pub fn flood() -> Inbound {
    Inbound::Limits(ReplyTo("flood".into()))
}

impl Bus for Sent {
    fn send(&self, message: Outgoing) {
        match (self.flood.get(), &message) {
            (Some(inbox), Outgoing::Reply { to, .. }) if to.0 == "flood" => {
                // Nobody listens once the owner has gone.
                inbox.send(flood()).ok();
            }
            _ => self.all.lock().unwrap().push_back(message),
        }
    }
}

pub struct NoInboxes;

#[async_trait::async_trait]
impl Inboxes for NoInboxes {
    async fn open(&self, _: Partition) -> Result<mpsc::UnboundedReceiver<Inbound>, InboxError> {
        Err(InboxError("not here".into()))
    }
}

/// The wall clock goes with tokio's simulated one, but for its jumps.
pub struct SimulatedClock {
    began: Instant,
    jumped_ms: AtomicI64,
}

impl SimulatedClock {
    pub fn since(began: Instant) -> Arc<Self> {
        Arc::new(Self { began, jumped_ms: AtomicI64::new(0) })
    }

    pub fn jump(&self, by_ms: i64) {
        self.jumped_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Timestamp {
        let begun = 1_700_000_000_000 + self.jumped_ms.load(Ordering::Relaxed);
        Timestamp::from_millis(begun).after(self.began.elapsed())
    }
}
