//! Copies of a dataset and of all beneath it, on another pool or at another TrueNAS. The middleware
//! sends them (`send.rs`); what has arrived is looked at on both sides. Its own retention is never used: it
//! removes by name and age, whosoever the snapshot is and whether or not a newer one has arrived.

use std::collections::BTreeMap;

use serde_json::json;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::backup::{
    Old, Proof, ProveReplica, RemoveReplicas, Removed, Replica, SnapshotTree,
};

use super::super::client::{Client, Nas};
use super::super::dataset;
use super::super::replica::{self, Seen};
use crate::named::named;
use crate::trouble::{Trouble, unless_missing};

/// Takes the snapshots, unless they are there.
pub(crate) async fn snapshot_tree(
    client: Client,
    cx: StepContext,
    ask: SnapshotTree,
) -> Result<Done, Failure> {
    let (nas, of) = (client.at(&ask.of.from)?, &ask.of);
    if is_taken(&nas, of, &ask.copy).await? {
        return Ok(Done {});
    }
    cx.still_wanted()?;
    let wanted = json!([{
        "dataset": of.dataset, "name": ask.copy, "recursive": true,
        "properties": { dataset::MARKER: of.marker },
    }]);
    match nas.act("pool.snapshot.create", wanted).await {
        Ok(_) | Err(Trouble::Already(_)) => {}
        Err(trouble) => return Err(trouble.into()),
    }
    match is_taken(&nas, of, &ask.copy).await? {
        true => Ok(Done {}),
        false => Err(Failure::new(Class::Retry, "the snapshot is gone again")),
    }
}

/// Whether the snapshot is there; somebody else's of its name is a conflict.
async fn is_taken(nas: &Nas, of: &Replica, copy: &str) -> Result<bool, Failure> {
    let tree = replica::tree(nas, &of.dataset, copy).await?;
    match tree.get(&of.dataset) {
        Some(seen) if !seen.is_ours(&of.marker) => {
            let words = format!("the snapshot {} is there and is not ours", seen.id(copy));
            Err(Failure::new(Class::Conflict, words))
        }
        found => Ok(found.is_some()),
    }
}

/// Each snapshot of the source must have a twin at the target. A dataset that was destroyed since
/// is not missed: the target keeps it.
pub(crate) async fn prove_replica(
    client: Client,
    _cx: StepContext,
    ask: ProveReplica,
) -> Result<Proof, Failure> {
    let of = &ask.of;
    let sources = replica::tree(&client.at(&of.from)?, &of.dataset, &ask.copy).await?;
    let to = client.at(&of.to)?;
    let targets = replica::tree(&to, &of.target, &ask.copy).await?;
    if !sources.get(&of.dataset).is_some_and(|seen| seen.is_ours(&of.marker)) {
        let words = format!("there is no snapshot {}@{} of ours", of.dataset, ask.copy);
        return Err(Failure::new(Class::Permanent, words));
    }
    let twin = |seen: &Seen| targets.get(&replica::moved(&seen.dataset, &of.dataset, &of.target));
    let without = |seen: &&Seen| !twin(seen).is_some_and(|twin| twin.is_twin_of(seen));
    let missing: Vec<&str> =
        sources.values().filter(without).map(|seen| seen.dataset.as_str()).collect();
    if !missing.is_empty() {
        let (count, all) = (missing.len(), sources.len());
        let named = named(missing);
        let words = format!("{count} of {all} datasets have no such snapshot there: {named}");
        return Err(Failure::new(Class::Permanent, words));
    }
    let bytes = sources.values().filter_map(twin).filter_map(|seen| seen.bytes).sum();
    let words = format!("{} datasets have the same snapshot beneath {}", sources.len(), of.target);
    Ok(Proof { words: words + &set_aside(&to, of).await, bytes: Some(bytes) })
}

/// Which datasets stand beside their successors there, so that nobody forgets them.
async fn set_aside(to: &Nas, of: &Replica) -> String {
    // Who may not look at datasets there has his copies proved all the same.
    let found = dataset::aside(to, &of.target).await.unwrap_or_default();
    let named = named(found.iter().map(String::as_str));
    if found.is_empty() {
        named
    } else {
        format!("; kept there until somebody destroys it: {named}")
    }
}

/// Removes them, those of the target first: they are known to be ours by their twins.
pub(crate) async fn remove_replicas(
    client: Client,
    cx: StepContext,
    ask: RemoveReplicas,
) -> Result<Removed, Failure> {
    let of = &ask.of;
    let (from, to) = (client.at(&of.from)?, client.at(&of.to)?);
    let mut old: Vec<String> = Vec::new();
    for (nas, dataset) in [(&from, &of.dataset), (&to, &of.target)] {
        old.extend(old_copies(nas, dataset, of, &ask.old).await?);
    }
    old.sort();
    old.dedup();
    let (mut kept, mut removed) = (Vec::new(), 0);
    for copy in &old {
        cx.progress(format!("removing {copy}"));
        let sources = replica::tree(&from, &of.dataset, copy).await?;
        let targets = replica::tree(&to, &of.target, copy).await?;
        let twin =
            |seen: &Seen| sources.get(&replica::moved(&seen.dataset, &of.target, &of.dataset));
        let is_ours = |seen: &Seen| {
            let has_ours = |twin: &Seen| twin.is_twin_of(seen) && twin.is_ours(&of.marker);
            seen.is_ours(&of.marker) || twin(seen).is_some_and(has_ours)
        };
        let before = kept.len();
        let ours = targets.values().filter(|seen| is_ours(seen));
        remove(&to, &cx, ours, copy, &mut kept).await?;
        let ours = sources.values().filter(|seen| seen.is_ours(&of.marker));
        remove(&from, &cx, ours, copy, &mut kept).await?;
        removed += u32::from(kept.len() == before);
    }
    let named = named(kept.iter().map(String::as_str));
    let words = format!("{} snapshots are held or were cloned: {named}", kept.len());
    Ok(Removed { removed, kept: Some(words).filter(|_| !kept.is_empty()) })
}

/// The names of copies that have had their time, as one side has them.
async fn old_copies(
    nas: &Nas,
    dataset: &str,
    of: &Replica,
    old: &Old,
) -> Result<Vec<String>, Failure> {
    let all = replica::series(nas, dataset, &of.series).await?;
    let is_old = |(copy, seen): &(String, Seen)| {
        *copy != old.but && seen.taken_at.is_some_and(|at| at < old.before)
    };
    Ok(all.into_iter().filter(is_old).map(|(copy, _)| copy).collect())
}

/// The topmost dataset's snapshot goes last: by it the others are found again.
async fn remove<'a>(
    nas: &Nas,
    cx: &StepContext,
    snapshots: impl Iterator<Item = &'a Seen>,
    copy: &str,
    kept: &mut Vec<String>,
) -> Result<(), Failure> {
    let snapshots: BTreeMap<&str, &Seen> =
        snapshots.map(|seen| (seen.dataset.as_str(), seen)).collect();
    let count = kept.len();
    for seen in snapshots.values().rev() {
        let is_last = kept.len() > count && snapshots.keys().next() == Some(&&*seen.dataset);
        if seen.is_held || is_last {
            kept.push(seen.id(copy));
            continue;
        }
        cx.still_wanted()?;
        let options = json!({ "defer": false, "recursive": false });
        let gone = nas.act("pool.snapshot.delete", json!([seen.id(copy), options])).await;
        match unless_missing(gone) {
            Ok(_) => {}
            // Somebody has cloned it.
            Err(failure) if failure.class == Class::Wait => kept.push(seen.id(copy)),
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}
