//! S3: buckets and the keys that open them. A bucket is ours if a key that carries our marker as
//! its name may do everything with it; the key's secret lies in Vault before the key is made. Of S3
//! that makes no keys a bucket is ours if our record lies in Vault, which was written while there was no
//! bucket of that name.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::{Done, Step};

/// Which bucket of ours, and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Pinned reference to the administrator's token.
    pub login: String,
    /// The bucket's name at the vendor's.
    pub bucket: String,
    /// Where the bucket's key lies in Vault, not pinned: `vault:secret/data/stead/buckets/…`.
    pub credentials: String,
    /// Our name tag; the key's name.
    pub marker: String,
}

/// Makes the bucket's key and hands it to Vault, or finds the one that lies there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnsureKey {
    /// The bucket that the key will open.
    pub place: Place,
    /// Where guests reach the bucket; it lies beside the key.
    pub endpoint: String,
    /// Pinned reference to the owner's own key, where the S3 makes none: that one opens the bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// The answer to [`EnsureKey`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// The pinned reference to the key.
    pub credentials: String,
}

impl Step for EnsureKey {
    const NAME: &'static str = "s3.ensure-key";
    type Answer = Key;
}

/// Makes the bucket, or finds ours, and sets its limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnsureBucket {
    /// Which bucket.
    pub place: Place,
    /// How much it may hold.
    pub limits: Limits,
}

/// How much a bucket may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// In GiB.
    pub quota_gb: u32,
    /// How many objects; nothing is as many as there is room for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects_max: Option<u32>,
}

impl Step for EnsureBucket {
    const NAME: &'static str = "s3.ensure-bucket";
    type Answer = Done;
}

/// Changes how much the bucket may hold. Refuses less than it holds already, in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetLimits {
    /// Which bucket; its marker is checked first.
    pub place: Place,
    /// The new limits.
    pub limits: Limits,
}

impl Step for SetLimits {
    const NAME: &'static str = "s3.set-limits";
    type Answer = Done;
}

/// Deletes the bucket if nothing is in it. A bucket that holds something stays, and that is no
/// failure. Done too if it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteIfEmpty {
    /// Which bucket; its marker is checked first.
    pub place: Place,
}

/// The answer to [`DeleteIfEmpty`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// Whether it is gone. The counts may lag behind what is there.
    pub gone: bool,
    /// How many objects it holds.
    pub objects: u64,
    /// How many uploads into it were begun and not ended.
    pub uploads: u64,
}

impl Step for DeleteIfEmpty {
    const NAME: &'static str = "s3.delete-if-empty";
    type Answer = Deleted;
}

/// Deletes everything in a bucket for good. **This destroys user data**: the worker refuses unless
/// the marker matches and nobody's key but ours opens the bucket. Done too if it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmptyBucket {
    /// Which bucket.
    pub place: Place,
}

impl Step for EmptyBucket {
    const NAME: &'static str = "s3.empty-bucket";
    type Answer = Done;
}

/// Deletes an empty bucket of ours; one that holds something is a conflict. Done too if it is
/// gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteBucket {
    /// Which bucket; its marker is checked first.
    pub place: Place,
}

impl Step for DeleteBucket {
    const NAME: &'static str = "s3.delete-bucket";
    type Answer = Done;
}

/// Deletes the bucket's key, and forgets its secret with all versions. Done too if it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteKey {
    /// The bucket that the key opened.
    pub place: Place,
}

impl Step for DeleteKey {
    const NAME: &'static str = "s3.delete-key";
    type Answer = Done;
}

/// Lists the buckets as their administrator sees them, and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListBuckets {
    /// Reference to the administrator's token.
    pub login: String,
}

impl Step for ListBuckets {
    const NAME: &'static str = "s3.list-buckets";
    type Answer = Done;
}
