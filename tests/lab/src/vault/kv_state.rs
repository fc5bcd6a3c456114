//! KV v2: versioned secrets. The version number never goes back, not even after a soft delete.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

/// How many versions of a secret are kept.
pub(super) const VERSIONS_MAX: u64 = 10;

/// All secrets of the mount.
#[derive(Default)]
pub(super) struct Store {
    secrets: BTreeMap<String, Secret>,
}

/// One secret with its history.
#[derive(Clone)]
pub(super) struct Secret {
    pub(super) current: u64,
    pub(super) created: DateTime<Utc>,
    pub(super) updated: DateTime<Utc>,
    pub(super) versions: BTreeMap<u64, Version>,
}

/// One version of a secret.
#[derive(Clone)]
pub(super) struct Version {
    pub(super) data: Map<String, Value>,
    pub(super) created: DateTime<Utc>,
    pub(super) deleted: Option<DateTime<Utc>>,
    pub(super) destroyed: bool,
}

/// What happens to single versions.
#[derive(Clone, Copy)]
pub(super) enum Fate {
    Delete,
    Undelete,
    Destroy,
}

impl Store {
    pub(super) fn get(&self, path: &str) -> Option<&Secret> {
        self.secrets.get(path)
    }

    pub(super) fn put(&mut self, path: &str, data: Map<String, Value>) -> u64 {
        let now = Utc::now();
        let secret = self.secrets.entry(path.to_owned()).or_insert_with(|| Secret {
            current: 0,
            created: now,
            updated: now,
            versions: BTreeMap::new(),
        });
        secret.current += 1;
        secret.updated = now;
        let version = Version { data, created: now, deleted: None, destroyed: false };
        secret.versions.insert(secret.current, version);
        let oldest = secret.current.saturating_sub(VERSIONS_MAX);
        secret.versions.retain(|number, _| *number > oldest);
        secret.current
    }

    pub(super) fn apply(&mut self, path: &str, versions: &[u64], fate: Fate) {
        let Some(secret) = self.secrets.get_mut(path) else {
            return;
        };
        for number in versions {
            if let Some(version) = secret.versions.get_mut(number) {
                version.meet(fate);
            }
        }
    }

    pub(super) fn forget(&mut self, path: &str) {
        self.secrets.remove(path);
    }

    /// The paths that begin so, and whose current version can be read.
    pub(super) fn readable(&self, prefix: &str) -> Vec<String> {
        let is_readable = |secret: &Secret| {
            secret.versions.get(&secret.current).is_some_and(Version::is_readable)
        };
        let below = self.secrets.iter().filter(|(path, _)| path.starts_with(prefix));
        below.filter(|(_, secret)| is_readable(secret)).map(|(path, _)| path.clone()).collect()
    }

    /// Names directly below `prefix`; folders end in a slash.
    pub(super) fn list(&self, prefix: &str) -> Vec<String> {
        let folder = match prefix.trim_matches('/') {
            "" => String::new(),
            some => format!("{some}/"),
        };
        let below = self.secrets.keys().filter_map(|path| path.strip_prefix(folder.as_str()));
        let names: BTreeSet<String> = below
            .map(|rest| match rest.split_once('/') {
                Some((folder, _)) => format!("{folder}/"),
                None => rest.to_owned(),
            })
            .collect();
        names.into_iter().collect()
    }
}

impl Version {
    /// Whether its data can be read.
    pub(super) fn is_readable(&self) -> bool {
        self.deleted.is_none() && !self.destroyed
    }

    fn meet(&mut self, fate: Fate) {
        match fate {
            Fate::Delete if self.is_readable() => self.deleted = Some(Utc::now()),
            Fate::Delete => {}
            Fate::Undelete => self.deleted = None,
            Fate::Destroy => {
                self.destroyed = true;
                self.data.clear();
            }
        }
    }
}
