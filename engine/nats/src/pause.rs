//! The wait between two attempts: short at first, then longer, up to a limit.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(10);
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(2);

/// Waits that double.
#[derive(Debug)]
pub(crate) struct Pause {
    next: Duration,
}

impl Pause {
    /// Starts with the shortest wait.
    pub(crate) fn new() -> Self {
        Self { next: FIRST }
    }

    /// Waits once.
    pub(crate) async fn wait(&mut self) {
        let span = self.next;
        self.next = (span * 2).min(LONGEST);
        tokio::time::sleep(span).await;
    }
}
