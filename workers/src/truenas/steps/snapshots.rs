//! Snapshots of a home: taken, listed, deleted one by one. A home is never rolled back: ZFS would
//! destroy every later snapshot for it, and the one that could take it back as well.

use serde_json::{Value, json};
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::truenas::{
    DeleteSnapshot, ListSnapshots, SnapshotDataset, SnapshotSeen, SnapshotsSeen,
};
use stead_schemas::time::Timestamp;

use super::super::client::{Client, Nas};
use super::super::dataset;
use super::gone;
use crate::trouble::{Trouble, unless_missing};

/// How many snapshots are listed; what is answered stands in the log.
const LISTED_MAX: usize = 100;

/// Takes a snapshot, unless there is one of that name.
pub(crate) async fn snapshot_dataset(
    client: Client,
    cx: StepContext,
    ask: SnapshotDataset,
) -> Result<Done, Failure> {
    let nas = client.log_in(&ask.login);
    if dataset::find_ours(&nas, &ask.dataset, &ask.marker).await?.is_none() {
        return Ok(Done {});
    }
    let full_name = format!("{}@{}", ask.dataset, ask.snapshot);
    if dataset::snapshots(&nas, &ask.dataset).await?.contains(&full_name) {
        return Ok(Done {});
    }
    cx.still_wanted()?;
    let wanted = json!([{ "dataset": ask.dataset, "name": ask.snapshot, "recursive": false }]);
    match nas.act("pool.snapshot.create", wanted).await {
        Ok(_) | Err(Trouble::Already(_)) => Ok(Done {}),
        Err(trouble) => Err(trouble.into()),
    }
}

/// Lists them, the latest first.
pub(crate) async fn list_snapshots(
    client: Client,
    _cx: StepContext,
    ask: ListSnapshots,
) -> Result<SnapshotsSeen, Failure> {
    let nas = client.log_in(&ask.login);
    if dataset::find_ours(&nas, &ask.dataset, &ask.marker).await?.is_none() {
        return Err(gone(&ask.dataset));
    }
    let found = entries(&nas, &ask.dataset, json!({})).await?;
    let mut seen: Vec<SnapshotSeen> = found.iter().filter_map(seen).collect();
    seen.sort_by(|one, other| {
        (other.taken_at, &other.snapshot).cmp(&(one.taken_at, &one.snapshot))
    });
    let older = u32::try_from(seen.len().saturating_sub(LISTED_MAX)).unwrap_or(u32::MAX);
    seen.truncate(LISTED_MAX);
    Ok(SnapshotsSeen { snapshots: seen, older })
}

async fn entries(nas: &Nas, dataset: &str, extra: Value) -> Result<Vec<Value>, Failure> {
    let ask = json!([[["dataset", "=", dataset]], { "extra": extra }]);
    let found = nas.look("pool.snapshot.query", ask).await?;
    Ok(found.as_array().cloned().unwrap_or_default())
}

fn seen(entry: &Value) -> Option<SnapshotSeen> {
    let snapshot = entry["snapshot_name"].as_str()?.to_owned();
    let (creation, used) = (&entry["properties"]["creation"], &entry["properties"]["used"]);
    let seconds = creation["rawvalue"].as_str().and_then(|text| text.parse::<i64>().ok());
    let raw = || used["rawvalue"].as_str().and_then(|text| text.parse().ok());
    let taken_at = seconds.map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1000)));
    Some(SnapshotSeen { snapshot, taken_at, used_bytes: used["parsed"].as_u64().or_else(raw) })
}

/// Deletes one, if nothing hangs on it. Nothing is released or destroyed along with it.
pub(crate) async fn delete_snapshot(
    client: Client,
    cx: StepContext,
    ask: DeleteSnapshot,
) -> Result<Done, Failure> {
    let nas = client.log_in(&ask.login);
    if dataset::find_ours(&nas, &ask.dataset, &ask.marker).await?.is_none() {
        return Ok(Done {});
    }
    let full_name = format!("{}@{}", ask.dataset, ask.snapshot);
    let found = entries(&nas, &ask.dataset, json!({ "holds": true })).await?;
    let Some(entry) = found.iter().find(|entry| entry["id"] == full_name.as_str()) else {
        return Ok(Done {});
    };
    if entry["holds"].as_object().is_some_and(|holds| !holds.is_empty()) {
        return Err(in_use(&full_name, "is held: somebody has said that it must stay"));
    }
    let clones = dataset::clones_of(&nas, &ask.dataset, |origin| origin == full_name).await?;
    if !clones.is_empty() {
        return Err(in_use(&full_name, &format!("is the origin of {}", clones.join(", "))));
    }
    cx.still_wanted()?;
    let options = json!({ "defer": false, "recursive": false });
    unless_missing(nas.act("pool.snapshot.delete", json!([full_name, options])).await)?;
    Ok(Done {})
}

fn in_use(snapshot: &str, why: &str) -> Failure {
    Failure::new(Class::Conflict, format!("the snapshot {snapshot} {why}"))
}
