//! Timers are due by the wall clock, and an owner waits by the monotonic one. Where the two part,
//! because somebody set the clock or the machine was suspended, what was waited for is late: it is
//! looked at again.

use std::time::Duration;

use stead_schemas::event::Seq;
use stead_schemas::ids::RunId;
use stead_schemas::time::Timestamp;
use tokio::time::Instant;

use super::Owner;

/// Clocks that have parted by less are let be. By so much, and by the time between two looks, a timer
/// may be late.
const PARTED: Duration = Duration::from_millis(200);

/// What both clocks showed when they were last found to agree, or to have parted.
pub(super) struct Clocks {
    wall: Timestamp,
    monotonic: Instant,
}

impl Clocks {
    /// They are taken to agree now.
    pub fn new(wall: Timestamp) -> Self {
        Self { wall, monotonic: Instant::now() }
    }

    /// By how much the wall clock has run ahead, if they have parted. From now on they are taken to
    /// agree again.
    fn ahead(&mut self, wall: Timestamp, now: Instant) -> Option<Duration> {
        let expected = self.wall.after(now.saturating_duration_since(self.monotonic));
        let (ahead, behind) = (wall.since(expected), expected.since(wall));
        if ahead.max(behind) < PARTED {
            return None;
        }
        *self = Self { wall, monotonic: now };
        Some(ahead)
    }
}

impl Owner {
    /// Looks whether the clocks have parted. What comes due too early then is waited for again when its
    /// time has come; what would come due too late is due earlier from now on.
    pub(super) fn compare_clocks(&mut self, now: Instant) {
        let Some(ahead) = self.clocks.ahead(self.env.ports.clock.now(), now) else { return };
        if ahead.is_zero() {
            return;
        }
        let timers = self.wakes.iter().filter(|(_, run, seq)| self.is_timer(run, *seq)).cloned();
        for (when, run, seq) in timers.collect::<Vec<_>>() {
            let sooner = when.checked_sub(ahead).unwrap_or(now);
            self.wakes.remove(&(when, run.clone(), seq));
            self.wakes.insert((sooner, run, seq));
        }
        tracing::warn!(partition = %self.partition, ?ahead, "the clock has jumped, or the machine was suspended");
    }

    /// Whether a timer is waited for. A run that is not in memory waits for nothing else.
    fn is_timer(&self, run: &RunId, seq: Seq) -> bool {
        let live = self.runs.get(run);
        live.map_or_else(|| self.idle.has(run), |live| live.run.folded().timers.contains_key(&seq))
    }
}
