//! Dormancy: a workspace that nobody has used for days is stopped and not started by itself any
//! more; one that has been dormant for long is deleted, if that is wanted. Both are announced a
//! day before, and a start takes them back.
//!
//! Used is what Coder has seen somebody use, and what somebody has asked to run. An autostart is
//! no use, nor is a stop.

use alloc::format;
use core::time::Duration;

use serde_json::json;
use stead_core::context::Context;
use stead_schemas::command::workspace::Phase;
use stead_schemas::failure::Failure;
use stead_schemas::notice::Topic;
use stead_schemas::time::Timestamp;

use super::ends::{Due, WARN_BEFORE, last_use};
use super::state::Workspace;
use super::{autostart, power};
use crate::notice;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// When it becomes dormant, if nobody uses it until then.
pub(super) fn begins_at(workspace: &Workspace) -> Option<Timestamp> {
    let is_usable = matches!(workspace.phase, Phase::Ready | Phase::Stopped);
    let days = workspace.lifetime.dormant_days.filter(|_| is_usable)?;
    Some(workspace.idle_since?.after(DAY * days))
}

/// When it is deleted, if it stays dormant.
pub(super) fn ends_at(workspace: &Workspace) -> Option<Timestamp> {
    let is_dormant = workspace.phase == Phase::Dormant && workspace.held.is_none();
    let days = workspace.lifetime.dormant_delete_days.filter(|_| is_dormant)?;
    Some(workspace.idle_since?.after(DAY * days))
}

/// What comes next, when, and in words.
pub(super) fn next(workspace: &Workspace) -> Option<(Timestamp, Due, &'static str)> {
    let (at, is_announced) = (begins_at(workspace), workspace.is_announced);
    let begin = at.map(|at| match is_announced {
        true => (at, Due::Rest, "whether somebody uses the workspace before it is dormant"),
        false => (at.before(WARN_BEFORE), Due::WarnDormant, "the workspace is dormant soon"),
    });
    let end = ends_at(workspace).map(|at| match is_announced {
        true => (at, Due::Discard, "the end of the dormant workspace"),
        false => (at.before(WARN_BEFORE), Due::WarnUnwanted, "the dormant workspace ends soon"),
    });
    begin.or(end)
}

/// Somebody has asked for it.
pub(super) fn asked_for(cx: &Context, workspace: &mut Workspace, verb: &str) {
    let is_use =
        matches!(verb, "start" | "restart" | "rebuild" | "rollback" | "update" | "undelete");
    if is_use && workspace.lifetime.dormant_days.is_some() {
        used(workspace, cx.now());
    }
}

fn used(workspace: &mut Workspace, at: Timestamp) {
    workspace.idle_since = Some(at);
    workspace.is_announced = false;
}

/// Says that it is dormant soon, if nobody has used it meanwhile.
pub(super) async fn warn(cx: &Context, workspace: &mut Workspace) {
    if is_unused(cx, workspace).await {
        workspace.is_announced = true;
        leave_time(cx, workspace, begins_at(workspace));
        let at = begins_at(workspace);
        let shown = at.unwrap_or_default();
        let words =
            format!("nobody uses it: it is dormant from {shown}, unless somebody starts it");
        cx.note("dormant-soon", words.clone(), &json!({ "dormant_at": at }));
        notice::tell(cx, Topic::Dormant, &words).await;
    }
}

/// What is announced late, as by engines that were away, comes later by as much.
fn leave_time(cx: &Context, workspace: &mut Workspace, at: Option<Timestamp>) {
    let least = cx.now().after(WARN_BEFORE);
    if let (Some(at), Some(since)) = (at.filter(|at| *at < least), workspace.idle_since) {
        workspace.idle_since = Some(since.after(least.since(at)));
    }
}

/// It is stopped, and stays so until somebody starts it.
pub(super) async fn rest(cx: &Context, workspace: &mut Workspace) {
    if !is_unused(cx, workspace).await {
        return;
    }
    if let Err(failure) = power::stop(cx, workspace).await {
        return put_off(cx, workspace, &failure);
    }
    let (since, days) = (workspace.idle_since, workspace.lifetime.dormant_days);
    workspace.phase = Phase::Dormant;
    used(workspace, cx.now());
    autostart::plan_anew(cx, workspace);
    let words = format!("it is dormant: nobody has used it since {}", since.unwrap_or_default());
    cx.note("dormant", words, &json!({ "idle_since": since, "days": days }));
}

/// Says that it is deleted soon.
pub(super) async fn warn_unwanted(cx: &Context, workspace: &mut Workspace) {
    workspace.is_announced = true;
    leave_time(cx, workspace, ends_at(workspace));
    let at = ends_at(workspace);
    let shown = at.unwrap_or_default();
    let words = format!("it is dormant, and deleted at {shown}, unless somebody starts it");
    cx.note("dormant-ends-soon", words.clone(), &json!({ "dormant_until": at }));
    notice::tell(cx, Topic::Dormant, &words).await;
}

/// Says why it is deleted.
pub(super) fn say_discarded(cx: &Context, workspace: &Workspace) {
    let since = workspace.idle_since;
    let shown = since.unwrap_or_default();
    let words = format!("it is deleted: it was dormant from {shown}, and nobody has started it");
    cx.note("dormant-ended", words, &json!({ "dormant_since": since }));
}

/// Whether Coder has seen nobody since; what was seen counts from then on.
async fn is_unused(cx: &Context, workspace: &mut Workspace) -> bool {
    match cx.operation(last_use(cx, workspace)).await {
        Ok(seen) if workspace.idle_since < Some(seen) => {
            used(workspace, seen);
            false
        }
        Ok(_) => true,
        Err(failure) => {
            put_off(cx, workspace, &failure);
            false
        }
    }
}

/// What was due is due again in a day.
fn put_off(cx: &Context, workspace: &mut Workspace, failure: &Failure) {
    let days = DAY * workspace.lifetime.dormant_days.unwrap_or_default();
    let early = if workspace.is_announced { Duration::ZERO } else { WARN_BEFORE };
    workspace.idle_since = Some(cx.now().after(DAY + early).before(days));
    cx.note("dormancy-delayed", format!("it does not become dormant: {failure}"), failure);
}
