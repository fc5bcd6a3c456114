//! Commands to a probe.

use alloc::string::String;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind of the entity.
pub const KIND: &str = "probe";

/// The most steps of one probe.
pub const STEPS_MAX: u32 = 10_000;

/// `probe.start`: runs steps that do nothing, six of them if no other number is given, to see and
/// to measure the whole path.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartProbe {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The probe's name; one of the same name may not be running.
    pub name: String,
    /// How many steps it makes, one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 10_000))]
    pub steps: Option<u32>,
    /// How long it then waits for `probe.finish`, in seconds, before it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_seconds: Option<u32>,
}

/// `probe.finish`: ends a probe that waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishProbe {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The probe's name.
    pub name: String,
}
