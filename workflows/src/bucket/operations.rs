//! What is done with a bucket at the vendor's.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use stead_core::context::{Command, Context};
use stead_schemas::command::bucket::{BucketPhase, ResizeBucket};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::s3::{self, Limits};
use stead_schemas::step::vault::PinSecrets;

use super::state::Bucket;

/// Makes the key, whose secret lies in Vault before it can open anything, and then the bucket.
pub(super) async fn make(cx: &Context, bucket: &mut Bucket) -> Result<(), Failure> {
    let (secret, user) = (bucket.order.site.secret.clone(), bucket.order.user.clone());
    let secrets = [secret.clone()].into_iter().chain(user.clone()).collect();
    let pinned = cx.step(PinSecrets { secrets }).await?;
    let place = bucket.place(cx, pinned.of(&secret));
    let endpoint = bucket.order.site.endpoint.clone();
    let user = user.map(|user| pinned.of(&user));
    let key = cx
        .step(s3::EnsureKey { place: place.clone(), endpoint, user })
        .undo(s3::DeleteKey { place: place.clone() })
        .await?;
    cx.step(s3::EnsureBucket { place: place.clone(), limits: bucket.limits })
        .undo(s3::DeleteBucket { place })
        .await?;
    bucket.credentials = Some(key.credentials);
    Ok(())
}

/// Changes what is named about its limits.
pub(super) async fn resize(
    cx: &Context,
    bucket: &mut Bucket,
    command: &Command,
) -> Result<Value, Failure> {
    let ask: ResizeBucket = command.read()?;
    let before = bucket.phase;
    let wanted = Limits {
        quota_gb: ask.quota_gb.unwrap_or(bucket.limits.quota_gb),
        objects_max: ask.objects_max.or(bucket.limits.objects_max),
    };
    bucket.enter(cx, BucketPhase::Resizing);
    let resized = cx.operation(set_limits(cx, bucket, wanted)).await;
    bucket.phase = before;
    resized?;
    bucket.limits = wanted;
    Ok(bucket.told())
}

async fn set_limits(cx: &Context, bucket: &Bucket, wanted: Limits) -> Result<(), Failure> {
    let secret = bucket.order.site.secret.clone();
    let pinned = cx.step(PinSecrets { secrets: [secret.clone()].into() }).await?;
    let place = bucket.place(cx, pinned.of(&secret));
    let set = |limits| s3::SetLimits { place: place.clone(), limits };
    cx.step(set(wanted)).undo(set(bucket.limits)).await?;
    Ok(())
}

/// What is read of a delete.
#[derive(Deserialize)]
struct Deletion {
    confirm: Option<String>,
}

/// Takes an empty bucket away. One that holds something stays; if it is confirmed that all of
/// that may go, it stays for the grace period only.
pub(super) async fn delete(
    cx: &Context,
    bucket: &mut Bucket,
    command: &Command,
) -> Result<Value, Failure> {
    let ask: Deletion = command.read()?;
    bucket.check_unused()?;
    let before = bucket.phase;
    let deleted = take_away(cx, bucket, ask).await;
    if deleted.is_err() {
        bucket.phase = before;
    }
    deleted
}

async fn take_away(cx: &Context, bucket: &mut Bucket, ask: Deletion) -> Result<Value, Failure> {
    let before = bucket.phase;
    bucket.enter(cx, BucketPhase::Deleting);
    let place = bucket.place(cx, login(cx, bucket).await?);
    let left = cx.take_back(s3::DeleteIfEmpty { place: place.clone() }).await?;
    if left.gone {
        cx.take_back(s3::DeleteKey { place }).await?;
        bucket.enter(cx, BucketPhase::Deleted);
        return Ok(json!({ "phase": BucketPhase::Deleted }));
    }
    bucket.enter(cx, before);
    if ask.confirm.is_none() {
        return Err(holds(left, &cx.name()));
    }
    let grace = Duration::from_secs(bucket.order.site.grace_seconds);
    if grace.is_zero() {
        destroy(cx, bucket).await?;
        return Ok(json!({ "phase": BucketPhase::Deleted }));
    }
    // Who confirms it again does not put it off.
    bucket.kept_until.get_or_insert(cx.now().after(grace));
    bucket.phase = BucketPhase::Kept;
    Ok(bucket.told())
}

fn holds(left: s3::Deleted, name: &str) -> Failure {
    let s3::Deleted { objects, uploads, .. } = left;
    let words = format!(
        "the bucket holds {objects} objects and {uploads} unfinished uploads, and stays; to delete \
         them, too, say confirm: `{name}`"
    );
    Failure::new(Class::Refused, words)
}

/// Destroys the bucket with everything in it, for good.
pub(super) async fn destroy(cx: &Context, bucket: &mut Bucket) -> Result<(), Failure> {
    bucket.enter(cx, BucketPhase::Deleting);
    let place = bucket.place(cx, login(cx, bucket).await?);
    cx.take_back(s3::EmptyBucket { place: place.clone() }).await?;
    cx.take_back(s3::DeleteBucket { place: place.clone() }).await?;
    cx.take_back(s3::DeleteKey { place }).await?;
    bucket.enter(cx, BucketPhase::Deleted);
    Ok(())
}

async fn login(cx: &Context, bucket: &Bucket) -> Result<String, Failure> {
    let secret = &bucket.order.site.secret;
    let pinned = cx.take_back(PinSecrets { secrets: [secret.clone()].into() }).await?;
    Ok(pinned.of(secret))
}
