//! Snapshots of a dataset and of all beneath it, as the middleware shows them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stead_schemas::failure::Failure;
use stead_schemas::time::Timestamp;

use super::client::Nas;
use super::dataset::MARKER;

/// A snapshot that is there.
pub(super) struct Seen {
    pub(super) dataset: String,
    /// What ZFS knows it by; the same on both sides.
    guid: Option<String>,
    marker: Option<String>,
    pub(super) taken_at: Option<Timestamp>,
    /// What it refers to.
    pub(super) bytes: Option<u64>,
    pub(super) is_held: bool,
}

impl Seen {
    fn read(entry: &Value) -> Option<Self> {
        let properties = &entry["properties"];
        let raw = |name: &str| properties[name]["rawvalue"].as_str().map(str::to_owned);
        let seconds = raw("creation").and_then(|text| text.parse::<i64>().ok());
        Some(Self {
            dataset: entry["dataset"].as_str()?.to_owned(),
            guid: raw("guid"),
            // Snapshots inherit what is set on their dataset, and would else seem to be ours.
            marker: raw(MARKER).filter(|_| properties[MARKER]["source"] != "INHERITED"),
            taken_at: seconds.map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1000))),
            bytes: raw("referenced").and_then(|text| text.parse().ok()),
            is_held: entry["holds"].as_object().is_some_and(|holds| !holds.is_empty()),
        })
    }

    pub(super) fn is_ours(&self, marker: &str) -> bool {
        self.marker.as_deref() == Some(marker)
    }

    /// Whether both are the same snapshot, and that is known.
    pub(super) fn is_twin_of(&self, other: &Self) -> bool {
        self.guid.is_some() && self.guid == other.guid
    }

    /// Whether both are known not to be the same snapshot.
    pub(super) fn is_other_than(&self, other: &Self) -> bool {
        self.guid.is_some() && other.guid.is_some() && self.guid != other.guid
    }

    pub(super) fn id(&self, copy: &str) -> String {
        format!("{}@{copy}", self.dataset)
    }
}

/// The snapshots of one name, by dataset: of this one and of all beneath it.
pub(super) async fn tree(
    nas: &Nas,
    dataset: &str,
    copy: &str,
) -> Result<BTreeMap<String, Seen>, Failure> {
    let found = look_beneath(nas, dataset, json!(["snapshot_name", "=", copy])).await?;
    Ok(found.into_iter().map(|(_, seen)| (seen.dataset.clone(), seen)).collect())
}

/// All snapshots whose names begin so, of this dataset and of all beneath it, each with its name.
pub(super) async fn beneath(
    nas: &Nas,
    dataset: &str,
    series: &str,
) -> Result<Vec<(String, Seen)>, Failure> {
    look_beneath(nas, dataset, json!(["snapshot_name", "^", series])).await
}

async fn look_beneath(
    nas: &Nas,
    dataset: &str,
    wanted: Value,
) -> Result<Vec<(String, Seen)>, Failure> {
    let beneath = format!("{dataset}/");
    let mut found = look(nas, json!([wanted, ["dataset", "^", dataset]])).await?;
    found.retain(|(_, seen)| seen.dataset == dataset || seen.dataset.starts_with(&beneath));
    Ok(found)
}

/// The snapshots of one dataset whose names begin so, each with its name.
pub(super) async fn series(
    nas: &Nas,
    dataset: &str,
    series: &str,
) -> Result<Vec<(String, Seen)>, Failure> {
    look(nas, json!([["dataset", "=", dataset], ["snapshot_name", "^", series]])).await
}

async fn look(nas: &Nas, filters: Value) -> Result<Vec<(String, Seen)>, Failure> {
    let ask = json!([filters, { "extra": { "holds": true } }]);
    let found = nas.look("pool.snapshot.query", ask).await?;
    let entries = found.as_array().map(Vec::as_slice).unwrap_or_default();
    let read =
        |entry: &Value| Some((entry["snapshot_name"].as_str()?.to_owned(), Seen::read(entry)?));
    Ok(entries.iter().filter_map(read).collect())
}

/// What a dataset beneath `from` is called beneath `to`.
pub(super) fn moved(dataset: &str, from: &str, to: &str) -> String {
    format!("{to}{}", dataset.strip_prefix(from).unwrap_or_default())
}
