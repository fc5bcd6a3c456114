//! How each stream is configured, and how it comes to be.

use std::time::Duration;

use async_nats::jetstream::context::{Context, CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType};
use async_nats::jetstream::{Error, ErrorCode};
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::ids::Partition;
use stead_schemas::subjects;
use uuid::Uuid;

use super::{Platform, PlatformError, settings, verify};
use crate::log::{epochs_there, in_force};
use crate::pause::Pause;

/// Attempts at creating a stream while the server elects a leader or starts.
const ATTEMPTS_MAX: u32 = 14;
/// Commands that wait may take this much; when it is full, senders are told so.
const INBOX_BYTES_MAX: i64 = 1 << 30;
/// Refusals may take this much; then the oldest go before their week is over.
const REFUSALS_BYTES_MAX: i64 = 256 << 20;
/// How long a refusal can be read.
const REFUSALS_KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The leases of partitions and the presence of engines.
const LEASE_SUBJECTS: [&str; 2] = ["stead.lease.p.*", "stead.lease.engine.*"];

/// A file stream without limits.
fn plain(name: &str, stream_subjects: &[&str], replicas: usize) -> Config {
    Config {
        name: name.to_string(),
        subjects: stream_subjects.iter().map(ToString::to_string).collect(),
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        max_bytes: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        max_consumers: -1,
        num_replicas: replicas.max(1),
        ..Config::default()
    }
}

/// Facts are only ever added: nothing limits them, nothing deletes them.
pub(super) fn log(platform: &Platform, partition: Partition, epoch: u32) -> Config {
    let captured = subjects::log_stream_subjects(epoch, partition);
    Config {
        description: Some(format!("The event log of partition {partition}")),
        deny_delete: true,
        deny_purge: true,
        allow_direct: true,
        allow_atomic_publish: true,
        ..plain(&subjects::log_stream(epoch, partition), &[&captured], platform.replicas)
    }
}

/// What has left the log is kept as safely as what is in it.
fn archive(replicas: usize) -> Config {
    Config {
        description: Some("Histories that are over and have left the event log".into()),
        deny_delete: true,
        deny_purge: true,
        allow_direct: true,
        ..plain(subjects::ARCHIVE_STREAM, &[subjects::ARCHIVE_SUBJECTS], replicas)
    }
}

/// What may expire: single messages can be deleted from it, but not all of it at once.
pub(super) fn shelf(replicas: usize) -> Config {
    Config {
        description: Some("Histories that are kept for a time".into()),
        deny_purge: true,
        allow_direct: true,
        ..plain(subjects::SHELF_STREAM, &[subjects::SHELF_SUBJECTS], replicas)
    }
}

fn settings_stream(replicas: usize) -> Config {
    Config {
        description: Some("How many partitions the event log has".into()),
        deny_delete: true,
        deny_purge: true,
        ..plain(subjects::SETTINGS_BUCKET, &[settings::SUBJECT], replicas)
    }
}

fn inbox(replicas: usize) -> Config {
    Config {
        description: Some("Commands that no engine has taken in yet".into()),
        retention: RetentionPolicy::WorkQueue,
        max_bytes: INBOX_BYTES_MAX,
        ..plain(subjects::INBOX_STREAM, &[subjects::INBOX_SUBJECTS], replicas)
    }
}

fn refusals(replicas: usize) -> Config {
    Config {
        description: Some("Commands that were turned away in the last seven days".into()),
        discard: DiscardPolicy::Old,
        max_bytes: REFUSALS_BYTES_MAX,
        max_age: REFUSALS_KEPT,
        allow_direct: true,
        ..plain(subjects::REFUSALS_STREAM, &[subjects::REFUSAL_SUBJECTS], replicas)
    }
}

fn leases(replicas: usize) -> Config {
    Config {
        description: Some("Which engine owns which partition, for seconds".into()),
        discard: DiscardPolicy::Old,
        max_messages_per_subject: 1,
        allow_message_ttl: true,
        ..plain(subjects::LEASE_BUCKET, &LEASE_SUBJECTS, replicas)
    }
}

/// Every stream but the log, and whether there are facts in it.
pub(super) fn besides_the_log(replicas: usize) -> [(Config, bool); 5] {
    [
        (archive(replicas), true),
        (inbox(replicas), false),
        (leases(replicas), false),
        (refusals(replicas), false),
        (settings_stream(replicas), true),
    ]
}

/// Creates the log of a partition if there never was one, and refuses it if it is not safe.
pub(super) async fn ensure_log(
    js: &Context,
    platform: &Platform,
    partition: Partition,
) -> Result<(), PlatformError> {
    let first = log(platform, partition, platform.epoch);
    let failed = |words: String| PlatformError::Stream { stream: first.name.clone(), words };
    let there = epochs_there(js, partition).await.map_err(|error| failed(error.0))?;
    if there.is_empty() {
        return ensure_safe(js, first).await;
    }
    let epoch = in_force(platform, partition).await.map_err(|error| {
        let words =
            format!("which epoch is in force cannot be told: {}; there are {there:?}", error.0);
        failed(words)
    })?;
    ensure_safe(js, log(platform, partition, epoch)).await
}

/// Creates the stream of a new epoch behind `from`, whose sequences begin with `first`. Whoever
/// creates it is alone with it: the description has no double.
pub(crate) async fn create_epoch(
    platform: &Platform,
    partition: Partition,
    from: u32,
    first: u64,
) -> Result<u32, PlatformError> {
    let js = &platform.connection.js;
    let whose = Uuid::now_v7().simple();
    let mut epoch = from;
    loop {
        epoch += 1;
        let config = log(platform, partition, epoch);
        let description = config.description.unwrap_or_default();
        let description = Some(format!("{description}, from epoch {from} on, {whose}"));
        let wanted = Config { description, first_sequence: Some(first), ..config };
        let found = create_or_read(js, &wanted).await?;
        if found.description != wanted.description {
            continue;
        }
        let deviations = verify::deviations(&wanted, &found);
        if deviations.is_empty() {
            return Ok(epoch);
        }
        return Err(PlatformError::Unsafe { stream: wanted.name, deviations });
    }
}

/// Creates the archive if it is not there, and refuses it if it is not safe.
pub(super) async fn ensure_archive(js: &Context, replicas: usize) -> Result<(), PlatformError> {
    ensure_safe(js, archive(replicas)).await
}

/// The same for what may expire of it.
///
/// # Errors
/// If the server does not allow it, or the stream is not safe.
pub(crate) async fn ensure_shelf(platform: &Platform) -> Result<(), PlatformError> {
    ensure_safe(&platform.connection.js, shelf(platform.replicas)).await
}

/// Refuses what may expire if it is there and not safe. It is made only when it is needed.
pub(super) async fn check_shelf(platform: &Platform) -> Result<(), PlatformError> {
    let wanted = shelf(platform.replicas);
    match found(&platform.connection.js, &wanted.name).await {
        Ok(None) => Ok(()),
        Ok(Some(_)) => ensure_shelf(platform).await,
        Err(words) => Err(PlatformError::Stream { stream: wanted.name, words }),
    }
}

/// How a stream is, if it is there.
pub(super) async fn found(js: &Context, name: &str) -> Result<Option<Info>, String> {
    match js.get_stream(name).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(cause)
                if cause.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            _ => Err(error.to_string()),
        },
    }
}

/// The same for the settings record.
pub(super) async fn ensure_settings(js: &Context, replicas: usize) -> Result<(), PlatformError> {
    ensure_safe(js, settings_stream(replicas)).await
}

async fn ensure_safe(js: &Context, wanted: Config) -> Result<(), PlatformError> {
    let found = create_or_read(js, &wanted).await?;
    let deviations = verify::deviations(&wanted, &found);
    if deviations.is_empty() {
        return Ok(());
    }
    Err(PlatformError::Unsafe { stream: wanted.name, deviations })
}

/// Creates the inbox if it is not there. Where one was lost, the numbers of the next one begin behind
/// its own: an acknowledgement names nothing but the number, and what was in the lost one may still
/// be in somebody's hands.
///
/// # Errors
/// If the server does not allow it.
pub(crate) async fn ensure_inbox(platform: &Platform) -> Result<(), PlatformError> {
    // Nobody gives a thousand commands a second for as long as an inbox lives.
    let first_sequence = u64::try_from(SystemClock.now().as_millis()).ok();
    ensure_passing(platform, Config { first_sequence, ..inbox(platform.replicas) }).await
}

/// Creates the stream of refusals if it is not there.
///
/// # Errors
/// If the server does not allow it.
pub(crate) async fn ensure_refusals(platform: &Platform) -> Result<(), PlatformError> {
    ensure_passing(platform, refusals(platform.replicas)).await
}

/// Creates the stream of leases if it is not there.
///
/// # Errors
/// If the server does not allow it.
pub(crate) async fn ensure_leases(platform: &Platform) -> Result<(), PlatformError> {
    ensure_passing(platform, leases(platform.replicas)).await
}

/// A stream whose content may be lost at any moment: one of an older shape is brought up to date.
async fn ensure_passing(platform: &Platform, wanted: Config) -> Result<(), PlatformError> {
    let js = &platform.connection.js;
    let found = create_or_read(js, &wanted).await?;
    if verify::works_as(&wanted, &found) {
        return Ok(());
    }
    tracing::info!(stream = wanted.name, "bringing the configuration of a stream up to date");
    let wanted = Config { first_sequence: found.first_sequence, ..wanted };
    let updated = js.update_stream(&wanted).await.map(|_| ());
    updated.map_err(|error| PlatformError::Stream { stream: wanted.name, words: error.to_string() })
}

/// The configuration of the stream as the server keeps it.
async fn create_or_read(js: &Context, wanted: &Config) -> Result<Config, PlatformError> {
    let failed = |words: String| PlatformError::Stream { stream: wanted.name.clone(), words };
    let mut pause = Pause::new();
    let mut last = String::new();
    for _ in 0..ATTEMPTS_MAX {
        // Reading comes first: a server that has no room for one more stream of this size would
        // refuse to create the one that is there.
        if let Ok(stream) = js.get_stream(&wanted.name).await {
            return Ok(stream.cached_info().config.clone());
        }
        let error = match js.create_stream(wanted).await {
            Ok(stream) => return Ok(stream.cached_info().config.clone()),
            Err(error) => error,
        };
        match error.kind() {
            CreateStreamErrorKind::JetStream(cause)
                if cause.error_code() == ErrorCode::STREAM_NAME_EXIST =>
            {
                match js.get_stream(&wanted.name).await {
                    Ok(stream) => return Ok(stream.cached_info().config.clone()),
                    Err(error) => last = error.to_string(),
                }
            }
            CreateStreamErrorKind::JetStream(cause) if is_lasting(&cause) => {
                return Err(failed(cause.to_string()));
            }
            _ => last = error.to_string(),
        }
        pause.wait().await;
    }
    Err(failed(last))
}

/// Whether trying again is of no use. A cluster that is still gathering says that it has too few
/// servers, as one does that will never have more.
fn is_lasting(error: &Error) -> bool {
    error.code() < 429 && error.error_code() != ErrorCode::CLUSTER_NO_PEERS
}
