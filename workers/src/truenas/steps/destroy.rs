//! Destroys a home or a volume for good. The middleware's own recursive delete is never used: it releases
//! holds and destroys clones, which may be other people's homes. Its plain delete is no safe try
//! either, since it takes the exports and extents away before it finds out that it may not go on. So
//! everything is proven first, the proof is written onto the dataset, then the snapshots go one
//! by one, and ZFS itself refuses to drop one that somebody has cloned or holds.

use serde_json::json;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::truenas::DestroyDataset;

use super::super::client::{Client, Nas};
use super::super::dataset::{self, Found};
use super::super::iscsi;
use super::super::share;
use crate::trouble::unless_missing;

/// Destroys the dataset, if nothing speaks against it.
pub(crate) async fn destroy_dataset(
    client: Client,
    cx: StepContext,
    ask: DestroyDataset,
) -> Result<Done, Failure> {
    let nas = client.log_in(&ask.login);
    let Some(found) = dataset::find_ours(&nas, &ask.dataset, &ask.marker).await? else {
        return Ok(Done {});
    };
    nothing_hangs_on(&nas, &found).await?;
    let snapshots = dataset::snapshots(&nas, &found.id).await?;
    cx.still_wanted()?;
    prove_snapshot(&nas, &found, &snapshots, &ask.snapshot).await?;
    for (number, snapshot) in snapshots.iter().enumerate() {
        cx.still_wanted()?;
        cx.progress(format!("deleting snapshot {} of {}", number + 1, snapshots.len()));
        let options = json!({ "defer": false, "recursive": false });
        unless_missing(nas.act("pool.snapshot.delete", json!([snapshot, options])).await)?;
    }
    cx.still_wanted()?;
    let options = json!({ "recursive": false, "force": false });
    match unless_missing(nas.act("pool.dataset.delete", json!([found.id, options])).await) {
        Ok(_) => Ok(Done {}),
        Err(failure) => Err(name_users(&nas, &found, failure).await),
    }
}

/// Fails if anybody else would lose something.
async fn nothing_hangs_on(nas: &Nas, found: &Found) -> Result<(), Failure> {
    refuse_if_any("has datasets beneath it", found, found.children())?;
    let clones = dataset::clones(nas, &found.id).await?;
    refuse_if_any("is the origin of clones", found, clones.iter().map(String::as_str))?;
    let exports = share::exports(nas, &found.path()).await?;
    let exports: Vec<_> = exports.iter().map(|export| format!("share {}", export.id)).collect();
    refuse_if_any("is still exported", found, exports.iter().map(String::as_str))?;
    if found.volsize().is_none() {
        return Ok(());
    }
    let extents = iscsi::extents_of(nas, &found.id).await?;
    refuse_if_any("is still shown by iSCSI", found, extents.iter().map(String::as_str))
}

fn refuse_if_any<'a>(
    why: &str,
    found: &Found,
    users: impl IntoIterator<Item = &'a str>,
) -> Result<(), Failure> {
    let users: Vec<_> = users.into_iter().collect();
    if users.is_empty() {
        return Ok(());
    }
    let words = format!("the dataset {} {why}: {}", found.id, users.join(", "));
    Err(Failure::new(Class::Conflict, words))
}

/// Sees that the snapshot is there, and notes on the dataset that it was: an attempt that is cut
/// off after the last snapshot went must be able to go on.
async fn prove_snapshot(
    nas: &Nas,
    found: &Found,
    snapshots: &[String],
    wanted: &str,
) -> Result<(), Failure> {
    if found.own_property(dataset::DESTROYING) == Some(wanted) {
        return Ok(());
    }
    let full_name = format!("{}@{wanted}", found.id);
    if !snapshots.contains(&full_name) {
        let words =
            format!("the snapshot {full_name} is not there; without it nothing is destroyed");
        return Err(Failure::new(Class::Permanent, words));
    }
    let note = json!([{ "key": dataset::DESTROYING, "value": wanted }]);
    let note = json!([found.id, { "user_properties_update": note }]);
    nas.act("pool.dataset.update", note).await?;
    Ok(())
}

/// A busy dataset is worth more words: who uses it?
async fn name_users(nas: &Nas, found: &Found, failure: Failure) -> Failure {
    if failure.class != Class::Wait {
        return failure;
    }
    let processes = nas.look("pool.dataset.processes", json!([found.id])).await.unwrap_or_default();
    let processes = processes.as_array().map(Vec::as_slice).unwrap_or_default();
    let names: Vec<_> = processes.iter().filter_map(|process| process["name"].as_str()).collect();
    if names.is_empty() {
        return failure;
    }
    let words = format!("the dataset {} is in use by {}", found.id, names.join(", "));
    Failure { words, ..failure }
}
