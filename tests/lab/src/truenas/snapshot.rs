//! Snapshots and their clones.

use std::collections::BTreeMap;

use chrono::Utc;
use serde_json::{Map, Value, json};

use super::methods::{Reply, fields, option, text};
use super::query;
use super::rpc::{EBUSY, EEXIST, EINVAL, RpcError};
use super::state::{Dataset, Snapshot};
use crate::world::World;

/// What each snapshot keeps that nothing else does.
pub(super) const BYTES: u64 = 64 << 10;

pub(super) fn create(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let optional = ["exclude", "name", "naming_schema", "properties", "recursive", "vmware_sync"];
    let data = fields(params, 0, &["dataset"], &optional)?;
    let part = |name: &str| data.get(name).and_then(Value::as_str);
    let id = part("dataset").unwrap_or_default();
    let schema = part("naming_schema").map(|schema| Utc::now().format(schema).to_string());
    let name = part("name").map(str::to_owned).or(schema);
    let name = name.ok_or_else(|| RpcError::field("data.name", "Field required", EINVAL))?;
    let (recursive, properties) = (option(params, 0, "recursive"), properties(&data));
    world.change(|state| {
        let nas = &mut state.truenas;
        nas.txg += 1;
        let txg = nas.txg;
        let beneath = format!("{id}/");
        let wanted = |other: &str| other == id || (recursive && other.starts_with(&beneath));
        let has_it = |other: &Dataset| wanted(&other.id) && other.snapshots.contains_key(&name);
        if nas.datasets.values().any(has_it) {
            let text = format!("Failed to snapshot {id}@{name}: dataset already exists");
            return Err(RpcError::call(EEXIST, text));
        }
        let all = nas.datasets.values_mut().filter(|other| wanted(&other.id));
        let mut shown = None;
        for (number, dataset) in all.enumerate() {
            let guid = (txg << 16) + number as u64;
            let properties = properties.clone();
            let snapshot = Snapshot { created: Utc::now(), txg, is_held: false, guid, properties };
            shown.get_or_insert_with(|| entry(id, &name, &snapshot));
            dataset.snapshots.insert(name.clone(), snapshot);
            let (place, owner) = (format!("{}@{name}", dataset.id), dataset.owner());
            world.journal.effect("truenas", "snapshot-created", &place, &owner);
        }
        shown.map(Reply::from).ok_or_else(|| RpcError::missing("PoolDataset", id))
    })
}

/// What is set on a snapshot when it is taken; user properties alone.
fn properties(data: &Map<String, Value>) -> BTreeMap<String, String> {
    let set = data.get("properties").and_then(Value::as_object);
    let set = set.into_iter().flatten().filter(|(name, _)| name.contains(':'));
    set.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

fn entry(dataset: &str, name: &str, snapshot: &Snapshot) -> Value {
    let created = snapshot.created.timestamp();
    let creation = json!({
        "value": snapshot.created.to_rfc2822(), "rawvalue": created.to_string(), "source": "NONE",
        "parsed": { "$date": snapshot.created.timestamp_millis() },
    });
    let used = json!({
        "value": "64K", "rawvalue": BYTES.to_string(), "source": "NONE", "parsed": BYTES,
    });
    let guid = json!({
        "value": snapshot.guid.to_string(), "rawvalue": snapshot.guid.to_string(), "source": "NONE",
        "parsed": snapshot.guid,
    });
    let mut properties = json!({
        "creation": creation, "guid": guid, "referenced": used.clone(), "used": used,
    });
    for (name, value) in &snapshot.properties {
        properties[name] =
            json!({ "value": value, "rawvalue": value, "source": "LOCAL", "parsed": value });
    }
    json!({
        "id": format!("{dataset}@{name}"),
        "properties": properties,
        "pool": dataset.split('/').next(),
        "name": format!("{dataset}@{name}"),
        "type": "SNAPSHOT",
        "snapshot_name": name,
        "dataset": dataset,
        "createtxg": snapshot.txg.to_string(),
    })
}

pub(super) fn delete(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let id = text(params, 0, "id")?;
    let (dataset, name) =
        id.split_once('@').ok_or_else(|| RpcError::missing("PoolSnapshot", id))?;
    let recursive = option(params, 1, "recursive");
    world.change(|state| {
        let nas = &mut state.truenas;
        let clones: Vec<String> = nas
            .datasets
            .values()
            .filter(|other| other.origin.as_deref() == Some(id))
            .map(|other| other.id.clone())
            .collect();
        if !clones.is_empty() && !recursive {
            let text = format!(
                "Failed to delete snapshot: cannot destroy '{id}': snapshot has dependent clones"
            );
            return Err(RpcError::call(EBUSY, text));
        }
        let holder =
            nas.datasets.get_mut(dataset).ok_or_else(|| RpcError::missing("PoolSnapshot", id))?;
        if holder.snapshots.get(name).is_some_and(|snapshot| snapshot.is_held) {
            let text = format!("Failed to delete snapshot: cannot destroy '{id}': dataset is busy");
            return Err(RpcError::call(EBUSY, text));
        }
        holder.snapshots.remove(name).ok_or_else(|| RpcError::missing("PoolSnapshot", id))?;
        let owner = holder.owner();
        nas.datasets.retain(|id, _| !clones.contains(id));
        world.journal.effect("truenas", "snapshot-destroyed", id, &owner);
        Ok(Value::Bool(true).into())
    })
}

/// Keeps anybody from deleting it.
pub(super) fn hold(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let id = text(params, 0, "id")?;
    world.change(|state| {
        let (dataset, name) = id.split_once('@').unwrap_or_default();
        let found = state.truenas.datasets.get_mut(dataset);
        let found = found.and_then(|dataset| dataset.snapshots.get_mut(name));
        found.ok_or_else(|| RpcError::missing("PoolSnapshot", id))?.is_held = true;
        Ok(Value::Null.into())
    })
}

pub(super) fn clone(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let data = fields(params, 0, &["dataset_dst", "snapshot"], &["dataset_properties"])?;
    let part = |name: &str| data.get(name).and_then(Value::as_str).unwrap_or_default();
    let (snapshot, target) = (part("snapshot"), part("dataset_dst"));
    let (source, name) =
        snapshot.split_once('@').ok_or_else(|| RpcError::missing("PoolSnapshot", snapshot))?;
    world.change(|state| {
        let nas = &mut state.truenas;
        let found =
            nas.datasets.get(source).is_some_and(|source| source.snapshots.contains_key(name));
        if !found {
            return Err(RpcError::missing("PoolSnapshot", snapshot));
        }
        if nas.datasets.contains_key(target) {
            return Err(RpcError::call(
                EEXIST,
                format!("Failed to clone snapshot: '{target}' already exists"),
            ));
        }
        let clone = Dataset { origin: Some(snapshot.to_owned()), ..Dataset::new(target) };
        nas.datasets.insert(target.to_owned(), clone);
        world.journal.effect("truenas", "dataset-cloned", target, "");
        Ok(Value::Bool(true).into())
    })
}

pub(super) fn query(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let items = world.read(|state| {
        let datasets = state.truenas.datasets.values();
        let of = |dataset: &Dataset| -> Vec<Value> {
            dataset
                .snapshots
                .iter()
                .map(|(name, snapshot)| listed(&dataset.id, name, snapshot))
                .collect()
        };
        datasets.flat_map(of).collect()
    });
    query::run(items, params)
}

fn listed(dataset: &str, name: &str, snapshot: &Snapshot) -> Value {
    let mut shown = entry(dataset, name, snapshot);
    let holds = snapshot.is_held.then(|| ("truenas".to_owned(), Value::from(1)));
    shown["holds"] = Value::Object(Map::from_iter(holds));
    shown["retention"] = Value::Null;
    shown
}

pub(super) fn count(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let id = text(params, 0, "dataset")?;
    let count =
        world.read(|state| state.truenas.datasets.get(id).map(|dataset| dataset.snapshots.len()));
    count.map(|count| Value::from(count).into()).ok_or_else(|| RpcError::missing("PoolDataset", id))
}
