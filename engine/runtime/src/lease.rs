//! How long this process may believe that it owns a partition.

use std::cell::Cell;

use tokio::time::Instant;

/// The end of a lease by this machine's monotonic clock, which goes on while the process is
/// frozen: the first look after a thaw tells the truth. While the whole machine is suspended that
/// clock stands still; there compare-and-set and the epochs have to do.
pub struct LeaseClock {
    until: Cell<Instant>,
}

impl LeaseClock {
    /// A lease until `until`.
    #[must_use]
    pub const fn new(until: Instant) -> Self {
        Self { until: Cell::new(until) }
    }

    /// The lease has been renewed. Renewals may be answered in another order than they were asked for.
    pub fn renewed(&self, until: Instant) {
        self.until.set(until.max(self.until.get()));
    }

    /// Ends the lease now.
    pub fn end(&self) {
        self.until.set(Instant::now());
    }

    /// When it ends.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.until.get()
    }

    /// Whether it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.until.get()
    }
}
