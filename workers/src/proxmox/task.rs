//! Waits for Proxmox's tasks. A task is asked for at the node in its id, which need not be the
//! node that was spoken to.

use std::time::Duration;

use serde_json::Value;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure, Kind};
use tokio::time::Instant;

use super::classify::{is_success, seen_before, task_trouble};
use super::client::Pve;
use crate::http::segment;
use crate::pace::Pace;
use crate::trouble::Trouble;

/// How long a task that was just started may be unknown to its own node.
const BIRTH_TIME_MAX: Duration = Duration::from_secs(5);
/// How long looking may fail before we say that the outcome is unknown.
const BLINDNESS_MAX: Duration = Duration::from_secs(30);

/// Waits for the task that `started` names; `null` is a change that is done already.
pub(super) async fn finish(pve: &Pve, cx: &StepContext, started: &Value) -> Result<(), Trouble> {
    let kind = started.as_str().map(kind_of).unwrap_or_default();
    follow(pve, cx, started, kind).await
}

/// The same; meanwhile it says what is waited for.
pub(super) async fn follow(
    pve: &Pve,
    cx: &StepContext,
    started: &Value,
    what: &str,
) -> Result<(), Trouble> {
    let Some(upid) = started.as_str() else { return Ok(()) };
    let path = task_path(upid)?;
    let status_path = format!("{path}/status");
    let born = Instant::now();
    let mut pace = Pace::new(Duration::from_millis(2), Duration::from_secs(2));
    let mut seen = born;
    loop {
        match pve.try_look(&status_path, &[]).await {
            Ok(status) if status["status"] == "stopped" => {
                return outcome(pve, &path, &status).await;
            }
            Ok(_) => seen = Instant::now(),
            Err(trouble) if is_newborn(&trouble, born) => {}
            Err(trouble) if may_pass(&trouble) && seen.elapsed() < BLINDNESS_MAX => {}
            Err(trouble) => return Err(lost_sight(trouble)),
        }
        cx.progress(format!("{what} for {} s", born.elapsed().as_secs()));
        pace.pause(cx).await.map_err(Trouble::Other)?;
    }
}

/// `UPID:node:pid:pstart:starttime:type:id:user:`
fn task_path(upid: &str) -> Result<String, Trouble> {
    match upid.strip_prefix("UPID:").and_then(|rest| rest.split(':').next()) {
        Some(node) if !node.is_empty() => {
            Ok(format!("/nodes/{}/tasks/{}", segment(node), segment(upid)))
        }
        _ => Err(Trouble::new(Class::Ambiguous, "Proxmox began a task and gave it no readable id")),
    }
}

/// The task's type: `qmclone`.
fn kind_of(upid: &str) -> &str {
    upid.split(':').nth(5).unwrap_or("task")
}

/// Under high availability the task ends when the cluster manager has taken the request in.
pub(super) fn is_left_to_manager(started: &Value) -> bool {
    started.as_str().is_some_and(|upid| kind_of(upid).starts_with("ha"))
}

async fn outcome(pve: &Pve, path: &str, status: &Value) -> Result<(), Trouble> {
    let exit = status["exitstatus"].as_str().unwrap_or("unexpected status");
    if !is_success(exit) {
        return Err(seen_before(task_trouble(exit, &log_of(pve, path).await)));
    }
    if exit != "OK" {
        tracing::warn!(task = status["upid"].as_str(), exit, "the task succeeded with warnings");
    }
    Ok(())
}

/// The task's log, as far as it can be had; a failure is not made worse for want of it.
async fn log_of(pve: &Pve, path: &str) -> Vec<String> {
    let query = [("limit", "500".to_owned())];
    let lines = pve.try_look(&format!("{path}/log"), &query).await.unwrap_or_default();
    let lines = lines.as_array().map(Vec::as_slice).unwrap_or_default();
    lines.iter().filter_map(|line| line["t"].as_str()).map(str::to_owned).collect()
}

fn is_newborn(trouble: &Trouble, born: Instant) -> bool {
    let unknown =
        matches!(trouble, Trouble::Missing(_)) || trouble.failure().class == Class::Permanent;
    unknown && born.elapsed() < BIRTH_TIME_MAX
}

fn may_pass(trouble: &Trouble) -> bool {
    trouble.failure().class.kind() == Kind::Passing
}

/// The task may go on without us.
fn lost_sight(trouble: Trouble) -> Trouble {
    let failure = Failure::from(trouble);
    let said = failure.to_string();
    Trouble::new(Class::Ambiguous, "the task was begun and cannot be followed").vendor(&said)
}

#[cfg(test)]
mod tests {
    use super::{is_left_to_manager, task_path};
    use serde_json::json;

    #[test]
    fn a_task_is_asked_for_at_its_own_node() {
        let upid = "UPID:pve2:0000ABCD:00112233:66AA77BB:qmclone:9000:stead@pve!engine:";
        let path = task_path(upid).unwrap();
        assert!(path.starts_with("/nodes/pve2/tasks/UPID%3Apve2%3A0000ABCD"), "{path}");
        assert!(path.contains("stead%40pve%21engine"), "{path}");
        assert!(!is_left_to_manager(&json!(upid)));
        assert!(task_path("nonsense").is_err());
    }
}
