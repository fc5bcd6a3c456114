//! A workspace's first day: a home, a machine on it, an agent that answers. If any of it cannot
//! be had, everything is taken back; or it waits, if that was wanted, for somebody to change what
//! it failed with, and goes on from there.
//!
//! The steps themselves are in `stages.rs`.

use alloc::format;
use alloc::string::ToString;
use core::time::Duration;

use serde_json::json;
use stead_core::context::{Command, Context};
use stead_schemas::command::workspace::{OnFailure, Phase, RetryOrder};
use stead_schemas::failure::{Class, Failure};

use super::stages::{Home, Making};
use super::state::Workspace;
use super::{ends, gone, hold, next_life};

/// How long a create waits for somebody to look at what it failed with.
const STUCK_FOR: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Carries out the command that a workspace begins with.
pub(super) async fn first_day(cx: &Context) -> Result<Workspace, Failure> {
    let command = cx.next_command().await;
    carry_out(cx, &command, None).await
}

/// Makes a workspace, or ends the run. `retired` is the number of the machine that the one of this
/// name had before, in the same run: who is late with its end must not meet another one.
pub(super) async fn carry_out(
    cx: &Context,
    command: &Command,
    retired: Option<u32>,
) -> Result<Workspace, Failure> {
    let mut workspace = Workspace::new(command.read()?);
    // Older builds took the first free number.
    workspace.retired = retired.filter(|_| workspace.order.looks_first());
    let lifetime = workspace.order.template.lifetime;
    ends::set(cx, &mut workspace, lifetime);
    workspace.show(cx);
    match cx.operation(make(cx, &mut workspace, Home::Any)).await {
        Ok(()) => {
            workspace.enter(cx, Phase::Ready);
            cx.complete(command, Ok(json!({ "phase": Phase::Ready })));
            Ok(workspace)
        }
        Err(failure) => {
            workspace.enter(cx, Phase::Failed);
            cx.complete(command, Err(failure.clone()));
            while let Some(create) = next_life(cx) {
                cx.complete(&create, Err(gone()));
            }
            Err(failure)
        }
    }
}

/// Goes through the stages, each an operation of its own: what is done stays when one fails and
/// is gone on from.
pub(super) async fn make(
    cx: &Context,
    workspace: &mut Workspace,
    home: Home,
) -> Result<(), Failure> {
    let mut making = Making::new(home);
    let mut retry: Option<Command> = None;
    while let Some(stage) = making.to_do.pop_front() {
        let done = cx.operation(making.carry_out(cx, workspace, stage)).await;
        let Err(failure) = done else { continue };
        if let Some(retry) = retry.take() {
            cx.complete(&retry, Err(failure.clone()));
        }
        let is_final =
            workspace.order.on_failure == OnFailure::TakeBack || failure.class == Class::Cancelled;
        let command = if is_final { None } else { stuck(cx, workspace, &failure).await };
        let Some(command) = command else { return Err(failure) };
        making.go_on(workspace, stage, command.read()?);
        retry = Some(command);
    }
    if let Some(retry) = retry {
        cx.complete(&retry, Ok(json!({ "phase": Phase::Ready })));
    }
    workspace.started(cx);
    Ok(())
}

/// Waits for a retry; nothing if it does not come, or a cancel or a delete does.
async fn stuck(cx: &Context, workspace: &mut Workspace, failure: &Failure) -> Option<Command> {
    let before = workspace.phase;
    workspace.trouble = Some(failure.to_string());
    workspace.enter(cx, Phase::Stuck);
    cx.note("create-stuck", format!("it waits to be gone on with: {failure}"), failure);
    let found = loop {
        let reason = "somebody to retry the create, as it is or with a change, or to delete it; \
                      otherwise it is taken back";
        let Some(command) = cx.next_command_of_person(STUCK_FOR, reason).await else { break None };
        let is_retry = command.verb == "retry" && hold::check(workspace, "retry").is_ok();
        if is_retry && command.read::<RetryOrder>().is_ok() {
            break Some(command);
        }
        if command.verb == "hold" {
            let taken = hold::take_in(cx, workspace, &command);
            workspace.show(cx);
            cx.complete(&command, taken.map(|()| json!({})));
            continue;
        }
        let words = "the create waits to be gone on with; retry it or delete the workspace";
        cx.complete(&command, Err(Failure::new(Class::Refused, words)));
    };
    workspace.trouble = None;
    workspace.enter(cx, before);
    found
}
