//! Runs of workflows: dispatched, listed, carried out by a runner.

use std::sync::Arc;

use chrono::Utc;
use serde_json::{Value, json};

use super::answer;
use super::state::{Run, State};
use crate::net::{Answer, Call};
use crate::world::World;

/// The one workflow of each repository.
const WORKFLOW: &str = "prove-token.yml";
/// How many runs are shown at once, at most.
const PAGE_MAX: usize = 50;

pub(super) fn dispatch(
    world: &Arc<World>,
    call: &Call,
    repository: &str,
    file: &str,
) -> Result<Answer, Answer> {
    let fields = Value::Object(call.fields());
    let Some(branch) = fields["ref"].as_str().map(|name| name.trim_start_matches("refs/heads/"))
    else {
        return Err(answer::error(422, "[Ref]: Required"));
    };
    if fields["inputs"].as_object().is_some_and(|inputs| inputs.values().any(|v| !v.is_string())) {
        return Err(answer::error(422, "json: cannot unmarshal into Go struct field .inputs"));
    }
    let payload = json!({
        "inputs": fields["inputs"], "ref": format!("refs/heads/{branch}"), "workflow": file,
    });
    let number = world.change(|state| {
        let state = &mut state.forgejo;
        let held = state.repository(repository)?;
        let commit = held.branches.get(branch).ok_or_else(answer::not_found)?.clone();
        if file != WORKFLOW {
            return Err(answer::not_found());
        }
        state.runs.push(Run {
            repository: repository.to_owned(),
            workflow: file.to_owned(),
            branch: branch.to_owned(),
            commit,
            payload: payload.to_string(),
            status: "waiting",
            created: Utc::now(),
            started: None,
            stopped: None,
        });
        Ok(state.runs.len())
    })?;
    world.journal.effect("forgejo", "run-dispatched", repository, "");
    carry_out(world, number);
    if fields["return_run_info"] == true {
        let body = json!({ "id": number, "run_number": number, "jobs": ["prove"] });
        return Ok(Answer::json(201, body));
    }
    Ok(Answer::empty(204))
}

/// Lets a runner take the run.
fn carry_out(world: &Arc<World>, number: usize) {
    let background = Arc::clone(world);
    world.spawn(async move {
        let world = background;
        world.pace.work(300).await;
        if world.faults.fires("forgejo", "run-stuck") {
            world.until(|world| (!world.faults.holds("forgejo", "run-stuck")).then_some(())).await;
        }
        // A job goes on with the secrets that it began with.
        let secrets = world.change(|state| begin(&mut state.forgejo, number));
        world.pace.work(1500).await;
        let fails = world.faults.fires("forgejo", "run-failed");
        world.change(|state| {
            let opens = |secret: &String| state.coder.opened_by(secret).is_some();
            let good = !fails && !secrets.is_empty() && secrets.iter().all(opens);
            if let Some(run) = state.forgejo.runs.get_mut(number - 1) {
                run.status = if good { "success" } else { "failure" };
                run.stopped = Some(Utc::now());
            }
        });
    });
}

fn begin(state: &mut State, number: usize) -> Vec<String> {
    let Some(run) = state.runs.get_mut(number - 1) else { return Vec::new() };
    run.status = "running";
    run.started = Some(Utc::now());
    let repository = run.repository.clone();
    let held = state.repository(&repository);
    // The job logs in at Coder with the tokens that it was given; what else is there it has no use for.
    let tokens = held.into_iter().flat_map(|held| &held.secrets);
    tokens.filter(|(name, _)| name.ends_with("TOKEN")).map(|(_, secret)| secret.clone()).collect()
}

pub(super) fn list(world: &World, call: &Call, repository: &str) -> Result<Answer, Answer> {
    let number = |name: &str| call.query(name).and_then(|text| text.parse::<usize>().ok());
    let limit = number("limit").unwrap_or(30).clamp(1, PAGE_MAX);
    let skipped = (number("page").unwrap_or(1).max(1) - 1) * limit;
    // Every run of the lab's was dispatched.
    let shown = call.query("event").is_none_or(|event| event == "workflow_dispatch");
    world.read(|state| {
        let state = &state.forgejo;
        state.repository(repository)?;
        let fits = |(_, run): &(usize, &Run)| shown && run.repository == repository;
        let mut fitting: Vec<_> = state.runs.iter().enumerate().filter(fits).collect();
        if !fitting.is_empty() && world.faults.fires("forgejo", "run-unseen") {
            fitting.pop();
        }
        let page = fitting.iter().rev().skip(skipped).take(limit);
        let page: Vec<Value> = page.map(|(place, run)| shape(place + 1, run)).collect();
        Ok(Answer::json(200, json!({ "total_count": fitting.len(), "workflow_runs": page })))
    })
}

pub(super) fn show(world: &World, repository: &str, id: &str) -> Result<Answer, Answer> {
    let number: usize = id.parse().map_err(|_| answer::not_found())?;
    world.read(|state| {
        let place = number.checked_sub(1).ok_or_else(answer::not_found)?;
        let run = state.forgejo.runs.get(place).filter(|run| run.repository == repository);
        Ok(Answer::json(200, shape(number, run.ok_or_else(answer::not_found)?)))
    })
}

fn shape(number: usize, run: &Run) -> Value {
    let never = "0001-01-01T00:00:00Z";
    let moment = |at: Option<chrono::DateTime<Utc>>| at.map_or(json!(never), |at| json!(at));
    json!({
        "id": number, "title": "prove", "repository": { "full_name": run.repository },
        "workflow_id": run.workflow, "index_in_repo": number, "trigger_user": { "login": "stead" },
        "ScheduleID": 0, "prettyref": run.branch, "is_ref_deleted": false,
        "commit_sha": run.commit, "is_fork_pull_request": false, "need_approval": false,
        "approved_by": 0, "event": "workflow_dispatch", "event_payload": run.payload,
        "trigger_event": "workflow_dispatch", "status": run.status,
        "started": moment(run.started), "stopped": moment(run.stopped), "created": run.created,
        "updated": run.stopped.or(run.started).unwrap_or(run.created),
        "html_url": format!("http://127.0.0.1/{}/actions/runs/{number}", run.repository),
    })
}
