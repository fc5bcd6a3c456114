//! What Coder knows: users, workspaces, builds.

use std::collections::{BTreeMap, BTreeSet};

use axum::body::Bytes;
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::agent::Agent;
use super::keys::Key;
use super::versions::Version;
use crate::pace::Pace;

/// Users that are there from the first morning; others are made by `POST /api/v2/users`.
const USERS: [&str; 13] = [
    "alice", "bob", "carol", "dave", "demo", "erin", "jane", "john", "john.doe", "mallory",
    "platform", "stead", "zoe",
];

/// The user whose session token the lab gives out.
pub(super) const ME: &str = "stead";

/// The templates: one for each of the site's.
const TEMPLATES: [&str; 2] = ["stead-machine", "stead-desktop"];

/// What Coder knows.
pub(crate) struct State {
    pub(super) organization: Uuid,
    pub(super) templates: Vec<Template>,
    pub(super) born: DateTime<Utc>,
    pub(super) users: BTreeMap<String, Uuid>,
    /// Those who may not log in any more.
    pub(super) suspended: BTreeSet<String>,
    pub(crate) workspaces: BTreeMap<Uuid, Workspace>,
    /// Tokens ever minted, of agents and of users.
    pub(super) tokens: Vec<String>,
    pub(super) keys: Vec<Key>,
    pub(super) versions: Vec<Version>,
    /// What was uploaded.
    pub(super) files: BTreeMap<Uuid, Bytes>,
    /// Whether the last call has made something.
    pub(super) has_made: bool,
}

/// A template and its active version.
#[derive(Clone)]
pub(super) struct Template {
    pub(super) name: &'static str,
    pub(super) id: Uuid,
    pub(super) version: Uuid,
}

/// A workspace and its builds, oldest first; there is always one.
#[derive(Clone)]
pub(crate) struct Workspace {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) owner: String,
    pub(crate) deleted: bool,
    pub(super) owner_id: Uuid,
    pub(super) template: Template,
    pub(crate) created: DateTime<Utc>,
    pub(super) ttl_ms: Value,
    /// When somebody connected to it last.
    pub(crate) used: DateTime<Utc>,
    pub(crate) builds: Vec<Build>,
    /// The sizes that Terraform's state says were handed over.
    pub(super) applied: BTreeMap<String, String>,
}

/// One build.
#[derive(Clone)]
pub(crate) struct Build {
    pub(super) id: Uuid,
    pub(super) job: Uuid,
    pub(super) number: u64,
    pub(super) transition: Transition,
    /// The version of the template that it is of.
    pub(super) version: Uuid,
    pub(super) status: JobStatus,
    pub(super) error: String,
    /// What Terraform has said while it applied.
    pub(super) log: Vec<String>,
    pub(super) parameters: Vec<Value>,
    pub(crate) created: DateTime<Utc>,
    pub(super) started: Option<DateTime<Utc>>,
    pub(super) completed: Option<DateTime<Utc>>,
    pub(super) resource: Uuid,
    pub(crate) agent: Option<Agent>,
}

/// Where a build leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Transition {
    Start,
    Stop,
    Delete,
}

/// How far a build's job is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum JobStatus {
    Pending,
    Running,
    Succeeded,
    Canceling,
    Canceled,
    Failed,
}

impl State {
    /// Gives somebody an account, unless there is one.
    pub(crate) fn welcome(&mut self, user: &str, id: Uuid) {
        self.users.entry(user.to_owned()).or_insert(id);
    }

    /// Lets nobody of this name log in any more; false if there is none.
    pub(crate) fn suspend(&mut self, user: &str) -> bool {
        self.users.contains_key(user) && self.suspended.insert(user.to_owned())
    }

    pub(crate) fn pristine(pace: &Pace) -> Self {
        let organization = pace.uuid();
        let templates =
            TEMPLATES.map(|name| Template { name, id: pace.uuid(), version: pace.uuid() });
        let first = |one: &Template| Version::pristine(pace, one.id, one.version);
        Self {
            organization,
            versions: templates.iter().map(first).collect(),
            files: BTreeMap::new(),
            templates: templates.into(),
            born: Utc::now(),
            users: USERS.map(|name| (name.to_owned(), pace.uuid())).into(),
            workspaces: BTreeMap::new(),
            tokens: Vec::new(),
            keys: Vec::new(),
            has_made: false,
            suspended: BTreeSet::new(),
        }
    }

    /// Every token minted so far, of agents and of users.
    pub(crate) fn minted(&self) -> Vec<String> {
        self.tokens.clone()
    }

    /// The names of the tokens that users have.
    pub(crate) fn token_names(&self) -> Vec<String> {
        self.keys.iter().map(|key| key.name.clone()).collect()
    }

    /// A user by name, by id, or `me`.
    pub(super) fn user(&self, name: &str) -> Option<(String, Uuid)> {
        let name = if name == "me" { ME } else { name };
        let id = name.parse::<Uuid>().ok();
        let found = self.users.iter().find(|(known, uuid)| *known == name || Some(**uuid) == id);
        found.map(|(name, id)| (name.clone(), *id))
    }

    /// A workspace that is not deleted.
    pub(super) fn named(&self, owner: &str, name: &str) -> Option<&Workspace> {
        self.workspaces.values().find(|workspace| {
            !workspace.deleted
                && workspace.owner == owner
                && workspace.name.eq_ignore_ascii_case(name)
        })
    }

    /// A build and the workspace it belongs to.
    pub(super) fn build(&self, id: Uuid) -> Option<(&Workspace, &Build)> {
        self.workspaces.values().find_map(|workspace| {
            workspace.builds.iter().find(|build| build.id == id).map(|build| (workspace, build))
        })
    }

    /// How a build stands, and what its log says.
    pub(crate) fn log_of(&self, id: Uuid) -> Option<(&'static str, Vec<String>)> {
        let (_, build) = self.build(id)?;
        let error = Some(build.error.clone()).filter(|error| !error.is_empty());
        Some((build.status.word(), build.log.iter().cloned().chain(error).collect()))
    }

    pub(super) fn build_mut(&mut self, id: Uuid) -> Option<&mut Build> {
        self.workspaces
            .values_mut()
            .flat_map(|workspace| &mut workspace.builds)
            .find(|build| build.id == id)
    }
}

impl Workspace {
    pub(crate) fn latest(&self) -> &Build {
        // A workspace is created together with its first build.
        &self.builds[self.builds.len() - 1]
    }
}

impl Build {
    /// The workspace's status as this build makes it.
    pub(crate) fn status(&self) -> &'static str {
        match (self.status, self.transition) {
            (JobStatus::Pending, _) => "pending",
            (JobStatus::Running, Transition::Start) => "starting",
            (JobStatus::Running, Transition::Stop) => "stopping",
            (JobStatus::Running, Transition::Delete) => "deleting",
            (JobStatus::Succeeded, Transition::Start) => "running",
            (JobStatus::Succeeded, Transition::Stop) => "stopped",
            (JobStatus::Succeeded, Transition::Delete) => "deleted",
            (JobStatus::Canceling, _) => "canceling",
            (JobStatus::Canceled, _) => "canceled",
            (JobStatus::Failed, _) => "failed",
        }
    }

    /// The value of a parameter.
    pub(super) fn parameter(&self, name: &str) -> &str {
        let found = self.parameters.iter().find(|parameter| parameter["name"] == name);
        found.and_then(|parameter| parameter["value"].as_str()).unwrap_or_default()
    }
}

impl Transition {
    pub(super) fn parse(word: &str) -> Option<Self> {
        [Self::Start, Self::Stop, Self::Delete]
            .into_iter()
            .find(|transition| transition.word() == word)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Delete => "delete",
        }
    }
}

impl JobStatus {
    pub(super) fn is_active(self) -> bool {
        matches!(self, Self::Pending | Self::Running | Self::Canceling)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Canceling => "canceling",
            Self::Canceled => "canceled",
            Self::Failed => "failed",
        }
    }
}
