//! What every adapter of a port must do, as tests that any adapter can call: one function for
//! each promise in `ports` and `harness_ports`, of the same name.
//!
//! The functions panic when a promise is broken. They use runs, engines and systems of their own,
//! so that several may share one log, one bus or one set of leases.

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

#[cfg(test)]
mod tests {
    /// Where promises stand.
    const PORTS: [&str; 3] = [
        include_str!("../ports.rs"),
        include_str!("../ports/epochs.rs"),
        include_str!("../harness_ports.rs"),
    ];
    /// Where they are checked.
    const SUITE: [&str; 8] = [
        include_str!("bus.rs"),
        include_str!("epochs.rs"),
        include_str!("expiry.rs"),
        include_str!("inboxes.rs"),
        include_str!("index.rs"),
        include_str!("leases.rs"),
        include_str!("link.rs"),
        include_str!("log.rs"),
    ];

    #[test]
    fn each_promise_of_a_port_is_checked() {
        let lines = PORTS.iter().flat_map(|port| port.lines());
        let named = lines.filter_map(|line| line.strip_prefix("/// * `")?.strip_suffix('`'));
        let named: Vec<&str> = named.collect();
        assert!(named.len() > 30, "{named:?}");
        for name in named {
            let (made, called) = (format!("fn {name}("), format!(" {name}("));
            let checks = |file: &&str| file.contains(&made) && file.matches(&called).count() > 1;
            assert!(SUITE.iter().any(checks), "nobody checks `{name}`");
        }
    }
}
