//! What kinds of S3 there are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What an S3 can do besides S3 itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum S3Kind {
    /// Garage's administration makes keys and sets limits.
    #[default]
    Garage,
    /// Nothing: AWS S3, Ceph's gateway, MinIO. It makes no keys and keeps no limits.
    Generic,
}

impl S3Kind {
    /// Whether there is Garage's administration.
    #[must_use]
    pub const fn is_garage(&self) -> bool {
        matches!(self, Self::Garage)
    }
}
