//! Cancels that have come: a step that is still on its way to its worker, or waits there for its
//! turn, must not be begun behind one, when what it would do is undone already.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use stead_schemas::dispatch::{StepAddress, StepCancel, StepRequest};
use tokio::time::Instant;

/// The most that are remembered: every worker hears of all that are cancelled anywhere.
const KEPT: usize = 8_192;

/// See the module's head.
pub(crate) struct Cancels {
    /// For how long one counts.
    keep: Duration,
    heard: HashMap<StepAddress, (StepCancel, Instant)>,
    /// Oldest first; those that were said again since are not in order.
    order: VecDeque<(Instant, StepAddress)>,
}

impl Cancels {
    /// None yet. Each counts for so long.
    pub(crate) fn new(keep: Duration) -> Self {
        Self { keep, heard: HashMap::new(), order: VecDeque::new() }
    }

    /// A cancel has come.
    pub(crate) fn hear(&mut self, cancel: StepCancel) {
        self.forget();
        if cancel.attempt == 0 {
            return;
        }
        let now = Instant::now();
        self.order.push_back((now, cancel.address.clone()));
        self.heard.insert(cancel.address.clone(), (cancel, now));
    }

    /// Whether this request was cancelled before it came.
    pub(crate) fn forbid(&mut self, request: &StepRequest) -> bool {
        self.forget();
        let cancel = self.heard.get(&request.address);
        cancel.is_some_and(|(cancel, _)| cancel.forbids(request.attempt))
    }

    fn forget(&mut self) {
        let now = Instant::now();
        while let Some((heard, _)) = self.order.front() {
            if now < *heard + self.keep && self.order.len() < KEPT {
                return;
            }
            let Some((heard, address)) = self.order.pop_front() else { return };
            if self.heard.get(&address).is_some_and(|(_, last)| *last == heard) {
                self.heard.remove(&address);
            }
        }
    }
}
