//! What every adapter of a port must do, as tests that any adapter can call: one function for
//! each promise in `ports`, of the same name.
//!
//! The functions panic when a promise is broken. They use runs and engines of their own, so that
//! several may share one log or one set of leases.

pub mod epochs;
pub mod expiry;
pub mod index;
pub mod leases;
pub mod log;

pub use epochs::{check_archive, check_epochs};
pub use expiry::check_expiry;
pub use index::check_index;
pub use leases::check_leases;
pub use log::{LosesAcknowledgements, check_log};

use std::time::Duration;

use tokio::time::Instant;

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until `holds`, or panics when `within` is over.
async fn until<F: Future<Output = bool>>(
    what: &str,
    within: Duration,
    mut holds: impl FnMut() -> F,
) {
    let deadline = Instant::now() + within;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited {within:?} in vain: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
