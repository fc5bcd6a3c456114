//! The runtime's ports on NATS JetStream: the event log, the bus, the leases, and the doors by
//! which commands come in.
//!
//! This is the only room that knows the broker. It decides nothing about runs: it carries
//! messages, and settles what a lost acknowledgement left open.
//!
//! Read next: `connect.rs`, `platform/mod.rs` (what is set up on the server), `log/mod.rs`.

pub mod access;
pub mod archive;
pub mod backup;
pub mod bus;
pub mod checkup;
pub mod client;
pub mod connect;
pub mod door;
pub mod inboxes;
pub mod inspect;
mod jetstream;
pub mod leases;
pub mod log;
mod once;
mod outbox;
pub mod partition;
mod pause;
pub mod platform;
pub mod seal;
#[cfg(feature = "testing")]
pub mod testing;
pub mod worker_link;

pub use archive::NatsArchive;
pub use bus::NatsBus;
pub use client::SteadClient;
pub use connect::{ConnectError, ConnectSettings, Connection, Login, connect};
pub use inboxes::NatsInboxes;
pub use leases::NatsLeases;
pub use log::{Behind, NatsLog, Placed};
pub use partition::subscribe_partition;
pub use platform::{Platform, PlatformError, PlatformSettings, open_platform};
pub use seal::Keys;
