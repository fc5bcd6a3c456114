//! Commands about drift.

use alloc::string::String;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind of the entity.
pub const KIND: &str = "drift";
/// The name of the site's one.
pub const NAME: &str = "site";

/// `drift.scan`: looks at what is really there, system by system. Belongs to the platform itself:
/// its owner is `stead`, its name `site`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanDrift {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// Always `site`.
    pub name: String,
}
