//! Which bucket is ours. Garage lets nothing be written onto a bucket, but a key has a name, and
//! the bucket knows which keys own it.

use serde_json::{Value, json};
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::s3::{Limits, Place};
use stead_schemas::step::sight::Thing;
use stead_schemas::step::touch::Resource;

use super::client::Garage;
use super::sight;
use crate::trouble::Trouble;

const GIB: u64 = 1 << 30;

/// A bucket, as Garage shows it.
pub(super) struct Bucket {
    info: Value,
}

/// What there is.
pub(super) enum Found {
    /// Ours.
    Ours(Bucket),
    /// The name is another bucket's.
    Strangers,
    /// Nothing.
    Nothing,
}

impl Bucket {
    /// What Garage has told of it.
    pub(super) const fn new(info: Value) -> Self {
        Self { info }
    }

    /// What a scan sees of it; nothing while it has no name that all can see.
    pub(super) fn seen(&self) -> Option<Thing> {
        let name = self.info["globalAliases"][0].as_str()?;
        let owns = |key: &&Value| key["permissions"]["owner"] == true;
        let marker = self.keys().filter(owns).find_map(sight::marker_of).map(str::to_owned);
        let limit = self.info["quotas"]["maxSize"].as_u64().unwrap_or(0);
        let thing = Thing::new(Resource::new("s3", "bucket", name), marker);
        Some(Thing { quota_bytes: Some(limit), ..thing })
    }

    /// Garage's own name for it.
    pub(super) fn id(&self) -> &str {
        self.info["id"].as_str().unwrap_or_default()
    }

    /// How many objects it holds.
    pub(super) fn objects(&self) -> u64 {
        self.info["objects"].as_u64().unwrap_or_default()
    }

    /// How many uploads were begun and not ended.
    pub(super) fn uploads(&self) -> u64 {
        self.info["unfinishedUploads"].as_u64().unwrap_or_default()
    }

    /// The keys that open it beside ours, by name.
    pub(super) fn other_keys(&self, marker: &str) -> Vec<&str> {
        let opens = |key: &&Value| {
            let may = &key["permissions"];
            ["read", "write", "owner"].iter().any(|what| may[what] == true)
        };
        let others = self.keys().filter(opens).filter(|key| key["name"] != marker);
        others.filter_map(|key| key["name"].as_str().or(key["accessKeyId"].as_str())).collect()
    }

    fn is_ours(&self, marker: &str) -> bool {
        self.keys().any(|key| key["name"] == marker && key["permissions"]["owner"] == true)
    }

    fn is_called(&self, name: &str) -> bool {
        let aliases = self.info["globalAliases"].as_array().map(Vec::as_slice).unwrap_or_default();
        aliases.iter().any(|alias| alias == name)
    }

    fn keys(&self) -> impl Iterator<Item = &Value> {
        self.info["keys"].as_array().map(Vec::as_slice).unwrap_or_default().iter()
    }
}

/// Looks for our bucket. One that was cut off half-made has no name yet that all can see; the key
/// knows it all the same.
pub(super) async fn find(
    garage: &Garage,
    place: &Place,
    key: Option<&str>,
) -> Result<Found, Failure> {
    if let Some(id) = key
        && let Some(bucket) = of_key(garage, place, id).await?
    {
        return Ok(Found::Ours(bucket));
    }
    let query = [("globalAlias", place.bucket.as_str())];
    match garage.look("GetBucketInfo", &query).await? {
        None => Ok(Found::Nothing),
        Some(info) => {
            let bucket = Bucket { info };
            Ok(if bucket.is_ours(&place.marker) { Found::Ours(bucket) } else { Found::Strangers })
        }
    }
}

async fn of_key(garage: &Garage, place: &Place, id: &str) -> Result<Option<Bucket>, Failure> {
    let Some(key) = garage.look("GetKeyInfo", &[("id", id)]).await? else { return Ok(None) };
    let buckets = key["buckets"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = |bucket: &&Value| {
        let aliases = bucket["localAliases"].as_array().map(Vec::as_slice).unwrap_or_default();
        aliases.iter().any(|alias| alias == place.bucket.as_str())
    };
    let Some(id) = buckets.iter().find(named).and_then(|bucket| bucket["id"].as_str()) else {
        return Ok(None);
    };
    let info = garage.look("GetBucketInfo", &[("id", id)]).await?;
    Ok(info.map(|info| Bucket { info }))
}

/// Makes the bucket in two calls: first as the key's own, so that it is ours from its first moment,
/// then known to all by its name.
pub(super) async fn ensure(
    garage: &Garage,
    cx: &StepContext,
    place: &Place,
    key: &str,
) -> Result<Bucket, Failure> {
    let bucket = match find(garage, place, Some(key)).await? {
        Found::Ours(bucket) => bucket,
        Found::Strangers => return Err(taken(place)),
        Found::Nothing => {
            cx.still_wanted()?;
            let allow = json!({ "read": true, "write": true, "owner": true });
            let alias = json!({ "accessKeyId": key, "alias": place.bucket, "allow": allow });
            let made = garage.post("CreateBucket", &[], &json!({ "localAlias": alias })).await;
            match made {
                Ok(info) => Bucket { info },
                // Another attempt of ours was faster.
                Err(Trouble::Other(failure)) if failure.class == Class::Permanent => {
                    match find(garage, place, Some(key)).await? {
                        Found::Ours(bucket) => bucket,
                        Found::Strangers | Found::Nothing => return Err(failure),
                    }
                }
                Err(trouble) => return Err(trouble.into()),
            }
        }
    };
    name(garage, cx, place, &bucket).await?;
    Ok(bucket)
}

async fn name(
    garage: &Garage,
    cx: &StepContext,
    place: &Place,
    bucket: &Bucket,
) -> Result<(), Failure> {
    if bucket.is_called(&place.bucket) {
        return Ok(());
    }
    cx.still_wanted()?;
    let body = json!({ "bucketId": bucket.id(), "globalAlias": place.bucket });
    match garage.post("AddBucketAlias", &[], &body).await {
        Ok(_) => Ok(()),
        Err(Trouble::Already(_)) => Err(taken(place)),
        Err(trouble) => Err(trouble.into()),
    }
}

pub(super) fn taken(place: &Place) -> Failure {
    let words = format!("there is a bucket {} already, which is not ours", place.bucket);
    Failure::new(Class::Conflict, words)
}

/// Sets the limits, unless they hold already.
///
/// # Errors
/// As lasting, naming both numbers, if the bucket holds more than that.
pub(super) async fn set_limits(
    garage: &Garage,
    bucket: &Bucket,
    limits: Limits,
) -> Result<(), Failure> {
    let (size, objects) = (u64::from(limits.quota_gb) * GIB, limits.objects_max.map(u64::from));
    let quotas = &bucket.info["quotas"];
    if quotas["maxSize"].as_u64() == Some(size) && quotas["maxObjects"].as_u64() == objects {
        return Ok(());
    }
    let bytes = bucket.info["bytes"].as_u64().unwrap_or_default();
    if bytes > size {
        let words = format!(
            "the bucket holds {} GiB already, which {} GiB would not hold",
            bytes.div_ceil(GIB),
            limits.quota_gb
        );
        return Err(Failure::new(Class::Permanent, words));
    }
    if let Some(most) = objects.filter(|most| bucket.objects() > *most) {
        let words = format!("the bucket holds {} objects already, not {most}", bucket.objects());
        return Err(Failure::new(Class::Permanent, words));
    }
    let body = json!({ "quotas": { "maxSize": size, "maxObjects": objects } });
    garage.post("UpdateBucket", &[("id", bucket.id())], &body).await?;
    Ok(())
}
