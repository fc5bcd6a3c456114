//! The epochs of the log: which one is in force, and how the next one comes to be.
//!
//! The last message of an epoch's owners decides: if it says that the epoch is closed, the one
//! that it names is in force. A pointer in the archive's stream leads there even when the closed
//! one has been deleted; it is only ever moved forward, and only along what was closed.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::{
    NATS_EXPECTED_LAST_SEQUENCE, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_EXPECTED_STREAM,
};
use async_nats::jetstream::context::Context;
use async_trait::async_trait;
use futures_util::TryStreamExt;
use serde::{Deserialize, Serialize};
use stead_runtime::ports::{
    AppendError, Claim, Clock, Closing, Epochs, LogError, Recorded, SystemClock,
};
use stead_schemas::ids::Partition;
use stead_schemas::subjects;
use stead_schemas::time::Timestamp;

use super::{NatsLog, read};
use crate::bus::json;
use crate::connect::Connection;
use crate::jetstream::{self, NotAcked, Unread};
use crate::once::{COMMIT, has_commit, new_commit};
use crate::pause::Pause;
use crate::platform::{Platform, create_epoch};

/// Attempts at a claim before the caller is told that the log is away.
const CLAIM_ATTEMPTS_MAX: u32 = 5;
/// Attempts at beginning a new epoch before the caller is told that the log is away.
const BEGIN_ATTEMPTS_MAX: u32 = 10;
/// Attempts at copying before the caller is told so.
const COPY_ATTEMPTS_MAX: u32 = 5;
/// How many epochs one after the other are looked for before something must be wrong.
const STEPS_MAX: u32 = 10_000;
/// A new epoch's sequences begin with the next multiple but one of this: the old one may grow by
/// so much while the new one is made.
const ROOM: u64 = 1_000_000;

/// What owners write on a subject of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerNote {
    /// Who.
    pub engine: String,
    /// When.
    pub at: Timestamp,
    /// The epoch that follows this one, where it is closed hereby.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_for: Option<u32>,
    /// The epoch before this one, where this one begins hereby.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opened_from: Option<u32>,
}

/// Which epoch is in force, as it is kept beside the archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    epoch: u32,
}

/// The last thing that owners wrote.
struct LastNote {
    seq: u64,
    closed_for: Option<u32>,
}

impl OwnerNote {
    fn of(engine: &str) -> Self {
        let (engine, at) = (engine.to_owned(), SystemClock.now());
        Self { engine, at, closed_for: None, opened_from: None }
    }
}

/// The epoch of a partition that is in force.
pub(crate) async fn in_force(platform: &Platform, partition: Partition) -> Result<u32, LogError> {
    Ok(find(platform, partition).await?.0)
}

/// The epoch that is in force, and the last message of its owners.
async fn find(platform: &Platform, partition: Partition) -> Result<(u32, LastNote), LogError> {
    let mut epoch = pointer(platform, partition).await?.1;
    for _ in 0..STEPS_MAX {
        let note = match last_note(platform, partition, epoch).await {
            Ok(note) => note,
            Err(Unread::NoStream(stream)) => {
                // It was deleted meanwhile; then the pointer leads on.
                let newer = pointer(platform, partition).await?.1;
                if newer <= epoch {
                    return Err(LogError(format!("there is no stream `{stream}`")));
                }
                epoch = newer;
                continue;
            }
            Err(Unread::Other(words)) => return Err(LogError(words)),
        };
        match note.closed_for {
            None => return Ok((epoch, note)),
            Some(next) => epoch = next,
        }
    }
    Err(LogError(format!("the epochs of partition {partition} lead nowhere")))
}

/// Where the pointer is, and which epoch it names.
async fn pointer(platform: &Platform, partition: Partition) -> Result<(u64, u32), LogError> {
    let js = &platform.connection.js;
    let subject = subjects::archive_epoch(partition);
    match jetstream::last_message(js, subjects::ARCHIVE_STREAM, &subject).await {
        Ok(None) | Err(Unread::NoStream(_)) => Ok((0, platform.epoch)),
        Ok(Some(message)) => {
            let pointer: Pointer = serde_json::from_slice(&message.payload)
                .map_err(|error| LogError(format!("the epoch's record cannot be read: {error}")))?;
            Ok((message.sequence, pointer.epoch))
        }
        Err(Unread::Other(words)) => Err(LogError(words)),
    }
}

async fn last_note(
    platform: &Platform,
    partition: Partition,
    epoch: u32,
) -> Result<LastNote, Unread> {
    let stream = subjects::log_stream(epoch, partition);
    let subject = owner_subject(epoch, partition);
    let last = jetstream::last_message(&platform.connection.js, &stream, &subject).await?;
    let Some(last) = last else { return Ok(LastNote { seq: 0, closed_for: None }) };
    // Not to be guessed: which epoch is in force hangs on it.
    let note = serde_json::from_slice::<OwnerNote>(&last.payload);
    let note = note.map_err(|error| Unread::Other(unreadable(partition, epoch, &error)))?;
    Ok(LastNote { seq: last.sequence, closed_for: note.closed_for })
}

fn unreadable(partition: Partition, epoch: u32, error: &serde_json::Error) -> String {
    format!(
        "this build cannot read what owners wrote last in epoch {epoch} of partition {partition}: {error}"
    )
}

fn owner_subject(epoch: u32, partition: Partition) -> String {
    format!("stead.log.{epoch}.{partition}.{}", super::OWNER)
}

/// Whether a message of the owners closes its epoch.
pub(super) fn closes(bytes: &[u8]) -> Result<bool, serde_json::Error> {
    serde_json::from_slice::<OwnerNote>(bytes).map(|note| note.closed_for.is_some())
}

/// Takes the epoch that is in force over. A claim is written only behind the owners' last
/// message, so that it cannot come behind a close.
pub(super) async fn claim(
    platform: &Platform,
    partition: Partition,
    engine: &str,
) -> Result<Claim, LogError> {
    let mut last = String::new();
    for _ in 0..CLAIM_ATTEMPTS_MAX {
        let (epoch, note) = find(platform, partition).await?;
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_STREAM, subjects::log_stream(epoch, partition).as_str());
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, note.seq.to_string());
        let (subject, payload) = (owner_subject(epoch, partition), json(&OwnerNote::of(engine)));
        match jetstream::publish(&platform.connection.log, &subject, headers, payload).await {
            Ok(seq) => return Ok(Claim { epoch, seq }),
            // A claim whose acknowledgement was lost is simply made again: the later one counts.
            Err(error) => last = error.to_string(),
        }
    }
    Err(LogError(last))
}

/// Writes the first message of an epoch that was just made. Its servers may not have agreed yet on
/// who leads, and say nothing until then.
async fn begin(
    platform: &Platform,
    partition: Partition,
    epoch: u32,
    note: &OwnerNote,
) -> Result<u64, LogError> {
    let (subject, mut pause) = (owner_subject(epoch, partition), Pause::new());
    let mut last = String::new();
    for _ in 0..BEGIN_ATTEMPTS_MAX {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
        match jetstream::publish(&platform.connection.log, &subject, headers, json(note)).await {
            Ok(seq) => return Ok(seq),
            Err(error) => last = error.to_string(),
        }
        // Nobody else writes to an epoch that is not in force: what is there is ours.
        if let Ok(found) = last_note(platform, partition, epoch).await
            && found.seq > 0
        {
            return Ok(found.seq);
        }
        pause.wait().await;
    }
    // The epoch is nobody's; another one is opened the next time.
    Err(LogError(last))
}

#[async_trait]
impl Epochs for NatsLog {
    async fn open(&self, partition: Partition, from: u32, engine: &str) -> Result<Claim, LogError> {
        let (_, last) =
            read::bounds(&self.platform.connection.js, &subjects::log_stream(from, partition))
                .await?;
        let first = (last / ROOM + 2) * ROOM;
        let epoch = create_epoch(&self.platform, partition, from, first)
            .await
            .map_err(|error| LogError(error.to_string()))?;
        let note = OwnerNote { opened_from: Some(from), ..OwnerNote::of(engine) };
        let seq = begin(&self.platform, partition, epoch, &note).await?;
        Ok(Claim { epoch, seq })
    }

    async fn copy(
        &self,
        partition: Partition,
        epoch: u32,
        after: u64,
        messages: &[Recorded],
    ) -> Result<(), LogError> {
        let stream = subjects::log_stream(epoch, partition);
        let end = after + messages.len() as u64;
        let mut error = LogError(format!("`{stream}` does not take copies"));
        let mut pause = Pause::new();
        for _ in 0..COPY_ATTEMPTS_MAX {
            let (_, last) = read::bounds(&self.platform.connection.js, &stream).await?;
            let done = last.checked_sub(after).filter(|_| last <= end);
            let Some(done) = done.and_then(|done| usize::try_from(done).ok()) else {
                return Err(LogError(format!("somebody else writes to `{stream}`")));
            };
            if last == end {
                return Ok(());
            }
            match self.copy_pipelined(partition, epoch, last, &messages[done..]).await {
                Ok(()) => return Ok(()),
                Err(broken) => error = broken,
            }
            pause.wait().await;
        }
        Err(error)
    }

    async fn close(&self, closing: Closing) -> Result<(), AppendError> {
        let note = OwnerNote { closed_for: Some(closing.to), ..OwnerNote::of(&closing.engine) };
        let stream = subjects::log_stream(closing.epoch, closing.partition);
        let subject = owner_subject(closing.epoch, closing.partition);
        let commit = new_commit();
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_STREAM, stream.as_str());
        headers.insert(NATS_EXPECTED_LAST_SEQUENCE, closing.last.to_string());
        headers.insert(COMMIT, commit.as_str());
        let Connection { log: client, js, .. } = &self.platform.connection;
        let mut pause = Pause::new();
        loop {
            let sent = jetstream::publish(client, &subject, headers.clone(), json(&note)).await;
            match sent {
                Ok(_) => return Ok(()),
                Err(NotAcked::Lasting(words)) => return Err(AppendError::Lasting(words)),
                Err(doubt) => tracing::debug!(subject, %doubt, "reads back whether it is closed"),
            }
            // Whatever lies behind the end that was named, ours or another one with which ours is not
            // taken any more, is there before one looks which it is.
            let bounds = read::bounds(js, &stream).await;
            let is_behind = bounds.is_ok_and(|(_, last)| last != closing.last);
            match jetstream::last_message(js, &stream, &subject).await {
                Ok(Some(last)) if has_commit(&last, &commit) => return Ok(()),
                Ok(_) if is_behind => return Err(AppendError::Conflict),
                Err(Unread::NoStream(_)) => return Err(AppendError::Conflict),
                Ok(_) => {}
                Err(Unread::Other(words)) => tracing::warn!(subject, words, "cannot read it yet"),
            }
            pause.wait().await;
        }
    }

    async fn retire(&self, partition: Partition) -> Result<(), LogError> {
        let platform = &self.platform;
        let (current, _) = find(platform, partition).await?;
        point_to(platform, partition, current).await?;
        let js = &platform.connection.js;
        for epoch in epochs_there(js, partition).await? {
            // An epoch is deleted only where a later one is in force: its number is never used
            // again, and nothing in it can come into force any more.
            if epoch < current {
                let stream = subjects::log_stream(epoch, partition);
                tracing::info!(stream, current, "deletes an epoch that was left");
                let deleted = js.delete_stream(&stream).await;
                deleted.map_err(|error| LogError(error.to_string()))?;
            }
        }
        Ok(())
    }
}

impl NatsLog {
    /// Sends copies one behind the other. Each names the sequence before it, so that after a loss
    /// nothing further is kept: there is never a gap.
    async fn copy_pipelined(
        &self,
        partition: Partition,
        epoch: u32,
        after: u64,
        messages: &[Recorded],
    ) -> Result<(), LogError> {
        // Not the connection of the appends, which must not wait behind copies.
        let (client, keys) = (&self.platform.connection.api, &self.platform.connection.keys);
        let sent = messages.iter().zip(after..).map(|(message, expected)| {
            let subject = subjects::log(epoch, partition, &message.run);
            let mut headers = HeaderMap::new();
            headers.insert(NATS_EXPECTED_LAST_SEQUENCE, expected.to_string());
            // What was plain, or sealed with an older key, is sealed with the newest from here on.
            let sealed = keys.seal(&subject, &mut headers, message.bytes.clone());
            async move {
                let payload = sealed.map_err(|error| NotAcked::Passing(error.to_string()))?;
                jetstream::publish(client, &subject, headers, payload).await
            }
        });
        for kept in futures_util::future::join_all(sent).await {
            kept.map_err(|error| LogError(error.to_string()))?;
        }
        Ok(())
    }
}

/// Moves the pointer forward, if it is behind.
async fn point_to(platform: &Platform, partition: Partition, epoch: u32) -> Result<(), LogError> {
    let subject = subjects::archive_epoch(partition);
    loop {
        let (seq, known) = pointer(platform, partition).await?;
        if known >= epoch {
            return Ok(());
        }
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_STREAM, subjects::ARCHIVE_STREAM);
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, seq.to_string());
        let client = &platform.connection.api;
        match jetstream::publish(client, &subject, headers, json(&Pointer { epoch })).await {
            // Whether it is ours or another's shows when it is read.
            Ok(_) | Err(NotAcked::WrongLast) => {}
            Err(error) => return Err(LogError(error.to_string())),
        }
    }
}

/// The numbers of the epochs of a partition that have a stream.
pub(crate) async fn epochs_there(js: &Context, partition: Partition) -> Result<Vec<u32>, LogError> {
    let names = js.stream_names();
    let names: Vec<String> =
        tokio::time::timeout(Duration::from_secs(10), names.try_collect::<Vec<_>>())
            .await
            .map_err(|_| LogError("the streams are not listed in time".into()))?
            .map_err(|error| LogError(error.to_string()))?;
    Ok(names
        .iter()
        .filter_map(|name| subjects::parse_log_stream(name))
        .filter_map(|(epoch, of)| (of == partition).then_some(epoch))
        .collect())
}
