//! Restores a backup onto a server that has no platform.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::create::{names, server, state};
use super::files::{at, verify};
use super::{BackupError, Manifest, StreamKept, is_ours};
use crate::connect::Connection;
use crate::inspect::{read_answer, request};

/// How large the pieces are that are sent.
const PIECE_BYTES: usize = 128 * 1024;
/// How long the server may take for a piece; behind the last one it reads the whole stream.
const PIECE_WITHIN: Duration = Duration::from_secs(120);

/// Restores the backup in the folder `source`, with as many replicas as it had or as are wanted. If
/// it cannot be restored whole, nothing stays.
///
/// # Errors
/// See [`BackupError`].
pub async fn restore(
    connection: &Connection,
    source: &Path,
    replicas: Option<usize>,
) -> Result<Manifest, BackupError> {
    let folder = source.to_owned();
    let manifest = tokio::task::spawn_blocking(move || verify(&folder)).await;
    let manifest = manifest.map_err(|error| server("the backup", error.to_string()))??;
    let mut there = names(connection).await?;
    there.retain(|name| is_ours(name));
    if !there.is_empty() {
        return Err(BackupError::NotEmpty { streams: there });
    }
    let mut restored = Vec::new();
    for stream in &manifest.streams {
        restored.push(stream.name.as_str());
        let done = restore_one(connection, source, stream, replicas).await;
        if let Err(error) = done {
            take_back(connection, &restored).await;
            return Err(error);
        }
    }
    Ok(manifest)
}

async fn restore_one(
    connection: &Connection,
    source: &Path,
    stream: &StreamKept,
    replicas: Option<usize>,
) -> Result<(), BackupError> {
    #[derive(Deserialize)]
    struct Begun {
        deliver_subject: String,
    }
    let name = stream.name.as_str();
    let failed = |words: String| server(name, words);
    let mut config = stream.config.clone();
    if let Some(replicas) = replicas {
        config["num_replicas"] = json!(replicas);
    }
    let wanted = json!({ "config": config, "state": stream.state });
    let subject = format!("{}.STREAM.RESTORE.{name}", connection.js_prefix);
    let answer = request(connection, &subject, wanted.to_string().into(), PIECE_WITHIN).await;
    let begun: Begun = read_answer(&answer.map_err(failed)?).map_err(failed)?;
    let path = source.join(&stream.file);
    let mut file = File::open(&path).await.map_err(at(&path))?;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = file.read(&mut piece).await.map_err(at(&path))?;
        let body = Bytes::copy_from_slice(&piece[..read]);
        // The empty piece is the last one: its answer says how the whole went.
        let answer = request(connection, &begun.deliver_subject, body, PIECE_WITHIN).await;
        let answer = answer.map_err(failed)?;
        if !answer.is_empty() {
            read_answer::<Value>(&answer).map_err(failed)?;
        }
        if read == 0 {
            break;
        }
    }
    let found = state(connection, name).await?;
    // Of a stream in which nothing is, the server counts differently each time.
    let (has, had) = (found, stream.state);
    if has.messages != had.messages || (had.messages > 0 && has.last_seq != had.last_seq) {
        return Err(failed(format!("{found:?} was restored, not {:?}", stream.state)));
    }
    Ok(())
}

/// Deletes what was restored, so that the server is as it was found.
async fn take_back(connection: &Connection, restored: &[&str]) {
    for name in restored {
        if let Err(error) = connection.js.delete_stream(name).await {
            tracing::warn!(stream = name, %error, "a stream of a broken restore stays");
        }
    }
}
