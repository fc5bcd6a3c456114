//! Snapshots of the machine: somebody asks for one, sees all of them, goes back to one, drops one. Those
//! that others have taken are only shown. The home and the volume lie elsewhere, and stay as they are.
//!
//! A snapshot is of a machine: it goes with it when the workspace is deleted or gets another machine.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;

use serde::Deserialize;
use serde_json::{Value, json};
use stead_core::context::{Command, Context};
use stead_schemas::command::workspace::{Phase, SNAPSHOTS_MAX, Taken};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::proxmox::Machine;
use stead_schemas::step::proxmox::snapshots::{
    DeleteSnapshot, ListSnapshots, RollBackVm, SnapshotSeen, SnapshotVm,
};

use super::ask::{logins, machine};
use super::state::Workspace;
use super::{power, stages};
use crate::as_value;

/// Whether a command is about them.
pub(super) fn is_about(verb: &str) -> bool {
    matches!(verb, "drop" | "rollback" | "snapshot" | "snapshots")
}

/// Carries it out; the result is the command's.
pub(super) async fn carry_out(
    cx: &Context,
    workspace: &mut Workspace,
    command: &Command,
) -> Result<Value, Failure> {
    if workspace.vmid.is_none() {
        return Err(refused("there is no machine"));
    }
    match command.verb.as_str() {
        "snapshot" => take(cx, workspace, command).await,
        "snapshots" => {
            let machine = machine_of(cx, workspace).await?;
            Ok(as_value(&cx.step(ListSnapshots { machine }).await?))
        }
        "drop" => drop_one(cx, workspace, command).await,
        _ => roll_back(cx, workspace, command).await,
    }
}

/// What is read of a snapshot that is wanted.
#[derive(Deserialize)]
struct Wanted {
    snapshot: Option<String>,
    description: Option<String>,
}

/// Keeps the machine as it is now.
async fn take(
    cx: &Context,
    workspace: &mut Workspace,
    command: &Command,
) -> Result<Value, Failure> {
    let Wanted { snapshot, description } = command.read()?;
    let at = cx.now();
    let by_time = || format!("at-{at}").replace([':', '.'], "-").to_lowercase();
    let snapshot = snapshot.unwrap_or_else(by_time);
    if workspace.snapshots.iter().any(|taken| taken.snapshot == snapshot) {
        return Err(refused(&there_is(&snapshot, "")));
    }
    if workspace.snapshots.len() >= SNAPSHOTS_MAX {
        let words = format!("{SNAPSHOTS_MAX} snapshots are kept already; drop one of them first");
        return Err(refused(&words));
    }
    let wanted = (snapshot.as_str(), description.clone());
    cx.operation(keep(cx, workspace, wanted)).await?;
    workspace.snapshots.push(Taken { snapshot: snapshot.clone(), at, description });
    Ok(json!({ "snapshot": snapshot }))
}

/// Takes it, where nobody else has one of this name: it would be taken for ours.
async fn keep(
    cx: &Context,
    workspace: &Workspace,
    (snapshot, description): (&str, Option<String>),
) -> Result<(), Failure> {
    let machine = machine_of(cx, workspace).await?;
    if find(cx, &machine, snapshot).await?.is_some() {
        return Err(refused(&there_is(snapshot, ", which is not ours")));
    }
    let undo = DeleteSnapshot { machine: machine.clone(), snapshot: snapshot.to_owned() };
    let snapshot = snapshot.to_owned();
    cx.step(SnapshotVm { machine, snapshot, description }).undo(undo).await?;
    Ok(())
}

fn there_is(snapshot: &str, whose: &str) -> String {
    format!("there is a snapshot {snapshot} already{whose}; choose another name")
}

/// What is read of a drop and of a rollback.
#[derive(Deserialize)]
struct Named {
    snapshot: String,
}

/// Deletes one that was asked for.
async fn drop_one(
    cx: &Context,
    workspace: &mut Workspace,
    command: &Command,
) -> Result<Value, Failure> {
    let Named { snapshot } = command.read()?;
    check_taken(workspace, &snapshot)?;
    let machine = machine_of(cx, workspace).await?;
    cx.step(DeleteSnapshot { machine, snapshot: snapshot.clone() }).await?;
    workspace.snapshots.retain(|taken| taken.snapshot != snapshot);
    Ok(as_value(&Done {}))
}

/// Has the machine be what it was. It is switched off for it, and runs again afterwards if it ran,
/// whether it went back or not.
async fn roll_back(
    cx: &Context,
    workspace: &mut Workspace,
    command: &Command,
) -> Result<Value, Failure> {
    let Named { snapshot } = command.read()?;
    check_taken(workspace, &snapshot)?;
    let (before, mut is_back) = (workspace.phase, false);
    // What cannot be is found out before anything stops.
    cx.operation(look(cx, workspace, &snapshot)).await?;
    power::stop(cx, workspace).await?;
    let off = workspace.phase;
    workspace.enter(cx, Phase::RollingBack);
    let went = cx.operation(go_back(cx, workspace, &snapshot, &mut is_back)).await;
    workspace.phase = off;
    let runs = match before {
        Phase::Ready => power::start(cx, workspace).await,
        _ => Ok(()),
    };
    match (went, runs) {
        (Ok(()), Ok(())) => Ok(json!({ "snapshot": snapshot, "phase": workspace.phase })),
        (Ok(()), Err(failure)) => {
            let words = format!("the machine is back at {snapshot}, and does not start");
            Err(Failure { words: format!("{words}: {}", failure.words), ..failure })
        }
        (Err(failure), runs) => {
            let words = match is_back {
                true => format!(
                    "the machine is back at {snapshot}, and is not what it is to be: {}",
                    failure.words
                ),
                false => failure.words.clone(),
            };
            let off = runs.err().map(|why| format!("; nor does it start: {}", why.words));
            Err(Failure { words: words + &off.unwrap_or_default(), ..failure })
        }
    }
}

/// Whether Proxmox has it, whole.
async fn look(cx: &Context, workspace: &Workspace, snapshot: &str) -> Result<(), Failure> {
    let machine = machine_of(cx, workspace).await?;
    let words = match find(cx, &machine, snapshot).await? {
        None => format!("Proxmox has no snapshot {snapshot} any more; drop it"),
        Some(seen) if seen.marker.as_ref() != Some(&machine.marker) => {
            format!("the snapshot {snapshot} is not ours by now; drop it")
        }
        Some(seen) if seen.is_cut => format!("the snapshot {snapshot} is not whole; drop it"),
        Some(_) => return Ok(()),
    };
    Err(refused(&words))
}

/// Its cores, its memory and its disk's size are those of then, until they are set again: what a
/// workspace is to have does not go back.
async fn go_back(
    cx: &Context,
    workspace: &mut Workspace,
    snapshot: &str,
    is_back: &mut bool,
) -> Result<(), Failure> {
    let machine = machine_of(cx, workspace).await?;
    let login = machine.login.clone();
    cx.step(RollBackVm { machine, snapshot: snapshot.to_owned() }).await?;
    *is_back = true;
    let words = format!("the machine is back at {snapshot}");
    cx.note("rolled-back", words, &json!({ "snapshot": snapshot }));
    stages::set_up(cx, workspace, &login).await
}

async fn find(
    cx: &Context,
    machine: &Machine,
    snapshot: &str,
) -> Result<Option<SnapshotSeen>, Failure> {
    let seen = cx.step(ListSnapshots { machine: machine.clone() }).await?;
    let found = seen.snapshots.into_iter().find(|one| one.snapshot == snapshot);
    match found {
        None if seen.older > 0 => {
            Err(refused("there are more snapshots than can be looked through for the name"))
        }
        found => Ok(found),
    }
}

fn check_taken(workspace: &Workspace, snapshot: &str) -> Result<(), Failure> {
    if workspace.snapshots.iter().any(|taken| taken.snapshot == snapshot) {
        return Ok(());
    }
    Err(refused(&format!(
        "nobody has asked for a snapshot {snapshot} of this machine; what others have taken is theirs"
    )))
}

async fn machine_of(cx: &Context, workspace: &Workspace) -> Result<Machine, Failure> {
    let login = logins(cx, &workspace.order).await?.of(&workspace.order.proxmox.secret);
    Ok(machine(cx, workspace, &login))
}

fn refused(words: &str) -> Failure {
    Failure::new(Class::Refused, words)
}
