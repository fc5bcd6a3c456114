//! What runs of some kinds show of themselves and is counted beside what is counted of all: alarms must
//! ring before a token ends, while a pool stays short, and when a backup owes a copy.

use serde::de::DeserializeOwned;
use stead_schemas::command::backup::{self, BackupView};
use stead_schemas::command::pool::PoolView;
use stead_schemas::command::token::{self, TokenView};
use stead_schemas::step::pool;
use stead_schemas::time::Timestamp;

use super::live::Live;

/// An hour, in seconds.
const HOUR: f64 = 3_600.0;

/// What is counted of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// When its token ends.
    TokenEnds(Timestamp),
    /// How many machines a pool has ready, of those that it is to have.
    PoolKeeps { pool: String, ready: u32, wanted: u32 },
    /// Since when a backup owes a proved copy, or from when on it will.
    CopyOwed(Timestamp),
}

/// What is counted of this run, if it is of such a kind.
pub(super) fn shown(live: &Live) -> Option<Shown> {
    match live.run.id().kind() {
        token::KIND => view::<TokenView>(live)?.expires_at.map(Shown::TokenEnds),
        backup::KIND => view::<BackupView>(live)?.owed.map(Shown::CopyOwed),
        pool::KIND => {
            let PoolView { ready, wanted, .. } = view(live)?;
            let pool = live.run.folded().started.as_ref()?.name.clone();
            Some(Shown::PoolKeeps { pool, ready, wanted })
        }
        _ => None,
    }
}

fn view<V: DeserializeOwned>(live: &Live) -> Option<V> {
    serde_json::from_value(live.run.view()?.clone()).ok()
}

/// How many hours lie between the two; less than none if the second is the earlier one.
pub(super) fn hours(from: Timestamp, to: Timestamp) -> f64 {
    (to.since(from).as_secs_f64() - from.since(to).as_secs_f64()) / HOUR
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stead_schemas::time::Timestamp;

    use super::hours;

    #[test]
    fn to_what_is_past_there_are_less_than_no_hours() {
        let now = Timestamp::from_millis(1_000_000);
        let later = now.after(Duration::from_secs(90 * 60));
        assert!((hours(now, later) - 1.5).abs() < 1e-9);
        assert!((hours(later, now) + 1.5).abs() < 1e-9);
    }
}
