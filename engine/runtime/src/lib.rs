//! The engine around the pure core: the partition owner, its ports, timers, the worker harness.
//!
//! This room knows no broker and no database. It speaks to them through `ports.rs` and
//! `harness_ports.rs`. What a port promises is checked by one suite (`conformance/`) on every
//! adapter: those in memory, the simulated ones, those that serve, on one server and on a cluster
//! of three. A clock promises nothing.

pub mod archive;
pub mod checkup;
pub mod conformance;
pub mod engine;
pub mod env;
pub mod exchange;
pub mod harness;
mod harness_cancels;
pub mod harness_ports;
pub mod inbound;
pub mod keeper;
pub mod lease;
pub mod memory;
pub mod metric;
pub mod owner;
pub mod page;
pub mod ports;
pub mod thread;
pub mod trace;
pub mod vital;
pub mod worker;
