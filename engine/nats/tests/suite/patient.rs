//! Log, archive and leases as whoever tries again sees them, while servers die.
//!
//! What is never left open (an append, the end of an epoch, a record, a tombstone) is asked once.
//! Everything else may be refused meanwhile, and is asked again, as engines do.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use stead_nats::{NatsArchive, NatsLeases, NatsLog};
use stead_runtime::ports::{
    Append, AppendError, Archive, Claim, Closing, Epochs, EventLog, Expiry, Lasts, LeaseError,
    Leases, LogError, Recorded,
};
use stead_schemas::ids::{Partition, RunId};
use tokio::time::Instant;

/// How long something may be refused: longer than it takes to choose new leaders, on a machine
/// that is busy with other things.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// The pause before something is asked again.
const PAUSE: Duration = Duration::from_millis(50);
/// So often the same refusal is an answer, where others are given meanwhile.
const IS_MEANT: u32 = 5;

/// An answer that takes longer, or a question that comes later after the one before, says nothing of
/// leases, which last for three seconds.
const IN_TIME: Duration = Duration::from_secs(1);

/// See the module's head.
pub struct Patient<P> {
    port: P,
    /// How often something was done.
    pub done: AtomicU64,
    trouble: Mutex<Trouble>,
}

/// What has befallen whoever asks, since he began.
struct Trouble {
    any: bool,
    last: Instant,
}

impl<P> Patient<P> {
    /// Asks this port.
    pub fn new(port: P) -> Self {
        let trouble = Mutex::new(Trouble { any: false, last: Instant::now() });
        Self { port, done: AtomicU64::new(0), trouble }
    }

    /// From now on it is noted whether anything is refused or late.
    pub fn begin(&self) {
        *self.trouble() = Trouble { any: false, last: Instant::now() };
    }

    /// Whether nothing was, so far.
    pub fn was_well(&self) -> bool {
        self.goes_on(true);
        !self.trouble().any
    }

    /// Something is asked or answered.
    fn goes_on(&self, is_well: bool) {
        let mut trouble = self.trouble();
        trouble.any |= !is_well || trouble.last.elapsed() > IN_TIME;
        trouble.last = Instant::now();
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<T, E>(&self, outcome: Result<T, E>) -> Result<T, E> {
        self.done.fetch_add(u64::from(outcome.is_ok()), Ordering::Relaxed);
        outcome
    }

    /// Asks until it is not refused.
    async fn patiently<'a, T, E: Display>(
        &self,
        ask: impl Fn() -> BoxFuture<'a, Result<T, E>>,
    ) -> Result<T, E> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.note(ask().await) {
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(PAUSE).await,
                done => return done,
            }
        }
    }

    /// The same for what may be refused for good: then it is refused while others are answered.
    async fn until_meant<'a, T, E: Display, O>(
        &self,
        ask: impl Fn() -> BoxFuture<'a, Result<T, E>>,
        other: impl Fn() -> BoxFuture<'a, Result<O, LogError>>,
    ) -> Result<T, E> {
        let deadline = Instant::now() + PATIENCE;
        let mut refused = 0;
        loop {
            let error = match self.note(ask().await) {
                Err(error) if Instant::now() <= deadline => error,
                done => return done,
            };
            refused = if other().await.is_ok() { refused + 1 } else { 0 };
            if refused == IS_MEANT {
                return Err(error);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

#[async_trait]
impl EventLog for Patient<NatsLog> {
    async fn append(&self, append: Append) -> Result<u64, AppendError> {
        self.note(self.port.append(append).await)
    }

    async fn claim(&self, partition: Partition, engine: &str) -> Result<Claim, LogError> {
        self.patiently(|| self.port.claim(partition, engine)).await
    }

    async fn read_partition(
        &self,
        partition: Partition,
        epoch: u32,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Recorded, LogError>>, LogError> {
        let read = async || {
            let messages = self.port.read_partition(partition, epoch, after).await?;
            messages.try_collect::<Vec<_>>().await
        };
        let last = || self.port.last(partition, epoch);
        let messages = self.until_meant(|| read().boxed(), last).await?;
        Ok(stream::iter(messages.into_iter().map(Ok)).boxed())
    }

    async fn last(&self, partition: Partition, epoch: u32) -> Result<u64, LogError> {
        self.patiently(|| self.port.last(partition, epoch)).await
    }

    async fn read_run(&self, run: &RunId) -> Result<Vec<Recorded>, LogError> {
        self.patiently(|| self.port.read_run(run)).await
    }
}

#[async_trait]
impl Epochs for Patient<NatsLog> {
    async fn open(&self, partition: Partition, from: u32, engine: &str) -> Result<Claim, LogError> {
        self.patiently(|| self.port.open(partition, from, engine)).await
    }

    async fn copy(
        &self,
        partition: Partition,
        epoch: u32,
        after: u64,
        messages: &[Recorded],
    ) -> Result<(), LogError> {
        // What was written already is not written again.
        self.patiently(|| self.port.copy(partition, epoch, after, messages)).await
    }

    async fn close(&self, closing: Closing) -> Result<(), AppendError> {
        self.note(self.port.close(closing).await)
    }

    async fn retire(&self, partition: Partition) -> Result<(), LogError> {
        self.patiently(|| self.port.retire(partition)).await
    }
}

#[async_trait]
impl Archive for Patient<NatsArchive> {
    async fn put(&self, of: Partition, part: Vec<u8>, lasts: Lasts) -> Result<u64, LogError> {
        self.patiently(|| self.port.put(of, part.clone(), lasts)).await
    }

    async fn get(&self, partition: Partition, part: u64) -> Result<Vec<u8>, LogError> {
        let other = || self.port.records(partition);
        self.until_meant(|| self.port.get(partition, part), other).await
    }

    async fn record(
        &self,
        partition: Partition,
        expected: u64,
        record: Vec<u8>,
    ) -> Result<u64, AppendError> {
        self.note(self.port.record(partition, expected, record).await)
    }

    async fn records(&self, partition: Partition) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        self.patiently(|| self.port.records(partition)).await
    }

    async fn tombstones(&self, partition: Partition) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        self.patiently(|| self.port.tombstones(partition)).await
    }
}

#[async_trait]
impl Expiry for Patient<NatsArchive> {
    fn may_expire(&self, part: u64) -> bool {
        self.port.may_expire(part)
    }

    async fn bury(
        &self,
        partition: Partition,
        expected: u64,
        tombstone: Vec<u8>,
    ) -> Result<u64, AppendError> {
        self.note(self.port.bury(partition, expected, tombstone).await)
    }

    async fn forget(&self, partition: Partition, part: u64) -> Result<(), LogError> {
        self.patiently(|| self.port.forget(partition, part)).await
    }

    async fn strays(
        &self,
        named: &BTreeSet<u64>,
        last: u64,
    ) -> Result<Vec<(Partition, u64)>, LogError> {
        self.patiently(|| self.port.strays(named, last)).await
    }
}

impl Patient<NatsLeases> {
    async fn noting<'a, T>(
        &self,
        ask: impl Fn() -> BoxFuture<'a, Result<T, LeaseError>> + Sync,
    ) -> Result<T, LeaseError> {
        let asking = || {
            async {
                self.goes_on(true);
                let answer = ask().await;
                self.goes_on(answer.is_ok());
                answer
            }
            .boxed()
        };
        self.patiently(asking).await
    }
}

#[async_trait]
impl Leases for Patient<NatsLeases> {
    async fn present(&self, engine: &str) -> Result<usize, LeaseError> {
        self.noting(|| self.port.present(engine)).await
    }

    async fn acquire(&self, partition: Partition, engine: &str) -> Result<bool, LeaseError> {
        self.noting(|| self.port.acquire(partition, engine)).await
    }

    async fn renew(&self, partition: Partition, engine: &str) -> Result<bool, LeaseError> {
        self.noting(|| self.port.renew(partition, engine)).await
    }

    async fn release(&self, partition: Partition, engine: &str) -> Result<(), LeaseError> {
        self.noting(|| self.port.release(partition, engine)).await
    }

    async fn leave(&self, engine: &str) -> Result<(), LeaseError> {
        self.noting(|| self.port.leave(engine)).await
    }
}
