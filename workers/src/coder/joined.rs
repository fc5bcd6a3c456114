//! Workspaces that developers made in Coder. They carry no mark of ours; what they are known by is
//! Coder's id, and that they are this user's of this name. Whoever gives a command can name any id.

use std::time::Duration;

use serde_json::Value;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::coder::{CoderWorkspace, JoinWorkspace, LeaveWorkspace};

use super::build::{self, Job, Transition};
use super::client::{Client, Coder};
use crate::http::segment;
use crate::pace::Pace;

/// Takes the workspace as it is, once its start has succeeded.
pub(super) async fn join_workspace(
    client: Client,
    cx: StepContext,
    ask: JoinWorkspace,
) -> Result<CoderWorkspace, Failure> {
    let coder = client.log_in(&ask.login).await?;
    let mut pace = Pace::new(Duration::from_millis(5), Duration::from_secs(1));
    loop {
        let Some(workspace) = look(&coder, &ask.id).await? else {
            return Err(unwanted(format!("Coder has no workspace {}", ask.id)));
        };
        check(&workspace, &ask)?;
        let latest = &workspace["latest_build"];
        let is_start = latest["transition"] == Transition::Start.word();
        match build::job(latest) {
            Job::Succeeded if is_start => {
                return Ok(CoderWorkspace { id: ask.id, version: build::version_of(latest) });
            }
            Job::Going if is_start => cx.progress(build::spoken(latest)),
            Job::Going | Job::Succeeded | Job::Ended => {
                return Err(unwanted(format!(
                    "nobody wants it in Coder any more: {}, {}",
                    latest["transition"].as_str().unwrap_or("its build"),
                    build::spoken(latest),
                )));
            }
        }
        pace.pause(&cx).await?;
    }
}

/// Stops the workspace, if it is the one.
pub(super) async fn leave_workspace(
    client: Client,
    cx: StepContext,
    ask: LeaveWorkspace,
) -> Result<Done, Failure> {
    let coder = client.log_in(&ask.login).await?;
    if let Some(id) = joined(&coder, Some(&ask.id), &ask.user, &ask.name).await? {
        build::reach(&coder, &cx, &id, Transition::Stop.into()).await?;
    }
    Ok(Done {})
}

/// The workspace of this id, if it is there and is this user's of this name.
pub(super) async fn joined(
    coder: &Coder,
    id: Option<&str>,
    user: &str,
    name: &str,
) -> Result<Option<String>, Failure> {
    let Some(id) = id else { return Ok(None) };
    let found = look(coder, id).await?;
    Ok(found.filter(|found| is_of(found, user, name)).map(|_| id.to_owned()))
}

async fn look(coder: &Coder, id: &str) -> Result<Option<Value>, Failure> {
    coder.look(&format!("/workspaces/{}", segment(id))).await
}

fn is_of(workspace: &Value, user: &str, name: &str) -> bool {
    workspace["owner_name"] == user && workspace["name"] == name
}

fn check(workspace: &Value, ask: &JoinWorkspace) -> Result<(), Failure> {
    let JoinWorkspace { id, user, name, template, .. } = ask;
    let words = if !is_of(workspace, user, name) {
        format!("Coder's workspace {id} is not {user}'s {name}")
    } else if workspace["template_name"] != *template {
        format!("Coder's workspace {id} is not made of the template {template}")
    } else {
        return Ok(());
    };
    Err(Failure::new(Class::Conflict, words))
}

fn unwanted(words: String) -> Failure {
    Failure::new(Class::Permanent, words)
}
