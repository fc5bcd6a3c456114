//! Volumes, and the targets that show them. A target is made from the volume outwards and taken away
//! from outside inwards, so that nobody ever logs in at half of one.

use serde_json::json;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::truenas::iscsi::{EnsureTarget, EnsureVolume, RemoveTarget, Target};

use super::super::client::{Client, Nas};
use super::super::dataset::{self, Found, GIB};
use super::super::iscsi::{self, EXTENT, JOINT, TARGET, Wanted};
use super::{gone, vanished};
use crate::trouble::{Trouble, unless_missing};

/// The block size of a new volume. Any size in GiB is a multiple of it, as TrueNAS demands.
const BLOCK: &str = "16K";

/// Makes the volume, or takes the one with our marker, and lets it grow.
pub(crate) async fn ensure_volume(
    client: Client,
    cx: StepContext,
    ask: EnsureVolume,
) -> Result<Done, Failure> {
    let nas = client.log_in(&ask.login);
    let found = dataset::find_ours(&nas, &ask.dataset, &ask.marker).await?;
    cx.still_wanted()?;
    let found = match found {
        Some(found) => found,
        None => {
            let made = create(&nas, &ask).await;
            let found = dataset::find_ours(&nas, &ask.dataset, &ask.marker).await?;
            let why = || made.err().map_or_else(|| vanished(&ask.dataset), Failure::from);
            found.ok_or_else(why)?
        }
    };
    grow(&nas, &found, ask.size_gb).await?;
    Ok(Done {})
}

/// Sparse: reserved room would count against everybody, whether it is written to or not. Never by
/// force where it would take most of what is free.
async fn create(nas: &Nas, ask: &EnsureVolume) -> Result<(), Trouble> {
    let wanted = json!([{
        "name": ask.dataset,
        "type": "VOLUME",
        "volsize": u64::from(ask.size_gb) * GIB,
        "volblocksize": BLOCK,
        "sparse": true,
        "create_ancestors": false,
        "user_properties": [{ "key": dataset::MARKER, "value": ask.marker }],
    }]);
    nas.act("pool.dataset.create", wanted).await.map(drop)
}

async fn grow(nas: &Nas, found: &Found, size_gb: u32) -> Result<(), Failure> {
    let (id, wanted) = (&found.id, u64::from(size_gb) * GIB);
    let Some(size) = found.volsize() else {
        let words = format!("the dataset {id} is no volume");
        return Err(Failure::new(Class::Conflict, words));
    };
    if size > wanted {
        let has = size.div_ceil(GIB);
        let words = format!("the volume has {has} GiB, and {size_gb} are wanted; it only grows");
        return Err(Failure::new(Class::Permanent, words));
    }
    if size < wanted {
        nas.act("pool.dataset.update", json!([id, { "volsize": wanted }])).await?;
    }
    Ok(())
}

/// Shows the volume to one initiator.
pub(crate) async fn ensure_target(
    client: Client,
    cx: StepContext,
    ask: EnsureTarget,
) -> Result<Target, Failure> {
    let nas = client.log_in(&ask.login);
    if dataset::find_ours(&nas, &ask.dataset, &ask.marker).await?.is_none() {
        return Err(gone(&ask.dataset));
    }
    let (at, marker) = ((&nas, &cx), ask.marker.as_str());
    let extent = json!({ "type": "DISK", "disk": iscsi::disk(&ask.dataset) });
    let extent = Wanted::named(EXTENT, marker).ensure(at, extent).await?;
    let group = json!({ "initiators": [ask.initiator] });
    let group = Wanted::group(marker).ensure(at, group).await?;
    let target = json!({
        "mode": "ISCSI",
        "groups": [
            { "portal": ask.portal, "initiator": group, "authmethod": "NONE", "auth": null },
        ],
        "auth_networks": ask.networks,
    });
    let target = Wanted::named(TARGET, marker).ensure(at, target).await?;
    Wanted::joint(target, extent, marker).ensure(at, json!({ "lunid": 0 })).await?;
    let global = nas.look("iscsi.global.config", json!([])).await?;
    match global["basename"].as_str() {
        Some(base) => Ok(Target { iqn: format!("{base}:{marker}") }),
        None => Err(Failure::new(Class::Retry, "TrueNAS does not say what its targets are called")),
    }
}

/// Takes the target away. Its group goes last: nobody may log in without one, anybody could at a
/// target that has lost it.
pub(crate) async fn remove_target(
    client: Client,
    cx: StepContext,
    ask: RemoveTarget,
) -> Result<Done, Failure> {
    let nas = client.log_in(&ask.login);
    let (at, marker, gently) = ((&nas, &cx), ask.marker.as_str(), json!(false));
    let target = Wanted::named(TARGET, marker);
    if let Some(target) = target.find_ours(&nas).await? {
        for joint in iscsi::joints(&nas, &target["id"]).await? {
            cx.still_wanted()?;
            let deleted = nas.act(&JOINT.method("delete"), json!([joint["id"], gently])).await;
            unless_missing(deleted)?;
        }
    }
    Wanted::named(EXTENT, marker).remove(at, &[gently.clone(), gently.clone()]).await?;
    target.remove(at, &[gently]).await?;
    Wanted::group(marker).remove(at, &[]).await?;
    Ok(Done {})
}
