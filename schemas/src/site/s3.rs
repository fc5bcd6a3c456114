//! Where buckets are made, and what kinds of S3 there are.

use alloc::string::String;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where buckets are made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct S3Site {
    /// Where guests reach their buckets: `https://s3.lan`.
    pub endpoint: String,
    /// What it can do besides S3 itself.
    #[serde(default, skip_serializing_if = "S3Kind::is_garage")]
    pub kind: S3Kind,
    /// Where the administrator's token lies; of S3 without an administration the key that makes buckets.
    pub secret: String,
    /// The folder in Vault in which each owner's own key lies, where the S3 makes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<String>,
    /// The folder in Vault beneath which every bucket's key lies.
    pub credentials: String,
    /// How much a bucket may hold if nothing is said, in GiB.
    pub quota_gb: u32,
    /// How long a bucket that holds something outlives its delete, in seconds.
    pub grace_seconds: u64,
}

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
