//! Commands to a bucket, and what it shows of itself.
//!
//! The structs named `…Bucket` are what a client sends; `BucketOrder` is what is written down when
//! `create` is accepted.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::workspace::check_name;
use crate::owner::Owner;
use crate::refusal::Refusal;
use crate::site::S3Site;
use crate::time::Timestamp;

/// The kind of the entity.
pub const KIND: &str = "bucket";
/// The longest name that a bucket may have at the vendor's.
pub const BUCKET_NAME_MAX: usize = 63;
/// How many workspaces may say that they use a bucket.
pub const USERS_MAX: usize = 100;
/// The most that a bucket may be allowed to hold, in GiB.
pub const QUOTA_GB_MAX: u32 = 1 << 20;

/// `bucket.create`: makes a bucket and a key that opens it; the key lies in Vault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateBucket {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The bucket's name, unique among its owner's. A workspace of the same name finds the bucket
    /// and its key in its environment.
    #[schemars(regex(pattern = r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$"))]
    pub name: String,
    /// How much it may hold, in GiB; what the site gives if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub quota_gb: Option<u32>,
    /// How many objects it may hold; as many as there is room for if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub objects_max: Option<u32>,
}

/// `bucket.resize`: changes what is named, keeps the rest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResizeBucket {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The bucket's name.
    pub name: String,
    /// How much it may hold, in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_048_576))]
    pub quota_gb: Option<u32>,
    /// How many objects it may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub objects_max: Option<u32>,
}

/// `bucket.attach`, `bucket.detach`: a workspace uses the bucket, or no longer does. A bucket that
/// one uses is not deleted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BucketUser {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The bucket's name.
    pub name: String,
    /// The workspace's name.
    pub workspace: String,
}

/// `bucket.delete`: takes a bucket away. An empty one goes at once. One that holds something is
/// kept for the site's grace period first, and only if this is confirmed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteBucket {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The bucket's name.
    pub name: String,
    /// The bucket's name once more: everything in it may be deleted, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
}

/// `bucket.restore`: takes a delete back, within the grace period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NameBucket {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The bucket's name.
    pub name: String,
}

/// A create that was accepted, complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BucketOrder {
    /// The bucket's name at the vendor's.
    pub bucket: String,
    /// How much it may hold, in GiB.
    pub quota_gb: u32,
    /// How many objects it may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects_max: Option<u32>,
    /// Where buckets are made.
    pub site: S3Site,
    /// Where the owner's own key lies, where the S3 makes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// Where a bucket stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BucketPhase {
    /// It is being made.
    Creating,
    /// It can be used.
    Ready,
    /// Its limits are being changed.
    Resizing,
    /// It is to go with everything in it, once its grace period is over.
    Kept,
    /// It is being taken away.
    Deleting,
    /// It is gone.
    Deleted,
    /// It could not be made; what was begun has been taken back.
    Failed,
}

impl BucketPhase {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Ready => "ready",
            Self::Resizing => "resizing",
            Self::Kept => "kept",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
            Self::Failed => "failed",
        }
    }
}

/// What a bucket shows of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BucketView {
    /// Where it stands.
    pub phase: BucketPhase,
    /// Its name at the vendor's.
    pub bucket: String,
    /// Where it is reached.
    pub endpoint: String,
    /// Where the key that opens it lies, once it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
    /// How much it may hold, in GiB.
    pub quota_gb: u32,
    /// How many objects it may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects_max: Option<u32>,
    /// The workspaces that use it.
    pub users: BTreeSet<String>,
    /// Until when it can be restored, if it is to go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_until: Option<Timestamp>,
}

/// The name at the vendor's of an owner's bucket: `john-data`, and `johnx2edoe-data` of `john.doe`.
/// Buckets share one room with those of all other owners, and their names become host names:
/// small letters, digits and `-` only. So every byte of the owner but `a` to `w`, `y`, `z` and the
/// digits is `x` and two digits of its number; no `-` is left in it, and the first one ends it.
///
/// # Errors
/// If the name is none, or both together are too long.
pub fn bucket_name(owner: &Owner, name: &str) -> Result<String, Refusal> {
    check_name(name)
        .map_err(|refusal| Refusal { code: "bucket.name-invalid".into(), ..refusal })?;
    let mut bucket = String::new();
    for byte in owner.as_str().bytes() {
        match byte {
            b'a'..=b'w' | b'y' | b'z' | b'0'..=b'9' => bucket.push(char::from(byte)),
            _ => bucket.push_str(&format!("x{byte:02x}")),
        }
    }
    bucket.push('-');
    bucket.push_str(name);
    // Vendors keep this ending for themselves.
    if bucket.ends_with("-s3alias") {
        let words = "a bucket's name may not end in s3alias, which S3 keeps for itself";
        return Err(Refusal::new("bucket.name-invalid", words).field("name"));
    }
    if bucket.len() <= BUCKET_NAME_MAX {
        return Ok(bucket);
    }
    let words = format!(
        "with its owner before it the name would be `{bucket}`, and S3 allows {BUCKET_NAME_MAX} \
         characters; choose a name that is {} shorter",
        bucket.len() - BUCKET_NAME_MAX
    );
    Err(Refusal::new("bucket.name-too-long", words).field("name"))
}

/// Whose bucket this is and what he calls it; nothing if [`bucket_name`] makes no such name.
#[must_use]
pub fn read_bucket_name(bucket: &str) -> Option<(Owner, String)> {
    let (token, name) = bucket.split_once('-')?;
    let mut bytes = alloc::vec::Vec::with_capacity(token.len());
    let mut rest = token;
    while let Some(first) = rest.chars().next() {
        if first == 'x' {
            bytes.push(u8::from_str_radix(rest.get(1..3)?, 16).ok()?);
            rest = rest.get(3..)?;
        } else {
            bytes.push(u8::try_from(first).ok()?);
            rest = rest.get(first.len_utf8()..)?;
        }
    }
    let owner = Owner::new(String::from_utf8(bytes).ok()?).ok()?;
    let spelled = bucket_name(&owner, name).ok()?;
    (spelled == bucket).then(|| (owner, name.to_string()))
}

/// Where the key of a bucket lies in Vault: each beneath the site's own folder.
#[must_use]
pub fn credentials_of(site: &S3Site, bucket: &str) -> String {
    format!("{}/{bucket}", site.credentials)
}

/// Where an owner's own key lies in Vault, on a site whose S3 makes none.
#[must_use]
pub fn key_of(site: &S3Site, owner: &Owner) -> Option<String> {
    // As in the folder of tokens: a path of a URL reads `%` as an escape.
    Some(format!("{}/{}", site.users.as_ref()?, owner.token().replace('%', ".")))
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use super::{bucket_name, read_bucket_name};
    use crate::owner::Owner;

    fn check(owner: &str, name: &str, bucket: &str) {
        let owner = Owner::new(owner).unwrap();
        assert_eq!(bucket_name(&owner, name).unwrap(), bucket);
        assert_eq!(read_bucket_name(bucket), Some((owner, name.to_string())));
    }

    #[test]
    fn every_bucket_has_one_name_and_every_name_one_bucket() {
        check("john", "data", "john-data");
        check("john.doe", "data", "johnx2edoe-data");
        check("john-doe", "data", "johnx2ddoe-data");
        check("john", "doe-data", "john-doe-data");
        check("John", "data", "x4aohn-data");
        check("max", "x", "max78-x");
        check("xn", "a", "x78n-a");
        check("é", "a1", "xc3xa9-a1");
    }

    #[test]
    fn what_is_no_name_of_ours_belongs_to_nobody() {
        for name in ["john", "-data", "x4-data", "x6aohn-data", "john-", "john-Data", "xé-data"] {
            assert_eq!(read_bucket_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_that_s3_cannot_hold_is_refused() {
        let check = |owner: &str, name: &str, code: &str| {
            let owner = Owner::new(owner).unwrap();
            assert_eq!(bucket_name(&owner, name).unwrap_err().code, code);
        };
        check("john", "Data", "bucket.name-invalid");
        check("john", "a.b", "bucket.name-invalid");
        check("john", "s3alias", "bucket.name-invalid");
        check(&"o".repeat(31), &"n".repeat(32), "bucket.name-too-long");
        assert!(bucket_name(&Owner::new("o".repeat(30)).unwrap(), &"n".repeat(32)).is_ok());
    }
}
