//! Leases as an engine reaches them.

use std::sync::Arc;

use async_trait::async_trait;
use stead_runtime::env::LEASE;
use stead_runtime::ports::{LeaseError, Leases};
use stead_schemas::ids::Partition;
use tokio::time::Instant;

use crate::plan::Fault;
use crate::world::World;

/// The leases in memory, as one engine reaches them.
pub struct EngineLeases {
    /// The world.
    pub world: Arc<World>,
    /// The engine's number.
    pub engine: usize,
}

impl EngineLeases {
    async fn reach(&self) -> Result<(), LeaseError> {
        let (span, away) = {
            let mut state = self.world.lock();
            let (slow, away) = (state.strikes(Fault::SlowLease), state.strikes(Fault::Away));
            (state.span(1, if slow { 2_500 } else { 3 }), away)
        };
        tokio::time::sleep(span).await;
        if away {
            return Err(LeaseError("not now".into()));
        }
        Ok(())
    }

    /// Notes until when the engine may act on the partition: counted from when it asked, which may be
    /// answered in another order.
    fn note(&self, partition: Partition, asked: Instant, held: bool) {
        let mut state = self.world.lock();
        if held {
            let until = state.leased.entry((self.engine, partition)).or_insert(asked + LEASE);
            *until = (asked + LEASE).max(*until);
        }
    }
}

#[async_trait]
impl Leases for EngineLeases {
    async fn present(&self, engine: &str) -> Result<usize, LeaseError> {
        self.reach().await?;
        self.world.leases.present(engine).await
    }

    async fn acquire(&self, partition: Partition, engine: &str) -> Result<bool, LeaseError> {
        let asked = Instant::now();
        self.reach().await?;
        let held = self.world.leases.acquire(partition, engine).await?;
        self.note(partition, asked, held);
        Ok(held)
    }

    async fn renew(&self, partition: Partition, engine: &str) -> Result<bool, LeaseError> {
        let asked = Instant::now();
        self.reach().await?;
        let held = self.world.leases.renew(partition, engine).await?;
        self.note(partition, asked, held);
        Ok(held)
    }

    async fn release(&self, partition: Partition, engine: &str) -> Result<(), LeaseError> {
        self.reach().await?;
        self.world.leases.release(partition, engine).await
    }

    async fn leave(&self, engine: &str) -> Result<(), LeaseError> {
        self.reach().await?;
        self.world.leases.leave(engine).await
    }
}
