//! Authentik, API v3: users and groups, and who of them may log in.
//!
//! What it is hostile with is what the real one does: a bad token is a 403 with a `detail`, a token
//! without the right to see anybody is shown an empty list, pages shift while they are read, and
//! names may differ by case alone.

mod answer;
mod shapes;
mod state;

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
pub(crate) use state::State;
use state::{Group, User};

use crate::net::{Answer, Before, Call, HttpVendor, Severity};
use crate::world::World;

/// How many things stand on a page if nothing is said, and how many at most.
const PAGE: usize = 20;
const PAGE_MAX: usize = 100;

/// What becomes of somebody's account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserChange {
    /// There is one.
    Add,
    /// It is disabled.
    Disable,
    /// It is enabled.
    Enable,
    /// It is called otherwise; whose it is stays.
    Rename(String),
    /// It goes.
    Delete,
}

/// Changes an account. False if that cannot be done to one of this name.
pub(crate) fn change(world: &World, name: &str, change: &UserChange) -> bool {
    let uuid = world.pace.uuid();
    let is_done = world.change(|state| match change {
        UserChange::Add => state.authentik.add(name, uuid),
        UserChange::Disable => state.authentik.set_active(name, false),
        UserChange::Enable => state.authentik.set_active(name, true),
        UserChange::Rename(to) => state.authentik.rename(name, to),
        UserChange::Delete => state.authentik.delete(name),
    });
    if is_done {
        world.journal.effect("authentik", "user-changed", name, "");
    }
    is_done
}

/// The vendor.
pub(crate) struct Authentik;

impl HttpVendor for Authentik {
    const NAME: &'static str = "authentik";

    fn before(world: &World, _: &Call) -> Before {
        let fires = |name| world.faults.fires("authentik", name);
        if fires("unauthorized") {
            return Before::Answer(answer::bad_token());
        }
        if fires("forbidden") {
            return Before::Answer(answer::forbidden());
        }
        if fires("not-in-service") {
            return Before::Answer(answer::detail(503, "authentik starting"));
        }
        if fires("slow") {
            return Before::Wait(Duration::from_secs(1));
        }
        Before::Go
    }

    fn answer(world: &Arc<World>, call: &Call) -> Answer {
        let Some(segments) = call.segments("/api/v3/") else { return answer::not_found() };
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        let token = call.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        match token {
            None => return answer::detail(403, "Authentication credentials were not provided."),
            Some(token) if token != world.secrets.authentik_token => return answer::bad_token(),
            Some(_) => {}
        }
        // Without it the real one answers with a redirect, which no client of ours follows.
        if !call.path.ends_with('/') {
            return Answer::empty(301).header("location", format!("{}/", call.path));
        }
        let found = match (call.method.as_str(), path.as_slice()) {
            ("GET", ["core", "users"]) => list_users(world, call),
            ("GET", ["core", "users", "me"]) => me(world),
            ("GET", ["core", "users", pk]) => show_user(world, pk),
            ("GET", ["core", "groups"]) => list_groups(world, call),
            ("GET", ["core", "groups", pk]) => show_group(world, pk),
            _ => Err(answer::not_found()),
        };
        found.unwrap_or_else(|refused| refused)
    }

    fn after(_: &World, _: &Call, answer: Answer) -> Option<Answer> {
        Some(answer)
    }

    fn failure(severity: Severity) -> Answer {
        match severity {
            Severity::Passing => answer::detail(502, "failed to connect to authentik backend"),
            Severity::Lasting => answer::forbidden(),
        }
    }
}

fn list_users(world: &World, call: &Call) -> Result<Answer, Answer> {
    let fits = filter(world, call)?;
    let shows_groups = call.query("include_groups") != Some("false");
    world.read(|state| {
        let directory = &state.authentik;
        let mut users: Vec<&User> = directory.users.iter().filter(|user| fits(user)).collect();
        match call.query("ordering") {
            Some("date_joined") => users.sort_by_key(|user| user.pk),
            _ => users.sort_by_key(|user| user.username.clone()),
        }
        if world.faults.fires("authentik", "sees-nobody") {
            users.clear();
        }
        let first = first_of_page(call, users.len())?;
        // Somebody of an earlier page has gone meanwhile: whoever was to come next is on no page.
        let shift = usize::from(first > 0 && world.faults.fires("authentik", "page-shifts"));
        let on_page = users.iter().skip(first + shift).take(size_of_page(call));
        let results = on_page.map(|user| shapes::user(directory, user, shows_groups)).collect();
        Ok(shapes::page(call, users.len() - shift, first, size_of_page(call), results))
    })
}

/// Which users are asked for. What the real one does not know as a filter, it leaves aside; a value
/// that a filter cannot be is refused.
fn filter(world: &World, call: &Call) -> Result<impl Fn(&User) -> bool + use<>, Answer> {
    let text = |name| call.query(name).filter(|value| !value.is_empty()).map(str::to_owned);
    let (username, email, uuid) = (text("username"), text("email"), text("uuid"));
    let (search, group) = (text("search").map(|word| word.to_lowercase()), text("groups_by_name"));
    if uuid.as_ref().is_some_and(|uuid| uuid::Uuid::parse_str(uuid).is_err()) {
        return Err(answer::invalid("uuid", "Enter a valid UUID."));
    }
    let is_active = match call.query("is_active") {
        Some("true" | "True" | "1") => Some(true),
        Some("false" | "False" | "0") => Some(false),
        _ => None,
    };
    let group = group.map(|name| world.read(|state| state.authentik.group(&name).map(|g| g.pk)));
    let any_case = username.is_some() && world.faults.fires("authentik", "case-twin");
    Ok(move |user: &User| {
        let is_named = |name: &String| {
            *name == user.username || (any_case && name.eq_ignore_ascii_case(&user.username))
        };
        username.as_ref().is_none_or(is_named)
            && email.as_ref().is_none_or(|email| *email == user.email())
            && uuid.as_ref().is_none_or(|uuid| *uuid == user.uuid.to_string())
            && is_active.is_none_or(|active| active == user.is_active)
            && group.is_none_or(|group| group.is_some_and(|pk| user.groups.contains(&pk)))
            && search.as_ref().is_none_or(|word| user.username.to_lowercase().contains(word))
    })
}

fn list_groups(world: &World, call: &Call) -> Result<Answer, Answer> {
    let (name, member) = (call.query("name"), call.query("members_by_username"));
    let shows_users = call.query("include_users") != Some("false");
    world.read(|state| {
        let directory = &state.authentik;
        let has = |group: &Group, name: &str| {
            directory
                .users
                .iter()
                .any(|user| user.username == name && user.groups.contains(&group.pk))
        };
        let groups: Vec<&Group> = directory
            .groups
            .iter()
            .filter(|group| name.is_none_or(|name| name == group.name))
            .filter(|group| member.is_none_or(|member| has(group, member)))
            .collect();
        let first = first_of_page(call, groups.len())?;
        let on_page = groups.iter().skip(first).take(size_of_page(call));
        let results = on_page.map(|group| shapes::group(directory, group, shows_users)).collect();
        Ok(shapes::page(call, groups.len(), first, size_of_page(call), results))
    })
}

fn show_group(world: &World, pk: &str) -> Result<Answer, Answer> {
    world.read(|state| {
        let directory = &state.authentik;
        let found = directory.groups.iter().find(|group| group.pk.to_string() == pk);
        let group = found.ok_or_else(|| answer::none("Group"))?;
        Ok(Answer::json(200, shapes::group(directory, group, true)))
    })
}

fn show_user(world: &World, pk: &str) -> Result<Answer, Answer> {
    world.read(|state| {
        let directory = &state.authentik;
        let found = directory.users.iter().find(|user| user.pk.to_string() == pk);
        let user = found.ok_or_else(|| answer::none("User"))?;
        Ok(Answer::json(200, shapes::user(directory, user, true)))
    })
}

/// Whose the token is: everybody may see himself.
fn me(world: &World) -> Result<Answer, Answer> {
    world.read(|state| {
        let found = state.authentik.user(state::SERVICE).ok_or_else(|| answer::none("User"))?;
        Ok(Answer::json(200, shapes::session(found)))
    })
}

fn size_of_page(call: &Call) -> usize {
    let asked = call.query("page_size").and_then(|text| text.parse().ok());
    asked.filter(|size| *size > 0).unwrap_or(PAGE).min(PAGE_MAX)
}

/// How many things come before the page that is asked for. The first page may be empty.
fn first_of_page(call: &Call, count: usize) -> Result<usize, Answer> {
    let page: usize = match call.query("page") {
        None => 1,
        Some(text) => text.parse().map_err(|_| answer::detail(404, "Invalid page."))?,
    };
    let first = page.saturating_sub(1).saturating_mul(size_of_page(call));
    match page {
        1 => Ok(0),
        0 => Err(answer::detail(404, "Invalid page.")),
        _ if first >= count => Err(answer::detail(404, "Invalid page.")),
        _ => Ok(first),
    }
}
