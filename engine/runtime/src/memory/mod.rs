//! The ports in memory, for tests: they pass the same conformance suite as the real ones, and
//! have the same faults on demand.

pub mod archive;
mod epochs;
pub mod index;
pub mod leases;
pub mod log;

pub use archive::MemoryArchive;
pub use index::MemoryIndex;
pub use leases::MemoryLeases;
pub use log::MemoryLog;
