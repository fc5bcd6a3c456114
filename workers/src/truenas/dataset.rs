//! Datasets as the middleware shows them: whose they are, how large they may grow, what hangs
//! on them.

use serde_json::{Value, json};
use stead_schemas::failure::{Class, Failure};

use super::client::Nas;

/// Our name tag: a ZFS user property, which survives renames and replication.
pub(super) const MARKER: &str = "org.stead:marker";
/// The snapshot whose presence was proven before the first snapshot was deleted.
pub(super) const DESTROYING: &str = "org.stead:destroying";
/// What a dataset was called that has made way for another of its name.
const SET_ASIDE: &str = "org.stead:set-aside";
/// Bytes in a GiB.
pub(super) const GIB: u64 = 1 << 30;

/// A dataset that is there.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: String,
    entry: Value,
}

/// The dataset of this name, if there is one.
pub(super) async fn find(nas: &Nas, id: &str) -> Result<Option<Found>, Failure> {
    let mut entries = nas.look("pool.dataset.query", json!([[["id", "=", id]]])).await?;
    let entry = entries.get_mut(0).map(Value::take);
    Ok(entry.map(|entry| Found { id: id.to_owned(), entry }))
}

/// The dataset of this name and marker, if there is one.
///
/// # Errors
/// As a conflict, if it carries another marker or none.
pub(super) async fn find_ours(nas: &Nas, id: &str, marker: &str) -> Result<Option<Found>, Failure> {
    match find(nas, id).await? {
        Some(found) => found.check_marker(marker).map(|()| Some(found)),
        None => Ok(None),
    }
}

/// The mark of ours that a dataset carries, as the middleware shows it.
pub(super) fn marker_of(entry: &Value) -> Option<String> {
    own_property(entry, MARKER).map(str::to_owned)
}

fn own_property<'a>(entry: &'a Value, key: &str) -> Option<&'a str> {
    let property = &entry["user_properties"][key];
    if property["source"] == "INHERITED" {
        return None;
    }
    ["rawvalue", "value", "parsed"].into_iter().find_map(|form| property[form].as_str())
}

/// A size that the middleware shows of a dataset; 0 is none.
pub(super) fn bytes(entry: &Value, property: &str) -> u64 {
    let property = &entry[property];
    let raw = || property["rawvalue"].as_str().and_then(|text| text.parse().ok());
    property["parsed"].as_u64().or_else(raw).unwrap_or(0)
}

/// How large a volume is, in bytes; nothing if it is none.
pub(super) fn volsize(entry: &Value) -> Option<u64> {
    (entry["type"] == "VOLUME").then(|| bytes(entry, "volsize"))
}

/// Writes a mark onto the dataset, or takes it off.
pub(super) async fn mark(nas: &Nas, found: &Found, marker: Option<&str>) -> Result<(), Failure> {
    let note = match marker {
        Some(marker) => json!([{ "key": MARKER, "value": marker }]),
        None => json!([{ "key": MARKER, "remove": true }]),
    };
    nas.act("pool.dataset.update", json!([found.id, { "user_properties_update": note }])).await?;
    Ok(())
}

/// Renames a dataset for good, and notes on it what it was called.
pub(super) async fn set_aside(nas: &Nas, id: &str, name: &str) -> Result<(), Failure> {
    let note = json!([{ "key": SET_ASIDE, "value": id }]);
    nas.act("pool.dataset.update", json!([id, { "user_properties_update": note }])).await?;
    // Without force it is not done: the middleware looks at nobody who uses it.
    nas.act("pool.dataset.rename", json!([id, { "new_name": name, "force": true }])).await?;
    Ok(())
}

/// The datasets that were set aside, of those whose names begin so.
pub(super) async fn aside(nas: &Nas, beginning: &str) -> Result<Vec<String>, Failure> {
    let filters = json!([[["id", "^", beginning]], { "extra": { "retrieve_children": false } }]);
    let entries = nas.look("pool.dataset.query", filters).await?;
    let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
    let is_aside =
        |entry: &&Value| own_property(entry, SET_ASIDE).is_some_and(|was| entry["id"] != was);
    let names = entries.iter().filter(is_aside).filter_map(|entry| entry["id"].as_str());
    Ok(names.map(str::to_owned).collect())
}

impl Found {
    /// Fails as a conflict if the dataset is not ours.
    pub(super) fn check_marker(&self, marker: &str) -> Result<(), Failure> {
        let id = &self.id;
        let words = match self.own_property(MARKER) {
            Some(found) if found == marker => return Ok(()),
            Some(other) => format!("the dataset {id} belongs to {other}, not to {marker}"),
            None => format!("the dataset {id} is there and carries no marker of ours"),
        };
        Err(Failure::new(Class::Conflict, words))
    }

    /// A user property that was set on this very dataset. Children inherit their parent's, and
    /// would else seem to be ours.
    pub(super) fn own_property(&self, key: &str) -> Option<&str> {
        own_property(&self.entry, key)
    }

    /// Where it is mounted, if it is.
    pub(super) fn mountpoint(&self) -> Option<&str> {
        self.entry["mountpoint"].as_str().filter(|path| path.starts_with('/'))
    }

    /// Where it is mounted, or would be.
    pub(super) fn path(&self) -> String {
        self.mountpoint().map_or_else(|| format!("/mnt/{}", self.id), str::to_owned)
    }

    /// The limit that holds, in bytes; 0 is none.
    pub(super) fn refquota(&self) -> u64 {
        bytes(&self.entry, "refquota")
    }

    /// How large it is, in bytes, if it is a volume.
    pub(super) fn volsize(&self) -> Option<u64> {
        volsize(&self.entry)
    }

    /// What the owner keeps, without snapshots, in bytes.
    pub(super) fn used(&self) -> u64 {
        bytes(&self.entry, "usedbydataset")
    }

    /// The names of the datasets beneath it.
    pub(super) fn children(&self) -> Vec<&str> {
        let children = self.entry["children"].as_array().map(Vec::as_slice).unwrap_or_default();
        children.iter().filter_map(|child| child["id"].as_str()).collect()
    }
}

/// Sets the limit, unless it holds already.
///
/// # Errors
/// As lasting, naming both numbers, if more than that is kept.
pub(super) async fn set_refquota(nas: &Nas, found: &Found, gib: u32) -> Result<(), Failure> {
    let wanted = u64::from(gib) * GIB;
    if found.refquota() == wanted {
        return Ok(());
    }
    if found.used() > wanted {
        let used = found.used().div_ceil(GIB);
        let words = format!("the home keeps {used} GiB already, which {gib} GiB would not hold");
        return Err(Failure::new(Class::Permanent, words));
    }
    nas.act("pool.dataset.update", json!([found.id, { "refquota": wanted }])).await?;
    Ok(())
}

/// The full names of the dataset's snapshots.
pub(super) async fn snapshots(nas: &Nas, id: &str) -> Result<Vec<String>, Failure> {
    let found = nas.look("pool.snapshot.query", json!([[["dataset", "=", id]]])).await?;
    let entries = found.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(entries.iter().filter_map(|entry| entry["id"].as_str()).map(str::to_owned).collect())
}

/// The datasets in its pool that were cloned from one of its snapshots.
pub(super) async fn clones(nas: &Nas, id: &str) -> Result<Vec<String>, Failure> {
    let from = format!("{id}@");
    clones_of(nas, id, |origin| origin.starts_with(&from)).await
}

/// The datasets in its pool that were cloned from a snapshot which is meant.
pub(super) async fn clones_of(
    nas: &Nas,
    id: &str,
    is_meant: impl Fn(&str) -> bool,
) -> Result<Vec<String>, Failure> {
    let pool = id.split('/').next().unwrap_or(id);
    let options = json!({ "extra": { "flat": true, "properties": ["origin"] } });
    let entries = nas.look("pool.dataset.query", json!([[["pool", "=", pool]], options])).await?;
    let is_clone = |entry: &&Value| {
        let origin = &entry["origin"];
        let texts = [&origin["rawvalue"], &origin["value"], &origin["parsed"]];
        texts.into_iter().any(|text| text.as_str().is_some_and(&is_meant))
    };
    let entries = entries.as_array().map(Vec::as_slice).unwrap_or_default();
    let names = entries.iter().filter(is_clone).filter_map(|entry| entry["id"].as_str());
    Ok(names.map(str::to_owned).collect())
}
