//! Files on the NAS: only what is asked of a home's root.

use std::sync::Arc;

use serde_json::{Value, json};

use super::jobs;
use super::methods::{Reply, fields, text};
use super::rpc::{EINVAL, ENOENT, RpcError};
use super::session::Request;
use crate::world::World;

/// What a home's root shall be.
#[derive(Clone)]
struct Wish {
    path: String,
    uid: Option<i64>,
    gid: Option<i64>,
    mode: Option<u32>,
}

/// `filesystem.setperm` and `filesystem.chown`: both are jobs.
pub(super) fn change_owner(world: &Arc<World>, request: &Request) -> Result<Reply, RpcError> {
    let common = ["uid", "user", "gid", "group", "options"];
    let known: &[&str] = if request.method == "filesystem.setperm" { &["mode"] } else { &[] };
    let known: Vec<&str> = common.iter().chain(known).copied().collect();
    let data = fields(&request.params, 0, &["path"], &known)?;
    let mode = data.get("mode").and_then(Value::as_str);
    let mode = match mode.map(|mode| u32::from_str_radix(mode, 8)) {
        Some(Err(_)) => {
            return Err(RpcError::field("data.mode", "Please supply a valid octal value", EINVAL));
        }
        Some(Ok(mode)) => Some(mode),
        None => None,
    };
    let wish = Wish {
        path: data.get("path").and_then(Value::as_str).unwrap_or_default().to_owned(),
        uid: data.get("uid").and_then(Value::as_i64),
        gid: data.get("gid").and_then(Value::as_i64),
        mode,
    };
    if wish.uid.is_none() && wish.gid.is_none() && wish.mode.is_none() {
        return Err(RpcError::field("filesystem_setperm", "Nothing to change", EINVAL));
    }
    Ok(Reply::Job(jobs::start(world, request, 80, move |world| apply(world, &wish))))
}

fn apply(world: &World, wish: &Wish) -> Result<Value, RpcError> {
    world.change(|state| {
        let nas = &mut state.truenas;
        let id = nas.at_path(&wish.path).map(|dataset| dataset.id.clone());
        let dataset = id.and_then(|id| nas.datasets.get_mut(&id));
        let dataset = dataset
            .ok_or_else(|| RpcError::call(ENOENT, format!("Path {} not found", wish.path)))?;
        dataset.uid = wish.uid.unwrap_or(dataset.uid);
        dataset.gid = wish.gid.unwrap_or(dataset.gid);
        dataset.mode = wish.mode.unwrap_or(dataset.mode);
        world.journal.effect("truenas", "permissions-set", &dataset.id, &dataset.owner());
        Ok(Value::Null)
    })
}

pub(super) fn stat(world: &World, params: &[Value]) -> Result<Reply, RpcError> {
    let path = text(params, 0, "path")?;
    let dataset = world.read(|state| state.truenas.at_path(path).cloned());
    let dataset =
        dataset.ok_or_else(|| RpcError::call(ENOENT, format!("Path {path} not found")))?;
    let time = dataset.created.timestamp();
    let name = |id: i64| if id == 0 { json!("root") } else { Value::Null };
    Ok(json!({
        "realpath": path, "type": "DIRECTORY", "size": 2, "allocation_size": 512,
        "mode": 0o040_000 | dataset.mode, "mount_id": 300, "uid": dataset.uid, "gid": dataset.gid,
        "atime": time, "mtime": time, "ctime": time, "btime": time, "dev": 60, "inode": 34, "nlink": 2,
        "acl": false, "is_mountpoint": true, "is_ctldir": false, "attributes": ["MOUNT_ROOT"],
        "user": name(dataset.uid), "group": name(dataset.gid),
    })
    .into())
}
