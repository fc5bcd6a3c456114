//! Datasets: create, update, query. `volume.rs` has what is different where one is a volume.

use serde_json::{Map, Value, json};

use super::entry::entry;
use super::methods::{Reply, fields, text, unexpected};
use super::query;
use super::rpc::{EEXIST, EINVAL, ENOENT, ENOSPC, RpcError};
use super::state::{Dataset, State};
use super::volume;
use crate::world::World;

/// The least a quota may be.
const QUOTA_MIN: u64 = 1 << 30;

/// Properties of a file system that are stored as they are sent.
const SETTINGS: [&str; 22] = [
    "checksum",
    "comments",
    "compression",
    "copies",
    "deduplication",
    "encryption",
    "encryption_options",
    "exec",
    "inherit_encryption",
    "managedby",
    "quota_critical",
    "quota_warning",
    "readonly",
    "refquota_critical",
    "refquota_warning",
    "refreservation",
    "reservation",
    "share_type",
    "snapdev",
    "snapdir",
    "special_small_block_size",
    "sync",
];
/// What only a file system has.
const OF_FILES: [&str; 7] =
    ["aclmode", "acltype", "atime", "casesensitivity", "quota", "recordsize", "refquota"];
/// What only a volume has.
const OF_VOLUMES: [&str; 4] = ["force_size", "sparse", "volblocksize", "volsize"];

pub(super) fn create(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let is_volume = params.first().is_some_and(|data| data["type"] == "VOLUME");
    let own: &[&str] = if is_volume { &OF_VOLUMES } else { &OF_FILES };
    let optional: Vec<&str> = SETTINGS
        .into_iter()
        .chain(["create_ancestors", "type", "user_properties"])
        .chain(own.iter().copied())
        .collect();
    let data = fields(params, 0, &["name"], &optional)?;
    let id = data.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let dataset = wanted(&id, &data)?;
    let ancestors = data.get("create_ancestors") == Some(&Value::Bool(true));
    if world.faults.fires("truenas", "pool-full") {
        let text = format!("Failed to create dataset: cannot create '{id}': out of space");
        return Err(RpcError::call(ENOSPC, text));
    }
    let unmounted = !is_volume && world.faults.fires("truenas", "unmounted");
    let entry = world.change(|state| {
        let nas = &mut state.truenas;
        check_place(nas, &id, ancestors)?;
        volume::check(nas, &dataset, None, &data)?;
        let dataset = Dataset { mounted: !unmounted, ..dataset };
        world.journal.effect("truenas", "dataset-created", &id, &dataset.owner());
        let shown = entry(nas, &dataset, true);
        nas.datasets.insert(id.clone(), dataset);
        Ok(shown)
    })?;
    if unmounted {
        return Err(unexpected(&format!(
            "Failed to mount dataset: cannot mount '{id}': mount failed"
        )));
    }
    Ok(entry.into())
}

fn wanted(id: &str, data: &Map<String, Value>) -> Result<Dataset, RpcError> {
    let name = |text: &str| RpcError::field("pool_dataset_create.name", text, EINVAL);
    let valid = |part: &str| {
        !part.is_empty()
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | ' '))
    };
    if !id.contains('/') {
        return Err(name("You need a full name, e.g. pool/newdataset"));
    }
    if !id.split('/').all(valid) || id.len() > 200 {
        return Err(name("Invalid dataset name"));
    }
    let is_volume = match data.get("type").and_then(Value::as_str) {
        None | Some("FILESYSTEM") => false,
        Some("VOLUME") => true,
        Some(_) => return Err(RpcError::field("data.type", "Input should be valid", EINVAL)),
    };
    if is_volume && !data.contains_key("volsize") {
        return Err(RpcError::field("data.volsize", "Field required", EINVAL));
    }
    let mut dataset = Dataset::new(id);
    apply(&mut dataset, data, "pool_dataset_create")?;
    Ok(dataset)
}

fn check_place(nas: &mut State, id: &str, ancestors: bool) -> Result<(), RpcError> {
    if nas.datasets.contains_key(id) {
        let text = format!("Path /mnt/{id} already exists");
        return Err(RpcError::field("pool_dataset_create.name", text, EEXIST));
    }
    let pool = id.split('/').next().unwrap_or_default();
    if !nas.datasets.contains_key(pool) {
        let text = format!("Pool {pool} does not exist");
        return Err(RpcError::field("pool_dataset_create.name", text, ENOENT));
    }
    let parents: Vec<String> = id
        .match_indices('/')
        .map(|(at, _)| id[..at].to_owned())
        .filter(|id| !nas.datasets.contains_key(id))
        .collect();
    if let (Some(missing), false) = (parents.first(), ancestors) {
        let text = format!("Parent dataset {missing} does not exist");
        return Err(RpcError::field("pool_dataset_create.name", text, ENOENT));
    }
    nas.datasets.extend(parents.into_iter().map(|id| (id.clone(), Dataset::new(&id))));
    Ok(())
}

/// Puts the fields of a create or an update into a dataset.
fn apply(dataset: &mut Dataset, data: &Map<String, Value>, schema: &str) -> Result<(), RpcError> {
    for (name, value) in data {
        match name.as_str() {
            "quota" => dataset.quota = limit(name, value)?,
            "refquota" => dataset.refquota = limit(name, value)?,
            "volsize" => dataset.volsize = Some(volume::size(value)?),
            "user_properties" | "user_properties_update" => mark(dataset, value, schema)?,
            "name" | "type" | "create_ancestors" | "force_size" => {}
            _ => {
                dataset.settings.insert(name.clone(), value.clone());
            }
        }
    }
    Ok(())
}

fn limit(name: &str, value: &Value) -> Result<u64, RpcError> {
    match value.as_u64() {
        Some(0) => Ok(0),
        Some(bytes) if bytes >= QUOTA_MIN => Ok(bytes),
        Some(_) => {
            let text = format!("Input should be greater than or equal to {QUOTA_MIN}");
            Err(RpcError::field(&format!("data.{name}"), text, EINVAL))
        }
        None if value.is_null() => Ok(0),
        None => {
            Err(RpcError::field(&format!("data.{name}"), "Input should be a valid integer", EINVAL))
        }
    }
}

fn mark(dataset: &mut Dataset, properties: &Value, schema: &str) -> Result<(), RpcError> {
    let wrong = |text: &str| RpcError::field(&format!("{schema}.user_properties"), text, EINVAL);
    for property in properties.as_array().ok_or_else(|| wrong("Input should be a valid list"))? {
        let part = |name: &str| property.get(name).and_then(Value::as_str);
        let key = part("key").ok_or_else(|| wrong("Field required"))?;
        if !key.contains(':') || key.chars().any(|c| c.is_ascii_uppercase() || c == ' ') {
            return Err(wrong(&format!("{key} is not a valid user property name")));
        }
        match part("value") {
            _ if property.get("remove") == Some(&Value::Bool(true)) => {
                dataset.user_properties.remove(key);
            }
            Some(value) => {
                dataset.user_properties.insert(key.to_owned(), value.to_owned());
            }
            None => return Err(wrong("Field required")),
        }
    }
    Ok(())
}

pub(super) fn update(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let id = text(params, 0, "id")?;
    let optional: Vec<&str> = SETTINGS
        .into_iter()
        .chain(OF_FILES)
        .chain(["force_size", "user_properties", "user_properties_update", "volsize"])
        .collect();
    let data = fields(params, 1, &[], &optional)?;
    world.change(|state| {
        let nas = &mut state.truenas;
        let mut dataset =
            nas.datasets.get(id).cloned().ok_or_else(|| RpcError::missing("PoolDataset", id))?;
        let before = dataset.volsize;
        apply(&mut dataset, &data, "pool_dataset_update")?;
        volume::check(nas, &dataset, Some(before), &data)?;
        for (name, limit) in [("quota", dataset.quota), ("refquota", dataset.refquota)] {
            if limit > 0 && limit < dataset.used && data.contains_key(name) {
                let zfs = "size is less than current used or reserved space";
                let text =
                    format!("Failed to update properties: cannot set property for '{id}': {zfs}");
                return Err(RpcError::field("pool.dataset.update", text, EINVAL));
            }
        }
        world.journal.effect("truenas", "dataset-updated", id, &dataset.owner());
        nas.datasets.insert(id.to_owned(), dataset.clone());
        Ok(entry(nas, &dataset, true).into())
    })
}

pub(super) fn query(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let extra =
        params.get(1).and_then(|options| options.get("extra")).cloned().unwrap_or(Value::Null);
    let wants = |name: &str| extra.get(name).and_then(Value::as_bool).unwrap_or(true);
    let mut items = all(world, wants("retrieve_children"));
    if !wants("retrieve_user_props") {
        for item in &mut items {
            item["user_properties"] = json!({});
        }
    }
    if !wants("flat") {
        items.retain(|item| item["id"] == item["pool"]);
    }
    query::run(items, params)
}

fn all(world: &World, with_children: bool) -> Vec<Value> {
    world.read(|state| {
        let nas = &state.truenas;
        nas.datasets.values().map(|dataset| entry(nas, dataset, with_children)).collect()
    })
}

pub(super) fn get_instance(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let id = text(params, 0, "id")?;
    let found = world.read(|state| {
        state.truenas.datasets.get(id).map(|dataset| entry(&state.truenas, dataset, true))
    });
    found.map(Reply::from).ok_or_else(|| RpcError::missing("PoolDataset", id))
}

/// Nobody on the NAS itself works in a home.
pub(super) fn processes(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let id = text(params, 0, "id")?;
    match world.read(|state| state.truenas.datasets.contains_key(id)) {
        true => Ok(json!([]).into()),
        false => Err(RpcError::missing("PoolDataset", id)),
    }
}
