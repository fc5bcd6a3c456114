//! How often a step asks whether something has happened: at once, then ever more seldom.

use std::time::Duration;

use stead_runtime::worker::StepContext;
use stead_schemas::failure::Failure;

/// The growing pauses of one waiting loop.
pub(crate) struct Pace {
    next: Duration,
    longest: Duration,
}

impl Pace {
    /// Pauses of `first`, then each 1.6 times the one before, `longest` at most.
    pub(crate) const fn new(first: Duration, longest: Duration) -> Self {
        Self { next: first, longest }
    }

    /// How long to pause now.
    pub(crate) fn step(&mut self) -> Duration {
        let pause = self.next;
        self.next = self.next.mul_f64(1.6).min(self.longest);
        pause
    }

    /// Waits, and fails at once if nobody waits for the step any more.
    pub(crate) async fn pause(&mut self, cx: &StepContext) -> Result<(), Failure> {
        let pause = self.step();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = cx.cancelled() => {}
        }
        cx.still_wanted()
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;
    use std::time::Duration;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let mut pace = Pace::new(Duration::from_millis(100), Duration::from_millis(200));
        let pauses: Vec<_> = (0..4).map(|_| pace.step().as_millis()).collect();
        assert_eq!(pauses, [100, 160, 200, 200]);
    }
}
