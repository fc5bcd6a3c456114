//! Replication: a job that sends snapshots of a dataset, and of all beneath it, to another pool or
//! another TrueNAS. The other TrueNAS is this one: its pool is called `backup`.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::jobs;
use super::methods::{Reply, fields, unexpected};
use super::rpc::{EINVAL, RpcError};
use super::session::Request;
use super::state::{Dataset, Snapshot, State};
use crate::world::World;

/// The SSH connection that there is.
const CONNECTION: i64 = 3;

const NEEDED: [&str; 6] = [
    "direction",
    "recursive",
    "retention_policy",
    "source_datasets",
    "target_dataset",
    "transport",
];
const OPTIONAL: [&str; 7] = [
    "allow_from_scratch",
    "exclude",
    "name_regex",
    "properties",
    "readonly",
    "replicate",
    "ssh_credentials",
];

/// What is sent where.
#[derive(Clone)]
struct Sending {
    source: String,
    target: String,
    /// What the names of the snapshots begin with: as much of a pattern as anybody here asks for.
    series: String,
    /// Left out, each with all beneath it.
    exclude: Vec<String>,
}

/// `replication.run_onetime`.
pub(super) fn run_onetime(world: &Arc<World>, request: &Request) -> Result<Reply, RpcError> {
    let data = fields(&request.params, 0, &NEEDED, &OPTIONAL)?;
    let sending = read(&data)?;
    // What is sent is settled when it begins: snapshots that are taken meanwhile do not arrive.
    let planned = world.read(|state| sources(&state.truenas, &sending));
    let work = move |world: &World| carry_out(world, &sending, planned);
    Ok(Reply::Job(jobs::start(world, request, 120, work)))
}

fn read(data: &Map<String, Value>) -> Result<Sending, RpcError> {
    let wrong = |field: &str, words: &str| {
        Err(RpcError::field(&format!("replication_create.{field}"), words, EINVAL))
    };
    let text = |field: &str| data.get(field).and_then(Value::as_str).unwrap_or_default();
    let connection = data.get("ssh_credentials").and_then(Value::as_i64);
    match (text("transport"), connection) {
        ("LOCAL", None) | ("SSH", Some(CONNECTION)) => {}
        ("LOCAL", Some(_)) => {
            return wrong("ssh_credentials", "Remote credentials are not allowed");
        }
        ("SSH", None) => return wrong("ssh_credentials", "This field is required"),
        ("SSH", Some(_)) => return wrong("ssh_credentials", "Object does not exist"),
        _ => return wrong("transport", "Input should be 'SSH', 'SSH+NETCAT' or 'LOCAL'"),
    }
    let pattern = text("name_regex");
    if pattern.is_empty() {
        return wrong("name_regex", "You must at least bind one of them");
    }
    let series = pattern.trim_start_matches('^').split('[').next().unwrap_or_default().to_owned();
    let source = data.get("source_datasets").and_then(|all| all.get(0)).and_then(Value::as_str);
    let source = source.unwrap_or_default().to_owned();
    let exclude = data.get("exclude").and_then(Value::as_array).into_iter().flatten();
    let exclude: Vec<String> = exclude.filter_map(Value::as_str).map(str::to_owned).collect();
    let beneath = format!("{source}/");
    if exclude.iter().any(|one| !one.starts_with(&beneath)) {
        return wrong("exclude", "This dataset is not a child of any of source datasets");
    }
    Ok(Sending { source, target: text("target_dataset").to_owned(), series, exclude })
}

fn carry_out(
    world: &World,
    sending: &Sending,
    sources: Result<Vec<Dataset>, RpcError>,
) -> Result<Value, RpcError> {
    if world.faults.fires("truenas", "replication-denied") {
        return Err(unexpected("Replication failed: Permission denied (publickey)"));
    }
    if world.faults.fires("truenas", "replication-hollow") {
        return Ok(Value::Null);
    }
    let half = world.faults.fires("truenas", "replication-full");
    world.change(|state| {
        let sources = sources?;
        for source in &sources {
            has_base(&state.truenas, source, sending)?;
        }
        let sent = if half { sources.len() / 2 } else { sources.len() };
        let mut arrived = 0;
        for source in sources.iter().take(sent) {
            arrived += send(&mut state.truenas, source, sending);
        }
        if half {
            return Err(unexpected("cannot receive new filesystem stream: out of space"));
        }
        if arrived > 0 {
            world.journal.effect("truenas", "replicated", &sending.target, "");
        }
        Ok(Value::Null)
    })
}

fn sources(nas: &State, sending: &Sending) -> Result<Vec<Dataset>, RpcError> {
    let pool = sending.target.split('/').next().unwrap_or_default();
    if !nas.datasets.contains_key(pool) {
        return Err(unexpected("Target dataset's pool does not exist"));
    }
    let beneath = format!("{}/", sending.source);
    let all = nas.datasets.values();
    let wanted = all.filter(|one| one.id == sending.source || one.id.starts_with(&beneath));
    let wanted =
        wanted.filter(|one| !sending.exclude.iter().any(|out| is_or_beneath(&one.id, out)));
    let wanted: Vec<Dataset> = wanted.cloned().collect();
    if wanted.is_empty() {
        return Err(unexpected(&format!("Dataset '{}' not found", sending.source)));
    }
    Ok(wanted)
}

fn is_or_beneath(id: &str, above: &str) -> bool {
    id.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What a dataset is called at the target.
fn place(source: &Dataset, sending: &Sending) -> String {
    let rest = source.id.strip_prefix(&sending.source).unwrap_or_default();
    format!("{}{rest}", sending.target)
}

fn named<'a>(source: &'a Dataset, sending: &Sending) -> Vec<(&'a String, &'a Snapshot)> {
    source.snapshots.iter().filter(|(name, _)| name.starts_with(&sending.series)).collect()
}

/// The latest snapshot that both have.
fn base(named: &[(&String, &Snapshot)], target: &Dataset) -> Option<usize> {
    let has = |name: &String, guid| target.snapshots.get(name).is_some_and(|at| at.guid == guid);
    named.iter().rposition(|(name, snapshot)| has(name, snapshot.guid))
}

/// A target is not overwritten that has other snapshots, and none in common with its source. One such
/// keeps all from being sent.
fn has_base(nas: &State, source: &Dataset, sending: &Sending) -> Result<(), RpcError> {
    let Some(target) = nas.datasets.get(&place(source, sending)) else { return Ok(()) };
    let named = named(source, sending);
    if base(&named, target).is_none() && !target.snapshots.is_empty() && !named.is_empty() {
        let text = format!("No incremental base on dataset '{}'", source.id);
        return Err(unexpected(&text));
    }
    Ok(())
}

/// The snapshots keep their guids and what was set on them.
fn send(nas: &mut State, source: &Dataset, sending: &Sending) -> usize {
    let id = place(source, sending);
    let target = nas.datasets.entry(id.clone()).or_insert_with(|| {
        let settings = Map::from_iter([("readonly".to_owned(), Value::from("ON"))]);
        // What a replica is marked with is its source's business, and so it counts as no thing.
        Dataset { preexisting: true, settings, ..source.without_snapshots(&id) }
    });
    let named = named(source, sending);
    let base = base(&named, target);
    let new = named.into_iter().skip(base.map_or(0, |base| base + 1));
    let new: Vec<_> = new.map(|(name, snapshot)| (name.clone(), snapshot.clone())).collect();
    let count = new.len();
    target.snapshots.extend(new);
    count
}
