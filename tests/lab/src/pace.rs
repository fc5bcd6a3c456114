//! Time and chance: how long things take, and seeded ids. With [`Latency::Zero`] nothing waits.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

use crate::options::{GuestTiming, LabOptions, Latency};

/// The lab's only source of delay and of randomness.
pub(crate) struct Pace {
    latency: Latency,
    guest: GuestTiming,
    dice: Mutex<u64>,
}

impl Pace {
    pub(crate) fn new(options: &LabOptions) -> Self {
        // xorshift never leaves zero.
        let dice = Mutex::new(options.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        Self { latency: options.latency, guest: options.guest, dice }
    }

    /// A pseudo-random number, the same for the same seed and order of asking.
    pub(crate) fn roll(&self) -> u64 {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        *dice ^= *dice << 13;
        *dice ^= *dice >> 7;
        *dice ^= *dice << 17;
        *dice
    }

    /// A UUID of version 4.
    pub(crate) fn uuid(&self) -> Uuid {
        let bits = (u128::from(self.roll()) << 64) | u128::from(self.roll());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
    }

    /// One API call: 5 to 30 ms.
    pub(crate) async fn call(&self) {
        if self.latency == Latency::Realistic {
            tokio::time::sleep(Duration::from_millis(5 + self.roll() % 26)).await;
        }
    }

    /// A piece of background work that really takes about `ms`.
    pub(crate) async fn work(&self, ms: u64) {
        if self.latency == Latency::Realistic {
            let spread = self.roll() % (ms / 5 + 1);
            tokio::time::sleep(Duration::from_millis(ms * 9 / 10 + spread)).await;
        }
    }

    /// One stage of a guest's boot.
    pub(crate) async fn stage(&self, ms: u64) {
        match self.guest.stage {
            Some(fixed) => tokio::time::sleep(fixed).await,
            None => self.work(ms).await,
        }
    }

    /// The pause before the guest's report number `attempt` (from 1) is repeated.
    pub(crate) fn retry_pause(&self, attempt: u32) -> Duration {
        let (first, max) = match self.latency {
            Latency::Zero => (Duration::from_millis(20), Duration::from_millis(500)),
            Latency::Realistic => (Duration::from_secs(1), Duration::from_secs(1)),
        };
        let first = self.guest.retry_first.unwrap_or(first);
        let max = self.guest.retry_max.unwrap_or(max);
        first.saturating_mul(1 << attempt.saturating_sub(1).min(10)).min(max)
    }
}
