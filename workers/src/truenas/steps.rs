//! What is done with homes. Every change is preceded by a look whether the thing is there and
//! ours, and followed by another when its outcome is in doubt.

mod destroy;
mod iscsi;
mod replicas;
mod send;
mod sight;
mod snapshots;
mod survey;

use serde_json::json;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::truenas::{
    Dataset, EnsureDataset, EnsureShare, MarkDataset, RemoveShare, SetPermissions, Share,
    UpdateQuota,
};

use super::client::{Client, Nas};
use super::dataset::{self, Found};
use super::job::{self, JobEnd};
use super::share;
use crate::trouble::{Marking, Trouble, marking, unless_missing};

pub(super) use destroy::destroy_dataset;
pub(super) use iscsi::{ensure_target, ensure_volume, remove_target};
pub(super) use replicas::{prove_replica, remove_replicas, snapshot_tree};
pub(super) use send::replicate;
pub(super) use sight::{sight_datasets, sight_extents, sight_shares, sight_targets};
pub(super) use snapshots::{delete_snapshot, list_snapshots, snapshot_dataset};
pub(super) use survey::survey_pool;

/// Makes the dataset, or takes the one with our marker and sees to its limit.
pub(super) async fn ensure_dataset(
    client: Client,
    cx: StepContext,
    ask: EnsureDataset,
) -> Result<Dataset, Failure> {
    let nas = client.log_in(&ask.login);
    let found = dataset::find_ours(&nas, &ask.dataset, &ask.marker).await?;
    cx.still_wanted()?;
    if let Some(found) = found {
        return settle(&nas, &ask, &found).await;
    }
    let made = create(&nas, &ask).await;
    let Some(found) = dataset::find_ours(&nas, &ask.dataset, &ask.marker).await? else {
        return Err(made.err().map_or_else(|| vanished(&ask.dataset), Failure::from));
    };
    match made {
        Err(trouble) if !is_mounted(&nas, &found).await? => take_back(&nas, &found, trouble).await,
        _ => settle(&nas, &ask, &found).await,
    }
}

/// Share type `GENERIC` because the others bring an ACL, which a plain mode cannot express.
async fn create(nas: &Nas, ask: &EnsureDataset) -> Result<(), Trouble> {
    let wanted = json!([{
        "name": ask.dataset,
        "type": "FILESYSTEM",
        "refquota": u64::from(ask.refquota_gb) * dataset::GIB,
        "share_type": "GENERIC",
        "create_ancestors": false,
        "user_properties": [{ "key": dataset::MARKER, "value": ask.marker }],
    }]);
    nas.act("pool.dataset.create", wanted).await.map(drop)
}

async fn settle(nas: &Nas, ask: &EnsureDataset, found: &Found) -> Result<Dataset, Failure> {
    if !is_mounted(nas, found).await? {
        // An attempt that was cut off made it, or somebody unmounted what he keeps there: from here
        // they look alike, so it goes only as a home does, behind a snapshot, with what is undone.
        let words =
            format!("the dataset {} is ours but not mounted, and no call mounts it", found.id);
        return Err(Failure::new(Class::Permanent, words));
    }
    dataset::set_refquota(nas, found, ask.refquota_gb).await?;
    Ok(Dataset { id: found.id.clone(), mountpoint: found.path() })
}

/// What is kept beneath the path of a dataset that is not mounted lands in its parent.
async fn is_mounted(nas: &Nas, found: &Found) -> Result<bool, Failure> {
    let Some(mountpoint) = found.mountpoint() else { return Ok(false) };
    let stat = unless_missing(nas.try_look("filesystem.stat", json!([mountpoint])).await)?;
    Ok(stat.is_some_and(|stat| stat["is_mountpoint"] == true))
}

/// Creating is not one act: the dataset may be made and then not mounted, and there is no call
/// that mounts it. We saw a moment ago that it was not there, so nobody has ever written to it,
/// and a delete that is not recursive takes nothing else along.
async fn take_back(nas: &Nas, found: &Found, trouble: Trouble) -> Result<Dataset, Failure> {
    unless_missing(
        nas.act("pool.dataset.delete", json!([found.id, { "recursive": false }])).await,
    )?;
    let words = format!("the dataset {} was made but not mounted; it was taken back", found.id);
    Err(Failure::new(Class::Retry, words).vendor(trouble.failure().to_string()))
}

fn vanished(what: &str) -> Failure {
    Failure::new(Class::Retry, format!("{what} was made and is not there"))
}

/// Gives the top of the dataset to a user; what lies beneath keeps its owner.
pub(super) async fn set_permissions(
    client: Client,
    cx: StepContext,
    ask: SetPermissions,
) -> Result<Done, Failure> {
    let nas = client.log_in(&ask.login);
    let Some(found) = dataset::find_ours(&nas, &ask.dataset, &ask.marker).await? else {
        return Err(gone(&ask.dataset));
    };
    if has_permissions(&nas, &found, &ask).await? {
        return Ok(Done {});
    }
    cx.still_wanted()?;
    let wanted = json!([{
        "path": found.path(), "uid": ask.uid, "gid": ask.gid, "mode": ask.mode,
        "options": { "recursive": false, "traverse": false, "stripacl": true },
    }]);
    match job::run(&nas, &cx, "filesystem.setperm", wanted).await? {
        JobEnd::Success => Ok(Done {}),
        JobEnd::Forgotten if has_permissions(&nas, &found, &ask).await? => Ok(Done {}),
        JobEnd::Forgotten => Err(Failure::new(Class::Retry, "TrueNAS forgot the job half-way")),
    }
}

async fn has_permissions(nas: &Nas, found: &Found, ask: &SetPermissions) -> Result<bool, Failure> {
    let stat = nas.look("filesystem.stat", json!([found.path()])).await?;
    let mode = stat["mode"].as_u64().map(|mode| mode & 0o7777);
    let wanted = u64::from_str_radix(&ask.mode, 8).ok();
    Ok(stat["uid"] == ask.uid && stat["gid"] == ask.gid && mode == wanted && stat["acl"] != true)
}

/// Exports the path, or finds our export of it, and sees to it that it is for those alone whom it is
/// to be for.
pub(super) async fn ensure_share(
    client: Client,
    cx: StepContext,
    ask: EnsureShare,
) -> Result<Share, Failure> {
    let nas = client.log_in(&ask.login);
    let found = share::find_ours(&nas, &ask.path, &ask.marker).await?;
    if let Some(export) = found.as_ref().filter(|export| export.is_for(&ask.networks)) {
        return Ok(Share { id: export.id });
    }
    cx.still_wanted()?;
    let done = match &found {
        Some(export) => {
            let change = json!([export.id, { "networks": ask.networks }]);
            nas.act("sharing.nfs.update", change).await
        }
        None => {
            let wanted = json!([{
                "path": ask.path, "comment": share::comment(&ask.marker), "enabled": true,
                "networks": ask.networks,
            }]);
            nas.act("sharing.nfs.create", wanted).await
        }
    };
    match share::find_ours(&nas, &ask.path, &ask.marker).await? {
        Some(export) if export.is_for(&ask.networks) => Ok(Share { id: export.id }),
        _ => Err(done.err().map_or_else(|| vanished(&ask.path), Failure::from)),
    }
}

/// Changes the limit.
pub(super) async fn update_quota(
    client: Client,
    cx: StepContext,
    ask: UpdateQuota,
) -> Result<Done, Failure> {
    let nas = client.log_in(&ask.login);
    let Some(found) = dataset::find_ours(&nas, &ask.dataset, &ask.marker).await? else {
        return Err(gone(&ask.dataset));
    };
    cx.still_wanted()?;
    dataset::set_refquota(&nas, &found, ask.refquota_gb).await?;
    Ok(Done {})
}

/// Puts our mark on the dataset, or takes it off again.
pub(super) async fn mark_dataset(
    client: Client,
    cx: StepContext,
    ask: MarkDataset,
) -> Result<Done, Failure> {
    let nas = client.log_in(&ask.login);
    let Some(found) = dataset::find(&nas, &ask.dataset).await? else {
        return if ask.undoes { Ok(Done {}) } else { Err(gone(&ask.dataset)) };
    };
    let marks = (ask.was.as_deref(), ask.marker.as_str());
    let (what, now) = (format!("the dataset {}", found.id), found.own_property(dataset::MARKER));
    if let Marking::Set(marker) = marking(&what, now, marks, ask.undoes)? {
        cx.still_wanted()?;
        dataset::mark(&nas, &found, marker).await?;
    }
    Ok(Done {})
}

/// Takes our export away. Somebody else's export of the path stays: ours is gone then.
pub(super) async fn remove_share(
    client: Client,
    cx: StepContext,
    ask: RemoveShare,
) -> Result<Done, Failure> {
    let nas = client.log_in(&ask.login);
    let ours = share::comment(&ask.marker);
    for export in share::exports(&nas, &ask.path).await? {
        if export.comment != ours {
            tracing::warn!(path = ask.path, share = export.id, "a stranger's export is left alone");
            continue;
        }
        cx.still_wanted()?;
        unless_missing(nas.act("sharing.nfs.delete", json!([export.id])).await)?;
    }
    Ok(Done {})
}

fn gone(dataset: &str) -> Failure {
    Failure::new(Class::Permanent, format!("there is no dataset {dataset}"))
}
