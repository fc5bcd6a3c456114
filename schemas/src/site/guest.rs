//! What the machines of a template are told to be.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the system in a template's machines is, and what is set up there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Guest {
    /// Which system; Linux if nothing is said.
    pub system: System,
    /// Whether its user may use Docker.
    pub docker: bool,
    /// Whether it has a desktop that a browser shows.
    pub desktop: bool,
}

/// A system that machines run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// Set up by cloud-init.
    #[default]
    Linux,
    /// Set up by cloudbase-init.
    Windows,
}

impl Guest {
    /// Whether it is what a template has that says nothing.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}
