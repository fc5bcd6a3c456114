//! The event log: one stream for each partition, one subject for each run.
//!
//! An append is one publish with the expected last sequence of its subject. When the answer is
//! lost or in doubt, the message that follows the expected one is read from the stream's leader:
//! it carries either our commit id or somebody else's. The server's own deduplication is of no
//! use here, because a single server checks the expectation before it looks for a duplicate.

mod read;

use std::time::Instant;

use async_nats::HeaderMap;
use async_nats::connection::State;
use async_nats::header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_EXPECTED_STREAM};
use async_nats::jetstream::message::StreamMessage;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use serde::Serialize;
use stead_runtime::ports::{Append, AppendError, Clock, EventLog, LogError, Recorded, SystemClock};
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::subjects;
use stead_schemas::time::Timestamp;

use crate::jetstream::{self, NotAcked, Unread};
use crate::pause::Pause;
use crate::platform::Platform;

/// The header by which a writer finds its own message again.
const COMMIT: &str = "Stead-Commit";
/// The last token of the subject to which owners write that they took over.
const OWNER: &str = "owner";
/// Attempts at a claim before the caller is told that the log is away.
const CLAIM_ATTEMPTS_MAX: u32 = 3;

/// The event log on JetStream.
#[derive(Clone)]
pub struct NatsLog {
    platform: Platform,
}

#[derive(Serialize)]
struct Claim<'a> {
    engine: &'a str,
    at: Timestamp,
}

/// One append with everything that is prepared once and sent as often as needed.
struct Prepared {
    stream: String,
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
    expected: u64,
    commit: String,
}

impl NatsLog {
    /// The log of a platform.
    #[must_use]
    pub fn new(platform: &Platform) -> Self {
        Self { platform: platform.clone() }
    }

    fn prepare(&self, append: Append) -> Prepared {
        let stream = self.platform.log_stream(append.partition);
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_STREAM, stream.as_str());
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, append.expected.to_string());
        headers.insert(COMMIT, append.commit.as_str());
        Prepared {
            subject: subjects::log(self.platform.epoch, append.partition, &append.run),
            stream,
            headers,
            payload: append.bytes.into(),
            expected: append.expected,
            commit: append.commit,
        }
    }

    async fn append_until_known(&self, append: &Prepared) -> Result<u64, AppendError> {
        let mut pause = Pause::new();
        loop {
            let doubt = match self.publish(append).await {
                Ok(seq) => return Ok(seq),
                Err(NotAcked::Lasting(words)) => return Err(AppendError::Lasting(words)),
                Err(doubt) => doubt,
            };
            if let Some(outcome) = self.settle(append, &doubt).await {
                return outcome;
            }
            tracing::debug!(subject = append.subject, %doubt, "appending once more");
            pause.wait().await;
        }
    }

    async fn publish(&self, append: &Prepared) -> Result<u64, NotAcked> {
        let connection = &self.platform.connection;
        let mut broken = connection.log_broken.clone();
        broken.mark_unchanged();
        let (headers, payload) = (append.headers.clone(), append.payload.clone());
        let kept = jetstream::publish(&connection.log, &append.subject, headers, payload);
        tokio::select! {
            kept = kept => kept,
            // The acknowledgement cannot come any more; reading tells at once, waiting would not.
            Ok(()) = broken.changed() => Err(NotAcked::Unknown("the connection broke".into())),
        }
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
            match self.look(append).await {
                Ok(found) => {
                    if matches!(doubt, NotAcked::Unknown(_)) {
                        metrics::counter!("stead_append_settled_by_reading_total").increment(1);
                    }
                    return found;
                }
                Err(error) => {
                    let subject = &append.subject;
                    tracing::warn!(subject, %error, "cannot read the log back yet");
                    pause.wait().await;
                }
            }
        }
    }

    async fn look(&self, append: &Prepared) -> Result<Option<Result<u64, AppendError>>, Unread> {
        let js = &self.platform.connection.js;
        let last = jetstream::last_message(js, &append.stream, &append.subject).await?;
        let Some(last) = last else {
            return Ok((append.expected > 0).then_some(Err(AppendError::Conflict)));
        };
        if last.sequence == append.expected {
            return Ok(None);
        }
        if is_ours(&last, append) {
            return Ok(Some(Ok(last.sequence)));
        }
        // Ours may have been written and others since: another engine can go on from it.
        let next = append.expected + 1;
        match jetstream::next_message(js, &append.stream, next, &append.subject).await? {
            Some(first) if is_ours(&first, append) => Ok(Some(Ok(first.sequence))),
            _ => Ok(Some(Err(AppendError::Conflict))),
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

fn is_ours(message: &StreamMessage, append: &Prepared) -> bool {
    message.headers.get(COMMIT).is_some_and(|commit| commit.as_str() == append.commit)
}

#[async_trait]
impl EventLog for NatsLog {
    async fn append(&self, append: Append) -> Result<u64, AppendError> {
        let started = Instant::now();
        let outcome = self.append_until_known(&self.prepare(append)).await;
        metrics::histogram!("stead_append_seconds").record(started.elapsed().as_secs_f64());
        if outcome == Err(AppendError::Conflict) {
            metrics::counter!("stead_append_conflicts_total").increment(1);
        }
        outcome
    }

    async fn claim(&self, partition: Partition, engine: &str) -> Result<u64, LogError> {
        let subject = format!("stead.log.{}.{partition}.{OWNER}", self.platform.epoch);
        let claim = Claim { engine, at: SystemClock.now() };
        let payload = Bytes::from(serde_json::to_vec(&claim).unwrap_or_default());
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_STREAM, self.platform.log_stream(partition).as_str());
        let mut last = String::new();
        // A claim whose acknowledgement was lost is simply made again: the later number counts.
        for _ in 0..CLAIM_ATTEMPTS_MAX {
            let client = &self.platform.connection.log;
            match jetstream::publish(client, &subject, headers.clone(), payload.clone()).await {
                Ok(seq) => return Ok(seq),
                Err(error) => last = error.to_string(),
            }
        }
        Err(LogError(last))
    }

    async fn read_partition(
        &self,
        partition: Partition,
    ) -> Result<BoxStream<'static, Result<Recorded, LogError>>, LogError> {
        read::partition(&self.platform, partition).await
    }

    async fn last(&self, partition: Partition) -> Result<u64, LogError> {
        let stream = self.platform.log_stream(partition);
        let (_, last) = read::bounds(&self.platform.connection.js, &stream).await?;
        Ok(last)
    }

    async fn read_run(&self, run: &RunId) -> Result<Vec<Recorded>, LogError> {
        read::run(&self.platform, run).await
    }
}
