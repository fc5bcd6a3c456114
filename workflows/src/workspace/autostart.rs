//! What starts by itself: a workspace at the times of a cron expression, so that it is there when
//! its owner comes. One that is dormant is not started: nobody misses it.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use serde_json::json;
use stead_core::context::Context;
use stead_schemas::command::workspace::{Autostart, NEVER, Phase};
use stead_schemas::failure::Failure;
use stead_schemas::step::schedule::{Plan, PlanFirings};
use stead_schemas::time::Timestamp;

use super::ends::Due;
use super::power;
use super::state::Workspace;
use crate::schedule::calendar::plan_again_at;

/// A start that was planned long ago is planned again this long before its time; one that could
/// not be planned is tried again after it, and one that is later than this has been missed.
const HOUR: Duration = Duration::from_secs(60 * 60);
/// How long it may take to be told what a cron expression means.
const PLAN_WITHIN: Duration = Duration::from_secs(10 * 60);

/// What comes next, when, and in words.
pub(super) fn next(workspace: &Workspace) -> Option<(Timestamp, Due, &'static str)> {
    let autostart = workspace.autostart.as_ref()?;
    if !matches!(workspace.phase, Phase::Ready | Phase::Stopped) {
        return None;
    }
    match (workspace.plan_at, autostart.next) {
        (Some(at), _) => Some((at, Due::Plan, "when the workspace is to be started next")),
        (None, next) => Some((next?, Due::Start, "the time at which the workspace is started")),
    }
}

/// Finds out when it starts next. What is far away is asked again shortly before: the rules of
/// its time zone may be others by then.
pub(super) async fn plan(cx: &Context, workspace: &mut Workspace) {
    let Some(Autostart { cron, time_zone, .. }) = workspace.autostart.clone() else { return };
    let planned = cx.operation(ask(cx, &cron, &time_zone)).await;
    let Some(autostart) = &mut workspace.autostart else { return };
    match planned {
        Ok(plan) => {
            autostart.next = plan.next.first().copied();
            workspace.plan_at = autostart.next.and_then(|next| plan_again_at(next, cx.now()));
        }
        Err(failure) => {
            workspace.plan_at = Some(cx.now().after(HOUR));
            let words = format!("it is not known when it is started next: {failure}");
            cx.note("autostart-delayed", words, &failure);
        }
    }
}

async fn ask(cx: &Context, cron: &str, time_zone: &str) -> Result<Plan, Failure> {
    let ask = PlanFirings::of_calendar(&cx.owner(), cron, time_zone);
    cx.step(ask.between(cx.now(), cx.now())).within(PLAN_WITHIN).await
}

/// Its time has come.
pub(super) async fn start(cx: &Context, workspace: &mut Workspace) {
    let Some(at) = workspace.autostart.as_ref().and_then(|autostart| autostart.next) else {
        return;
    };
    plan_anew(cx, workspace);
    if workspace.phase != Phase::Stopped {
        return;
    }
    if let Some(held) = &workspace.held {
        let words = format!("it is not started, as was planned for {at}: {}", held.why);
        return cx.note("autostart-held", words, &json!({ "at": at }));
    }
    if cx.now().since(at) > HOUR {
        let words =
            format!("it is not started: it should have been at {at}, and no engine was there");
        return cx.note("autostart-missed", words, &json!({ "at": at }));
    }
    cx.note("autostart", format!("it is started, as planned for {at}"), &json!({ "at": at }));
    if let Err(failure) = power::start(cx, workspace).await {
        cx.note("autostart-failed", format!("it is not started: {failure}"), &failure);
    }
}

/// Whatever was planned holds no more.
pub(super) fn plan_anew(cx: &Context, workspace: &mut Workspace) {
    if let Some(autostart) = &mut workspace.autostart {
        autostart.next = None;
        workspace.plan_at = Some(cx.now());
    }
}

/// Changes what is named.
pub(super) fn configure(workspace: &mut Workspace, cron: Option<String>, zone: Option<String>) {
    if cron.as_deref() == Some(NEVER) {
        (workspace.autostart, workspace.plan_at) = (None, None);
        return;
    }
    let before = workspace.autostart.take();
    let (old_cron, old_zone) = before.map(|before| (before.cron, before.time_zone)).unzip();
    workspace.autostart = cron.or(old_cron).map(|cron| Autostart {
        cron,
        time_zone: zone.or(old_zone).unwrap_or_else(|| "UTC".into()),
        next: None,
    });
}
