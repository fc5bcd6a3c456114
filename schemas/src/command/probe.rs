//! Commands to a probe.

use alloc::string::String;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind of the entity.
pub const KIND: &str = "probe";

/// `probe.start`: runs six steps that do nothing, to see and to measure the whole path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartProbe {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The probe's name; one of the same name may not be running.
    pub name: String,
}
