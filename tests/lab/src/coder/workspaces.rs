//! Workspaces: create, find, show.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::Utc;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer;
use super::builds;
use super::shapes;
use super::state::{State, Template, Transition, Workspace};
use crate::net::{Answer, Call};
use crate::world::World;

/// Letters, digits and single dashes between them, at most 32.
pub(super) fn valid_name(name: &str) -> bool {
    let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric());
    name.len() <= 32 && name.split('-').all(word)
}

pub(super) fn create(world: &Arc<World>, call: &Call, user: &str) -> Result<Answer, Answer> {
    let fields = call.fields();
    let name = call.text("name").unwrap_or_default().to_owned();
    if !valid_name(&name) {
        let detail = format!("Validation failed for tag \"workspace_name\" with value: \"{name}\"");
        return Err(answer::validation(400, "Validation failed.", "name", &detail));
    }
    let parameters = builds::parameters_of(&fields)?;
    let (id, build) = (world.pace.uuid(), builds::Ids::new(&world.pace));
    let shown = world.change(|state| {
        let coder = &mut state.coder;
        let (owner, owner_id) = coder.user(user).ok_or_else(answer::no_user)?;
        let (template, version) = known_template(coder, call)?;
        if coder.named(&owner, &name).is_some() {
            let text = format!("Workspace \"{name}\" already exists.");
            let detail = "This value is already in use and should be unique.";
            return Err(answer::validation(409, &text, "name", detail));
        }
        let ttl_ms = fields.get("ttl_ms").cloned().unwrap_or(Value::Null);
        let mut workspace = Workspace {
            id,
            name,
            owner,
            deleted: false,
            owner_id,
            template,
            created: Utc::now(),
            ttl_ms,
            used: Utc::now(),
            builds: Vec::new(),
            applied: BTreeMap::new(),
        };
        workspace.builds.push(build.build(1, (Transition::Start, version), parameters));
        let (subject, marker) = builds::subject(&workspace);
        world.journal.effect("coder", "workspace-created", &subject, &marker);
        world.journal.effect("coder", "coder-build-start", &subject, &marker);
        let shown = shapes::workspace(coder, &workspace);
        coder.workspaces.insert(id, workspace);
        Ok(shown)
    })?;
    builds::run(world, id, build.build);
    Ok(Answer::json(201, shown))
}

/// The template that is wanted, and the version of it: the active one, unless one is named.
fn known_template(coder: &State, call: &Call) -> Result<(Template, Uuid), Answer> {
    let given = |name: &str| call.text(name).filter(|id| !id.is_empty());
    let known = |id: &str| coder.templates.iter().find(|one| one.id.to_string() == id).cloned();
    match (given("template_id"), given("template_version_id")) {
        (Some(id), None) => {
            let known = known(id).ok_or_else(|| {
                let text = format!("Template \"{id}\" doesn't exist.");
                answer::validation(400, &text, "template_id", "template not found")
            })?;
            let active = known.version;
            Ok((known, active))
        }
        (None, Some(id)) => {
            let (version, template) = coder.buildable(id, None)?;
            Ok((known(&template.to_string()).ok_or_else(answer::not_found)?, version))
        }
        (None, None) | (Some(_), Some(_)) => {
            let detail = "One of template_id or template_version_id is required";
            Err(answer::validation(400, "Validation failed.", "template_id", detail))
        }
    }
}

pub(super) fn by_name(
    world: &World,
    call: &Call,
    user: &str,
    name: &str,
) -> Result<Answer, Answer> {
    let deleted_too = call.query("include_deleted").is_some_and(|flag| flag == "true");
    world.read(|state| {
        let coder = &state.coder;
        let (owner, _) = coder.user(user).ok_or_else(answer::no_user)?;
        let deleted = || {
            let mut all = coder.workspaces.values().filter(|_| deleted_too);
            all.find(|workspace| {
                workspace.owner == owner && workspace.name.eq_ignore_ascii_case(name)
            })
        };
        let found = coder.named(&owner, name).or_else(deleted).ok_or_else(answer::not_found)?;
        Ok(Answer::json(200, shapes::workspace(coder, found)))
    })
}

pub(super) fn by_id(world: &World, call: &Call, id: &str) -> Result<Answer, Answer> {
    let deleted_too = call.query("include_deleted").is_some_and(|flag| flag == "true");
    world.read(|state| {
        let found = find(&state.coder, id)?;
        if found.deleted && !deleted_too {
            let text = format!("Workspace {id:?} was deleted, you can view this workspace by specifying '?deleted=true' and trying again.");
            return Err(answer::message(410, &text));
        }
        Ok(Answer::json(200, shapes::workspace(&state.coder, found)))
    })
}

pub(super) fn uuid(id: &str) -> Result<Uuid, Answer> {
    let detail = format!("Invalid UUID \"{id}\"");
    id.parse().map_err(|_| answer::validation(400, "Invalid UUID.", "id", &detail))
}

pub(super) fn find<'a>(coder: &'a State, id: &str) -> Result<&'a Workspace, Answer> {
    coder.workspaces.get(&uuid(id)?).ok_or_else(answer::not_found)
}

/// `?q=owner:me name:dev status:running`, words that are left over look for a name.
pub(super) fn list(world: &World, call: &Call) -> Result<Answer, Answer> {
    let query = call.query("q").unwrap_or_default();
    let size =
        |name: &str| call.query(name).and_then(|size| size.parse::<usize>().ok()).unwrap_or(0);
    let limit = if size("limit") == 0 { usize::MAX } else { size("limit") };
    world.read(|state| {
        let coder = &state.coder;
        let found: Vec<&Workspace> =
            coder.workspaces.values().filter(|one| matches(coder, one, query)).collect();
        let page = found.iter().skip(size("offset")).take(limit);
        let page: Vec<Value> = page.map(|workspace| shapes::workspace(coder, workspace)).collect();
        Ok(Answer::json(200, json!({ "workspaces": page, "count": found.len() })))
    })
}

fn matches(coder: &State, workspace: &Workspace, query: &str) -> bool {
    let wants_deleted = query.split_whitespace().any(|word| word == "deleted:true");
    let word = |word: &str| match word.trim_matches('"').split_once(':') {
        Some(("owner", owner)) => {
            coder.user(owner).is_some_and(|(name, _)| name == workspace.owner)
        }
        Some(("name", name)) => workspace.name.contains(name.trim_matches('"')),
        Some(("status", status)) => workspace.latest().status() == status,
        Some(("template", template)) => template == workspace.template.name,
        Some(_) => true,
        None => workspace.name.contains(word),
    };
    workspace.deleted == wants_deleted && query.split_whitespace().all(word)
}

pub(super) fn agent(world: &World, id: &str) -> Result<Answer, Answer> {
    let id = uuid(id)?;
    world.read(|state| {
        let mut builds = state.coder.workspaces.values().flat_map(|workspace| &workspace.builds);
        let shown = builds.find_map(|build| {
            let agent = build.agent.as_ref().filter(|agent| agent.id == id)?;
            Some(agent.shape(build.resource))
        });
        shown.map(|shown| Answer::json(200, shown)).ok_or_else(answer::not_found)
    })
}

#[cfg(test)]
mod tests {
    use super::valid_name;

    #[test]
    fn workspace_names_are_short_and_plain() {
        assert!(valid_name("dev") && valid_name("john-dev-2"));
        assert!(
            !valid_name("a.b")
                && !valid_name("-a")
                && !valid_name("a--b")
                && !valid_name(&"x".repeat(33))
        );
    }
}
