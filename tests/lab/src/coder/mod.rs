//! Coder, API v2: one organization, templates with their versions, workspaces with builds and agents.
//!
//! Every start build mints a new agent token and, as the thin Terraform template does in
//! production, writes it into Vault before the build succeeds. An agent with the token of an
//! older build is refused.

mod agent;
mod answer;
mod builds;
mod keys;
mod provisioner;
mod rpc;
mod shapes;
mod state;
mod terraform;
mod users;
mod versions;
mod workspaces;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use agent::{ConnectError, Lifecycle};
pub use provisioner::Provisioner;
pub(crate) use rpc::router;
pub(crate) use state::State;

use crate::net::{Answer, Before, Call, HttpVendor, Severity};
use crate::world::World;

/// The vendor.
pub(crate) struct Coder;

impl HttpVendor for Coder {
    const NAME: &'static str = "coder";
    const BEHIND_PROXY: bool = true;

    fn before(world: &World, call: &Call) -> Before {
        let fires = |name| world.faults.fires("coder", name);
        let has_made = world.change(|state| std::mem::take(&mut state.coder.has_made));
        let about = ["/workspace", "/keys/", "/versions/", "/templateversions/"];
        let is_look = call.method == "GET" && about.iter().any(|part| call.path.contains(part));
        if has_made && is_look && fires("newborn") {
            return Before::Answer(answer::not_found());
        }
        if fires("rate-limited") {
            return Before::Answer(answer::rate_limited());
        }
        if fires("unauthorized") {
            return Before::Answer(answer::unauthorized());
        }
        if call.method == "POST" && call.path.ends_with("/builds") && fires("build-active") {
            return Before::Answer(answer::build_active());
        }
        if fires("slow") {
            return Before::Wait(Duration::from_secs(1));
        }
        Before::Go
    }

    fn answer(world: &Arc<World>, call: &Call) -> Answer {
        let Some(segments) = call.segments("/api/v2/") else {
            return answer::not_found();
        };
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        if call.method == "GET" && path == ["buildinfo"] {
            return users::buildinfo();
        }
        let token = call.header("coder-session-token").unwrap_or_default();
        let caller = match token == world.secrets.coder_token {
            true => Some(state::ME.to_owned()),
            false => world.read(|state| state.coder.opened_by(token)),
        };
        let Some(caller) = caller else { return answer::unauthorized() };
        if call.method == "GET" && path == ["users", "me"] {
            return users::show(world, &caller).unwrap_or_else(|refused| refused);
        }
        if call.method == "GET"
            && let ["users", user, "keys", "tokens"] = path.as_slice()
        {
            return keys::list(world, call, user, &caller).unwrap_or_else(|refused| refused);
        }
        route(world, call, &path).unwrap_or_else(|refused| refused)
    }

    fn after(world: &World, call: &Call, answer: Answer) -> Option<Answer> {
        let changes = call.method != "GET" && answer.is_success();
        if changes {
            world.change(|state| state.coder.has_made = call.method == "POST");
        }
        if changes && world.faults.fires("coder", "lost-response") { None } else { Some(answer) }
    }

    fn failure(severity: Severity) -> Answer {
        match severity {
            Severity::Passing => answer::message(500, "An internal server error occurred."),
            Severity::Lasting => answer::message(403, "Forbidden."),
        }
    }
}

fn route(world: &Arc<World>, call: &Call, path: &[&str]) -> Result<Answer, Answer> {
    match (call.method.as_str(), path) {
        ("GET", ["users", user]) => users::show(world, user),
        ("POST", ["users", user, "keys", "tokens"]) => keys::create(world, call, user),
        ("GET", ["users", _, "keys", "tokens", "tokenconfig"]) => Ok(keys::config()),
        ("GET", ["users", user, "keys", "tokens", name]) => keys::by_name(world, user, name),
        ("GET", ["users", user, "keys", id]) => keys::by_id(world, user, id),
        ("DELETE", ["users", user, "keys", id]) => keys::delete(world, user, id),
        ("POST", ["users"]) => users::create(world, call),
        ("GET", ["organizations", org]) => users::organization(world, org),
        ("GET", ["organizations", org, "templates"]) => users::templates(world, org),
        ("GET", ["organizations", org, "templates", name]) => users::template(world, org, name),
        ("POST", ["files"]) => versions::upload(world, call),
        ("POST", ["organizations", org, "templateversions"]) => versions::create(world, call, org),
        ("GET", ["organizations", org, "templates", template, "versions", name]) => {
            versions::by_name(world, org, template, name)
        }
        ("GET", ["templateversions", id]) => versions::show(world, id),
        ("GET", ["templateversions", id, "rich-parameters"]) => versions::parameters(world, id),
        ("POST", ["templateversions", id, "archive"]) => versions::archive(world, id),
        ("GET", ["templates", id, "versions"]) => versions::list(world, call, id),
        ("PATCH", ["templates", id, "versions"]) => versions::promote(world, call, id),
        ("POST", ["users", user, "workspaces"]) => workspaces::create(world, call, user),
        // The older form of the same.
        ("POST", ["organizations", org, "members", user, "workspaces"]) => {
            world.read(|state| users::known_organization(&state.coder, org))?;
            workspaces::create(world, call, user)
        }
        ("GET", ["users", user, "workspace", name]) => workspaces::by_name(world, call, user, name),
        ("GET", ["workspaces"]) => workspaces::list(world, call),
        ("GET", ["workspaces", id]) => workspaces::by_id(world, call, id),
        ("GET", ["workspaces", id, "builds"]) => builds::list(world, id),
        ("POST", ["workspaces", id, "builds"]) => builds::create(world, call, id),
        ("GET", ["workspacebuilds", id]) => builds::show(world, id),
        ("GET", ["workspacebuilds", id, "parameters"]) => builds::parameters(world, id),
        ("GET", ["workspacebuilds", id, "logs"]) => builds::logs(world, id),
        ("PATCH", ["workspacebuilds", id, "cancel"]) => builds::cancel(world, call, id),
        ("GET", ["workspaceagents", id]) => workspaces::agent(world, id),
        _ => Err(answer::not_found()),
    }
}
