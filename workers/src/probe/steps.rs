//! What the probe does, which is nothing.

use stead_runtime::worker::StepContext;
use stead_schemas::failure::Failure;
use stead_schemas::step::Done;
use stead_schemas::step::probe::Noop;

/// Answers at once.
pub(super) async fn noop(_: (), _cx: StepContext, _ask: Noop) -> Result<Done, Failure> {
    Ok(Done {})
}
