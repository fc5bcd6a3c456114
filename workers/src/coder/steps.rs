//! What is done with Coder workspaces.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::coder::{
    AwaitAgent, CoderWorkspace, DeleteWorkspace, FindTemplate, LastUse, LookUpUse, StartWorkspace,
    StopWorkspace, Survey, TemplateFound,
};
use stead_schemas::time::Timestamp;

use super::build::{self, MARKER, Owner, Transition, Wanted};
use super::client::{Client, Coder};
use super::joined::joined;
use crate::http::segment;
use crate::pace::Pace;
use crate::trouble::Trouble;

/// Looks whether the template is there for whoever logs in.
pub(super) async fn find_template(
    client: Client,
    _cx: StepContext,
    ask: FindTemplate,
) -> Result<TemplateFound, Failure> {
    let coder = client.log_in(&ask.login).await?;
    template_id(&coder, &ask.organization, &ask.template).await?;
    Ok(TemplateFound { login_ends: login_ends(&coder).await })
}

/// Looks whether the template is there, and whether its workspace can be this user's.
pub(super) async fn survey(
    client: Client,
    cx: StepContext,
    ask: Survey,
) -> Result<TemplateFound, Failure> {
    let coder = client.log_in(&ask.login).await?;
    let path = format!("/users/{}", segment(&ask.user));
    let user = match coder.send(Method::GET, &path, None).await {
        Err(Trouble::Missing(said)) => return Err(no_user(said, &ask.user)),
        found => found?,
    };
    // A name may mean something else to Coder: `me` is whoever asks.
    let name = user["username"].as_str().unwrap_or_default();
    if !name.eq_ignore_ascii_case(&ask.user) {
        let words = format!("Coder knows no user {}, and takes {name} for that", ask.user);
        return Err(Failure::new(Class::Permanent, words));
    }
    // Who is dormant has not been there for long, and is active again once he comes.
    if user["status"] == "suspended" {
        let words =
            format!("{} is suspended in Coder; activate the account, then ask again", ask.user);
        return Err(Failure::new(Class::Permanent, words));
    }
    let Survey { login, organization, template, .. } = ask;
    find_template(client, cx, FindTemplate { login, organization, template }).await
}

/// When our token ends; its id is what it begins with.
async fn login_ends(coder: &Coder) -> Option<Timestamp> {
    let key = coder.look(&format!("/users/me/keys/{}", segment(coder.key_id()?))).await.ok()??;
    serde_json::from_value(key["expires_at"].clone()).ok()
}

/// Makes the workspace if there is none, and sees to it that it is started.
pub(super) async fn start_workspace(
    client: Client,
    cx: StepContext,
    ask: StartWorkspace,
) -> Result<CoderWorkspace, Failure> {
    let coder = client.log_in(&ask.login).await?;
    let wanted = Wanted::start(ask.version.as_deref());
    if let Some(id) = joined(&coder, ask.joined.as_deref(), &ask.user, &ask.name).await? {
        let version = build::reach(&coder, &cx, &id, wanted).await?;
        return Ok(CoderWorkspace { id, version });
    }
    let workspace = match find(&coder, &ask.user, &ask.name).await? {
        Some(workspace) => workspace,
        None => {
            cx.still_wanted()?;
            create(&coder, &ask).await?
        }
    };
    check_owner(&coder, &workspace, &ask).await?;
    let id = id_of(&workspace)?;
    let version = build::reach(&coder, &cx, &id, wanted).await?;
    Ok(CoderWorkspace { id, version })
}

async fn find(coder: &Coder, user: &str, name: &str) -> Result<Option<Value>, Failure> {
    coder.look(&format!("/users/{}/workspace/{}", segment(user), segment(name))).await
}

async fn create(coder: &Coder, ask: &StartWorkspace) -> Result<Value, Failure> {
    // Coder takes either of them, and not both.
    let (field, id) = match &ask.version {
        Some(version) => ("template_version_id", version.clone()),
        None => ("template_id", template_id(coder, &ask.organization, &ask.template).await?),
    };
    let body = json!({
        "name": ask.name,
        field: id,
        "rich_parameter_values": [{ "name": MARKER, "value": ask.marker }],
    });
    match coder.post(&format!("/users/{}/workspaces", segment(&ask.user)), &body).await {
        Ok(workspace) => Ok(workspace),
        Err(Trouble::Missing(said)) => Err(no_user(said, &ask.user)),
        // Another attempt of ours, or a stranger, was faster.
        Err(Trouble::Already(_)) => {
            find(coder, &ask.user, &ask.name).await?.ok_or_else(|| not_shown(&ask.name))
        }
        Err(trouble) => Err(trouble.into()),
    }
}

/// There is nobody of this name, or nobody whom we may see.
pub(super) fn no_user(said: Failure, user: &str) -> Failure {
    let words = format!(
        "Coder knows no user {user}; let them log in there once, or make the account, then ask again"
    );
    Failure { words, ..said }
}

/// Something of this name keeps ours from being made, and is not to be seen: it is about to go, or has
/// only just come.
pub(super) fn not_shown(name: &str) -> Failure {
    let words = format!("Coder has something called {name} already, and does not show it");
    Failure::new(Class::Retry, words)
}

async fn template_id(coder: &Coder, organization: &str, name: &str) -> Result<String, Failure> {
    id_of(&template_of(coder, organization, name).await?)
}

/// The template of this name.
pub(super) async fn template_of(
    coder: &Coder,
    organization: &str,
    name: &str,
) -> Result<Value, Failure> {
    let path = format!("/organizations/{}/templates/{}", segment(organization), segment(name));
    coder.look(&path).await?.ok_or_else(|| {
        let words = format!("Coder has no template {name} in {organization}");
        Failure::new(Class::Permanent, words)
    })
}

pub(super) fn id_of(thing: &Value) -> Result<String, Failure> {
    thing["id"].as_str().map(str::to_owned).ok_or_else(|| {
        Failure::new(Class::Permanent, "Coder answered in an unknown form; its version differs")
    })
}

async fn check_owner(
    coder: &Coder,
    workspace: &Value,
    ask: &StartWorkspace,
) -> Result<(), Failure> {
    let (user, name) = (&ask.user, &ask.name);
    let words = match build::owner_of(coder, workspace, &ask.marker).await? {
        Owner::Us => return Ok(()),
        Owner::Another(run) => format!("{user}'s Coder workspace {name} belongs to {run}"),
        Owner::Nobody => format!(
            "{user} has a Coder workspace {name} that is not ours, or its template declares no \
             parameter {MARKER}"
        ),
    };
    Err(Failure::new(Class::Conflict, words))
}

/// Waits for the agent. How long is the workflow's business.
pub(super) async fn await_agent(
    client: Client,
    cx: StepContext,
    ask: AwaitAgent,
) -> Result<Done, Failure> {
    let coder = client.log_in(&ask.login).await?;
    let path = format!("/workspaces/{}", segment(&ask.id));
    let mut pace = Pace::new(Duration::from_millis(5), Duration::from_secs(1));
    loop {
        let Some(workspace) = coder.look(&path).await? else {
            let words = format!("Coder has no workspace {}", ask.id);
            return Err(Failure::new(Class::Permanent, words));
        };
        match agents_state(&workspace)? {
            Agents::Ready => return Ok(Done {}),
            Agents::Waiting(words) => cx.progress(words),
        }
        pace.pause(&cx).await?;
    }
}

/// Asks when somebody last used it: a connection counts, as Coder sees it.
pub(super) async fn look_up_use(
    client: Client,
    _cx: StepContext,
    ask: LookUpUse,
) -> Result<LastUse, Failure> {
    let coder = client.log_in(&ask.login).await?;
    let Some(workspace) = coder.look(&format!("/workspaces/{}", segment(&ask.id))).await? else {
        let words = format!("Coder has no workspace {}", ask.id);
        return Err(Failure::new(Class::Permanent, words));
    };
    let read = serde_json::from_value(workspace["last_used_at"].clone());
    let last_used_at = read.map_err(|_| {
        Failure::new(Class::Permanent, "Coder does not say when the workspace was last used")
    })?;
    Ok(LastUse { last_used_at })
}

/// How far a workspace's agents are.
#[derive(Debug, PartialEq, Eq)]
enum Agents {
    Ready,
    Waiting(String),
}

fn agents_state(workspace: &Value) -> Result<Agents, Failure> {
    let build = &workspace["latest_build"];
    let resources = build["resources"].as_array().map(Vec::as_slice).unwrap_or_default();
    let agents = resources.iter().filter_map(|resource| resource["agents"].as_array()).flatten();
    // What has a parent is a container inside the machine, which comes and goes by itself.
    let mut agents = agents.filter(|agent| agent["parent_id"].is_null()).peekable();
    if agents.peek().is_none() {
        return match build["job"]["status"].as_str() {
            Some("succeeded" | "failed" | "canceled") => {
                Err(Failure::new(Class::Permanent, "the Coder workspace has no agent"))
            }
            _ => Ok(Agents::Waiting("waiting for Coder's build".to_owned())),
        };
    }
    for agent in agents {
        if let Agents::Waiting(words) = agent_state(agent)? {
            return Ok(Agents::Waiting(words));
        }
    }
    Ok(Agents::Ready)
}

/// Connected is not ready: the start script may still run, or have failed.
fn agent_state(agent: &Value) -> Result<Agents, Failure> {
    let status = agent["status"].as_str().unwrap_or("connecting");
    let lifecycle = agent["lifecycle_state"].as_str().unwrap_or("created");
    let fault = match (status, lifecycle) {
        ("connected", "ready") => return Ok(Agents::Ready),
        (_, "start_error") => "the agent's start script failed",
        (_, "start_timeout") => "the agent's start script takes too long",
        _ => return Ok(Agents::Waiting(format!("the agent is {status}, {lifecycle}"))),
    };
    Err(Failure::new(Class::Permanent, fault).vendor(lifecycle))
}

/// Sees to it that the workspace is stopped or gone.
pub(super) async fn stop_workspace(
    client: Client,
    cx: StepContext,
    ask: StopWorkspace,
) -> Result<Done, Failure> {
    let coder = client.log_in(&ask.login).await?;
    build::reach(&coder, &cx, &ask.id, Transition::Stop.into()).await?;
    Ok(Done {})
}

/// Deletes the workspace, if it is ours. A stranger's of that name stays: names are unique, so
/// ours is gone then.
pub(super) async fn delete_workspace(
    client: Client,
    cx: StepContext,
    ask: DeleteWorkspace,
) -> Result<Done, Failure> {
    let coder = client.log_in(&ask.login).await?;
    if let Some(id) = joined(&coder, ask.joined.as_deref(), &ask.user, &ask.name).await? {
        build::reach(&coder, &cx, &id, Transition::Delete.into()).await?;
        return Ok(Done {});
    }
    let Some(workspace) = find(&coder, &ask.user, &ask.name).await? else {
        return Ok(Done {});
    };
    if build::owner_of(&coder, &workspace, &ask.marker).await? != Owner::Us {
        tracing::warn!(user = ask.user, name = ask.name, "a stranger's workspace is left alone");
        return Ok(Done {});
    }
    build::reach(&coder, &cx, &id_of(&workspace)?, Transition::Delete.into()).await?;
    Ok(Done {})
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Agents, agent_state};

    fn check(status: &str, lifecycle: &str, state: &str) {
        let agent = json!({ "status": status, "lifecycle_state": lifecycle });
        let found = match agent_state(&agent) {
            Ok(Agents::Ready) => "ready".to_owned(),
            Ok(Agents::Waiting(_)) => "waiting".to_owned(),
            Err(failure) => format!("{:?}", failure.class),
        };
        assert_eq!(found, state, "{status} {lifecycle}");
    }

    #[test]
    fn ready_is_connected_and_ready() {
        check("connected", "ready", "ready");
        check("connected", "starting", "waiting");
        check("connecting", "created", "waiting");
        check("disconnected", "ready", "waiting");
        check("timeout", "created", "waiting");
        check("connected", "start_error", "Permanent");
        check("connected", "start_timeout", "Permanent");
    }
}
