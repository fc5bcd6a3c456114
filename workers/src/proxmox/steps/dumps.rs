//! Copies of guests by vzdump, on a storage of the cluster's. A copy is ours by its notes, which are set
//! when it is made: the file's own name says only which guest it is of, and when it was made. Where each
//! node has a storage of its own, a copy lies on the node that its guest was on: guests move, copies stay.

use reqwest::Method;
use serde_json::Value;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::backup::{DumpGuest, Dumps, Proof, ProveDump, RemoveDumps, Removed};
use stead_schemas::time::Timestamp;

use super::super::client::{Client, Pve, number};
use super::super::{machine, task};
use super::survey::{Having, Resources};
use crate::http::segment;
use crate::named::named;
use crate::trouble::{Trouble, unless_missing};

/// A copy that is there.
struct Dump {
    /// A node that sees it.
    node: String,
    volume: String,
    copy: String,
    taken_at: Option<Timestamp>,
    bytes: u64,
    is_protected: bool,
    /// What the storage's own verification said last, where it has one.
    verified: Option<String>,
}

/// Makes the copy, unless it is there or on its way.
pub(crate) async fn dump_guest(
    client: Client,
    cx: StepContext,
    ask: DumpGuest,
) -> Result<Done, Failure> {
    let (pve, of) = (client.log_in(&ask.of.login).await?, &ask.of);
    let Some(place) = machine::place_of(&pve, of.vmid).await? else {
        let words = format!("there is no guest {}", of.vmid);
        return Err(Failure::new(Class::Permanent, words));
    };
    let (node, shelves) = (&*place.node, shelves(&pve, of).await?);
    if find(&pve, &shelves, of, &ask.copy).await?.is_some() {
        return Ok(Done {});
    }
    let started = match under_way(&pve, node, of.vmid).await? {
        Some(upid) => upid,
        None => {
            cx.still_wanted()?;
            start(&pve, node, of, &ask.copy).await?
        }
    };
    task::finish(&pve, &cx, &started).await?;
    match find(&pve, &shelves, of, &ask.copy).await? {
        Some(_) => Ok(Done {}),
        // What was on its way was somebody else's copy, or nothing came of ours.
        None => Err(Failure::new(Class::Retry, "the copy is not on the storage")),
    }
}

async fn start(pve: &Pve, node: &str, of: &Dumps, copy: &str) -> Result<Value, Trouble> {
    let params = [
        ("vmid", of.vmid.to_string()),
        ("storage", of.storage.clone()),
        ("mode", "snapshot".to_owned()),
        ("compress", "zstd".to_owned()),
        ("notes-template", notes(of, copy)),
        // What is old is our business: the storage's own rules look at numbers and ages alone.
        ("remove", "0".to_owned()),
    ];
    pve.act(Method::POST, &format!("/nodes/{}/vzdump", segment(node)), &params).await
}

/// A copy of this guest that is being made, by whomever.
async fn under_way(pve: &Pve, node: &str, vmid: u32) -> Result<Option<Value>, Failure> {
    let query = [
        ("source", "active".to_owned()),
        ("typefilter", "vzdump".to_owned()),
        ("vmid", vmid.to_string()),
    ];
    let tasks = pve.try_look(&format!("/nodes/{}/tasks", segment(node)), &query).await?;
    Ok(tasks.get(0).map(|task| task["upid"].clone()).filter(Value::is_string))
}

/// Looks whether the copy is there, and whether anything is in it.
pub(crate) async fn prove_dump(
    client: Client,
    _cx: StepContext,
    ask: ProveDump,
) -> Result<Proof, Failure> {
    let (pve, of) = (client.log_in(&ask.of.login).await?, &ask.of);
    let shelves = shelves(&pve, of).await?;
    let Some(dump) = find(&pve, &shelves, of, &ask.copy).await? else {
        return Err(not_found(of, &ask.copy, &shelves));
    };
    if dump.bytes == 0 {
        let words = format!("the copy {} is empty", dump.volume);
        return Err(Failure::new(Class::Permanent, words));
    }
    let verified = match dump.verified.as_deref() {
        Some("ok") => ", and the storage has verified it",
        None => "",
        Some(state) => {
            let words = format!("the storage says of {}: {state}", dump.volume);
            return Err(Failure::new(Class::Permanent, words));
        }
    };
    let words = format!("{} is there{verified}", dump.volume);
    Ok(Proof { words, bytes: Some(dump.bytes) })
}

fn not_found(of: &Dumps, copy: &str, shelves: &Having) -> Failure {
    let words = format!("the storage {} has no copy {copy}", of.storage);
    if shelves.away.is_empty() {
        return Failure::new(Class::Permanent, words);
    }
    let away = named(shelves.away.iter().map(String::as_str));
    Failure::new(Class::Wait, format!("{words} where it is seen; it is away on {away}"))
}

/// Removes those that have had their time. What somebody has protected stays.
pub(crate) async fn remove_dumps(
    client: Client,
    cx: StepContext,
    ask: RemoveDumps,
) -> Result<Removed, Failure> {
    let (pve, of) = (client.log_in(&ask.of.login).await?, &ask.of);
    let shelves = shelves(&pve, of).await?;
    let is_old = |dump: &Dump| {
        dump.copy != ask.old.but && dump.taken_at.is_some_and(|at| at < ask.old.before)
    };
    let (mut removed, mut kept) = (0, Vec::new());
    for dump in ours(&pve, &shelves, of).await?.into_iter().filter(is_old) {
        if dump.is_protected {
            kept.push(dump.volume);
            continue;
        }
        cx.still_wanted()?;
        let path = format!("{}/{}", content(&dump.node, of), segment(&dump.volume));
        if let Some(started) = unless_missing(pve.act(Method::DELETE, &path, &[]).await)? {
            task::finish(&pve, &cx, &started).await?;
        }
        removed += 1;
    }
    let named = named(kept.iter().map(String::as_str));
    let words = format!("{} copies are protected: {named}", kept.len());
    Ok(Removed { removed, kept: Some(words).filter(|_| !kept.is_empty()) })
}

/// What marks a copy, in one line: no more is shown in a list.
fn notes(of: &Dumps, copy: &str) -> String {
    format!("{copy} {}", of.marker)
}

async fn find(
    pve: &Pve,
    shelves: &Having,
    of: &Dumps,
    copy: &str,
) -> Result<Option<Dump>, Failure> {
    Ok(ours(pve, shelves, of).await?.into_iter().find(|dump| dump.copy == copy))
}

/// The copies of ours that the storage has of this guest.
async fn ours(pve: &Pve, shelves: &Having, of: &Dumps) -> Result<Vec<Dump>, Failure> {
    let query = [("content", "backup".to_owned()), ("vmid", of.vmid.to_string())];
    let mut all = Vec::new();
    for node in &shelves.there {
        let found = pve.try_look(&content(node, of), &query).await?;
        let entries = found.as_array().map(Vec::as_slice).unwrap_or_default();
        all.extend(entries.iter().filter_map(|entry| dump(node, entry, of)));
    }
    Ok(all)
}

fn dump(node: &str, entry: &Value, of: &Dumps) -> Option<Dump> {
    let (copy, marker) = entry["notes"].as_str()?.trim().split_once(' ')?;
    if marker != of.marker || !copy.starts_with(&of.series) {
        return None;
    }
    let seconds = number(&entry["ctime"]).and_then(|seconds| i64::try_from(seconds).ok());
    Some(Dump {
        node: node.to_owned(),
        volume: entry["volid"].as_str()?.to_owned(),
        copy: copy.to_owned(),
        taken_at: seconds.map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1000))),
        bytes: number(&entry["size"]).unwrap_or(0),
        is_protected: entry["protected"] == true || number(&entry["protected"]) == Some(1),
        verified: entry["verification"]["state"].as_str().map(str::to_owned),
    })
}

fn content(node: &str, of: &Dumps) -> String {
    format!("/nodes/{}/storage/{}/content", segment(node), segment(&of.storage))
}

/// Where copies may lie: one node will do where all see the same.
async fn shelves(pve: &Pve, of: &Dumps) -> Result<Having, Failure> {
    let list = pve.look("/cluster/resources").await?.unwrap_or_default();
    let mut found = Resources::listed(&list).having(&of.storage);
    if found.there.is_empty() && found.away.is_empty() {
        let words = format!("there is no storage {}", of.storage);
        return Err(Failure::new(Class::Permanent, words));
    }
    if found.is_shared && !found.there.is_empty() {
        found.there.truncate(1);
        found.away.clear();
    }
    Ok(found)
}
