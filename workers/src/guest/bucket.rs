//! The bucket of a workspace: one that its owner has made under the workspace's own name. Its key
//! lies in Vault, and the guest finds it in the environment of its agent.

use stead_schemas::command::bucket::bucket_name;
use stead_schemas::failure::Failure;
use stead_schemas::owner::Owner;

use super::SeedUrls;
use crate::vault::Secret;

/// What a program that speaks S3 looks for, and the field of the key's record that holds it.
const VARIABLES: [(&str, &str); 5] = [
    ("AWS_ACCESS_KEY_ID", "access_key_id"),
    ("AWS_SECRET_ACCESS_KEY", "secret_access_key"),
    ("AWS_ENDPOINT_URL", "endpoint"),
    ("AWS_REGION", "region"),
    ("S3_BUCKET_NAME", "bucket"),
];

/// The environment that the bucket of a workspace makes; empty if there is no such bucket.
pub(super) async fn environment(
    urls: &SeedUrls,
    folder: &str,
    owner: &Owner,
    workspace: &str,
) -> Result<Vec<(&'static str, String)>, Failure> {
    // A name that no bucket can have is no bucket's.
    let Ok(bucket) = bucket_name(owner, workspace) else { return Ok(Vec::new()) };
    match urls.secret_if_there(&format!("{folder}/{bucket}")).await? {
        Some(secret) => variables(&secret),
        None => Ok(Vec::new()),
    }
}

fn variables(secret: &Secret) -> Result<Vec<(&'static str, String)>, Failure> {
    let value = |field| secret.field(field).map(str::to_owned);
    VARIABLES.iter().map(|(name, field)| Ok((*name, value(field)?))).collect()
}
