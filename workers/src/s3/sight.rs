//! The buckets and keys that are there, and whose they are.

use serde_json::Value;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::Failure;
use stead_schemas::ids::RunId;
use stead_schemas::step::sight::{PAGE, SightBuckets, SightKeys, Sighted, Thing};
use stead_schemas::step::touch::Resource;

use super::bucket::Bucket;
use super::client::{Client, Garage};

/// A page of them, in the order of Garage's own names. One that is gone meanwhile is left out.
pub(super) async fn sight_buckets(
    client: Client,
    _cx: StepContext,
    ask: SightBuckets,
) -> Result<Sighted, Failure> {
    let garage = client.log_in(&ask.login).await?;
    let (page, after) = page(&garage, "ListBuckets", ask.after.as_deref()).await?;
    let mut things = Vec::new();
    for entry in page {
        let id = entry["id"].as_str().unwrap_or_default();
        let info = garage.look("GetBucketInfo", &[("id", id)]).await?;
        things.extend(info.and_then(|info| Bucket::new(info).seen()));
    }
    Ok(Sighted { things, after })
}

/// A page of all keys is looked at; those of people who know nothing of us are left out.
pub(super) async fn sight_keys(
    client: Client,
    _cx: StepContext,
    ask: SightKeys,
) -> Result<Sighted, Failure> {
    let garage = client.log_in(&ask.login).await?;
    let (page, after) = page(&garage, "ListKeys", ask.after.as_deref()).await?;
    let ours = page.iter().filter_map(|key| {
        let mut resource = Resource::new("s3", "key", marker_of(key)?);
        resource.vendor_id = key["id"].as_str().map(str::to_owned);
        let marker = Some(resource.id.clone());
        Some(Thing::new(resource, marker))
    });
    Ok(Sighted { things: ours.collect(), after })
}

/// The run that a key is named after.
pub(super) fn marker_of(key: &Value) -> Option<&str> {
    key["name"].as_str().filter(|name| name.parse::<RunId>().is_ok())
}

/// Garage tells all at once; what is looked at closely comes page by page.
async fn page(
    garage: &Garage,
    call: &str,
    after: Option<&str>,
) -> Result<(Vec<Value>, Option<String>), Failure> {
    let all = garage.look(call, &[]).await?.unwrap_or_default();
    let id = |entry: &Value| entry["id"].as_str().unwrap_or_default().to_owned();
    let mut entries = all.as_array().cloned().unwrap_or_default();
    entries.retain(|entry| after.is_none_or(|after| id(entry).as_str() > after));
    entries.sort_by_cached_key(id);
    let more = entries.len() > PAGE;
    entries.truncate(PAGE);
    let last = entries.last().map(id).filter(|_| more);
    Ok((entries, last))
}
