//! Which keys a platform needs: before an engine seals anything with a key it leaves a record that
//! is sealed with it, beside the archive. So a key that is missing, or is another one of the same
//! name, is found before anything has to be read.

use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_EXPECTED_STREAM};
use stead_runtime::ports::LogError;
use stead_schemas::subjects::{self, ARCHIVE_STREAM};
use stead_schemas::time::Timestamp;

use super::{KEY_HEADER, NotOpened, shown};
use crate::jetstream::{self, NotAcked, Unread};
use crate::pause::Pause;
use crate::platform::Platform;

/// Attempts at leaving a record before the caller is told that the archive is away.
const ATTEMPTS_MAX: u32 = 6;

/// A key that something on the platform is sealed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySeen {
    /// Its name.
    pub id: String,
    /// Since when.
    pub since: Timestamp,
    /// Whether we have it.
    pub state: KeyState,
}

/// Whether a process can open what a key has sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It can.
    Ours,
    /// It cannot, and why.
    NotOurs(NotOpened),
}

/// Every key that anything on the platform is sealed with, oldest first.
///
/// # Errors
/// If the records cannot be read now.
pub async fn inspect_keys(platform: &Platform) -> Result<Vec<KeySeen>, LogError> {
    let (js, keys) = (&platform.connection.js, &platform.connection.keys);
    let (mut seen, mut next) = (Vec::new(), 1);
    loop {
        let all = subjects::archive_key("*");
        let record = match jetstream::next_message(js, ARCHIVE_STREAM, next, &all).await {
            Ok(Some(record)) => record,
            Ok(None) | Err(Unread::NoStream(_)) => return Ok(seen),
            Err(Unread::Other(words)) => return Err(LogError(words)),
        };
        next = record.sequence + 1;
        let opened = keys.open(&record.subject, Some(&record.headers), record.payload);
        let state = match opened {
            Ok(_) => KeyState::Ours,
            Err(error) => KeyState::NotOurs(error),
        };
        let since = Timestamp::from_millis(record.time.timestamp_millis());
        let id = record.headers.get(KEY_HEADER).map_or(String::new(), |id| shown(id.as_str()));
        seen.push(KeySeen { id, since, state });
    }
}

/// Leaves a record of the key that seals, if there is none, and makes sure that we have every key
/// that there is a record of.
pub(crate) async fn agree(platform: &Platform) -> Result<(), String> {
    leave(platform).await?;
    let seen = inspect_keys(platform).await.map_err(|error| error.0)?;
    let strange = seen.into_iter().filter_map(|key| match key.state {
        KeyState::Ours => None,
        KeyState::NotOurs(error) => Some(error.to_string()),
    });
    let strange: Vec<String> = strange.collect();
    if strange.is_empty() { Ok(()) } else { Err(strange.join("; ")) }
}

async fn leave(platform: &Platform) -> Result<(), String> {
    let connection = &platform.connection;
    let Some(id) = connection.keys.names().next() else { return Ok(()) };
    let subject = subjects::archive_key(id);
    let (mut last, mut pause) = (String::new(), Pause::new());
    for _ in 0..ATTEMPTS_MAX {
        match jetstream::last_message(&connection.js, ARCHIVE_STREAM, &subject).await {
            Ok(Some(_)) => return Ok(()),
            Ok(None) => {}
            Err(error) => {
                last = error.to_string();
                pause.wait().await;
                continue;
            }
        }
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_STREAM, ARCHIVE_STREAM);
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, "0");
        let body = connection.keys.seal(&subject, &mut headers, id.as_bytes().to_vec());
        let body = body.map_err(|error| error.to_string())?;
        match jetstream::publish(&connection.api, &subject, headers, body).await {
            // Whether it is ours or another engine's shows when it is read.
            Ok(_) | Err(NotAcked::WrongLast) => {}
            Err(NotAcked::Lasting(words)) => return Err(words),
            Err(error) => last = error.to_string(),
        }
        pause.wait().await;
    }
    Err(format!("no record of the key `{id}` can be left: {last}"))
}
