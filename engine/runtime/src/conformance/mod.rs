//! What every adapter of a port must do, as tests that any adapter can call: one function for
//! each promise in `ports`, of the same name.
//!
//! The functions panic when a promise is broken. They use runs and engines of their own, so that
//! several may share one log or one set of leases.

pub mod bus;
pub mod ends;
pub mod epochs;
pub mod expiry;
pub mod inboxes;
pub mod index;
pub mod leases;
pub mod link;
pub mod log;

pub use bus::check_bus;
pub use ends::{Ends, Engine, Link};
pub use epochs::{check_archive, check_epochs};
pub use expiry::check_expiry;
pub use inboxes::check_inboxes;
pub use index::check_index;
pub use leases::check_leases;
pub use link::check_link;
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
