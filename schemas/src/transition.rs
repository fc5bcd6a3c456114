//! The envelope: one transition is one message is one append.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::event::Event;
use crate::ids::RunId;
use crate::time::Timestamp;

/// The shape of the envelope that this build writes.
pub const VERSION: u8 = 1;

/// What one decision produced: a fact and everything that followed from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Transition {
    /// The shape of this envelope; see [`VERSION`].
    pub v: u8,
    /// Whose history this belongs to.
    pub run: RunId,
    /// Its place in that history, counted from 1 without gaps.
    pub n: u64,
    /// When the engine decided.
    pub at: Timestamp,
    /// Which engine decided.
    pub engine: String,
    /// The [`link`] of the transition before; empty for the first one.
    pub prev: String,
    /// The facts, in order.
    pub events: Vec<Event>,
}

/// The bytes of a transition are not one this build can read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not the JSON of a transition.
    #[error("not a transition: {0}")]
    Json(String),
    /// Written by a newer Stead.
    #[error("written in shape {found}, this build reads up to {VERSION}; use a newer Stead")]
    Newer {
        /// The shape it is written in.
        found: u8,
    },
}

impl Transition {
    /// The bytes that are appended.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Maps with non-text keys are the only thing JSON cannot hold; no event has one.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads a transition back.
    ///
    /// # Errors
    /// If the bytes are not a transition, or one of a newer shape.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let transition: Self =
            serde_json::from_slice(bytes).map_err(|error| DecodeError::Json(format!("{error}")))?;
        match transition.v {
            VERSION => Ok(transition),
            found => Err(DecodeError::Newer { found }),
        }
    }
}

/// The digest of an appended message (SHA-256, hexadecimal), which the next one carries in
/// `prev`: nothing can be altered or taken out unnoticed.
#[must_use]
pub fn link(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The digest of a command as it was sent: its verb and its fields without the id.
#[must_use]
pub fn command_digest(verb: &str, fields: &serde_json::Map<String, serde_json::Value>) -> String {
    let mut hash = Sha256::new();
    hash.update(verb.as_bytes());
    for (field, value) in fields.iter().filter(|(field, _)| *field != "id") {
        hash.update(format!("\n{field}={value}").as_bytes());
    }
    hex(&hash.finalize()[..16])
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('?'));
        }
        text
    })
}
