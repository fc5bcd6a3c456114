//! Leases in memory that end as JetStream's do: after whole seconds, on tokio's clock.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use stead_schemas::ids::Partition;
use tokio::time::Instant;

use crate::env::LEASE;
use crate::ports::{LeaseError, Leases};

/// Leases in memory.
#[derive(Default)]
pub struct MemoryLeases {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    partitions: HashMap<Partition, Lease>,
    engines: HashMap<String, Instant>,
    away: bool,
}

struct Lease {
    engine: String,
    ends: Instant,
}

impl MemoryLeases {
    /// Nobody holds anything.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Loses everything, as when the stream of leases is deleted.
    pub fn forget(&self) {
        let mut held = self.lock();
        held.partitions.clear();
        held.engines.clear();
    }

    /// While they are away, nothing can be asked; what is held goes on to its end.
    pub fn set_away(&self, away: bool) {
        self.lock().away = away;
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Result<MutexGuard<'_, Held>, LeaseError> {
        let mut held = self.lock();
        if held.away {
            return Err(LeaseError("they are away".into()));
        }
        let now = Instant::now();
        held.partitions.retain(|_, lease| lease.ends > now);
        held.engines.retain(|_, ends| *ends > now);
        Ok(held)
    }
}

fn lease(engine: &str) -> Lease {
    Lease { engine: engine.to_string(), ends: Instant::now() + LEASE }
}

impl Held {
    fn is_held_by(&self, partition: Partition, engine: &str) -> bool {
        self.partitions.get(&partition).is_some_and(|lease| lease.engine == engine)
    }
}

#[async_trait]
impl Leases for MemoryLeases {
    async fn present(&self, engine: &str) -> Result<usize, LeaseError> {
        let mut held = self.now()?;
        held.engines.insert(engine.to_string(), Instant::now() + LEASE);
        Ok(held.engines.len())
    }

    async fn acquire(&self, partition: Partition, engine: &str) -> Result<bool, LeaseError> {
        let mut held = self.now()?;
        if held.partitions.contains_key(&partition) && !held.is_held_by(partition, engine) {
            return Ok(false);
        }
        held.partitions.insert(partition, lease(engine));
        Ok(true)
    }

    async fn renew(&self, partition: Partition, engine: &str) -> Result<bool, LeaseError> {
        let mut held = self.now()?;
        if !held.is_held_by(partition, engine) {
            return Ok(false);
        }
        held.partitions.insert(partition, lease(engine));
        Ok(true)
    }

    async fn release(&self, partition: Partition, engine: &str) -> Result<(), LeaseError> {
        let mut held = self.now()?;
        if held.is_held_by(partition, engine) {
            held.partitions.remove(&partition);
        }
        Ok(())
    }

    async fn leave(&self, engine: &str) -> Result<(), LeaseError> {
        self.now()?.engines.remove(engine);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use stead_schemas::ids::Partition;

    use super::MemoryLeases;
    use crate::conformance::check_leases;

    #[tokio::test(start_paused = true)]
    async fn they_keep_the_promises_of_leases() {
        check_leases(&MemoryLeases::new(), Partition(0)).await;
    }
}
