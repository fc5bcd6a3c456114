//! What metrics show in these tests.

use std::ops::Deref;

use stead_runtime::metric::REASONS;
use stead_runtime::metric::kept::Kept;

use crate::desk::on_simulated_time;

/// What was counted.
#[derive(Clone, Default)]
pub struct Shown(Kept);

impl Deref for Shown {
    type Target = Kept;

    fn deref(&self) -> &Kept {
        &self.0
    }
}

impl Shown {
    /// How many runs wait, by reason, where any do.
    pub fn waiting(&self) -> Vec<(&'static str, f64)> {
        let all = REASONS.map(|reason| (reason, self.gauge("stead_runs_waiting", reason)));
        all.into_iter().filter(|(_, count)| *count > 0.0).collect()
    }
}

/// Runs a story on simulated time, of which metrics are shown.
pub fn shown<S: Future<Output = ()>>(story: impl FnOnce(Shown) -> S) {
    let shown = Shown::default();
    shown.during(|| on_simulated_time(story(shown.clone())));
}
