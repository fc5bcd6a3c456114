//! Backups: a folder with a snapshot of each stream, and a manifest that says what they are.
//!
//! Each stream is as it was at one moment, not all at the same. Commands that wait are taken
//! first: one that is taken in meanwhile is then in the backup twice, which its id tells, and not
//! lost; and what segments name, after the segments. A backup during which an epoch of the log
//! turned, histories expired or a stream came or went would lead nowhere, and is begun anew.
//! Leases are left out: they are true for seconds.
//!
//! Read next: `create.rs`, `restore.rs`; `files.rs` is what lies in the folder.

mod create;
mod files;
mod restore;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_schemas::subjects;
use stead_schemas::time::Timestamp;

pub use create::create;
pub use files::verify;
pub use restore::restore;

/// What this build writes, and the only shape that it reads.
const VERSION: u32 = 1;

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The shape of the backup.
    pub version: u32,
    /// When it was begun.
    pub at: Timestamp,
    /// The build that made it.
    pub build: String,
    /// The version of the server that it was made of.
    pub server: String,
    /// How many partitions the log has.
    pub partitions: u16,
    /// Whether nothing was appended to the log while it was made, so that all streams are as they
    /// were at one moment.
    pub at_one_moment: bool,
    /// Its streams, in the order in which they are restored.
    pub streams: Vec<StreamKept>,
}

impl Manifest {
    /// How many messages are in it.
    #[must_use]
    pub fn messages(&self) -> u64 {
        self.streams.iter().map(|stream| stream.state.messages).sum()
    }

    /// How many bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.streams.iter().map(|stream| stream.bytes).sum()
    }
}

/// One stream of a backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StreamKept {
    /// Its name.
    pub name: String,
    /// The file that holds it, as the server packed it.
    pub file: String,
    /// How long that file is.
    pub bytes: u64,
    /// The SHA-256 of that file, in hexadecimal digits.
    pub sha256: String,
    /// How the stream was configured, in the server's own words.
    pub config: Value,
    /// What was in it.
    pub state: StreamState,
}

/// What was in a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamState {
    /// How many messages.
    pub messages: u64,
    /// The first sequence.
    pub first_seq: u64,
    /// The last sequence.
    pub last_seq: u64,
}

/// Why there is no backup, or none can be restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A place is taken.
    #[error("{} is there already; a backup is never written over anything", path.display())]
    Taken {
        /// The place.
        path: PathBuf,
    },
    /// A file cannot be read or written.
    #[error("{} cannot be used", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The backup is not what it was.
    #[error("the backup is damaged: {}", faults.join("; "))]
    Damaged {
        /// Everything that is wrong with it.
        faults: Vec<String>,
    },
    /// The server has a platform.
    #[error(
        "there is a platform on this server ({}); a backup is restored only where there is none",
        streams.join(", ")
    )]
    NotEmpty {
        /// The streams that are there.
        streams: Vec<String>,
    },
    /// There is no platform.
    #[error("there is no platform on this server")]
    NoPlatform,
    /// Epochs turn, or histories expire, all the time.
    #[error(
        "during each attempt the log began a new epoch or histories expired; try again when that \
         is done"
    )]
    Unquiet,
    /// The server refuses, or does not answer.
    #[error("the stream `{stream}`: {words}")]
    Server {
        /// The stream.
        stream: String,
        /// Why.
        words: String,
    },
}

/// Whether a stream is ours and belongs into a backup.
fn is_kept(name: &str) -> bool {
    is_ours(name) && name != subjects::LEASE_BUCKET
}

fn is_ours(name: &str) -> bool {
    name.starts_with("STEAD_") || name.starts_with("KV_STEAD_")
}

/// The order in which streams are snapshotted: commands that wait come first, and the archive
/// behind the log, so that what has left the log is in it.
fn rank(name: &str) -> u8 {
    match name {
        subjects::INBOX_STREAM => 0,
        subjects::ARCHIVE_STREAM => 2,
        subjects::SHELF_STREAM => 3,
        subjects::SETTINGS_BUCKET => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_kept, rank};

    #[test]
    fn leases_are_left_out_and_commands_come_first() {
        let wanted =
            ["STEAD_INBOX", "STEAD_LOG_0_1", "STEAD_ARCHIVE", "STEAD_SHELF", "STEAD_SETTINGS"];
        let mut all = wanted;
        all.reverse();
        all.sort_by_key(|name| rank(name));
        assert_eq!(all, wanted);
        assert!(!is_kept("STEAD_LEASES") && !is_kept("ORDERS") && is_kept("STEAD_REFUSALS"));
    }
}
