//! NFS shares.

use serde_json::{Map, Value, json};

use super::methods::{Reply, fields, number};
use super::query;
use super::rpc::{EINVAL, ENOENT, RpcError};
use super::state::State;
use crate::world::World;

const OPTIONAL: [&str; 12] = [
    "aliases",
    "comment",
    "enabled",
    "expose_snapshots",
    "hosts",
    "mapall_group",
    "mapall_user",
    "maproot_group",
    "maproot_user",
    "networks",
    "ro",
    "security",
];

fn defaults() -> Map<String, Value> {
    let defaults = json!({
        "aliases": [], "comment": "", "networks": [], "hosts": [], "ro": false, "maproot_user": null,
        "maproot_group": null, "mapall_user": null, "mapall_group": null, "security": [],
        "enabled": true, "locked": false, "expose_snapshots": false,
    });
    defaults.as_object().cloned().unwrap_or_default()
}

pub(super) fn create(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let data = fields(params, 0, &["path"], &OPTIONAL)?;
    world.change(|state| {
        let nas = &mut state.truenas;
        let mut share = defaults();
        share.extend(data);
        if world.faults.fires("truenas", "share-twin") {
            add(world, nas, share.clone());
        }
        validate(nas, &share, None, "sharingnfs_create")?;
        Ok(Value::Object(add(world, nas, share)).into())
    })
}

fn add(world: &World, nas: &mut State, mut share: Map<String, Value>) -> Map<String, Value> {
    let id = nas.next_share;
    nas.next_share += 1;
    share.insert("id".to_owned(), Value::from(id));
    let (path, comment) = (part(&share, "path"), part(&share, "comment"));
    world.journal.effect("truenas", "share-created", path, comment);
    nas.shares.insert(id, share.clone());
    share
}

pub(super) fn update(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let id = number(params, 0, "id")?;
    let optional: Vec<&str> = OPTIONAL.into_iter().chain(["path"]).collect();
    let data = fields(params, 1, &[], &optional)?;
    world.change(|state| {
        let nas = &mut state.truenas;
        let mut share = nas.shares.get(&id).cloned().ok_or_else(|| missing(id))?;
        share.extend(data);
        validate(nas, &share, Some(id), "sharingnfs_update")?;
        world.journal.effect(
            "truenas",
            "share-updated",
            part(&share, "path"),
            part(&share, "comment"),
        );
        nas.shares.insert(id, share.clone());
        Ok(Value::Object(share).into())
    })
}

pub(super) fn delete(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let id = number(params, 0, "id")?;
    world.change(|state| {
        let share = state.truenas.shares.remove(&id).ok_or_else(|| missing(id))?;
        world.journal.effect(
            "truenas",
            "share-removed",
            part(&share, "path"),
            part(&share, "comment"),
        );
        Ok(Value::Bool(true).into())
    })
}

pub(super) fn query(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let items =
        world.read(|state| state.truenas.shares.values().cloned().map(Value::Object).collect());
    query::run(items, params)
}

pub(super) fn get_instance(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let id = number(params, 0, "id")?;
    let share = world.read(|state| state.truenas.shares.get(&id).cloned());
    share.map(|share| Value::Object(share).into()).ok_or_else(|| missing(id))
}

fn missing(id: i64) -> RpcError {
    RpcError::missing("Share", &id.to_string())
}

fn part<'a>(share: &'a Map<String, Value>, name: &str) -> &'a str {
    share.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(share: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    share.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// A path may be exported more than once, but never twice to the same.
fn validate(
    nas: &State,
    share: &Map<String, Value>,
    own: Option<i64>,
    schema: &str,
) -> Result<(), RpcError> {
    let path = part(share, "path");
    let at = format!("{schema}.path");
    if !path.starts_with("/mnt/") {
        return Err(RpcError::field(&at, "The path must reside within a pool mount point", EINVAL));
    }
    if nas.at_path(path).is_none() {
        return Err(RpcError::field(&at, "Path does not exist.", ENOENT));
    }
    let others =
        nas.shares.iter().filter(|(id, other)| Some(**id) != own && part(other, "path") == path);
    for (_, other) in others {
        if let Some((kind, client)) = overlap(share, other) {
            let text = format!("ERROR - Another NFS share already exports {path} for {client}");
            return Err(RpcError::field(&format!("{schema}.{kind}"), text, EINVAL));
        }
    }
    Ok(())
}

fn overlap(one: &Map<String, Value>, other: &Map<String, Value>) -> Option<(&'static str, String)> {
    let open = |share| list(share, "networks").is_empty() && list(share, "hosts").is_empty();
    if open(one) && open(other) {
        return Some(("networks", "everybody".to_owned()));
    }
    ["networks", "hosts"].into_iter().find_map(|kind| {
        let twice = list(one, kind).iter().find(|client| list(other, kind).contains(client))?;
        Some((kind, twice.as_str().unwrap_or_default().to_owned()))
    })
}
