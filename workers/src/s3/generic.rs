//! S3 and nothing else, as AWS, Ceph's gateway and MinIO have it: buckets are made and deleted with one
//! key of the site's. No key can be made and no limit be set, and that is said in words.
//!
//! A bucket carries no mark either. So its record is written into Vault while there is no bucket of its
//! name, and a bucket of that name is ours from then on. What opens it is its owner's own key, which
//! lies in Vault before: whoever runs the site lets it at buckets that are called after the owner, or
//! names its `principal`, which a policy of the bucket then lets in.

use std::borrow::Cow;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use stead_runtime::worker::{StepContext, Worker};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::s3::{
    DeleteBucket, DeleteIfEmpty, DeleteKey, Deleted, EmptyBucket, EnsureBucket, EnsureKey, Key,
    Limits, ListBuckets, Place, SetLimits,
};
use stead_schemas::step::sight::{PAGE, SightBuckets, SightKeys, Sighted, Thing};
use stead_schemas::step::touch::Resource;

use super::bucket::taken;
use super::client::Client;
use super::objects::Objects;
use super::record::{self, MARKER, Record};
use super::xml::leaves;
use crate::http::{Effect, in_front_of, segment};
use crate::trouble::{Trouble, unless_missing};

#[cfg(test)]
pub(super) mod tests;

/// How often other writers may be faster before this attempt is given up.
const ROUNDS_MAX: u32 = 5;
/// The region in which a bucket is made that names none.
const NO_REGION: &str = "us-east-1";

/// The table of steps.
pub(super) fn worker(client: Client) -> Worker<Client> {
    Worker::new("s3", client)
        .on(list_buckets)
        .on(ensure_key)
        .on(ensure_bucket)
        .on(set_limits)
        .on(delete_if_empty)
        .on(empty_bucket)
        .on(delete_bucket)
        .on(delete_key)
        .on(sight_buckets)
        .on(sight_keys)
}

/// The key that makes buckets.
async fn account(client: &Client, login: &str) -> Result<Record, Failure> {
    Ok(Record::of(client.secrets().read(login).await?))
}

/// Looks whether S3 answers the site's key.
async fn list_buckets(client: Client, _cx: StepContext, ask: ListBuckets) -> Result<Done, Failure> {
    names(&client, &account(&client, &ask.login).await?).await?;
    Ok(Done {})
}

/// The names of all buckets that the site's key may list.
async fn names(client: &Client, account: &Record) -> Result<Vec<String>, Failure> {
    let all = Objects::new(client, account, "");
    let answer = all.get("", "<ListAllMyBucketsResult").await?.unwrap_or_default();
    let names = leaves(&answer)?.into_iter().filter(|(path, _)| path.ends_with("Bucket/Name"));
    Ok(names.map(|(_, name)| name).collect())
}

/// Writes the bucket's record, with the key of its owner, unless there is a bucket of that name.
async fn ensure_key(client: Client, cx: StepContext, ask: EnsureKey) -> Result<Key, Failure> {
    let (place, account) = (&ask.place, account(&client, &ask.place.login).await?);
    let Some(user) = &ask.user else {
        let words = "this S3 makes no keys; write s3.kind and s3.users for the engines, too";
        return Err(Failure::new(Class::Permanent, words));
    };
    let user = Record::of(client.secrets().read(user).await?);
    for _ in 0..ROUNDS_MAX {
        let found = record::find(&client, place).await?;
        if let Some(record) = found.record {
            return Ok(Key { credentials: record.place() });
        }
        if exists(&Objects::new(&client, &account, &place.bucket)).await? {
            return Err(taken(place));
        }
        cx.still_wanted()?;
        let after = found.version;
        if let Some(record) = record::copy(&client, place, &ask.endpoint, after, &user).await? {
            return Ok(Key { credentials: record.place() });
        }
    }
    Err(Failure::new(Class::Retry, "others write the bucket's record at the same time"))
}

/// Whether there is a bucket that the site's key may ask about.
async fn exists(bucket: &Objects<'_>) -> Result<bool, Failure> {
    Ok(bucket.get("location=", "<LocationConstraint").await?.is_some())
}

/// Makes the bucket, if there is none, and lets its owner's key in where S3 has to be told.
async fn ensure_bucket(
    client: Client,
    cx: StepContext,
    ask: EnsureBucket,
) -> Result<Done, Failure> {
    check_limits(ask.limits)?;
    let (place, account) = (&ask.place, account(&client, &ask.place.login).await?);
    let Some(record) = record::find(&client, place).await?.record else {
        let words = format!("there is no record of the bucket at {}", place.credentials);
        return Err(Failure::new(Class::Permanent, words));
    };
    let bucket = Objects::new(&client, &account, &place.bucket);
    if !exists(&bucket).await? {
        cx.still_wanted()?;
        make(&bucket, &client.config().region, place).await?;
    }
    let Some(wanted) = policy_for(&record, place) else { return Ok(Done {}) };
    if policy(&bucket).await?.as_ref() != Some(&wanted) {
        cx.still_wanted()?;
        bucket.set("policy=", wanted.to_string().into()).await?;
    }
    Ok(Done {})
}

fn check_limits(limits: Limits) -> Result<(), Failure> {
    if limits.quota_gb == 0 && limits.objects_max.is_none() {
        return Ok(());
    }
    Err(Failure::new(Class::Permanent, "this S3 keeps no limits of a bucket"))
}

async fn make(bucket: &Objects<'_>, region: &str, place: &Place) -> Result<(), Failure> {
    let body: Cow<'_, str> = match region {
        NO_REGION => "".into(),
        region => format!(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
             <LocationConstraint>{region}</LocationConstraint></CreateBucketConfiguration>"
        )
        .into(),
    };
    match bucket.set("", body).await {
        Ok(()) => Ok(()),
        // Another attempt of ours was faster, or a bucket of another account's has the name.
        Err(Trouble::Already(said)) => match exists(bucket).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Failure { class: Class::Retry, ..said }),
            Err(failure) if failure.class == Class::Auth => Err(taken(place)),
            Err(failure) => Err(failure),
        },
        Err(trouble) => Err(trouble.into()),
    }
}

/// The policy that lets the owner's key in; none where S3 lets it in by itself.
fn policy_for(record: &Record, place: &Place) -> Option<Value> {
    let principal = record.principal()?;
    let bucket = format!("arn:aws:s3:::{}", place.bucket);
    let allow = |actions: &[&str], resource: String| {
        json!({
            "Effect": "Allow", "Principal": { "AWS": principal }, "Action": actions,
            "Resource": resource,
        })
    };
    Some(json!({
        "Version": "2012-10-17",
        "Statement": [
            allow(&["s3:ListBucket", "s3:ListBucketMultipartUploads"], bucket.clone()),
            allow(
                &["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"],
                format!("{bucket}/*"),
            ),
        ],
    }))
}

/// The policy that a bucket has; none of S3 that knows no policies.
async fn policy(bucket: &Objects<'_>) -> Result<Option<Value>, Failure> {
    let Some(answer) = unless_unknown(bucket.get("policy=", "{").await)? else { return Ok(None) };
    let policy = serde_json::from_slice(&answer).map_err(|error| {
        let words = "S3 answered in an unknown form; its version differs";
        Failure::new(Class::Permanent, words).vendor(error.to_string())
    })?;
    Ok(Some(policy))
}

/// What S3 does not know at all is not there.
fn unless_unknown<T>(found: Result<Option<T>, Failure>) -> Result<Option<T>, Failure> {
    match found {
        Err(failure) if failure.class == Class::Permanent => Ok(None),
        found => found,
    }
}

/// S3 keeps none: that of Garage is `UpdateBucket`.
async fn set_limits(client: Client, _cx: StepContext, ask: SetLimits) -> Result<Done, Failure> {
    check_limits(ask.limits)?;
    account(&client, &ask.place.login).await?;
    Ok(Done {})
}

/// Deletes the bucket, unless something is in it.
async fn delete_if_empty(
    client: Client,
    cx: StepContext,
    ask: DeleteIfEmpty,
) -> Result<Deleted, Failure> {
    let gone = Deleted { gone: true, objects: 0, uploads: 0 };
    let Some(account) = ours(&client, &ask.place).await? else { return Ok(gone) };
    let bucket = Objects::new(&client, &account, &ask.place.bucket);
    cx.still_wanted()?;
    match delete(&bucket).await {
        Ok(()) => Ok(gone),
        Err(failure) if failure.class == Class::Conflict => {
            let (objects, uploads) = (bucket.first_page().await?.len(), uploads(&bucket).await?);
            let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
            Ok(Deleted { gone: false, objects: count(objects), uploads: count(uploads.len()) })
        }
        Err(failure) => Err(failure),
    }
}

/// The site's key, if our record says that the bucket is ours. A stranger's is left alone.
async fn ours(client: &Client, place: &Place) -> Result<Option<Record>, Failure> {
    let account = account(client, &place.login).await?;
    Ok(record::find(client, place).await?.record.map(|_| account))
}

async fn delete(bucket: &Objects<'_>) -> Result<(), Failure> {
    unless_missing(bucket.remove("", "").await).map(drop)
}

/// Keys and ids of the uploads that were begun and not ended, the first page of them.
async fn uploads(bucket: &Objects<'_>) -> Result<Vec<(String, String)>, Failure> {
    let Some(answer) = bucket.get("uploads=", "<ListMultipartUploadsResult").await? else {
        return Ok(Vec::new());
    };
    let leaves = leaves(&answer)?;
    let of = |end: &str| {
        let found = leaves.iter().filter(move |(path, _)| path.ends_with(end));
        found.map(|(_, text)| text.clone()).collect::<Vec<_>>()
    };
    Ok(of("Upload/Key").into_iter().zip(of("Upload/UploadId")).collect())
}

/// Deletes everything in the bucket, page after page. An attempt that is cut off has lost nothing:
/// the next one lists what is left.
async fn empty_bucket(client: Client, cx: StepContext, ask: EmptyBucket) -> Result<Done, Failure> {
    let place = &ask.place;
    let Some(account) = ours(&client, place).await? else { return Ok(Done {}) };
    let bucket = Objects::new(&client, &account, &place.bucket);
    if !exists(&bucket).await? {
        return Ok(Done {});
    }
    check_alone(&client, &bucket, place).await?;
    loop {
        let uploads = uploads(&bucket).await?;
        if uploads.is_empty() {
            break;
        }
        cx.still_wanted()?;
        for (key, id) in &uploads {
            let query = format!("uploadId={}", segment(id));
            unless_missing(bucket.remove(&format!("/{}", segment(key)), &query).await)?;
        }
    }
    let mut deleted = 0;
    loop {
        let page = bucket.first_page().await?;
        if page.is_empty() {
            return Ok(Done {});
        }
        cx.still_wanted()?;
        bucket.delete(&page).await?;
        deleted += page.len();
        cx.progress(format!("{deleted} objects deleted"));
    }
}

/// Nobody but its owner is let in, and what is deleted is gone.
async fn check_alone(client: &Client, bucket: &Objects<'_>, place: &Place) -> Result<(), Failure> {
    let record = record::find(client, place).await?.record;
    let wanted = record.as_ref().and_then(|record| policy_for(record, place));
    let found = policy(bucket).await?;
    if found.is_some() && found != wanted {
        let words = format!(
            "the bucket {} has a policy that is not ours, and may be open to others; delete that first",
            place.bucket
        );
        return Err(Failure::new(Class::Conflict, words));
    }
    let versions = bucket.get("versioning=", "<VersioningConfiguration").await;
    let versions = unless_unknown(versions)?.unwrap_or_default();
    if leaves(&versions)?.iter().any(|(path, _)| path.ends_with("/Status")) {
        let words = format!(
            "the bucket {} keeps versions of its objects, which are not deleted here; empty it by hand",
            place.bucket
        );
        return Err(Failure::new(Class::Permanent, words));
    }
    Ok(())
}

/// Deletes the bucket, which must be empty.
async fn delete_bucket(
    client: Client,
    cx: StepContext,
    ask: DeleteBucket,
) -> Result<Done, Failure> {
    let Some(account) = ours(&client, &ask.place).await? else { return Ok(Done {}) };
    cx.still_wanted()?;
    delete(&Objects::new(&client, &account, &ask.place.bucket)).await?;
    Ok(Done {})
}

/// Forgets the record. The key in it is its owner's, and stays.
async fn delete_key(client: Client, cx: StepContext, ask: DeleteKey) -> Result<Done, Failure> {
    let found = record::find(&client, &ask.place).await?.record;
    cx.still_wanted()?;
    if found.is_some() {
        client.secrets().forget(&ask.place.credentials).await?;
    }
    Ok(Done {})
}

/// A page of all buckets, each with the mark that its record has. One whose record is another's, or
/// lost, is nobody's.
async fn sight_buckets(
    client: Client,
    _cx: StepContext,
    ask: SightBuckets,
) -> Result<Sighted, Failure> {
    let mut names = names(&client, &account(&client, &ask.login).await?).await?;
    names.retain(|name| ask.after.as_ref().is_none_or(|after| name > after));
    names.sort_unstable();
    let more = names.len() > PAGE;
    names.truncate(PAGE);
    let after = names.last().cloned().filter(|_| more);
    let mut things = Vec::new();
    for name in names {
        let record = match &ask.records {
            Some(folder) => client.secrets().current(&format!("{folder}/{name}")).await?.secret,
            None => None,
        };
        let marker = record.and_then(|record| record.field(MARKER).ok().map(str::to_owned));
        things.push(Thing::new(Resource::new("s3", "bucket", name), marker));
    }
    Ok(Sighted { things, after })
}

/// No key is made here.
async fn sight_keys(
    _client: Client,
    _cx: StepContext,
    _ask: SightKeys,
) -> Result<Sighted, Failure> {
    Ok(Sighted::default())
}

impl Objects<'_> {
    /// Reads something of the bucket that may be missing; its answer has this in it.
    async fn get(&self, query: &str, holds: &str) -> Result<Option<Vec<u8>>, Failure> {
        let call = self.call(Method::GET, "", query.to_owned(), "".into(), Effect::None);
        let Some(answer) = unless_missing(self.send(call).await)? else { return Ok(None) };
        // A page of something else does not say that there is nothing.
        match String::from_utf8_lossy(&answer).contains(holds) {
            true => Ok(Some(answer)),
            false => Err(in_front_of("S3", StatusCode::OK, Class::Retry)),
        }
    }

    /// Puts something in its place: the bucket itself, or what the query names.
    async fn set(&self, query: &str, body: Cow<'_, str>) -> Result<(), Trouble> {
        let call = self.call(Method::PUT, "", query.to_owned(), body, Effect::Possible);
        self.send(call).await.map(drop)
    }

    /// Takes something away: the bucket itself, or what path and query name.
    async fn remove(&self, path: &str, query: &str) -> Result<Vec<u8>, Trouble> {
        self.send(self.call(Method::DELETE, path, query.to_owned(), "".into(), Effect::Possible))
            .await
    }
}
