//! What is done with buckets and keys.

use serde_json::json;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::s3::{
    DeleteBucket, DeleteIfEmpty, DeleteKey, Deleted, EmptyBucket, EnsureBucket, EnsureKey, Key,
    ListBuckets, Place, SetLimits,
};

use super::bucket::{self, Bucket, Found};
use super::client::{Client, Garage};
use super::objects::Objects;
use super::record::{self, Record};
use crate::trouble::{Trouble, unless_missing};

/// How often other writers may be faster before this attempt is given up.
const ROUNDS_MAX: u32 = 5;

/// Looks whether Garage answers its administrator.
pub(super) async fn list_buckets(
    client: Client,
    _cx: StepContext,
    ask: ListBuckets,
) -> Result<Done, Failure> {
    client.log_in(&ask.login).await?.look("ListBuckets", &[]).await?;
    Ok(Done {})
}

/// Writes the key's record, then makes the key that it describes.
pub(super) async fn ensure_key(
    client: Client,
    cx: StepContext,
    ask: EnsureKey,
) -> Result<Key, Failure> {
    let garage = client.log_in(&ask.place.login).await?;
    for _ in 0..ROUNDS_MAX {
        let found = record::find(&client, &ask.place).await?;
        cx.still_wanted()?;
        let known = match found.record {
            Some(record) => Some(record),
            None => record::write(&client, &ask.place, &ask.endpoint, found.version).await?,
        };
        let Some(record) = known else { continue };
        if make_key(&garage, &cx, &ask.place, &record).await? {
            return Ok(Key { credentials: record.place() });
        }
        // The id is used up: a key of this id was there and was deleted.
        record::write(&client, &ask.place, &ask.endpoint, record.version()).await?;
    }
    Err(Failure::new(Class::Retry, "others write the bucket's key at the same time"))
}

/// Sees to it that the key is there; false if none of its id can be.
async fn make_key(
    garage: &Garage,
    cx: &StepContext,
    place: &Place,
    record: &Record,
) -> Result<bool, Failure> {
    if has_key(garage, place, record.id()?).await? {
        return Ok(true);
    }
    cx.still_wanted()?;
    let body = json!({
        "accessKeyId": record.id()?, "secretAccessKey": record.secret()?, "name": place.marker,
    });
    match garage.post("ImportKey", &[], &body).await {
        Ok(_) => Ok(true),
        // Another attempt of ours was faster, or it is the id of a key that was deleted.
        Err(Trouble::Already(_)) => has_key(garage, place, record.id()?).await,
        Err(trouble) => Err(trouble.into()),
    }
}

async fn has_key(garage: &Garage, place: &Place, id: &str) -> Result<bool, Failure> {
    match garage.look("GetKeyInfo", &[("id", id)]).await? {
        None => Ok(false),
        Some(key) if key["name"] == place.marker.as_str() => Ok(true),
        Some(_) => Err(Failure::new(Class::Conflict, format!("the key {id} is not ours"))),
    }
}

/// Makes the bucket, if there is none, and sets its limits.
pub(super) async fn ensure_bucket(
    client: Client,
    cx: StepContext,
    ask: EnsureBucket,
) -> Result<Done, Failure> {
    let garage = client.log_in(&ask.place.login).await?;
    let Some(record) = record::find(&client, &ask.place).await?.record else {
        let words = format!("there is no key at {}", ask.place.credentials);
        return Err(Failure::new(Class::Permanent, words));
    };
    let bucket = bucket::ensure(&garage, &cx, &ask.place, record.id()?).await?;
    cx.still_wanted()?;
    bucket::set_limits(&garage, &bucket, ask.limits).await?;
    Ok(Done {})
}

/// Changes how much the bucket may hold.
pub(super) async fn set_limits(
    client: Client,
    cx: StepContext,
    ask: SetLimits,
) -> Result<Done, Failure> {
    let (garage, found, _) = look(&client, &ask.place).await?;
    let Some(bucket) = found else {
        let words = format!("the bucket {} is not there, or not ours", ask.place.bucket);
        return Err(Failure::new(Class::Conflict, words));
    };
    cx.still_wanted()?;
    bucket::set_limits(&garage, &bucket, ask.limits).await?;
    Ok(Done {})
}

/// Deletes the bucket, unless something is in it.
pub(super) async fn delete_if_empty(
    client: Client,
    cx: StepContext,
    ask: DeleteIfEmpty,
) -> Result<Deleted, Failure> {
    let (garage, found, _) = look(&client, &ask.place).await?;
    let gone = Deleted { gone: true, objects: 0, uploads: 0 };
    let Some(bucket) = found else { return Ok(gone) };
    let (objects, uploads) = (bucket.objects(), bucket.uploads());
    cx.still_wanted()?;
    match delete(&garage, &bucket).await {
        Ok(()) => Ok(gone),
        Err(failure) if failure.class == Class::Conflict => {
            Ok(Deleted { gone: false, objects, uploads })
        }
        Err(failure) => Err(failure),
    }
}

/// Deletes everything in the bucket, page after page. An attempt that is cut off has lost nothing:
/// the next one lists what is left.
pub(super) async fn empty_bucket(
    client: Client,
    cx: StepContext,
    ask: EmptyBucket,
) -> Result<Done, Failure> {
    let (garage, found, record) = look(&client, &ask.place).await?;
    let Some(bucket) = found else { return Ok(Done {}) };
    let others = bucket.other_keys(&ask.place.marker);
    if !others.is_empty() {
        let words =
            format!("the bucket {} is open to others: {}", ask.place.bucket, others.join(", "));
        return Err(Failure::new(Class::Conflict, words));
    }
    let Some(record) = record else {
        let words = format!("there is no key at {}, which could empty it", ask.place.credentials);
        return Err(Failure::new(Class::Permanent, words));
    };
    cx.still_wanted()?;
    let uploads = json!({ "bucketId": bucket.id(), "olderThanSecs": 0 });
    unless_missing(garage.post("CleanupIncompleteUploads", &[], &uploads).await)?;
    let objects = Objects::new(&client, &record, &ask.place.bucket);
    let mut deleted = 0;
    loop {
        let page = objects.first_page().await?;
        if page.is_empty() {
            return Ok(Done {});
        }
        cx.still_wanted()?;
        objects.delete(&page).await?;
        deleted += page.len();
        cx.progress(format!("{deleted} objects deleted"));
    }
}

/// Deletes the bucket, which must be empty.
pub(super) async fn delete_bucket(
    client: Client,
    cx: StepContext,
    ask: DeleteBucket,
) -> Result<Done, Failure> {
    let (garage, found, _) = look(&client, &ask.place).await?;
    let Some(bucket) = found else { return Ok(Done {}) };
    cx.still_wanted()?;
    delete(&garage, &bucket).await?;
    Ok(Done {})
}

/// Our bucket, if it is there. A stranger's of that name is left alone: ours is gone then.
async fn look(
    client: &Client,
    place: &Place,
) -> Result<(Garage, Option<Bucket>, Option<Record>), Failure> {
    let garage = client.log_in(&place.login).await?;
    let record = record::find(client, place).await?.record;
    let id = record.as_ref().map(Record::id).transpose()?;
    let found = match bucket::find(&garage, place, id).await? {
        Found::Ours(bucket) => Some(bucket),
        Found::Nothing => None,
        Found::Strangers => {
            tracing::warn!(bucket = place.bucket, "a stranger's bucket is left alone");
            None
        }
    };
    Ok((garage, found, record))
}

async fn delete(garage: &Garage, bucket: &Bucket) -> Result<(), Failure> {
    let deleted = garage.post("DeleteBucket", &[("id", bucket.id())], &json!({})).await;
    unless_missing(deleted).map(drop)
}

/// Deletes the key, and then its record. One whose record is lost is found by its name.
pub(super) async fn delete_key(
    client: Client,
    cx: StepContext,
    ask: DeleteKey,
) -> Result<Done, Failure> {
    let garage = client.log_in(&ask.place.login).await?;
    let record = record::find(&client, &ask.place).await?.record;
    let key = match &record {
        Some(record) => garage.look("GetKeyInfo", &[("id", record.id()?)]).await?,
        None => garage.look("GetKeyInfo", &[("search", &ask.place.marker)]).await?,
    };
    cx.still_wanted()?;
    let ours = key.filter(|key| key["name"] == ask.place.marker.as_str());
    if let Some(id) = ours.as_ref().and_then(|key| key["accessKeyId"].as_str()) {
        unless_missing(garage.post("DeleteKey", &[("id", id)], &json!({})).await)?;
    }
    if record.is_some() {
        client.secrets().forget(&ask.place.credentials).await?;
    }
    Ok(Done {})
}
