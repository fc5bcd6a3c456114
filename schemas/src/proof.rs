//! How a worker shows which attempt it answers.

use alloc::string::String;
use core::fmt;

use serde::{Deserialize, Serialize};

/// A word that only the owner that made an attempt and the worker that was sent it know. It is
/// nowhere kept, and shown to nobody.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Proof(String);

impl Proof {
    /// A word that nobody can guess, of letters and digits.
    #[must_use]
    pub const fn new(word: String) -> Self {
        Self(word)
    }

    /// The word itself, for those who send it.
    #[must_use]
    pub fn word(&self) -> &str {
        &self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

// By hand, so that it cannot reach a log.
impl fmt::Debug for Proof {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Proof(..)")
    }
}
