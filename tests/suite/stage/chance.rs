//! Random choices that can be made again.

use std::time::{SystemTime, UNIX_EPOCH};

/// A source of choices; its seed belongs into every message of a test that uses it.
pub struct Chance {
    pub seed: u64,
    state: u64,
}

impl Chance {
    /// From `STEAD_TEST_SEED`, else from the time.
    pub fn new() -> Self {
        let named = std::env::var("STEAD_TEST_SEED").ok();
        Self::of(named.map_or_else(of_now, |text| text.parse().expect("a number")))
    }

    /// From this seed.
    pub const fn of(seed: u64) -> Self {
        // xorshift never leaves zero.
        Self { seed, state: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1 }
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state >> 33).unwrap_or(0) % limit
    }
}

fn of_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default() % 1_000_000
}
