//! Renaming a dataset: whatever is beneath it moves along, and so does what its clones say they are of.

use serde_json::Value;

use super::methods::{Reply, fields, text};
use super::rpc::{EEXIST, EINVAL, ENOENT, RpcError};
use super::state::{Dataset, State};
use crate::world::World;

pub(super) fn rename(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let id = text(params, 0, "id")?;
    let data = fields(params, 1, &["new_name"], &["force", "recursive"])?;
    let name = data.get("new_name").and_then(Value::as_str).unwrap_or_default();
    if data.get("force") != Some(&Value::Bool(true)) {
        let text = "No safety checks are performed when renaming ZFS resources; this may break \
                    existing usages. If you understand the risks, please set force and proceed.";
        return Err(RpcError::field("pool.dataset.rename.force", text, EINVAL));
    }
    world.change(|state| {
        check(&state.truenas, id, name)?;
        let datasets = std::mem::take(&mut state.truenas.datasets);
        let moved = datasets.into_values().map(|dataset| moved(dataset, id, name));
        state.truenas.datasets = moved.map(|dataset| (dataset.id.clone(), dataset)).collect();
        world.journal.effect("truenas", "dataset-renamed", id, name);
        Ok(Value::Null.into())
    })
}

fn check(nas: &State, id: &str, name: &str) -> Result<(), RpcError> {
    let wrong = |text: String, errno| Err(RpcError::field("pool.dataset.rename", text, errno));
    let (parent, _) = name.rsplit_once('/').unwrap_or_default();
    if !nas.datasets.contains_key(id) {
        return Err(RpcError::missing("PoolDataset", id));
    }
    if nas.datasets.contains_key(name) {
        return wrong(format!("'{name}' already exists"), EEXIST);
    }
    if id.split('/').next() != name.split('/').next() {
        return wrong(format!("cannot rename '{id}': datasets must be within same pool"), EINVAL);
    }
    if !nas.datasets.contains_key(parent) {
        return wrong(format!("cannot create '{name}': parent does not exist"), ENOENT);
    }
    Ok(())
}

fn moved(dataset: Dataset, id: &str, name: &str) -> Dataset {
    let origin = dataset.origin.as_deref().map(|origin| renamed(origin, id, name));
    Dataset { id: renamed(&dataset.id, id, name), origin, ..dataset }
}

/// A name of this dataset, of one beneath it, or of a snapshot of either.
fn renamed(full: &str, id: &str, name: &str) -> String {
    match full.strip_prefix(id) {
        Some(rest) if rest.is_empty() || rest.starts_with(['/', '@']) => format!("{name}{rest}"),
        _ => full.to_owned(),
    }
}
