//! The archive: what has become of histories that are over, once they leave the log.
//!
//! Each partition has a chain of segments. A segment's record is JSON that a person can read; it
//! names three blobs: the digests that an owner keeps in memory, the lines that lists show, and
//! the histories themselves, to the byte as they were in the log. Every blob has a checksum in the
//! record, and every record the digest of the one before it.
//!
//! `digests.rs` is what an owner must know, `histories.rs` the packed histories, `lines.rs` what
//! lists show, `tombstone.rs` what stays of what has expired, `check.rs` says whether all of it is as it was written.

mod check;
mod digests;
mod histories;
mod lines;
mod pack;
mod tombstone;

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

pub use check::{check_follows, check_histories, check_segment, check_whole};
pub use digests::{CommandDigest, Digests, asked_tag, command_tag, life_tag};
pub use histories::{History, Kept, histories, pack_histories};
pub use lines::{lines, pack_lines};
pub use tombstone::{Burial, TOMBSTONE_VERSION, Tombstone};

use crate::ids::Partition;
use crate::time::Timestamp;
use crate::transition::link;

/// The shape of the records that this build writes.
pub const VERSION: u8 = 1;
/// The most bytes of one part of a blob: half of what a server's default lets a message have.
pub const PART_BYTES_MAX: usize = 512 * 1024;
/// The most bytes that a blob may have when it is unpacked; more is no blob of ours.
pub const UNPACKED_BYTES_MAX: usize = 1 << 30;

/// The record of a segment: some of a partition's histories that are over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// The shape of this record; see [`VERSION`].
    pub v: u8,
    /// The partition that the histories belong to.
    pub partition: Partition,
    /// Its place in the partition's archive, counted from 1 without gaps.
    pub n: u64,
    /// When it was written.
    pub at: Timestamp,
    /// Which engine wrote it.
    pub engine: String,
    /// The epoch of the log from which the histories come.
    pub epoch: u32,
    /// The histories are those that ended in the log after this sequence…
    pub after: u64,
    /// …and not after this one.
    pub to: u64,
    /// How many histories there are.
    pub runs: u64,
    /// How many messages they have together.
    pub messages: u64,
    /// What an owner keeps of them.
    pub digests: Blob,
    /// What lists show of them.
    pub lines: Blob,
    /// The histories.
    pub histories: Blob,
    /// The [`link`] of the record before; empty for the first one.
    pub prev: String,
}

/// Some bytes that are kept beside a record, in parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Where each part is, in order.
    pub parts: Vec<u64>,
    /// How many bytes they have together.
    pub bytes: u64,
    /// The SHA-256 of them, hexadecimal.
    pub sha256: String,
}

/// What is in the archive is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Altered(pub String);

impl Segment {
    /// The bytes that are kept.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Numbers and texts always have a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a record back.
    ///
    /// # Errors
    /// If the bytes are none, or one of a newer shape.
    pub fn decode(bytes: &[u8]) -> Result<Self, Altered> {
        let record: Self = serde_json::from_slice(bytes)
            .map_err(|error| Altered(format!("the record cannot be read: {error}")))?;
        match record.v {
            VERSION => Ok(record),
            newer => Err(Altered(format!(
                "the record is written in shape {newer}, this build reads up to {VERSION}; use a \
                 newer Stead"
            ))),
        }
    }

    /// The segment in words, for people.
    #[must_use]
    pub fn name(&self) -> String {
        format!("segment {} of partition {}", self.n, self.partition)
    }
}

impl Blob {
    /// What is said of these bytes, which are kept in these parts.
    #[must_use]
    pub fn of(bytes: &[u8], parts: Vec<u64>) -> Self {
        Self { parts, bytes: bytes.len() as u64, sha256: link(bytes) }
    }

    /// Whether these are the bytes.
    ///
    /// # Errors
    /// If they are not.
    pub fn check(&self, what: &str, bytes: &[u8]) -> Result<(), Altered> {
        if bytes.len() as u64 == self.bytes && link(bytes) == self.sha256 {
            return Ok(());
        }
        Err(Altered(format!("the {what} are not those that were written: their checksum differs")))
    }
}

/// The bytes in parts, each small enough for a message.
pub fn parts(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.chunks(PART_BYTES_MAX)
}

impl From<&str> for Altered {
    fn from(words: &str) -> Self {
        Self(words.to_string())
    }
}

#[cfg(test)]
mod tests;
