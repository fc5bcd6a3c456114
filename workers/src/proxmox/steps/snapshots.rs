//! Snapshots of a machine, without its memory. One is ours by its description, as a machine is: by its
//! name alone it may be anybody's. What Proxmox does about one it does in a task, and holds a lock
//! meanwhile, by which an attempt that knows nothing of the one before finds that task again.

use reqwest::Method;
use serde_json::Value;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::proxmox::Machine;
use stead_schemas::step::proxmox::snapshots::{
    DeleteSnapshot, ListSnapshots, RollBackVm, SnapshotSeen, SnapshotVm, SnapshotsSeen,
};
use stead_schemas::time::Timestamp;

use super::super::classify::LATEST_ONLY;
use super::super::client::{Client, Pve, number};
use super::super::machine::{self, Seen, Vm, mark, mark_of, marked};
use super::super::task;
use super::locked;
use crate::http::segment;
use crate::trouble::Trouble;

/// How many snapshots are listed; what is answered stands in the log.
const LISTED_MAX: usize = 100;
/// The locks that a machine has while something is done about its snapshots.
const LOCKS: [&str; 3] = ["rollback", "snapshot", "snapshot-delete"];
/// The tasks that have them.
const TASKS: [&str; 3] = ["qmdelsnapshot", "qmrollback", "qmsnapshot"];

/// Takes it, or finds that this was done.
pub(crate) async fn snapshot_vm(
    client: Client,
    cx: StepContext,
    ask: SnapshotVm,
) -> Result<Done, Failure> {
    let pve = client.log_in(&ask.machine.login).await?;
    let vm = unlocked(&pve, &cx, machine::ours(&pve, &ask.machine).await?, &ask.machine).await?;
    if is_taken(&pve, &vm, &ask).await? {
        return Ok(Done {});
    }
    cx.still_wanted()?;
    let said = ask.description.as_deref().map(|text| format!("\n{text}"));
    let params = [
        ("snapname", ask.snapshot.clone()),
        ("description", mark(&ask.machine.marker) + &said.unwrap_or_default()),
        ("vmstate", "0".to_owned()),
    ];
    match carry_out(&pve, &cx, Method::POST, &vm.path("snapshot"), &params).await {
        Ok(()) => Ok(Done {}),
        // Another attempt of ours, or a stranger, was faster.
        Err(Trouble::Already(taken)) => match is_taken(&pve, &vm, &ask).await? {
            true => Ok(Done {}),
            false => Err(taken),
        },
        Err(trouble) => Err(trouble.into()),
    }
}

/// Whether ours is there, whole.
async fn is_taken(pve: &Pve, vm: &Vm, ask: &SnapshotVm) -> Result<bool, Failure> {
    let Some(found) = find(pve, vm, &ask.snapshot).await? else { return Ok(false) };
    let of = format!("{} of machine {}", ask.snapshot, vm.vmid);
    if found.marker.as_ref() != Some(&ask.machine.marker) {
        let words = format!("there is a snapshot {of} already, which is not ours");
        return Err(Failure::new(Class::Conflict, words));
    }
    match found.is_cut {
        true => Err(Failure::new(Class::Permanent, format!("the snapshot {of} was cut off"))),
        false => Ok(true),
    }
}

/// Lists them, the latest first.
pub(crate) async fn list_snapshots(
    client: Client,
    _cx: StepContext,
    ask: ListSnapshots,
) -> Result<SnapshotsSeen, Failure> {
    let pve = client.log_in(&ask.machine.login).await?;
    let vm = machine::ours(&pve, &ask.machine).await?;
    let mut snapshots = all(&pve, &vm).await?;
    let older = u32::try_from(snapshots.len().saturating_sub(LISTED_MAX)).unwrap_or(u32::MAX);
    snapshots.truncate(LISTED_MAX);
    Ok(SnapshotsSeen { snapshots, older })
}

/// Goes back, however often it is asked: what is not started in between is the same. Proxmox pulls the
/// plug of a machine that runs, so that it must be seen to be off.
pub(crate) async fn roll_back_vm(
    client: Client,
    cx: StepContext,
    ask: RollBackVm,
) -> Result<Done, Failure> {
    let pve = client.log_in(&ask.machine.login).await?;
    let vm = unlocked(&pve, &cx, machine::ours(&pve, &ask.machine).await?, &ask.machine).await?;
    let seen = all(&pve, &vm).await?;
    let at = seen.iter().position(|one| one.snapshot == ask.snapshot);
    let of = format!("{} of machine {}", ask.snapshot, vm.vmid);
    let refused = |class, words: String| Err(Failure::new(class, words));
    let Some(at) = at else {
        return refused(Class::Permanent, format!("there is no snapshot {of}"));
    };
    if seen[at].marker.as_ref() != Some(&ask.machine.marker) {
        return refused(Class::Conflict, format!("the snapshot {of} is not ours"));
    }
    if vm.is_running(&pve).await? {
        let words = format!("machine {} runs, and a rollback would pull its plug", vm.vmid);
        return refused(Class::Permanent, words);
    }
    cx.still_wanted()?;
    let path = format!("{}/rollback", path_of(&vm, &ask.snapshot));
    let went = carry_out(&pve, &cx, Method::POST, &path, &[]).await;
    went.map_err(|trouble| with_later(trouble.into(), &seen[..at]))?;
    Ok(Done {})
}

/// Where later ones are in the way, they are named, whoever took them.
fn with_later(failure: Failure, later: &[SnapshotSeen]) -> Failure {
    if failure.words != LATEST_ONLY || later.is_empty() {
        return failure;
    }
    let names: Vec<&str> = later.iter().map(|one| one.snapshot.as_str()).collect();
    let words = format!("{LATEST_ONLY}; drop what was taken later first: {}", names.join(", "));
    Failure { words, ..failure }
}

/// Deletes it, if it is ours. One that was cut off is taken out of the configuration even if the
/// storage never had it.
pub(crate) async fn delete_snapshot(
    client: Client,
    cx: StepContext,
    ask: DeleteSnapshot,
) -> Result<Done, Failure> {
    let pve = client.log_in(&ask.machine.login).await?;
    let vm = match machine::see(&pve, &ask.machine).await? {
        Seen::Ours(vm) => vm,
        Seen::Unborn(vm) => return Err(machine::unborn(&vm)),
        Seen::Nothing | Seen::Stranger(_) => return Ok(Done {}),
    };
    let vm = unlocked(&pve, &cx, vm, &ask.machine).await?;
    let Some(found) = find(&pve, &vm, &ask.snapshot).await? else { return Ok(Done {}) };
    if found.marker.as_ref() != Some(&ask.machine.marker) {
        tracing::warn!(
            vm.vmid,
            ask.snapshot,
            "a stranger's snapshot has the name, and is left alone"
        );
        return Ok(Done {});
    }
    cx.still_wanted()?;
    let force = [("force", "1".to_owned())];
    let params: &[_] = if found.is_cut { &force } else { &[] };
    carry_out(&pve, &cx, Method::DELETE, &path_of(&vm, &ask.snapshot), params).await?;
    Ok(Done {})
}

/// The machine, once nothing is done about its snapshots any more. A task that an attempt before has
/// begun is followed to its end; how it ended is seen by what it leaves.
async fn unlocked(pve: &Pve, cx: &StepContext, vm: Vm, machine: &Machine) -> Result<Vm, Failure> {
    if vm.lock().is_none() {
        return Ok(vm);
    }
    for started in under_way(pve, &vm).await? {
        let what = format!("a snapshot of machine {} is being worked on", vm.vmid);
        let ended = task::follow(pve, cx, &started, &what).await;
        cx.still_wanted()?;
        tracing::debug!(task = started.as_str(), ?ended, "a task of an earlier attempt");
    }
    let vm = machine::ours(pve, machine).await?;
    match vm.lock() {
        None => Ok(vm),
        Some(lock) if LOCKS.contains(&lock) => Err(forsaken(&vm, lock)),
        Some(lock) => Err(locked(&vm, lock)),
    }
}

async fn under_way(pve: &Pve, vm: &Vm) -> Result<Vec<Value>, Failure> {
    let query = [("source", "active".to_owned()), ("vmid", vm.vmid.to_string())];
    let tasks = pve.try_look(&format!("/nodes/{}/tasks", segment(&vm.node)), &query).await?;
    let tasks = tasks.as_array().map(Vec::as_slice).unwrap_or_default();
    let of_snapshots =
        tasks.iter().filter(|task| task["type"].as_str().is_some_and(|it| TASKS.contains(&it)));
    Ok(of_snapshots.map(|task| task["upid"].clone()).collect())
}

/// Nobody can unlock it by the API.
fn forsaken(vm: &Vm, lock: &str) -> Failure {
    let words = format!(
        "machine {} on {} is locked ({lock}); if no task of it runs there, its node crashed and \
         somebody must unlock it",
        vm.vmid, vm.node
    );
    Failure::new(Class::Wait, words)
}

async fn carry_out(
    pve: &Pve,
    cx: &StepContext,
    method: Method,
    path: &str,
    params: &[(&'static str, String)],
) -> Result<(), Trouble> {
    let started = pve.act(method, path, params).await?;
    task::finish(pve, cx, &started).await
}

async fn find(pve: &Pve, vm: &Vm, snapshot: &str) -> Result<Option<SnapshotSeen>, Failure> {
    Ok(all(pve, vm).await?.into_iter().find(|one| one.snapshot == snapshot))
}

/// All there are, the latest first.
async fn all(pve: &Pve, vm: &Vm) -> Result<Vec<SnapshotSeen>, Failure> {
    let list = pve.look(&vm.path("snapshot")).await?;
    let list = list.ok_or_else(|| machine::between_nodes(vm.vmid))?;
    let entries = list.as_array().map(Vec::as_slice).unwrap_or_default();
    // The machine as it is now stands among them.
    let mut all: Vec<SnapshotSeen> =
        entries.iter().filter(|entry| entry["name"] != "current").filter_map(seen).collect();
    all.sort_by(|one, other| (other.taken_at, &other.snapshot).cmp(&(one.taken_at, &one.snapshot)));
    Ok(all)
}

fn seen(entry: &Value) -> Option<SnapshotSeen> {
    let seconds = number(&entry["snaptime"]).and_then(|seconds| i64::try_from(seconds).ok());
    let taken_at = seconds.filter(|seconds| *seconds > 0);
    let said = marked(entry["description"].as_str().unwrap_or_default(), None);
    Some(SnapshotSeen {
        snapshot: entry["name"].as_str()?.to_owned(),
        taken_at: taken_at.map(|seconds| Timestamp::from_millis(seconds.saturating_mul(1000))),
        description: Some(said.trim().to_owned()).filter(|said| !said.is_empty()),
        marker: mark_of(entry),
        is_cut: entry["snapstate"].is_string(),
    })
}

fn path_of(vm: &Vm, snapshot: &str) -> String {
    vm.path(&format!("snapshot/{}", segment(snapshot)))
}
