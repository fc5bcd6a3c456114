//! The engine around the pure core: the partition owner, its ports, timers, the worker harness.
//!
//! This room knows no broker and no database. It speaks to them through `ports.rs`. What log,
//! epochs, archive and leases promise is checked by one suite (`conformance/`) on every adapter: the
//! one in memory, the simulated one, a server and a cluster of three.

pub mod archive;
pub mod checkup;
pub mod conformance;
pub mod engine;
pub mod env;
pub mod exchange;
pub mod harness;
pub mod harness_ports;
pub mod inbound;
pub mod keeper;
pub mod lease;
pub mod memory;
pub mod metric;
pub mod owner;
pub mod ports;
pub mod trace;
pub mod worker;
