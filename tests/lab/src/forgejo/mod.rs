//! Forgejo, API v1: a repository `templates` for each of a few owners, with secrets that cannot be
//! read back, workflow runs, states of commits, and webhooks that tell of pushes once.
//!
//! There is one workflow, `prove-token.yml`. A run of it takes the secrets as they are when it
//! begins and tries them at Coder, as the real one does.

mod answer;
mod commits;
mod runs;
mod state;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use commits::{commit, replay};
use serde_json::{Value, json};
pub(crate) use state::State;

use crate::net::{Answer, Before, Call, HttpVendor, Severity};
use crate::world::World;
use state::{Repository, Right};

/// How much is told at once: less than the fifty of a Forgejo of which nobody has set that.
const PAGE_MAX: usize = 3;

/// The vendor.
pub(crate) struct Forgejo;

impl HttpVendor for Forgejo {
    const NAME: &'static str = "forgejo";
    const BEHIND_PROXY: bool = true;

    fn before(world: &World, _: &Call) -> Before {
        let fires = |name| world.faults.fires("forgejo", name);
        if fires("unauthorized") {
            return Before::Answer(answer::error(401, "user does not exist [uid: 0, name: ]"));
        }
        if fires("not-in-service") {
            return Before::Answer(answer::error(503, "Service Unavailable"));
        }
        if fires("rate-limited") {
            return Before::Answer(answer::error(429, "Too Many Requests"));
        }
        if fires("slow") {
            return Before::Wait(Duration::from_secs(1));
        }
        Before::Go
    }

    fn answer(world: &Arc<World>, call: &Call) -> Answer {
        let Some(segments) = call.segments("/api/v1/") else { return answer::not_found() };
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let token = call.header("authorization").and_then(|value| value.strip_prefix("token "));
        if token != Some(world.secrets.forgejo_token.as_str()) {
            return answer::error(401, "token is required");
        }
        if call.method == "GET" && path == ["repos", "search"] {
            return search(world, call);
        }
        let ["repos", owner, name, rest @ ..] = path.as_slice() else {
            return answer::not_found();
        };
        route(world, call, &format!("{owner}/{name}"), rest).unwrap_or_else(|refused| refused)
    }

    fn after(world: &World, call: &Call, answer: Answer) -> Option<Answer> {
        let changes = call.method != "GET" && answer.is_success();
        if changes && world.faults.fires("forgejo", "lost-response") { None } else { Some(answer) }
    }

    fn failure(severity: Severity) -> Answer {
        match severity {
            Severity::Passing => answer::error(500, ""),
            Severity::Lasting => {
                answer::error(403, "token does not have at least one of required scope(s)")
            }
        }
    }
}

fn route(
    world: &Arc<World>,
    call: &Call,
    repository: &str,
    path: &[&str],
) -> Result<Answer, Answer> {
    match (call.method.as_str(), path) {
        ("PUT", ["actions", "secrets", name]) => set_secret(world, call, repository, name),
        ("DELETE", ["actions", "secrets", name]) => delete_secret(world, repository, name),
        ("GET", ["actions", "secrets"]) => list_secrets(world, call, repository),
        ("POST", ["actions", "workflows", file, "dispatches"]) => {
            runs::dispatch(world, call, repository, file)
        }
        ("GET", ["actions", "runs"]) => runs::list(world, call, repository),
        ("GET", ["actions", "runs", id]) => runs::show(world, repository, id),
        ("GET", ["archive", file]) => commits::archive(world, repository, file),
        ("GET", ["branches", branch]) => show_branch(world, repository, branch),
        ("POST", ["statuses", commit]) => set_status(world, call, repository, commit),
        _ => Err(answer::not_found()),
    }
}

fn set_secret(world: &World, call: &Call, repository: &str, name: &str) -> Result<Answer, Answer> {
    let Some(data) = call.text("data").filter(|data| !data.is_empty()) else {
        return Err(answer::error(422, "[]: data is required"));
    };
    let name = name.to_uppercase();
    if !is_name(&name) {
        return Err(answer::error(400, "Invalid secret name."));
    }
    let before = world.change(|state| {
        let held = state.forgejo.repository_mut(repository)?;
        Ok(held.secrets.insert(name.clone(), data.to_owned()))
    })?;
    world.journal.effect("forgejo", "secret-set", &format!("{repository} {name}"), "");
    Ok(Answer::empty(if before.is_some() { 204 } else { 201 }))
}

fn is_name(name: &str) -> bool {
    let reserved = ["GITHUB_", "GITEA_", "FORGEJO_"].iter().any(|prefix| name.starts_with(prefix));
    let plain = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
    let begins_well = name.bytes().next().is_some_and(|first| !first.is_ascii_digit());
    !reserved && begins_well && name.bytes().all(plain)
}

fn delete_secret(world: &World, repository: &str, name: &str) -> Result<Answer, Answer> {
    let name = name.to_uppercase();
    world.change(|state| {
        let held = state.forgejo.repository_mut(repository)?;
        held.secrets.remove(&name).ok_or_else(answer::not_found)
    })?;
    world.journal.effect("forgejo", "secret-deleted", &format!("{repository} {name}"), "");
    Ok(Answer::empty(204))
}

/// Names and no values, a page of them.
fn list_secrets(world: &World, call: &Call, repository: &str) -> Result<Answer, Answer> {
    world.read(|state| {
        let held = state.forgejo.repository(repository)?;
        if held.right == Right::Administers {
            return Err(answer::error(403, "user should be the owner of the repo"));
        }
        let names =
            held.secrets.keys().map(|name| json!({ "name": name, "created_at": held.born }));
        let (skip, take) = page(call);
        Ok(Answer::json(200, names.skip(skip).take(take).collect()))
    })
}

/// Where a page begins, and how much it holds: never more than this Forgejo tells at once.
fn page(call: &Call) -> (usize, usize) {
    let number = |name: &str| call.query(name).and_then(|text| text.parse::<usize>().ok());
    let limit = number("limit").unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
    let page = number("page").unwrap_or(1).max(1);
    ((page - 1).saturating_mul(limit), limit)
}

/// All repositories that our token sees, and what it may do with each.
fn search(world: &World, call: &Call) -> Answer {
    let (skip, take) = page(call);
    let data: Vec<Value> = world.read(|state| {
        let all = state.forgejo.repositories.iter().enumerate();
        let shape = |(id, (full_name, held)): (usize, (&String, &Repository))| {
            let (owner, name) = full_name.split_once('/').unwrap_or_default();
            let admin = held.right != Right::Reads;
            json!({
                "id": id + 1, "name": name, "full_name": full_name, "owner": { "login": owner },
                "private": true, "archived": false, "created_at": held.born,
                "permissions": { "admin": admin, "push": admin, "pull": true },
            })
        };
        all.map(shape).skip(skip).take(take).collect()
    });
    Answer::json(200, json!({ "ok": true, "data": data }))
}

fn show_branch(world: &World, repository: &str, branch: &str) -> Result<Answer, Answer> {
    world.read(|state| {
        let held = state.forgejo.repository(repository)?;
        let commit = held.branches.get(branch).ok_or_else(answer::not_found)?;
        let commit =
            json!({ "id": commit, "message": "a change", "url": "", "timestamp": held.born });
        Ok(Answer::json(200, json!({ "name": branch, "commit": commit, "protected": false })))
    })
}

fn set_status(
    world: &World,
    call: &Call,
    repository: &str,
    commit: &str,
) -> Result<Answer, Answer> {
    let fields = Value::Object(call.fields());
    let text = |field: &str| fields[field].as_str().unwrap_or_default().to_owned();
    let (context, state) = (text("context"), text("state"));
    if !["pending", "success", "error", "failure", "warning"].contains(&state.as_str()) {
        return Err(answer::error(422, "[]: state is not one that is known"));
    }
    let id = world.change(|all| {
        let held = all.forgejo.repository_mut(repository)?;
        if !held.commits.contains_key(commit) {
            return Err(answer::not_found());
        }
        held.statuses.push((commit.to_owned(), context.clone(), state.clone()));
        Ok(held.statuses.len())
    })?;
    world.journal.effect("forgejo", "status-set", &format!("{repository} {commit}"), &state);
    Ok(Answer::json(
        201,
        json!({
            "id": id, "status": state, "context": context, "description": text("description"),
            "target_url": text("target_url"), "url": "",
        }),
    ))
}
