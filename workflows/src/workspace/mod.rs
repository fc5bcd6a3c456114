//! A workspace, from birth to death: one run that is made, then carries out one command after
//! the other, until it is deleted and can no longer be brought back.
//!
//! Each operation has a page of its own; `create.rs` is the first day. `admit/` is the door,
//! `state.rs` what a workspace knows of itself, `ask.rs` how its steps are asked for, `ends.rs`
//! what becomes of it by itself, `snapshots.rs` what is done with snapshots of its machine.

use core::time::Duration;

use serde_json::{Value, json};
use stead_core::context::{Command, Context};
use stead_core::definition::{Definition, Ending};
use stead_core::run::execution;
use stead_schemas::command::workspace::{KIND, Phase};
use stead_schemas::failure::{Class, Failure};

use crate::as_value;
pub(crate) use admit::with_nodes;
use state::Workspace;

mod admit;
mod ask;
mod autostart;
mod boot;
mod create;
mod delete;
mod dormancy;
mod ends;
mod hold;
pub(crate) mod placement;
mod power;
mod preflight;
mod rebuild;
mod resize;
mod snapshots;
mod spare;
mod stages;
mod state;
mod undelete;

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: KIND,
    public: true,
    verbs: &[
        "configure",
        "create",
        "start",
        "stop",
        "restart",
        "resize",
        "delete",
        "drop",
        "hold",
        "rebuild",
        "retry",
        "rollback",
        "snapshot",
        "snapshots",
        "undelete",
        "update",
    ],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit: admit::admit,
};

async fn run(cx: Context) -> Result<Ending, Failure> {
    let mut workspace = match cx.carried()? {
        Some(workspace) => workspace,
        None => create::first_day(&cx).await?,
    };
    loop {
        workspace.show(&cx);
        if cx.should_begin_anew() {
            return Ok(Ending::ContinueAsNew(as_value(&workspace)));
        }
        let command = match next(&cx, &workspace).await {
            Next::Command(command) => command,
            Next::Due(due) => {
                ends::act(&cx, &mut workspace, due).await;
                if workspace.is_over() {
                    return Ok(Ending::Completed(json!({ "phase": Phase::Deleted })));
                }
                continue;
            }
        };
        if command.verb == "create" && workspace.phase == Phase::Deleted {
            workspace = create::carry_out(&cx, &command, workspace.retired).await?;
            continue;
        }
        let outcome = carry_out(&cx, &mut workspace, &command).await;
        cx.complete(&command, outcome);
        if workspace.is_over() {
            match next_life(&cx) {
                Some(create) => {
                    workspace = create::carry_out(&cx, &create, workspace.retired).await?
                }
                None => return Ok(Ending::Completed(json!({ "phase": Phase::Deleted }))),
            }
        }
    }
}

/// Returns what is said of it: where the workspace stands, unless it is about something else.
async fn carry_out(
    cx: &Context,
    workspace: &mut Workspace,
    command: &Command,
) -> Result<Value, Failure> {
    hold::check(workspace, &command.verb)?;
    dormancy::asked_for(cx, workspace, &command.verb);
    if snapshots::is_about(&command.verb) && workspace.phase != Phase::Deleted {
        return snapshots::carry_out(cx, workspace, command).await;
    }
    change(cx, workspace, command).await?;
    Ok(json!({ "phase": workspace.phase }))
}

async fn change(cx: &Context, workspace: &mut Workspace, command: &Command) -> Result<(), Failure> {
    match (command.verb.as_str(), workspace.phase) {
        ("delete", _) => delete::delete(cx, workspace, command).await,
        ("undelete", _) => undelete::undelete(cx, workspace, command).await,
        (_, Phase::Deleted) => Err(gone()),
        ("hold", _) => hold::take_in(cx, workspace, command),
        ("start", _) => power::start(cx, workspace).await,
        ("stop", _) => power::stop(cx, workspace).await,
        ("restart", _) => power::restart(cx, workspace).await,
        ("configure", _) => ends::configure(cx, workspace, command),
        ("resize", _) => resize::resize(cx, workspace, command).await,
        ("rebuild" | "update", _) => rebuild::rebuild(cx, workspace, command).await,
        ("create", _) => Err(Failure::new(Class::Refused, "there is one of this name meanwhile")),
        _ => Err(Failure::new(Class::Refused, "there is no create that waits")),
    }
}

/// What comes next.
enum Next {
    Command(Command),
    Due(ends::Due),
}

async fn next(cx: &Context, workspace: &Workspace) -> Next {
    let Some((at, due, reason)) = ends::next(workspace) else {
        return Next::Command(cx.next_command().await);
    };
    if let Some(command) = cx.waiting_command() {
        return Next::Command(command);
    }
    let left: Duration = at.since(cx.now());
    if matches!(due, ends::Due::Hold | ends::Due::Plan) && left.is_zero() {
        return Next::Due(due);
    }
    cx.next_command_within(left, reason).await.map_or(Next::Due(due), Next::Command)
}

/// Whoever asked for a delete while the workspace was going away has what he wanted; whoever
/// asked for a new one of its name gets it.
fn next_life(cx: &Context) -> Option<Command> {
    while let Some(command) = cx.waiting_command() {
        let outcome = match command.verb.as_str() {
            "create" => return Some(command),
            "delete" => Ok(json!({ "phase": Phase::Deleted })),
            _ => Err(gone()),
        };
        cx.complete(&command, outcome);
    }
    None
}

/// What a command is told whose workspace has gone meanwhile.
fn gone() -> Failure {
    Failure::new(Class::Refused, "the workspace is gone")
}
