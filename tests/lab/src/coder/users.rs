//! Who and what is there beside workspaces: users, the organization, the template, the version.

use serde_json::json;

use super::answer;
use super::shapes::{self, ORGANIZATION};
use super::state::State;
use super::workspaces::valid_name;
use crate::net::{Answer, Call};
use crate::world::World;

pub(super) fn buildinfo() -> Answer {
    Answer::json(
        200,
        json!({
            "external_url": "https://github.com/coder/coder/commit/5f0c7f2e", "version": "v2.36.1+5f0c7f2e",
            "dashboard_url": "http://127.0.0.1", "telemetry": false, "workspace_proxy": false,
            "agent_api_version": "2.6", "provisioner_api_version": "1.11", "upgrade_message": "",
            "deployment_id": "5f0c7f2e-6a35-4a2a-9d3f-1b1a2c3d4e5f", "webpush_public_key": "",
        }),
    )
}

pub(super) fn show(world: &World, user: &str) -> Result<Answer, Answer> {
    world.read(|state| {
        let (name, id) = state.coder.user(user).ok_or_else(answer::no_user)?;
        Ok(Answer::json(200, shapes::user(&state.coder, &name, id)))
    })
}

pub(super) fn create(world: &World, call: &Call) -> Result<Answer, Answer> {
    let name = call.text("username").unwrap_or_default();
    // Names from an identity provider may hold dots.
    if !valid_name(&name.replace('.', "")) {
        let detail = "Validation failed for tag \"username\"";
        return Err(answer::validation(400, "Validation failed.", "username", detail));
    }
    let id = world.pace.uuid();
    world.change(|state| {
        if state.coder.users.contains_key(name) {
            return Err(answer::message(409, "User already exists."));
        }
        state.coder.users.insert(name.to_owned(), id);
        Ok(Answer::json(201, shapes::user(&state.coder, name, id)))
    })
}

pub(super) fn known_organization(state: &State, org: &str) -> Result<(), Answer> {
    let known = org == ORGANIZATION || org == state.organization.to_string();
    if known { Ok(()) } else { Err(answer::not_found()) }
}

pub(super) fn organization(world: &World, org: &str) -> Result<Answer, Answer> {
    world.read(|state| {
        known_organization(&state.coder, org)?;
        Ok(Answer::json(200, shapes::organization(&state.coder)))
    })
}

/// The templates, the youngest first: no order of theirs is promised.
pub(super) fn templates(world: &World, org: &str) -> Result<Answer, Answer> {
    world.read(|state| {
        let coder = &state.coder;
        known_organization(coder, org)?;
        let shapes = coder.templates.iter().rev().map(|one| shapes::template(coder, one));
        Ok(Answer::json(200, shapes.collect()))
    })
}

pub(super) fn template(world: &World, org: &str, name: &str) -> Result<Answer, Answer> {
    world.read(|state| {
        known_organization(&state.coder, org)?;
        let found = state.coder.templates.iter().find(|template| template.name == name);
        let found = found.ok_or_else(answer::not_found)?;
        Ok(Answer::json(200, shapes::template(&state.coder, found)))
    })
}
