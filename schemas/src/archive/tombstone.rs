//! What stays of a segment whose histories have expired: a signed record of what was there.
//!
//! The segment's own record stays, and so do its digests, so that no command acts twice and the
//! chain of records has no gap. Gone are the histories and the lines; a tombstone says which, since
//! when, and by whom. Tombstones are a chain of their own. Whose signature counts is not decided
//! here: this room knows no curves.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::{Altered, Segment};
use crate::ids::Partition;
use crate::time::Timestamp;
use crate::transition::link;

/// The shape of the tombstones that this build writes.
pub const TOMBSTONE_VERSION: u8 = 1;

/// The record that a segment's histories have expired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// The shape of this record; see [`TOMBSTONE_VERSION`].
    pub v: u8,
    /// The partition of the segment.
    pub partition: Partition,
    /// Its place among the partition's tombstones, counted from 1 without gaps.
    pub n: u64,
    /// The segment's place in the archive.
    pub segment: u64,
    /// The [`link`] of the segment's record.
    pub record: String,
    /// How many histories were there.
    pub runs: u64,
    /// How many messages they had together.
    pub messages: u64,
    /// The SHA-256 of the histories as they were packed.
    pub histories: String,
    /// The SHA-256 of the lines.
    pub lines: String,
    /// When the segment had been written.
    pub written: Timestamp,
    /// When it expired.
    pub at: Timestamp,
    /// Who had it expire, as that person says.
    pub who: String,
    /// Why.
    pub why: String,
    /// The public half of the key that has signed this.
    pub key: String,
    /// The [`link`] of the tombstone before; empty for the first one.
    pub prev: String,
    /// The signature of [`Tombstone::signed`], in base64.
    pub signature: String,
}

/// By whom and why segments expire.
#[derive(Clone, Copy, Debug)]
pub struct Burial<'a> {
    /// When.
    pub at: Timestamp,
    /// Who, as that person says.
    pub who: &'a str,
    /// Why.
    pub why: &'a str,
    /// The public half of the key that is going to sign.
    pub key: &'a str,
}

impl Tombstone {
    /// The tombstone of a segment behind the one before, not signed yet.
    #[must_use]
    pub fn of(segment: &Segment, before: Option<&Self>, burial: Burial<'_>) -> Self {
        Self {
            v: TOMBSTONE_VERSION,
            partition: segment.partition,
            n: before.map_or(0, |before| before.n) + 1,
            segment: segment.n,
            record: link(&segment.encode()),
            runs: segment.runs,
            messages: segment.messages,
            histories: segment.histories.sha256.clone(),
            lines: segment.lines.sha256.clone(),
            written: segment.at,
            at: burial.at,
            who: burial.who.into(),
            why: burial.why.into(),
            key: burial.key.into(),
            prev: before.map_or_else(String::new, |before| link(&before.encode())),
            signature: String::new(),
        }
    }

    /// The bytes that are kept.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Numbers and texts always have a JSON form.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The bytes that are signed: all of it but the signature.
    #[must_use]
    pub fn signed(&self) -> Vec<u8> {
        Self { signature: String::new(), ..self.clone() }.encode()
    }

    /// Reads a tombstone back.
    ///
    /// # Errors
    /// If the bytes are none, or one of a newer shape.
    pub fn decode(bytes: &[u8]) -> Result<Self, Altered> {
        let tombstone: Self = serde_json::from_slice(bytes)
            .map_err(|error| Altered(format!("a tombstone cannot be read: {error}")))?;
        match tombstone.v {
            TOMBSTONE_VERSION => Ok(tombstone),
            newer => Err(Altered(format!(
                "a tombstone is written in shape {newer}, this build reads up to \
                 {TOMBSTONE_VERSION}; use a newer Stead"
            ))),
        }
    }

    /// Whether it follows the one before it.
    ///
    /// # Errors
    /// If it does not.
    pub fn check_follows(&self, before: Option<&Self>) -> Result<(), Altered> {
        let n = before.map_or(0, |before| before.n) + 1;
        let prev = before.map_or_else(String::new, |before| link(&before.encode()));
        if self.n == n && self.prev == prev {
            return Ok(());
        }
        Err(Altered(format!(
            "tombstone {} does not follow from the one before it: that one was altered, or one \
             between them is missing",
            self.n
        )))
    }

    /// Whether it is this segment's.
    ///
    /// # Errors
    /// If it was written for another one, or that one was altered since.
    pub fn check_of(&self, segment: &Segment) -> Result<(), Altered> {
        let burial = Burial { at: self.at, who: &self.who, why: &self.why, key: &self.key };
        let (n, prev, signature) = (self.n, self.prev.clone(), self.signature.clone());
        if *self == (Self { n, prev, signature, ..Self::of(segment, None, burial) }) {
            return Ok(());
        }
        Err(Altered(format!(
            "tombstone {n} is not that of {}: it is for something else",
            segment.name()
        )))
    }

    /// What became of the segment, in words.
    #[must_use]
    pub fn told(&self) -> String {
        let Self { who, at, why, segment, partition, .. } = self;
        format!(
            "segment {segment} of partition {partition} was made to expire by {who} at {at}: {why}"
        )
    }
}
