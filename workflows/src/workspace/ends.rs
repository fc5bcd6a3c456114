//! What ends by itself: a workspace that nobody uses is stopped, one whose time is over is
//! deleted. It is looked at when something may be due, and not before. `dormancy.rs` is what
//! becomes of one that nobody has used for days, `autostart.rs` what starts by itself.
//!
//! Whether somebody has used it, Coder knows. It is asked when the workspace would be stopped; if
//! somebody has, the time begins anew from then.

use alloc::format;
use alloc::string::String;
use core::time::Duration;

use serde_json::json;
use stead_core::context::{Command, Context};
use stead_schemas::command::workspace::{ConfigureWorkspace, DeleteOrder, Phase};
use stead_schemas::failure::Failure;
use stead_schemas::notice::Topic;
use stead_schemas::site::Lifetime;
use stead_schemas::step::coder::LookUpUse;
use stead_schemas::time::Timestamp;

use super::ask::logins;
use super::state::Workspace;
use super::{autostart, delete, dormancy, hold, power};
use crate::notice;

/// How long before its end a workspace announces it.
pub(super) const WARN_BEFORE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long it may take to find out whether somebody has used it.
const LOOK_WITHIN: Duration = Duration::from_secs(10 * 60);

/// Something that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// It may not run.
    Hold,
    /// Its name is free of it: it can no longer be brought back.
    Forget,
    /// Nobody may have used it for long enough.
    Stop,
    /// Its end is near.
    Warn,
    /// Its time is over.
    Expire,
    /// It is to be known when it starts next.
    Plan,
    /// It starts by itself.
    Start,
    /// Nobody may have used it for so long that it is dormant soon.
    WarnDormant,
    /// Nobody may have used it for so long that it is dormant.
    Rest,
    /// It has been dormant for so long that it is deleted soon.
    WarnUnwanted,
    /// It has been dormant for so long that it is deleted.
    Discard,
}

/// What comes next, when, and in words.
pub(super) fn next(workspace: &Workspace) -> Option<(Timestamp, Due, &'static str)> {
    let forget = workspace
        .undelete_until
        .map(|at| (at, Due::Forget, "the time in which the deleted workspace can be brought back"));
    let stop = workspace.stops_at();
    let stop = stop.map(|at| (at, Due::Stop, "whether somebody has used the workspace meanwhile"));
    // What may not run is kept: nobody could do anything about its end.
    let is_kept = workspace.phase == Phase::Deleted || workspace.held.is_some();
    let expires = workspace.expires_at.filter(|_| !is_kept);
    let end = expires.map(|at| match workspace.is_warned {
        true => (at, Due::Expire, "the end of the workspace's time"),
        false => (at.before(WARN_BEFORE), Due::Warn, "the end of the workspace's time is near"),
    });
    let by_itself = [hold::next(workspace), dormancy::next(workspace), autostart::next(workspace)];
    forget.into_iter().chain(stop).chain(end).chain(by_itself.into_iter().flatten()).min()
}

/// Does what is due.
pub(super) async fn act(cx: &Context, workspace: &mut Workspace, due: Due) {
    match due {
        Due::Hold => hold::stop(cx, workspace).await,
        Due::Forget => workspace.undelete_until = None,
        Due::Stop => stop_if_unused(cx, workspace).await,
        Due::Warn => {
            workspace.is_warned = true;
            let words =
                format!("it is deleted at {}, unless it is configured otherwise", at(workspace));
            cx.note("expires-soon", words.clone(), &json!({ "expires_at": workspace.expires_at }));
            if cx.changed("notices") {
                notice::tell(cx, Topic::Expiry, &words).await;
            }
        }
        Due::Expire => {
            let words = format!("it is deleted: its time was over at {}", at(workspace));
            cx.note("expired", words, &json!({ "expires_at": workspace.expires_at }));
            take_away(cx, workspace).await;
        }
        Due::Plan => autostart::plan(cx, workspace).await,
        Due::Start => autostart::start(cx, workspace).await,
        Due::WarnDormant => dormancy::warn(cx, workspace).await,
        Due::Rest => dormancy::rest(cx, workspace).await,
        Due::WarnUnwanted => dormancy::warn_unwanted(cx, workspace).await,
        Due::Discard => {
            dormancy::say_discarded(cx, workspace);
            take_away(cx, workspace).await;
        }
    }
}

/// Deletes it; it can be brought back for as long as any other.
async fn take_away(cx: &Context, workspace: &mut Workspace) {
    let grace_seconds = workspace.order.truenas.grace_seconds;
    let order = DeleteOrder { grace_seconds, ..DeleteOrder::default() };
    delete::take_all_back(cx, workspace, &order).await;
}

async fn stop_if_unused(cx: &Context, workspace: &mut Workspace) {
    let minutes = workspace.lifetime.autostop_minutes.unwrap_or_default();
    match cx.operation(last_use(cx, workspace)).await {
        Err(failure) => {
            workspace.used_at = Some(cx.now());
            let words = format!("it is not stopped: nobody can say whether it is used: {failure}");
            cx.note("autostop-delayed", words, &failure);
        }
        Ok(used) if workspace.used_at < Some(used) && !is_over(cx, used, minutes) => {
            workspace.used_at = Some(used);
        }
        Ok(used) => {
            let words = format!("it is stopped: last used at {used}, and {minutes} min are over");
            cx.note("autostop", words, &json!({ "last_used_at": used, "minutes": minutes }));
            if let Err(failure) = power::stop(cx, workspace).await {
                workspace.used_at = Some(cx.now());
                cx.note("autostop-delayed", format!("it is not stopped: {failure}"), &failure);
            }
        }
    }
}

fn is_over(cx: &Context, used: Timestamp, minutes: u32) -> bool {
    used.after(Duration::from_secs(u64::from(minutes) * 60)) <= cx.now()
}

pub(super) async fn last_use(cx: &Context, workspace: &Workspace) -> Result<Timestamp, Failure> {
    let order = &workspace.order;
    let login = logins(cx, order).await?.of(&order.coder.secret);
    let id = workspace.coder_id.clone().unwrap_or_default();
    Ok(cx.step(LookUpUse { login, id }).within(LOOK_WITHIN).await?.last_used_at)
}

/// Changes how long it runs and lives.
pub(super) fn configure(
    cx: &Context,
    workspace: &mut Workspace,
    command: &Command,
) -> Result<(), Failure> {
    let ask: ConfigureWorkspace = command.read()?;
    let now = workspace.lifetime;
    let or = |asked: Option<u32>, now| asked.map_or(now, |asked| (asked > 0).then_some(asked));
    let lifetime = Lifetime {
        autostop_minutes: or(ask.autostop_minutes, now.autostop_minutes),
        ttl_hours: or(ask.ttl_hours, now.ttl_hours),
        dormant_days: or(ask.dormant_days, now.dormant_days),
        dormant_delete_days: or(ask.dormant_delete_days, now.dormant_delete_days),
    };
    let expires_at = workspace.expires_at;
    autostart::configure(workspace, ask.autostart, ask.time_zone);
    set(cx, workspace, lifetime);
    if ask.ttl_hours.is_none() {
        workspace.expires_at = expires_at;
    }
    Ok(())
}

/// From now on it runs and lives so long.
pub(super) fn set(cx: &Context, workspace: &mut Workspace, lifetime: Lifetime) {
    let hours = |hours: u32| Duration::from_secs(u64::from(hours) * 60 * 60);
    workspace.lifetime = lifetime;
    workspace.used_at = lifetime.autostop_minutes.map(|_| cx.now());
    workspace.expires_at = lifetime.ttl_hours.map(|ttl| cx.now().after(hours(ttl)));
    workspace.is_warned = false;
    workspace.idle_since = lifetime.dormant_days.map(|_| cx.now());
    workspace.is_announced = false;
    autostart::plan_anew(cx, workspace);
}

fn at(workspace: &Workspace) -> String {
    workspace.expires_at.map_or_else(String::new, |at| format!("{at}"))
}
