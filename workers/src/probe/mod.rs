//! The probe: a step that does nothing, to see and to measure the whole path.

mod steps;

use stead_runtime::worker::Worker;

/// The table of steps.
#[must_use]
pub fn worker() -> Worker<()> {
    Worker::new("probe", ()).on(steps::noop)
}
