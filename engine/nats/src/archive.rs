//! The archive on JetStream: one stream that nothing can be deleted from, with subjects for each
//! partition: records, tombstones, parts, and which epoch of the log is in force. Where histories
//! are kept for a time only their parts are in a second stream, `shelf.rs`.

mod shelf;

use async_nats::HeaderMap;
use async_nats::header::NATS_EXPECTED_STREAM;
use async_trait::async_trait;
use stead_runtime::ports::{AppendError, Archive, Lasts, LogError};
use stead_schemas::ids::Partition;
use stead_schemas::subjects::{self, ARCHIVE_STREAM, SHELF_STREAM};

use crate::connect::Connection;
use crate::jetstream::{self, NotAcked, Unread};
use crate::log::whole_subject;
use crate::once::{Once, new_commit};
use crate::pause::Pause;
use crate::platform::{Platform, ensure_shelf};

/// Attempts at keeping a part before the caller is told that the archive is away.
const ATTEMPTS_MAX: u32 = 4;

/// The archive of a platform.
#[derive(Clone)]
pub struct NatsArchive {
    platform: Platform,
    expires: bool,
}

impl NatsArchive {
    /// The archive of a platform.
    #[must_use]
    pub fn new(platform: &Platform) -> Self {
        Self { platform: platform.clone(), expires: false }
    }

    /// Puts what is put from now on where it may expire, if it is to.
    #[must_use]
    pub fn expiring(self, expires: bool) -> Self {
        Self { expires, ..self }
    }

    /// Appends to a chain of the archive.
    async fn append(
        &self,
        subject: &str,
        expected: u64,
        record: Vec<u8>,
    ) -> Result<u64, AppendError> {
        let (stream, subject) = (ARCHIVE_STREAM.to_owned(), subject.to_owned());
        let once = Once { stream, subject, expected, commit: new_commit() };
        let (subject, mut headers) = (once.subject.as_str(), once.headers());
        let connection = &self.platform.connection;
        let payload = connection.keys.seal(subject, &mut headers, record);
        let payload = payload.map_err(|error| AppendError::Lasting(error.to_string()))?;
        let mut pause = Pause::new();
        loop {
            let (headers, payload) = (headers.clone(), payload.clone());
            match jetstream::publish(&connection.api, subject, headers, payload).await {
                Ok(seq) => return Ok(seq),
                Err(NotAcked::Lasting(words)) => return Err(AppendError::Lasting(words)),
                Err(doubt) => tracing::debug!(subject, %doubt, "reads back whether it is there"),
            }
            match once.look(&connection.js).await {
                Ok(Some(outcome)) => return outcome,
                Err(Unread::NoStream(words)) => return Err(AppendError::Lasting(words)),
                Ok(None) | Err(Unread::Other(_)) => pause.wait().await,
            }
        }
    }
}

#[async_trait]
impl Archive for NatsArchive {
    async fn put(
        &self,
        partition: Partition,
        part: Vec<u8>,
        lasts: Lasts,
    ) -> Result<u64, LogError> {
        let expires = self.expires && lasts == Lasts::UntilItExpires;
        let (stream, subject) = match expires {
            true => (SHELF_STREAM, subjects::shelf_part(partition)),
            false => (ARCHIVE_STREAM, subjects::archive_part(partition)),
        };
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_STREAM, stream);
        let Connection { api: client, keys, .. } = &self.platform.connection;
        let payload = keys.seal(&subject, &mut headers, part);
        let payload = payload.map_err(|error| LogError(error.to_string()))?;
        let (mut last, mut pause) = (String::new(), Pause::new());
        // A part whose acknowledgement was lost is put again: nobody asks for the other one.
        for _ in 0..ATTEMPTS_MAX {
            match jetstream::publish(client, &subject, headers.clone(), payload.clone()).await {
                Ok(seq) if expires => return Ok(shelf::part(seq)),
                Ok(seq) => return Ok(seq),
                Err(NotAcked::NoStream) if expires => {
                    let made = ensure_shelf(&self.platform).await;
                    last = made.err().map_or_else(String::new, |error| error.to_string());
                }
                Err(error) => last = error.to_string(),
            }
            pause.wait().await;
        }
        Err(LogError(format!("the archive takes nothing: {last}")))
    }

    async fn get(&self, partition: Partition, part: u64) -> Result<Vec<u8>, LogError> {
        let (stream, subject, seq) = match shelf::place(part) {
            Some(seq) => (SHELF_STREAM, subjects::shelf_part(partition), seq),
            None => (ARCHIVE_STREAM, subjects::archive_part(partition), part),
        };
        let Connection { js, keys, .. } = &self.platform.connection;
        match jetstream::next_message(js, stream, seq, &subject).await {
            Ok(Some(message)) if message.sequence == seq => {
                let opened = keys.open(&message.subject, Some(&message.headers), message.payload);
                opened
                    .map(Vec::from)
                    .map_err(|error| LogError(format!("part {part} of the archive: {error}")))
            }
            Ok(_) => Err(LogError(format!("the archive has no part {part}"))),
            Err(error) => Err(LogError(error.to_string())),
        }
    }

    async fn record(
        &self,
        partition: Partition,
        expected: u64,
        record: Vec<u8>,
    ) -> Result<u64, AppendError> {
        self.append(&subjects::archive_record(partition), expected, record).await
    }

    async fn records(&self, partition: Partition) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        let subject = subjects::archive_record(partition);
        whole_subject(&self.platform, ARCHIVE_STREAM, subject).await
    }

    async fn tombstones(&self, partition: Partition) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        let subject = subjects::archive_tombstone(partition);
        whole_subject(&self.platform, ARCHIVE_STREAM, subject).await
    }
}
