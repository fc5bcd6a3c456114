//! The settings record: written once by the first engine, read by everybody.
//!
//! It is a stream of its own with one subject. The last message counts; the first is written
//! only if there is none, so that of two engines that start at once one wins.

use async_nats::HeaderMap;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::context::Context;
use serde::{Deserialize, Serialize};
use stead_schemas::subjects;

use super::{PARTITIONS_MAX, PlatformError, streams};
use crate::jetstream::{self, NotAcked, Unread};
use crate::pause::Pause;

/// Where the record is kept.
pub(super) const SUBJECT: &str = "stead.settings";
/// Attempts at writing the record while the server is not ready.
const ATTEMPTS_MAX: u32 = 8;

/// What can never change once it is chosen, and where the log stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingsRecord {
    /// How many partitions the log has.
    pub partitions: u16,
    /// Which epoch of the log is written.
    pub epoch: u32,
}

/// The record, if there is one.
pub(super) async fn read(js: &Context) -> Result<Option<SettingsRecord>, PlatformError> {
    match jetstream::last_message(js, subjects::SETTINGS_BUCKET, SUBJECT).await {
        Ok(None) | Err(Unread::NoStream(_)) => Ok(None),
        Ok(Some(message)) => serde_json::from_slice(&message.payload)
            .map(Some)
            .map_err(|error| PlatformError::Settings { words: error.to_string() }),
        Err(Unread::Other(words)) => Err(PlatformError::Silent { words }),
    }
}

/// Writes the record if there is none, and makes sure that it says `partitions`.
pub(super) async fn agree(
    js: &Context,
    partitions: u16,
    replicas: usize,
) -> Result<SettingsRecord, PlatformError> {
    if partitions == 0 || partitions > PARTITIONS_MAX {
        return Err(PlatformError::PartitionsOutOfRange { wanted: partitions });
    }
    streams::ensure_settings(js, replicas).await?;
    let record = read_or_write(js, SettingsRecord { partitions, epoch: 0 }).await?;
    if record.partitions == partitions {
        return Ok(record);
    }
    Err(PlatformError::OtherPartitions { found: record.partitions, wanted: partitions })
}

async fn read_or_write(
    js: &Context,
    ours: SettingsRecord,
) -> Result<SettingsRecord, PlatformError> {
    let mut pause = Pause::new();
    for _ in 0..ATTEMPTS_MAX {
        if let Some(record) = read(js).await? {
            return Ok(record);
        }
        match write_first(js, ours).await {
            // Whether ours or another engine's was written shows when it is read back.
            Ok(_) | Err(NotAcked::WrongLast | NotAcked::Unknown(_)) => {}
            Err(NotAcked::Lasting(words)) => return Err(PlatformError::Settings { words }),
            Err(NotAcked::NoBatches | NotAcked::NoStream | NotAcked::Passing(_)) => {
                pause.wait().await
            }
        }
    }
    Err(PlatformError::Silent { words: "the settings record cannot be written".into() })
}

async fn write_first(js: &Context, record: SettingsRecord) -> Result<u64, NotAcked> {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
    // Two numbers always have a JSON form.
    let payload = serde_json::to_vec(&record).unwrap_or_default();
    jetstream::publish(&js.client(), SUBJECT, headers, payload.into()).await
}
