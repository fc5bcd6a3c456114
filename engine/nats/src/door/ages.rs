//! For how long commands have been in the inbox that an engine has in its hands.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stead_schemas::time::Timestamp;

/// When each of them arrived, by its place in the inbox.
#[derive(Clone, Default)]
pub(super) struct Ages(Arc<Mutex<BTreeMap<u64, Timestamp>>>);

/// One of them, until this is dropped.
pub(super) struct Aging {
    ages: Ages,
    seq: u64,
}

impl Ages {
    /// A command is in hand that arrived then.
    pub fn enter(&self, seq: u64, arrived: Timestamp) -> Aging {
        self.lock().insert(seq, arrived);
        Aging { ages: self.clone(), seq }
    }

    /// For how long the one has been in the inbox that is there longest.
    pub fn oldest(&self, now: Timestamp) -> Duration {
        let first = self.lock().values().min().copied();
        first.map_or(Duration::ZERO, |arrived| now.since(arrived))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Aging {
    fn drop(&mut self) {
        self.ages.lock().remove(&self.seq);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stead_schemas::time::Timestamp;

    use super::Ages;

    #[test]
    fn the_oldest_command_counts_as_long_as_it_is_in_hand() {
        let ages = Ages::default();
        let at = Timestamp::from_millis;
        assert_eq!(ages.oldest(at(9_000)), Duration::ZERO);
        let _later = ages.enter(2, at(5_000));
        let earlier = ages.enter(7, at(2_000));
        assert_eq!(ages.oldest(at(9_000)), Duration::from_secs(7));
        drop(earlier);
        assert_eq!(ages.oldest(at(9_000)), Duration::from_secs(4));
    }
}
