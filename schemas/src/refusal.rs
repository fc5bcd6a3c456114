//! A command that is not carried out, and why. A refusal is a value, not an error.

use alloc::string::String;
use core::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a command was turned away before anything was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refusal {
    /// Which rule, for machines: `parameter.out-of-range`.
    pub code: String,
    /// Which field of the command, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// What is wrong and what to do, for people.
    pub words: String,
}

impl Refusal {
    /// A refusal by the rule `code`.
    #[must_use]
    pub fn new(code: &str, words: impl Into<String>) -> Self {
        Self { code: code.into(), field: None, words: words.into() }
    }

    /// The same refusal, pointing at a field.
    #[must_use]
    pub fn field(mut self, field: &str) -> Self {
        self.field = Some(field.into());
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(out, "{field}: {} [{}]", self.words, self.code),
            None => write!(out, "{} [{}]", self.words, self.code),
        }
    }
}
