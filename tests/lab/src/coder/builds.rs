//! Builds: what brings a workspace up, down, or out of the world.

use std::sync::Arc;

use chrono::Utc;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::agent::Agent;
use super::answer;
use super::provisioner;
use super::shapes;
use super::state::{Build, JobStatus, Transition, Workspace};
use super::workspaces::{find, uuid};
use crate::net::{Answer, Call};
use crate::pace::Pace;
use crate::world::{State, World};

/// The ids of a build to be.
pub(super) struct Ids {
    pub(super) build: Uuid,
    job: Uuid,
    resource: Uuid,
}

impl Ids {
    pub(super) fn new(pace: &Pace) -> Self {
        Self { build: pace.uuid(), job: pace.uuid(), resource: pace.uuid() }
    }

    pub(super) fn build(
        &self,
        number: u64,
        (transition, version): (Transition, Uuid),
        parameters: Vec<Value>,
    ) -> Build {
        Build {
            id: self.build,
            job: self.job,
            number,
            transition,
            version,
            status: JobStatus::Pending,
            error: String::new(),
            log: Vec::new(),
            parameters,
            created: Utc::now(),
            started: None,
            completed: None,
            resource: self.resource,
            agent: None,
        }
    }
}

/// Whose workspace, and the mark on it: the parameter `stead_run` of its latest build, as the thin template declares it.
pub(super) fn subject(workspace: &Workspace) -> (String, String) {
    let marker = workspace.latest().parameter("stead_run").to_owned();
    (format!("{}/{}", workspace.owner, workspace.name), marker)
}

pub(super) fn parameters_of(fields: &Map<String, Value>) -> Result<Vec<Value>, Answer> {
    let given = fields.get("rich_parameter_values").cloned().unwrap_or_else(|| json!([]));
    let wrong = || {
        answer::validation(
            400,
            "Validation failed.",
            "rich_parameter_values",
            "a list of name and value",
        )
    };
    let list = given.as_array().ok_or_else(wrong)?;
    let valid = |one: &Value| one["name"].is_string() && one["value"].is_string();
    if list.iter().all(valid) { Ok(list.clone()) } else { Err(wrong()) }
}

pub(super) fn create(world: &Arc<World>, call: &Call, id: &str) -> Result<Answer, Answer> {
    let workspace = uuid(id)?;
    let word = call.text("transition").unwrap_or_default();
    let detail = "Validation failed for tag \"oneof\": start stop delete";
    let transition = Transition::parse(word)
        .ok_or_else(|| answer::validation(400, "Validation failed.", "transition", detail))?;
    let changed = parameters_of(&call.fields())?;
    let ids = Ids::new(&world.pace);
    let shown = world.change(|state| {
        let coder = &mut state.coder;
        let held = coder.workspaces.get(&workspace).ok_or_else(answer::not_found)?;
        if held.latest().status.is_active() {
            return Err(answer::build_active());
        }
        if held.deleted && transition != Transition::Delete {
            return Err(answer::message(409, "Workspace is deleted."));
        }
        // Without one, it is built from the version of the build before.
        let version = match call.text("template_version_id").filter(|id| !id.is_empty()) {
            Some(id) => coder.buildable(id, Some(held.template.id))?.0,
            None => held.latest().version,
        };
        let held = coder.workspaces.get_mut(&workspace).ok_or_else(answer::not_found)?;
        let parameters = merged(&held.latest().parameters, changed);
        let number = held.latest().number + 1;
        // The agent of the build before is outdated from now on.
        for agent in held.builds.iter_mut().filter_map(|build| build.agent.as_mut()) {
            agent.disconnect();
        }
        held.builds.push(ids.build(number, (transition, version), parameters));
        let (subject, marker) = subject(held);
        world.journal.effect(
            "coder",
            &format!("coder-build-{}", transition.word()),
            &subject,
            &marker,
        );
        let held = coder.workspaces.get(&workspace).ok_or_else(answer::not_found)?;
        Ok(shapes::build(coder, held, held.latest()))
    })?;
    run(world, workspace, ids.build);
    Ok(Answer::json(201, shown))
}

/// Parameters that are not given again keep their value.
fn merged(old: &[Value], new: Vec<Value>) -> Vec<Value> {
    let kept = old.iter().filter(|old| !new.iter().any(|new| new["name"] == old["name"])).cloned();
    kept.chain(new.iter().cloned()).collect()
}

/// Lets the provisioner carry a build out.
pub(super) fn run(world: &Arc<World>, workspace: Uuid, build: Uuid) {
    let background = Arc::clone(world);
    world.spawn(async move {
        let world = background;
        world.pace.work(100).await;
        if world.faults.fires("coder", "build-stuck") {
            world.until(|world| (!world.faults.holds("coder", "build-stuck")).then_some(())).await;
        }
        if !world.change(|state| begin(state, build)) {
            return;
        }
        world.pace.work(600).await;
        if world.faults.fires("coder", "build-failed") {
            let error = "terraform apply: exit status 1";
            return world.change(|state| end(state, build, JobStatus::Failed, error));
        }
        let token = format!("canary-agent-{}", world.pace.uuid());
        let agent = Agent::new(&world.pace, &token);
        world.change(|state| keep_token(state, workspace, build, &token));
        let handed = provisioner::hand_over(&world, build).await;
        world.change(|state| match handed {
            Ok(()) => complete(state, workspace, build, agent),
            Err(error) => failed(state, build, &error),
        });
    });
}

/// As the template does it: the token lies in Vault before the build is a success, and before
/// anybody is told to boot a machine.
fn keep_token(state: &mut State, workspace: Uuid, build: Uuid, token: &str) {
    let Some((_, held)) = state.coder.build(build) else { return };
    if held.transition == Transition::Start {
        let (token, number) = (token.to_owned(), held.number.to_string());
        let secret = json!({ "token": token, "build": build, "build_number": number });
        state.coder.tokens.push(token);
        state.vault.put(&format!("stead/agents/{workspace}"), secret);
    }
}

fn failed(state: &mut State, build: Uuid, error: &str) {
    let canceling = state.coder.build(build).map(|(_, held)| held.status);
    match canceling {
        Some(JobStatus::Canceling) => end(state, build, JobStatus::Canceled, "canceled"),
        _ => end(state, build, JobStatus::Failed, error),
    }
}

/// A build that was canceled while it was pending does not begin.
fn begin(state: &mut State, build: Uuid) -> bool {
    let Some(build) =
        state.coder.build_mut(build).filter(|build| build.status == JobStatus::Pending)
    else {
        return false;
    };
    build.status = JobStatus::Running;
    build.started = Some(Utc::now());
    true
}

fn end(state: &mut State, build: Uuid, status: JobStatus, error: &str) {
    if let Some(build) = state.coder.build_mut(build) {
        build.status = status;
        build.error = error.to_owned();
        build.completed = Some(Utc::now());
    }
}

fn complete(state: &mut State, workspace: Uuid, build: Uuid, agent: Agent) {
    let Some((_, held)) = state.coder.build(build) else {
        return;
    };
    if held.status == JobStatus::Canceling {
        end(state, build, JobStatus::Canceled, "canceled");
        return;
    }
    match held.transition {
        Transition::Start => {
            if let Some(build) = state.coder.build_mut(build) {
                build.agent = Some(agent);
            }
        }
        Transition::Stop => {}
        Transition::Delete => {
            state.vault.soft_delete(&format!("stead/agents/{workspace}"));
            if let Some(workspace) = state.coder.workspaces.get_mut(&workspace) {
                workspace.deleted = true;
            }
        }
    }
    end(state, build, JobStatus::Succeeded, "");
}

pub(super) fn show(world: &World, id: &str) -> Result<Answer, Answer> {
    let id = uuid(id)?;
    world.read(|state| {
        let (workspace, build) = state.coder.build(id).ok_or_else(answer::not_found)?;
        Ok(Answer::json(200, shapes::build(&state.coder, workspace, build)))
    })
}

pub(super) fn list(world: &World, workspace: &str) -> Result<Answer, Answer> {
    world.read(|state| {
        let held = find(&state.coder, workspace)?;
        let builds = held.builds.iter().rev().map(|build| shapes::build(&state.coder, held, build));
        Ok(Answer::json(200, Value::from(builds.collect::<Vec<_>>())))
    })
}

pub(super) fn parameters(world: &World, id: &str) -> Result<Answer, Answer> {
    let id = uuid(id)?;
    world.read(|state| {
        let (_, build) = state.coder.build(id).ok_or_else(answer::not_found)?;
        Ok(Answer::json(200, Value::from(build.parameters.clone())))
    })
}

pub(super) fn logs(world: &World, id: &str) -> Result<Answer, Answer> {
    let id = uuid(id)?;
    world.read(|state| {
        let (_, build) = state.coder.build(id).ok_or_else(answer::not_found)?;
        Ok(Answer::json(200, Value::from(provisioner::shown(build))))
    })
}

pub(super) fn cancel(world: &World, call: &Call, id: &str) -> Result<Answer, Answer> {
    let id = uuid(id)?;
    world.change(|state| {
        let build = state.coder.build_mut(id).ok_or_else(answer::not_found)?;
        if call.query("expect_status").is_some_and(|expected| expected != build.status.word()) {
            return Err(answer::message(412, "Job is not in the expected state."));
        }
        build.status = match build.status {
            JobStatus::Pending => JobStatus::Canceled,
            JobStatus::Running => JobStatus::Canceling,
            JobStatus::Canceling => {
                return Err(answer::message(400, "Job has already been marked as canceled!"));
            }
            JobStatus::Succeeded | JobStatus::Failed | JobStatus::Canceled => {
                return Err(answer::message(400, "Job has already completed!"));
            }
        };
        if build.status == JobStatus::Canceled {
            build.completed = Some(Utc::now());
        }
        Ok(answer::message(200, "Job has been marked as canceled..."))
    })
}
