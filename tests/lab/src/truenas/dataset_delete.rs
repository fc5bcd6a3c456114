//! Deleting a dataset, in the order that makes it dangerous: children are looked at, then every
//! share on the path is removed, then the file system is unmounted, and only then is it asked
//! whether it can be destroyed at all.

use serde_json::Value;

use super::iscsi;
use super::methods::{Reply, option, text};
use super::rpc::{EBUSY, ENOTEMPTY, RpcError};
use super::state::State;
use crate::world::World;

pub(super) fn delete(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let id = text(params, 0, "id")?;
    let recursive = option(params, 1, "recursive");
    world.change(|state| {
        let nas = &mut state.truenas;
        if !nas.datasets.contains_key(id) {
            return Ok(Value::Null.into());
        }
        let children = below(nas, id);
        if !recursive && !children.is_empty() {
            let text =
                format!("Failed to delete dataset: cannot destroy '{id}': filesystem has children");
            return Err(RpcError::call(ENOTEMPTY, text));
        }
        remove_shares(world, nas, id);
        for doomed in children.iter().map(String::as_str).chain([id]) {
            iscsi::detach(world, nas, doomed);
        }
        unmount(nas, id);
        refuse(world, nas, id, recursive)?;
        for doomed in children.iter().map(String::as_str).chain([id]) {
            destroy(world, nas, doomed);
        }
        Ok(Value::Bool(true).into())
    })
}

fn below(nas: &State, id: &str) -> Vec<String> {
    let prefix = format!("{id}/");
    nas.datasets.keys().filter(|other| other.starts_with(&prefix)).cloned().collect()
}

fn remove_shares(world: &World, nas: &mut State, id: &str) {
    let (path, below) = (format!("/mnt/{id}"), format!("/mnt/{id}/"));
    nas.shares.retain(|_, share| {
        let at = share.get("path").and_then(Value::as_str).unwrap_or_default();
        let attached = at == path || at.starts_with(&below);
        if attached {
            let comment = share.get("comment").and_then(Value::as_str).unwrap_or_default();
            world.journal.effect("truenas", "share-removed", at, comment);
        }
        !attached
    });
}

/// Nobody mounts it again if what follows fails.
fn unmount(nas: &mut State, id: &str) {
    if let Some(dataset) = nas.datasets.get_mut(id) {
        dataset.mounted = false;
    }
}

fn refuse(world: &World, nas: &State, id: &str, recursive: bool) -> Result<(), RpcError> {
    if world.faults.fires("truenas", "ebusy-on-delete") {
        let text = format!("Failed to delete dataset: cannot destroy '{id}': dataset is busy");
        return Err(RpcError::call(EBUSY, text));
    }
    let has_snapshots = nas.datasets.get(id).is_some_and(|dataset| !dataset.snapshots.is_empty());
    if !recursive && has_snapshots {
        let text = format!("'{id}' has snapshots. Set recursive=True to remove them.");
        return Err(RpcError::field("zfs.resource.destroy", text, ENOTEMPTY));
    }
    Ok(())
}

/// Takes the snapshots and whatever was cloned from them along.
fn destroy(world: &World, nas: &mut State, id: &str) {
    let Some(dataset) = nas.datasets.remove(id) else {
        return;
    };
    world.journal.effect("truenas", "dataset-destroyed", id, &dataset.owner());
    let prefix = format!("{id}@");
    let is_clone =
        |origin: &Option<String>| origin.as_ref().is_some_and(|origin| origin.starts_with(&prefix));
    let clones: Vec<String> = nas
        .datasets
        .values()
        .filter(|other| is_clone(&other.origin))
        .map(|other| other.id.clone())
        .collect();
    for clone in clones {
        destroy(world, nas, &clone);
    }
}
