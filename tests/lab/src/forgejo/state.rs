//! What Forgejo knows: repositories, their secrets, runs and branches.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::answer;
use super::commits::{self, Hook, Tree};
use crate::net::Answer;
use crate::pace::Pace;

/// What our token may do with a repository.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Right {
    /// Everything.
    Owns,
    /// All but what is the owner's alone, as its secrets.
    Administers,
    /// It sees it.
    Reads,
}

/// What others have, of which nothing is ours to touch.
const OTHERS: [(&str, Right); 2] =
    [("charts/ours", Right::Administers), ("upstream/linux", Right::Reads)];

/// Who has a repository `templates` from the first morning.
const OWNERS: [&str; 5] = ["alice", "demo", "john", "john.doe", "platform"];

/// What Forgejo knows.
pub(crate) struct State {
    pub(super) repositories: BTreeMap<String, Repository>,
    pub(super) runs: Vec<Run>,
}

/// A repository.
pub(super) struct Repository {
    pub(super) born: DateTime<Utc>,
    pub(super) right: Right,
    /// Name and value; the value is never shown.
    pub(super) secrets: BTreeMap<String, String>,
    /// Name and last commit.
    pub(super) branches: BTreeMap<String, String>,
    /// What each commit holds.
    pub(super) commits: BTreeMap<String, Tree>,
    pub(super) hooks: Vec<Hook>,
    /// What they were told last.
    pub(super) last_push: String,
    /// Commit, context and state, the latest last.
    pub(super) statuses: Vec<(String, String, String)>,
}

/// A run of a workflow. Its number is its place among all of them, counted from 1.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) repository: String,
    pub(super) workflow: String,
    pub(super) branch: String,
    pub(super) commit: String,
    /// What it was started with, as a text of JSON.
    pub(super) payload: String,
    pub(super) status: &'static str,
    pub(super) created: DateTime<Utc>,
    pub(super) started: Option<DateTime<Utc>>,
    pub(super) stopped: Option<DateTime<Utc>>,
}

impl State {
    pub(crate) fn pristine(pace: &Pace) -> Self {
        let repository = |right: Right| {
            let commit = commits::hash(pace.uuid());
            Repository {
                born: Utc::now(),
                right,
                secrets: BTreeMap::new(),
                branches: BTreeMap::from([("main".to_owned(), commit.clone())]),
                commits: BTreeMap::from([(commit, commits::pristine())]),
                hooks: Vec::new(),
                last_push: String::new(),
                statuses: Vec::new(),
            }
        };
        let owned = OWNERS.map(|owner| (format!("{owner}/templates"), Right::Owns));
        let others = OTHERS.map(|(name, right)| (name.to_owned(), right));
        let all = owned.into_iter().chain(others);
        let repositories = all.map(|(name, right)| (name, repository(right))).collect();
        Self { repositories, runs: Vec::new() }
    }

    pub(super) fn repository(&self, name: &str) -> Result<&Repository, Answer> {
        self.repositories.get(name).ok_or_else(answer::not_found)
    }

    pub(super) fn repository_mut(&mut self, name: &str) -> Result<&mut Repository, Answer> {
        self.repositories.get_mut(name).ok_or_else(answer::not_found)
    }

    /// Every secret that somebody has put and nobody has deleted: `john/templates NAME`.
    pub(crate) fn secret_names(&self) -> Vec<String> {
        let of = |(name, held): (&String, &Repository)| {
            held.secrets.keys().map(|secret| format!("{name} {secret}")).collect::<Vec<_>>()
        };
        self.repositories.iter().flat_map(of).collect()
    }

    /// Somebody gives a repository a secret by hand. False if there is no such repository.
    pub(crate) fn plant_secret(&mut self, repository: &str, name: &str) -> bool {
        let found = self.repositories.get_mut(repository);
        found.map(|held| held.secrets.insert(name.to_owned(), "theirs".to_owned())).is_some()
    }

    /// Somebody deletes a secret by hand. False if there is none.
    pub(crate) fn lose_secret(&mut self, repository: &str, name: &str) -> bool {
        let found = self.repositories.get_mut(repository);
        found.is_some_and(|held| held.secrets.remove(name).is_some())
    }

    /// Whom to tell of pushes. False if there is no such repository.
    pub(crate) fn hook(&mut self, repository: &str, url: &str, secret: &str) -> bool {
        let Some(held) = self.repositories.get_mut(repository) else { return false };
        held.hooks.push(Hook { url: url.to_owned(), secret: secret.to_owned() });
        true
    }

    /// The commit that a branch ends with.
    pub(crate) fn head(&self, repository: &str, branch: &str) -> Option<String> {
        self.repositories.get(repository)?.branches.get(branch).cloned()
    }

    /// What was said last of a commit in a context.
    pub(crate) fn status(&self, repository: &str, commit: &str, context: &str) -> Option<String> {
        let mut said = self.repositories.get(repository)?.statuses.iter().rev();
        let found = said.find(|(of, by, _)| of == commit && by == context);
        found.map(|(_, _, state)| state.clone())
    }

    /// The value of a secret, as a job would be given it.
    pub(crate) fn secret(&self, repository: &str, name: &str) -> Option<String> {
        self.repositories.get(repository)?.secrets.get(name).cloned()
    }
}
