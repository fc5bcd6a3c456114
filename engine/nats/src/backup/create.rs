//! Makes a backup: a snapshot of each stream, a piece at a time, each acknowledged when it is
//! written, so that neither side holds more than a few pieces.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use async_nats::StatusCode;
use futures_util::{StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::ids::Partition;
use stead_schemas::subjects::{ARCHIVE_STREAM, ARCHIVE_TOMBSTONES};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::files::{Draft, at, hexadecimal};
use super::{BackupError, Manifest, StreamKept, StreamState, VERSION, is_kept, rank};
use crate::connect::Connection;
use crate::inspect::{read_answer, request};
use crate::jetstream;
use crate::log::in_force;
use crate::platform::{Platform, PlatformError, PlatformSettings, open_platform};

/// How large the pieces of a snapshot are.
const PIECE_BYTES: usize = 128 * 1024;
/// How long the server may take for the next piece.
const PIECE_WITHIN: Duration = Duration::from_secs(30);
/// Attempts at a backup during which nothing leaves the platform.
const ATTEMPTS_MAX: u32 = 5;

/// Makes a backup of the platform in the folder `target`, which appears only when it is whole.
///
/// # Errors
/// See [`BackupError`]; then there is no folder.
pub async fn create(
    connection: &Connection,
    target: &Path,
    build: &str,
) -> Result<Manifest, BackupError> {
    let settings = PlatformSettings { partitions: None, replicas: 1 };
    let platform = match open_platform(connection, settings).await {
        Ok(platform) => platform,
        Err(PlatformError::NotSetUp) => return Err(BackupError::NoPlatform),
        Err(error) => return Err(server("STEAD_SETTINGS", error.to_string())),
    };
    for _ in 0..ATTEMPTS_MAX {
        let draft = Draft::begin(target)?;
        let before = standing(&platform).await?;
        let taken = take(&platform, &draft, build).await;
        if standing(&platform).await? == before {
            // What could not be read was not on its way out: it is a trouble of the server's.
            let manifest = taken?;
            draft.finish(&manifest)?;
            return Ok(manifest);
        }
        tracing::info!("something left the log or the archive meanwhile; it is begun anew");
    }
    Err(BackupError::Unquiet)
}

/// What must be the same when a backup is begun and when it is done, since what one stream says of
/// another one would not hold otherwise.
#[derive(PartialEq)]
struct Standing {
    epochs: BTreeMap<Partition, u32>,
    /// All that is to be in the backup.
    streams: Vec<String>,
    /// Where the last tombstone is: behind each, parts of the archive are forgotten.
    buried: u64,
}

async fn standing(platform: &Platform) -> Result<Standing, BackupError> {
    let js = &platform.connection.js;
    let last = jetstream::last_message(js, ARCHIVE_STREAM, ARCHIVE_TOMBSTONES).await;
    let last = last.map_err(|error| server(ARCHIVE_STREAM, error.to_string()))?;
    let buried = last.map_or(0, |last| last.sequence);
    let (epochs, streams) = (epochs(platform).await?, kept(&platform.connection).await?);
    Ok(Standing { epochs, streams, buried })
}

/// Which epoch of each partition is in force.
async fn epochs(platform: &Platform) -> Result<BTreeMap<Partition, u32>, BackupError> {
    let mut epochs = BTreeMap::new();
    for partition in platform.all_partitions() {
        let epoch = in_force(platform, partition).await;
        let epoch = epoch.map_err(|error| server(&format!("partition {partition}"), error.0))?;
        epochs.insert(partition, epoch);
    }
    Ok(epochs)
}

async fn take(platform: &Platform, draft: &Draft, build: &str) -> Result<Manifest, BackupError> {
    let connection = &platform.connection;
    let at = SystemClock.now();
    let mut streams = Vec::new();
    for name in &kept(connection).await? {
        streams.push(snapshot(connection, name, draft).await?);
    }
    let mut at_one_moment = true;
    for stream in &streams {
        at_one_moment &= state(connection, &stream.name).await? == stream.state;
    }
    // The settings come last: before them nobody takes it for a platform.
    streams.sort_by_key(|stream| rank(&stream.name));
    Ok(Manifest {
        version: VERSION,
        at,
        build: build.to_owned(),
        server: connection.api.server_info().version,
        partitions: platform.partitions,
        at_one_moment,
        streams,
    })
}

/// The streams that belong into a backup, in the order in which they are taken.
async fn kept(connection: &Connection) -> Result<Vec<String>, BackupError> {
    let mut names = names(connection).await?;
    names.retain(|name| is_kept(name));
    names.sort_by_key(|name| (rank(name), name.clone()));
    Ok(names)
}

/// The names of all streams on the server.
pub(super) async fn names(connection: &Connection) -> Result<Vec<String>, BackupError> {
    let names = connection.js.stream_names().try_collect().await;
    names.map_err(|error| server("all streams", error.to_string()))
}

/// What is in a stream now.
pub(super) async fn state(connection: &Connection, name: &str) -> Result<StreamState, BackupError> {
    #[derive(Deserialize)]
    struct Info {
        state: StreamState,
    }
    let subject = format!("{}.STREAM.INFO.{name}", connection.js_prefix);
    let info = crate::inspect::ask::<Info>(connection, &subject).await;
    info.map(|info| info.state).map_err(|words| server(name, words))
}

pub(super) fn server(stream: &str, words: String) -> BackupError {
    BackupError::Server { stream: stream.to_owned(), words }
}

/// How the server begins a snapshot.
#[derive(Deserialize)]
struct Begun {
    config: Value,
    state: StreamState,
}

async fn snapshot(
    connection: &Connection,
    name: &str,
    draft: &Draft,
) -> Result<StreamKept, BackupError> {
    let client = &connection.api;
    let deliver = client.new_inbox();
    let mut pieces =
        client.subscribe(deliver.clone()).await.map_err(|error| server(name, error.to_string()))?;
    let wanted = json!({
        "deliver_subject": deliver, "no_consumers": true, "chunk_size": PIECE_BYTES,
    });
    let subject = format!("{}.STREAM.SNAPSHOT.{name}", connection.js_prefix);
    let body = wanted.to_string().into();
    let answer = request(connection, &subject, body, PIECE_WITHIN).await;
    let answer = answer.map_err(|words| server(name, words))?;
    let begun: Begun = read_answer(&answer).map_err(|words| server(name, words))?;
    let file = format!("{name}.snapshot");
    let path = draft.folder.join(&file);
    let mut out = File::create(&path).await.map_err(at(&path))?;
    let (mut hash, mut bytes) = (Sha256::new(), 0);
    loop {
        let piece = timeout(PIECE_WITHIN, pieces.next()).await.ok().flatten();
        let piece = piece.ok_or_else(|| server(name, "its snapshot does not go on".to_owned()))?;
        if piece.payload.is_empty() {
            if let Some(status) =
                piece.status.filter(|status| *status != StatusCode::OK && status.as_u16() >= 300)
            {
                let words =
                    piece.description.map_or_else(|| status.to_string(), |text| text.to_string());
                return Err(server(name, format!("its snapshot is broken off: {words}")));
            }
            break;
        }
        out.write_all(&piece.payload).await.map_err(at(&path))?;
        hash.update(&piece.payload);
        bytes += piece.payload.len() as u64;
        if let Some(reply) = piece.reply {
            let told = client.publish(reply, Default::default()).await;
            told.map_err(|error| server(name, error.to_string()))?;
        }
    }
    out.sync_all().await.map_err(at(&path))?;
    let (name, sha256) = (name.to_owned(), hexadecimal(hash));
    Ok(StreamKept { name, file, bytes, sha256, config: begun.config, state: begun.state })
}
