//! Puts commands that are given out again in order.
//!
//! The server gives them out before all others, but in the order in which they fell due: one
//! about which the engine before had said a word later comes later. They come at once, so a short
//! wait sees them all.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// How long the rest may take to come.
const THE_REST: Duration = Duration::from_millis(300);

/// What has come and was not begun yet, by its number.
#[derive(Debug)]
pub(super) struct InOrder<T> {
    waiting: BTreeMap<u64, T>,
    until: Option<Instant>,
}

impl<T> Default for InOrder<T> {
    fn default() -> Self {
        Self { waiting: BTreeMap::new(), until: None }
    }
}

impl<T> InOrder<T> {
    /// Takes in what has come: for the first time, or `again`.
    pub(super) fn put(&mut self, seq: u64, again: bool, letter: T, now: Instant) {
        let until = match self.until {
            // Something new comes after all that is due again.
            _ if !again => now,
            None => now + THE_REST,
            Some(until) => until,
        };
        self.until = Some(until);
        self.waiting.insert(seq, letter);
    }

    /// When to ask for what is ready, if something waits.
    pub(super) const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Everything, in order, unless there may be more to come.
    pub(super) fn ready(&mut self, now: Instant) -> impl Iterator<Item = T> + use<T> {
        let over = self.until.is_some_and(|until| until <= now);
        let ready = if over { std::mem::take(self) } else { Self::default() };
        ready.waiting.into_values()
    }

    /// Everything, in order.
    pub(super) fn all(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(self).waiting.into_values()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::{InOrder, THE_REST};

    fn numbers(letters: impl Iterator<Item = u64>) -> Vec<u64> {
        letters.collect()
    }

    #[test]
    fn something_new_is_not_kept_waiting() {
        let (mut arrived, now) = (InOrder::default(), Instant::now());
        arrived.put(7, false, 7, now);
        assert_eq!(numbers(arrived.ready(now)), [7]);
        assert_eq!(arrived.until(), None);
    }

    #[test]
    fn what_is_given_again_is_put_in_order() {
        let (mut arrived, now) = (InOrder::default(), Instant::now());
        for seq in [5, 3, 4] {
            arrived.put(seq, true, seq, now);
            assert_eq!(arrived.ready(now).count(), 0);
        }
        arrived.put(6, false, 6, now);
        assert_eq!(numbers(arrived.ready(now)), [3, 4, 5, 6]);
    }

    #[test]
    fn it_waits_only_so_long_for_the_rest() {
        let (mut arrived, now) = (InOrder::default(), Instant::now());
        arrived.put(5, true, 5, now);
        arrived.put(4, true, 4, now + THE_REST / 2);
        assert_eq!(arrived.until(), Some(now + THE_REST));
        assert_eq!(numbers(arrived.ready(now + THE_REST)), [4, 5]);
    }
}
