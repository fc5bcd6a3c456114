//! The event log: one stream for each partition, one subject for each run.
//!
//! An append is one publish with the expected last sequence of its subject; `once.rs` says what
//! becomes of it when the answer is lost or in doubt.

mod epochs;
mod read;
mod together;

pub use epochs::{OwnerNote, Pointer};
pub(crate) use epochs::{epochs_there, in_force};
pub use read::{Behind, Placed, whose};
pub(crate) use read::{bounds, whole_subject};

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::connection::State;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use stead_runtime::metric;
use stead_runtime::ports::{Append, AppendError, Claim, EventLog, LogError, Recorded};
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::subjects;

use crate::connect::Connection;
use crate::jetstream::{self, NotAcked, Unread};
use crate::once::Once;
use crate::pause::Pause;
use crate::platform::Platform;
use crate::seal::NotSealed;
use together::{Together, Turn};

/// The last token of the subject to which owners write that they took over.
const OWNER: &str = "owner";
/// How often one looks anew for a run while its partition's epoch is turned.
const READS_MAX: u32 = 3;

/// An append that takes longer is one that the log does not take now. Of all that wait, people are
/// told so often.
const UNTAKEN_AFTER: Duration = Duration::from_secs(5);

/// The event log on JetStream.
#[derive(Clone)]
pub struct NatsLog {
    platform: Platform,
    together: Arc<Together>,
    /// When people were last told that an append is not taken.
    told: Arc<Mutex<Option<Instant>>>,
}

/// One append with everything that is prepared once and sent as often as needed.
struct Prepared {
    once: Once,
    headers: HeaderMap,
    payload: Bytes,
}

impl NatsLog {
    /// The log of a platform. Must be called within a tokio runtime.
    #[must_use]
    pub fn new(platform: &Platform) -> Self {
        let together = Arc::new(Together::new(&platform.connection));
        Self { platform: platform.clone(), together, told: Arc::default() }
    }

    /// All messages of an epoch of a partition as they lie in the log, those of owners among them.
    ///
    /// # Errors
    /// If the log cannot be read now, or this epoch is closed.
    pub async fn read_places(
        &self,
        partition: Partition,
        epoch: u32,
    ) -> Result<BoxStream<'static, Result<Placed, LogError>>, LogError> {
        read::places(&self.platform, partition, epoch).await
    }

    fn prepare(&self, append: Append) -> Result<Prepared, NotSealed> {
        let once = Once {
            stream: subjects::log_stream(append.epoch, append.partition),
            subject: subjects::log(append.epoch, append.partition, &append.run),
            expected: append.expected,
            commit: append.commit,
        };
        let mut headers = once.headers();
        let keys = &self.platform.connection.keys;
        let payload = keys.seal(&once.subject, &mut headers, append.bytes)?;
        Ok(Prepared { once, headers, payload })
    }

    async fn append_until_known(&self, append: &Prepared) -> Result<u64, AppendError> {
        let (started, mut pause) = (Instant::now(), Pause::new());
        loop {
            let headers = append.headers.clone();
            let doubt = match publish(&self.platform.connection, append, headers).await {
                Ok(seq) => return Ok(seq),
                Err(NotAcked::Lasting(words)) => return Err(AppendError::Lasting(words)),
                Err(doubt) => doubt,
            };
            if let Some(outcome) = self.settle(append, &doubt).await {
                return outcome;
            }
            self.tell(append, &doubt, started.elapsed());
            pause.wait().await;
        }
    }

    /// Says that an append is made once more: to people, if the log has not taken it for long.
    fn tell(&self, append: &Prepared, doubt: &NotAcked, waited: Duration) {
        let (subject, seconds) = (&append.once.subject, waited.as_secs());
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if waited < UNTAKEN_AFTER || told.is_some_and(|told| told.elapsed() < UNTAKEN_AFTER) {
            tracing::debug!(subject, %doubt, "appending once more");
            return;
        }
        *told = Some(Instant::now());
        tracing::warn!(subject, seconds, %doubt, "the log does not take an append, and is asked on");
    }

    /// Finds out by reading whether the append took place; nothing if it did not and still may.
    async fn settle(
        &self,
        append: &Prepared,
        doubt: &NotAcked,
    ) -> Option<Result<u64, AppendError>> {
        let mut pause = Pause::new();
        loop {
            self.until_connected().await;
            match append.once.look(&self.platform.connection.js).await {
                Ok(found) => {
                    if matches!(doubt, NotAcked::Unknown(_)) {
                        metric::APPEND_SETTLED.count([]);
                    }
                    return found;
                }
                // An epoch is deleted only when a later one is in force.
                Err(Unread::NoStream(_)) => return Some(Err(AppendError::Conflict)),
                Err(error) => {
                    let subject = &append.once.subject;
                    tracing::warn!(subject, %error, "cannot read the log back yet");
                    pause.wait().await;
                }
            }
        }
    }

    /// While there is no connection, requests would only pile up in the client.
    async fn until_connected(&self) {
        let mut pause = Pause::new();
        while self.platform.connection.log.connection_state() != State::Connected {
            pause.wait().await;
        }
    }
}

async fn publish(
    connection: &Connection,
    append: &Prepared,
    headers: HeaderMap,
) -> Result<u64, NotAcked> {
    let mut broken = connection.log_broken.clone();
    broken.mark_unchanged();
    let payload = append.payload.clone();
    let kept = jetstream::publish(&connection.log, &append.once.subject, headers, payload);
    tokio::select! {
        kept = kept => kept,
        // The acknowledgement cannot come any more; reading tells at once, waiting would not.
        Ok(()) = broken.changed() => Err(NotAcked::Unknown("the connection broke".into())),
    }
}

#[async_trait]
impl EventLog for NatsLog {
    async fn append(&self, append: Append) -> Result<u64, AppendError> {
        let started = Instant::now();
        let prepared = self.prepare(append);
        let prepared = prepared.map_err(|error| AppendError::Lasting(error.to_string()))?;
        let append = Arc::new(prepared);
        let outcome = match self.together.turn(&append).await {
            Turn::Kept(seq) => Ok(seq),
            Turn::Alone(_place) => self.append_until_known(&append).await,
        };
        metric::APPEND_SECONDS.took(started.elapsed(), []);
        if outcome == Err(AppendError::Conflict) {
            metric::APPEND_CONFLICTS.count([]);
        }
        outcome
    }

    async fn claim(&self, partition: Partition, engine: &str) -> Result<Claim, LogError> {
        epochs::claim(&self.platform, partition, engine).await
    }

    async fn read_partition(
        &self,
        partition: Partition,
        epoch: u32,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Recorded, LogError>>, LogError> {
        read::partition(&self.platform, partition, epoch, after).await
    }

    async fn last(&self, partition: Partition, epoch: u32) -> Result<u64, LogError> {
        let stream = subjects::log_stream(epoch, partition);
        let (_, last) = bounds(&self.platform.connection.js, &stream).await?;
        Ok(last)
    }

    async fn read_run(&self, run: &RunId) -> Result<Vec<Recorded>, LogError> {
        let partition = run.partition(self.platform.partitions);
        let (mut error, mut pause) = (None, Pause::new());
        // The epoch may be left and deleted between the two, and a server may die.
        for _ in 0..READS_MAX {
            let read = match epochs::in_force(&self.platform, partition).await {
                Ok(epoch) => read::run(&self.platform, run, epoch).await,
                Err(unknown) => Err(unknown),
            };
            match read {
                Ok(history) => return Ok(history),
                Err(broken) => error = Some(broken),
            }
            pause.wait().await;
        }
        Err(error.unwrap_or_else(|| LogError("it was not read".into())))
    }
}
