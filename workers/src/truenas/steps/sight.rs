//! The datasets beneath the parent of all homes, or of all volumes, what shows them to others, and
//! whose they are.

use serde_json::{Value, json};
use stead_runtime::worker::StepContext;
use stead_schemas::failure::Failure;
use stead_schemas::step::sight::{
    PAGE, SightDatasets, SightExtents, SightShares, SightTargets, Sighted, Thing,
};
use stead_schemas::step::touch::Resource;

use super::super::client::{Client, Nas};
use super::super::iscsi::{EXTENT, Kind, TARGET};
use super::super::{dataset, share};

/// A page of them, in the order of their names.
pub(crate) async fn sight_datasets(
    client: Client,
    _cx: StepContext,
    ask: SightDatasets,
) -> Result<Sighted, Failure> {
    let nas = client.log_in(&ask.login);
    let mut filters = vec![json!(["id", "^", format!("{}/", ask.parent)])];
    filters.extend(ask.after.map(|after| json!(["id", ">", after])));
    let found = page(&nas, "pool.dataset.query", &filters).await?;
    let things = found.iter().filter_map(|entry| {
        let id = entry["id"].as_str()?;
        let limit = dataset::volsize(entry).unwrap_or_else(|| dataset::bytes(entry, "refquota"));
        let marker = dataset::marker_of(entry);
        let thing = Thing::new(Resource::new("truenas", "dataset", id), marker);
        Some(Thing { quota_bytes: Some(limit), ..thing })
    });
    let last = found.last().and_then(|entry| entry["id"].as_str()).map(str::to_owned);
    Ok(Sighted { things: things.collect(), after: last.filter(|_| found.len() == PAGE) })
}

/// A page of them, in the order of their numbers.
pub(crate) async fn sight_shares(
    client: Client,
    _cx: StepContext,
    ask: SightShares,
) -> Result<Sighted, Failure> {
    let nas = client.log_in(&ask.login);
    let mut filters = vec![json!(["path", "^", format!("/mnt/{}/", ask.parent)])];
    let after = ask.after.and_then(|after| after.parse::<u64>().ok());
    filters.extend(after.map(|after| json!(["id", ">", after])));
    let found = page(&nas, "sharing.nfs.query", &filters).await?;
    let things = found.iter().filter_map(|entry| {
        let mut resource = Resource::new("truenas", "share", entry["path"].as_str()?);
        resource.vendor_id = entry["id"].as_u64().map(|id| id.to_string());
        Some(Thing::new(resource, share::marker_of(entry)))
    });
    let last = found.last().and_then(|entry| entry["id"].as_u64()).map(|id| id.to_string());
    Ok(Sighted { things: things.collect(), after: last.filter(|_| found.len() == PAGE) })
}

/// A page of them, in the order of their numbers.
pub(crate) async fn sight_extents(
    client: Client,
    _cx: StepContext,
    ask: SightExtents,
) -> Result<Sighted, Failure> {
    marked(&client.log_in(&ask.login), (EXTENT, "extent"), ask.after).await
}

/// A page of them, in the order of their numbers.
pub(crate) async fn sight_targets(
    client: Client,
    _cx: StepContext,
    ask: SightTargets,
) -> Result<Sighted, Failure> {
    marked(&client.log_in(&ask.login), (TARGET, "target"), ask.after).await
}

/// What carries a mark of ours; others have theirs in the same place.
async fn marked(
    nas: &Nas,
    (kind, word): (Kind, &str),
    after: Option<String>,
) -> Result<Sighted, Failure> {
    let mut filters = vec![json!([kind.mark(), "^", share::MARK])];
    let after = after.and_then(|after| after.parse::<u64>().ok());
    filters.extend(after.map(|after| json!(["id", ">", after])));
    let found = page(nas, &kind.method("query"), &filters).await?;
    let things = found.iter().filter_map(|entry| {
        let mut resource = Resource::new("truenas", word, entry["name"].as_str()?);
        resource.vendor_id = entry["id"].as_u64().map(|id| id.to_string());
        Some(Thing::new(resource, kind.marker_of(entry)))
    });
    let last = found.last().and_then(|entry| entry["id"].as_u64()).map(|id| id.to_string());
    Ok(Sighted { things: things.collect(), after: last.filter(|_| found.len() == PAGE) })
}

async fn page(nas: &Nas, method: &str, filters: &[Value]) -> Result<Vec<Value>, Failure> {
    let options = json!({ "order_by": ["id"], "limit": PAGE });
    let found = nas.look(method, json!([filters, options])).await?;
    Ok(found.as_array().cloned().unwrap_or_default())
}
