//! Versions of templates: files, imports, which version is active.
//!
//! An import carries Terraform out in production; `terraform.rs` plays that.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::shapes::omit_nulls;
use super::state::{JobStatus, ME, State, Template};
use super::workspaces::uuid;
use super::{answer, terraform, users};
use crate::net::{Answer, Call};
use crate::pace::Pace;
use crate::world::World;

/// What a version of a template's first morning is made of, and called.
pub(super) const FIRST: &str = "v1";
/// The longest name of a version.
const NAME_MAX: usize = 64;

/// A version of a template.
pub(crate) struct Version {
    pub(super) id: Uuid,
    template: Uuid,
    pub(super) name: String,
    pub(crate) message: String,
    file: Uuid,
    job: Uuid,
    status: JobStatus,
    error: String,
    parameters: Vec<Value>,
    /// What its variables were given.
    variables: BTreeMap<String, String>,
    pub(crate) archived: bool,
    /// Whether it was there from the first morning.
    pub(crate) preexisting: bool,
    created: DateTime<Utc>,
    started: Option<DateTime<Utc>>,
    completed: Option<DateTime<Utc>>,
    provisioners: u32,
}

impl Version {
    pub(super) fn pristine(pace: &Pace, template: Uuid, id: Uuid) -> Self {
        let now = Utc::now();
        Self {
            status: JobStatus::Succeeded,
            parameters: vec![terraform::parameter("stead_run", true)],
            preexisting: true,
            started: Some(now),
            completed: Some(now),
            ..Self::new(pace, template, id, FIRST)
        }
    }

    fn new(pace: &Pace, template: Uuid, id: Uuid, name: &str) -> Self {
        Self {
            id,
            template,
            name: name.to_owned(),
            message: String::new(),
            file: pace.uuid(),
            job: pace.uuid(),
            status: JobStatus::Pending,
            error: String::new(),
            parameters: Vec::new(),
            variables: BTreeMap::new(),
            archived: false,
            preexisting: false,
            created: Utc::now(),
            started: None,
            completed: None,
            provisioners: 1,
        }
    }

    fn shape(&self, state: &State) -> Value {
        let by = json!({ "id": state.users.get(ME), "username": ME, "name": ME, "avatar_url": "" });
        let mut job = json!({
            "id": self.job, "created_at": self.created, "started_at": self.started,
            "completed_at": self.completed, "status": self.status.word(), "error": self.error,
            "file_id": self.file, "initiator_id": state.users.get(ME), "queue_position": 0,
            "queue_size": 0, "organization_id": state.organization, "type": "template_version_import",
            "tags": { "owner": "", "scope": "organization" }, "available_workers": [],
            "input": { "template_version_id": self.id }, "logs_overflowed": false,
            "metadata": { "template_version_name": self.name, "template_id": self.template },
        });
        if self.error.is_empty() {
            job["error"] = Value::Null;
        }
        omit_nulls(&mut job, &["started_at", "completed_at", "error"]);
        let seen = (self.provisioners > 0).then(Utc::now);
        json!({
            "id": self.id, "template_id": self.template, "organization_id": state.organization,
            "created_at": self.created, "updated_at": self.completed.unwrap_or(self.created),
            "name": self.name, "message": self.message, "job": job, "readme": "", "created_by": by,
            "archived": self.archived, "has_external_agent": false, "warnings": [],
            "matched_provisioners": {
                "count": self.provisioners, "available": self.provisioners, "most_recently_seen": seen,
            },
        })
    }
}

impl State {
    /// The name of a version.
    pub(super) fn version_name(&self, id: Uuid) -> &str {
        let found = self.versions.iter().find(|version| version.id == id);
        found.map_or(FIRST, |version| &version.name)
    }

    /// Versions that somebody has made and nobody has archived: `stead-machine/NAME`, with what
    /// their message says.
    pub(crate) fn version_names(&self) -> Vec<(String, String)> {
        let made = self.versions.iter().filter(|one| !one.preexisting && !one.archived);
        let named = made.filter_map(|one| {
            let template = self.templates.iter().find(|template| template.id == one.template)?;
            Some((format!("{}/{}", template.name, one.name), one.message.clone()))
        });
        named.collect()
    }

    /// The name of the version that is active.
    pub(crate) fn active_version(&self, template: &str) -> Option<&str> {
        let template = self.templates.iter().find(|known| known.name == template)?;
        Some(self.version_name(template.version))
    }

    /// The name of the version that a workspace's latest build is of.
    pub(crate) fn version_of(&self, owner: &str, name: &str) -> Option<&str> {
        self.named(owner, name).map(|workspace| self.version_name(workspace.latest().version))
    }

    /// The active version of what a workspace was made of.
    pub(super) fn active_of(&self, template: &Template) -> Uuid {
        let now = self.templates.iter().find(|known| known.id == template.id);
        now.map_or(template.version, |now| now.version)
    }

    /// A version that workspaces may be built from, and its template.
    pub(super) fn buildable(
        &self,
        id: &str,
        template: Option<Uuid>,
    ) -> Result<(Uuid, Uuid), Answer> {
        let version = self.version(id).map_err(|_| {
            let detail = "template version not found";
            let text = "Template version doesn't exist.";
            answer::validation(400, text, "template_version_id", detail)
        })?;
        if template.is_some_and(|template| template != version.template) {
            return Err(answer::message(
                400,
                "The version is not one of the workspace's template.",
            ));
        }
        if version.archived {
            let text = "Archived template versions cannot be used to make a workspace.";
            return Err(answer::message(400, text));
        }
        if version.status != JobStatus::Succeeded {
            let text = "The provided template version is not imported.";
            return Err(answer::message(400, text));
        }
        Ok((version.id, version.template))
    }

    /// Somebody archives a version of this name, or makes it so that it can be used again. False if
    /// there is none.
    pub(crate) fn archive(&mut self, name: &str, is_archived: bool) -> bool {
        let found = self.versions.iter_mut().find(|version| version.name == name);
        found.map(|version| version.archived = is_archived).is_some()
    }

    /// Somebody makes a version by hand. False if there is no such template.
    pub(crate) fn plant_version(
        &mut self,
        pace: &Pace,
        template: &str,
        name: &str,
        message: &str,
    ) -> bool {
        let found = self.templates.iter().find(|known| known.name == template);
        let Some(id) = found.map(|template| template.id) else { return false };
        let new = Version::new(pace, id, pace.uuid(), name);
        let (status, message) = (JobStatus::Succeeded, message.to_owned());
        self.versions.push(Version { status, message, completed: Some(Utc::now()), ..new });
        true
    }

    fn version(&self, id: &str) -> Result<&Version, Answer> {
        let id = uuid(id)?;
        self.versions.iter().find(|version| version.id == id).ok_or_else(answer::not_found)
    }
}

/// The same bytes are one file to whoever gives them again.
pub(super) fn upload(world: &World, call: &Call) -> Result<Answer, Answer> {
    let kind = call.header("content-type").unwrap_or_default();
    if !["application/x-tar", "application/zip"].contains(&kind) {
        let text = format!("Unsupported content type header {kind:?}.");
        return Err(answer::message(400, &text));
    }
    let id = world.pace.uuid();
    let (status, id) = world.change(|state| {
        let files = &mut state.coder.files;
        match files.iter().find(|(_, bytes)| **bytes == call.raw_body) {
            Some((known, _)) => (200, *known),
            None => {
                files.insert(id, call.raw_body.clone());
                (201, id)
            }
        }
    });
    Ok(Answer::json(status, json!({ "hash": id })))
}

pub(super) fn create(world: &Arc<World>, call: &Call, org: &str) -> Result<Answer, Answer> {
    let text = |field: &str| call.text(field).unwrap_or_default().to_owned();
    let invalid = |field: &str, detail: &str| {
        Err(answer::validation(400, "Validation failed.", field, detail))
    };
    let (name, file) = (text("name"), text("file_id"));
    let plain = |c: char| c.is_ascii_alphanumeric() || ['-', '_', '.'].contains(&c);
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(plain) {
        return invalid("name", "Validation failed for tag \"template_version_name\"");
    }
    if text("storage_method") != "file" || text("provisioner") != "terraform" {
        return invalid("storage_method", "Validation failed for tag \"oneof\"");
    }
    let (template, file) = (uuid(&text("template_id"))?, uuid(&file)?);
    let new = Version {
        message: text("message"),
        variables: variables(call)?,
        file,
        ..Version::new(&world.pace, template, world.pace.uuid(), &name)
    };
    let id = new.id;
    let blind = world.faults.holds("coder", "no-provisioner");
    let shown = world.change(|state| {
        let coder = &mut state.coder;
        users::known_organization(coder, org)?;
        if !coder.templates.iter().any(|known| known.id == template) {
            return Err(answer::message(404, "Template does not exist."));
        }
        if !coder.files.contains_key(&file) {
            return Err(answer::message(404, "File not found."));
        }
        if coder.versions.iter().any(|one| one.template == template && one.name == name) {
            let text = format!("Template version with name {name:?} already exists.");
            return Err(answer::validation(409, &text, "name", "This value is already in use"));
        }
        let new = Version { provisioners: u32::from(!blind), ..new };
        let shown = new.shape(coder);
        coder.versions.push(new);
        Ok(shown)
    })?;
    world.journal.effect("coder", "version-created", &name, &text("message"));
    import(world, id);
    Ok(Answer::json(201, shown))
}

fn variables(call: &Call) -> Result<BTreeMap<String, String>, Answer> {
    let fields = call.fields();
    let given = fields.get("user_variable_values").and_then(Value::as_array);
    let one =
        |one: &Value| Some((one["name"].as_str()?.to_owned(), one["value"].as_str()?.to_owned()));
    let read: Option<_> = given.into_iter().flatten().map(one).collect();
    read.ok_or_else(|| {
        let detail = "a list of name and value";
        answer::validation(400, "Validation failed.", "user_variable_values", detail)
    })
}

/// Lets a provisioner import a version.
fn import(world: &Arc<World>, id: Uuid) {
    let background = Arc::clone(world);
    world.spawn(async move {
        let world = background;
        world.pace.work(100).await;
        for fault in ["import-stuck", "no-provisioner"] {
            if world.faults.fires("coder", fault) {
                world.until(|world| (!world.faults.holds("coder", fault)).then_some(())).await;
            }
        }
        world.change(|state| {
            if let Some(version) = state.coder.versions.iter_mut().find(|one| one.id == id) {
                version.status = JobStatus::Running;
                version.provisioners = 1;
                version.started = Some(Utc::now());
            }
        });
        world.pace.work(800).await;
        let fails = world.faults.fires("coder", "import-failed");
        world.change(|state| end(&mut state.coder, id, fails));
    });
}

fn end(state: &mut State, id: Uuid, fails: bool) {
    let Some(version) = state.versions.iter_mut().find(|version| version.id == id) else { return };
    let imported = match (fails, state.files.get(&version.file)) {
        (true, _) => Err(terraform::failure(&version.variables)),
        (false, None) => Err("the file is gone".to_owned()),
        (false, Some(bytes)) => terraform::carry_out(bytes, &version.variables),
    };
    version.completed = Some(Utc::now());
    match imported {
        Ok(parameters) => {
            version.status = JobStatus::Succeeded;
            version.parameters = parameters;
        }
        Err(error) => {
            version.status = JobStatus::Failed;
            version.error = error;
        }
    }
}

pub(super) fn show(world: &World, id: &str) -> Result<Answer, Answer> {
    world.read(|state| {
        let version = state.coder.version(id)?;
        Ok(Answer::json(200, version.shape(&state.coder)))
    })
}

/// The versions of a template that are not archived, the oldest first.
pub(super) fn list(world: &World, call: &Call, template: &str) -> Result<Answer, Answer> {
    let template = uuid(template)?;
    let number = |name: &str| call.query(name).and_then(|text| text.parse::<usize>().ok());
    let (limit, offset) = (number("limit").unwrap_or(usize::MAX), number("offset").unwrap_or(0));
    let archived = call.query("include_archived") == Some("true");
    world.read(|state| {
        let coder = &state.coder;
        if !coder.templates.iter().any(|known| known.id == template) {
            return Err(answer::not_found());
        }
        let mut all: Vec<_> =
            coder.versions.iter().filter(|one| one.template == template).collect();
        if let Some(after) = call.query("after_id") {
            let place = all.iter().position(|one| one.id.to_string() == after);
            let place = place.ok_or_else(|| {
                let text = format!("Record at \"after_id\" ({after:?}) does not exist.");
                answer::message(400, &text)
            })?;
            all.drain(..=place);
        }
        let shown = all.into_iter().filter(|one| archived || !one.archived);
        let page = shown.skip(offset).take(limit).map(|one| one.shape(coder));
        Ok(Answer::json(200, page.collect()))
    })
}

pub(super) fn by_name(
    world: &World,
    org: &str,
    template: &str,
    name: &str,
) -> Result<Answer, Answer> {
    world.read(|state| {
        let coder = &state.coder;
        users::known_organization(coder, org)?;
        let template = coder.templates.iter().find(|known| known.name == template);
        let template = template.ok_or_else(answer::not_found)?.id;
        let mut of_template = coder.versions.iter().filter(|one| one.template == template);
        let found = of_template.find(|one| one.name == name).ok_or_else(|| {
            answer::message(404, &format!("No template version found by name {name:?}."))
        })?;
        Ok(Answer::json(200, found.shape(coder)))
    })
}

pub(super) fn parameters(world: &World, id: &str) -> Result<Answer, Answer> {
    world.read(|state| {
        let version = state.coder.version(id)?;
        if version.completed.is_none() {
            return Err(answer::message(412, "Template version job has not finished"));
        }
        Ok(Answer::json(200, Value::from(version.parameters.clone())))
    })
}

pub(super) fn promote(world: &World, call: &Call, template: &str) -> Result<Answer, Answer> {
    let (template, wanted) = (uuid(template)?, uuid(call.text("id").unwrap_or_default())?);
    let name = world.change(|state| {
        let coder = &mut state.coder;
        let version = coder.versions.iter().find(|version| version.id == wanted);
        let version = version.ok_or_else(|| answer::message(404, "Template version not found."))?;
        if version.template != template {
            let text = "The provided template version doesn't belong to the specified template.";
            return Err(answer::message(400, text));
        }
        if version.status != JobStatus::Succeeded {
            let text = "Only versions that have been built successfully can be promoted.";
            return Err(answer::message(403, text));
        }
        if version.archived {
            let text = "The provided template version is archived.";
            return Err(answer::message(400, text));
        }
        let name = version.name.clone();
        let held = coder.templates.iter_mut().find(|known| known.id == template);
        held.ok_or_else(answer::not_found)?.version = wanted;
        Ok(name)
    })?;
    world.journal.effect("coder", "version-promoted", &name, "");
    Ok(answer::message(200, "Updated the active template version!"))
}

pub(super) fn archive(world: &World, id: &str) -> Result<Answer, Answer> {
    let name = world.change(|state| {
        let coder = &mut state.coder;
        let version = coder.version(id)?;
        if version.archived {
            return Err(answer::message(400, "This template version is already archived"));
        }
        let id = version.id;
        let is_used = coder.templates.iter().any(|template| template.version == id)
            || coder.workspaces.values().any(|one| !one.deleted && one.latest().version == id);
        if is_used {
            let text = "Unable to archive specified version, the version is likely in use by a \
                        workspace or currently set to the active version";
            return Err(answer::message(400, text));
        }
        let version = coder.versions.iter_mut().find(|version| version.id == id);
        let version = version.ok_or_else(answer::not_found)?;
        version.archived = true;
        Ok(version.name.clone())
    })?;
    world.journal.effect("coder", "version-archived", &name, "");
    Ok(answer::message(200, &format!("template version {name} archived")))
}
