//! Hold: a workspace whose owner may not own it any more is stopped, and nothing starts it until he may
//! again. It is held as long as that is so, whatever it was doing: one that cannot be stopped now is
//! stopped later.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use stead_core::context::{Command, Context};
use stead_schemas::command::workspace::Phase;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::people::Hold;
use stead_schemas::time::Timestamp;

use super::ends::{self, Due};
use super::power;
use super::state::Workspace;

/// When it is tried again to stop one that could not be stopped.
const AGAIN: Duration = Duration::from_secs(10 * 60);

/// Why it may not run, and when it is stopped if it does.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Held {
    pub why: String,
    pub stop_at: Timestamp,
}

/// Takes in whether it may run.
pub(super) fn take_in(
    cx: &Context,
    workspace: &mut Workspace,
    command: &Command,
) -> Result<(), Failure> {
    let Hold { why, .. } = command.read()?;
    let before = workspace.held.take();
    workspace.held = why.map(|why| Held { why, stop_at: cx.now() });
    match (&before, &workspace.held) {
        (_, Some(held)) => {
            let words = format!("it is stopped, and not started any more: {}", held.why);
            cx.note("held", words, &json!({ "why": held.why }));
        }
        (Some(before), None) => {
            has_time_again(cx, workspace);
            let words = format!("it may be started again; it was held, {}", before.why);
            cx.note("released", words, &json!({ "why": before.why }));
        }
        (None, None) => {}
    }
    Ok(())
}

/// What would have ended meanwhile is announced first, as everything is.
fn has_time_again(cx: &Context, workspace: &mut Workspace) {
    let soonest = cx.now().after(ends::WARN_BEFORE);
    workspace.expires_at = workspace.expires_at.map(|at| at.max(soonest));
    workspace.is_warned = false;
    if workspace.lifetime.dormant_days.is_some() {
        workspace.idle_since = Some(cx.now());
        workspace.is_announced = false;
    }
}

/// What comes next, when, and in words.
pub(super) fn next(workspace: &Workspace) -> Option<(Timestamp, Due, &'static str)> {
    let held = workspace.held.as_ref().filter(|_| workspace.phase == Phase::Ready)?;
    Some((held.stop_at, Due::Hold, "the workspace may not run, and is to be stopped"))
}

/// Stops it; if that fails, later.
pub(super) async fn stop(cx: &Context, workspace: &mut Workspace) {
    let Err(failure) = power::stop(cx, workspace).await else { return };
    if let Some(held) = &mut workspace.held {
        held.stop_at = cx.now().after(AGAIN);
        cx.note("hold-delayed", format!("it is not stopped: {failure}"), &failure);
    }
}

/// Refuses what would have it run.
pub(super) fn check(workspace: &Workspace, verb: &str) -> Result<(), Failure> {
    match &workspace.held {
        Some(held) if starts(verb) => Err(Failure::new(Class::Refused, words(&held.why))),
        _ => Ok(()),
    }
}

/// Whether the command would have it run.
pub(super) fn starts(verb: &str) -> bool {
    matches!(verb, "rebuild" | "restart" | "retry" | "rollback" | "start" | "undelete" | "update")
}

/// What is said to whoever wants it to run.
pub(super) fn words(why: &str) -> String {
    format!("it may not run: {why}")
}
