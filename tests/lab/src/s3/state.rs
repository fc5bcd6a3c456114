//! What Garage knows: keys, buckets, and what is in them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::inventory::BucketEntry;
use crate::pace::Pace;

/// What Garage knows.
#[derive(Default)]
pub(crate) struct State {
    pub(super) keys: BTreeMap<String, Key>,
    pub(super) buckets: BTreeMap<String, Bucket>,
    /// Secrets ever used.
    secrets: Vec<String>,
}

/// A key, even one that was deleted: its id is used up.
#[derive(Clone)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) secret: String,
    pub(super) created: DateTime<Utc>,
    pub(super) deleted: bool,
    /// Whether it may make buckets through S3 itself.
    pub(super) makes_buckets: bool,
}

/// What a key may do with a bucket.
#[derive(Clone, Copy, Default)]
pub(super) struct Permissions {
    pub(super) read: bool,
    pub(super) write: bool,
    pub(super) owner: bool,
}

impl Permissions {
    pub(super) fn read_from(value: &Value) -> Self {
        let may = |what: &str| value[what] == true;
        Self { read: may("read"), write: may("write"), owner: may("owner") }
    }

    pub(super) fn as_json(self) -> Value {
        json!({ "read": self.read, "write": self.write, "owner": self.owner })
    }

    /// Sets what `which` names to `flag`.
    pub(super) fn set(&mut self, which: Self, flag: bool) {
        for (mine, named) in [
            (&mut self.read, which.read),
            (&mut self.write, which.write),
            (&mut self.owner, which.owner),
        ] {
            if named {
                *mine = flag;
            }
        }
    }

    pub(super) fn is_any(self) -> bool {
        self.read || self.write || self.owner
    }
}

/// A bucket.
#[derive(Clone, Default)]
pub(super) struct Bucket {
    pub(super) created: DateTime<Utc>,
    pub(super) aliases: BTreeSet<String>,
    /// Key and the name that it alone knows.
    pub(super) local: BTreeSet<(String, String)>,
    pub(super) permissions: BTreeMap<String, Permissions>,
    pub(super) max_size: Option<u64>,
    pub(super) max_objects: Option<u64>,
    /// Name and size.
    pub(super) objects: BTreeMap<String, u64>,
    pub(super) uploads: u64,
    /// Who else is let in, as a text of JSON.
    pub(super) policy: Option<String>,
    /// Whether it keeps what is deleted.
    pub(super) versions: bool,
    pub(super) preexisting: bool,
}

impl Bucket {
    pub(super) fn size(&self) -> u64 {
        self.objects.values().sum()
    }
}

impl State {
    /// One bucket that was there before, and is a stranger's.
    pub(crate) fn pristine(pace: &Pace) -> Self {
        let mut state = Self::default();
        let id = state.add(pace);
        if let Some(bucket) = state.buckets.get_mut(&id) {
            bucket.preexisting = true;
            bucket.aliases.insert("backups".to_owned());
        }
        state
    }

    /// A new bucket; its id.
    pub(super) fn add(&mut self, pace: &Pace) -> String {
        let id = format!("{}{}", pace.uuid().simple(), pace.uuid().simple());
        self.buckets.insert(id.clone(), Bucket { created: Utc::now(), ..Bucket::default() });
        id
    }

    /// A new key.
    pub(super) fn add_key(&mut self, id: &str, name: &str, secret: &str) {
        self.secrets.push(secret.to_owned());
        let (name, secret, created) = (name.to_owned(), secret.to_owned(), Utc::now());
        let key = Key { name, secret, created, deleted: false, makes_buckets: false };
        self.keys.insert(id.to_owned(), key);
    }

    /// Somebody makes a key that may make buckets through S3 itself.
    pub(crate) fn plant_account(&mut self, id: &str, secret: &str) {
        self.add_key(id, "account", secret);
        if let Some(key) = self.keys.get_mut(id) {
            key.makes_buckets = true;
        }
    }

    pub(super) fn key(&self, id: &str) -> Option<&Key> {
        self.keys.get(id).filter(|key| !key.deleted)
    }

    /// The bucket that all know by this name.
    pub(super) fn named(&self, alias: &str) -> Option<&String> {
        self.buckets.iter().find(|(_, bucket)| bucket.aliases.contains(alias)).map(|(id, _)| id)
    }

    /// The bucket that this key knows by this name.
    pub(super) fn known_to(&self, key: &str, name: &str) -> Option<&String> {
        let local = (key.to_owned(), name.to_owned());
        let known = self.buckets.iter().find(|(_, bucket)| bucket.local.contains(&local));
        known.map(|(id, _)| id).or_else(|| self.named(name))
    }

    /// See [`crate::Lab::put_objects`].
    pub(crate) fn put(&mut self, bucket: &str, objects: &[(&str, u64)]) -> bool {
        let Some(id) = self.named(bucket).cloned() else { return false };
        let Some(bucket) = self.buckets.get_mut(&id) else { return false };
        bucket.objects.extend(objects.iter().map(|(name, size)| ((*name).to_owned(), *size)));
        true
    }

    /// Somebody begins uploads into a bucket and has it keep versions. False if there is no such bucket.
    pub(crate) fn neglect(&mut self, bucket: &str, uploads: u64, versions: bool) -> bool {
        let Some(id) = self.named(bucket).cloned() else { return false };
        let Some(bucket) = self.buckets.get_mut(&id) else { return false };
        (bucket.uploads, bucket.versions) = (uploads, versions);
        true
    }

    /// Every secret ever used.
    pub(crate) fn secrets(&self) -> Vec<String> {
        self.secrets.clone()
    }

    /// What was made and is still there.
    pub(crate) fn entries(&self) -> Vec<BucketEntry> {
        let made = self.buckets.iter().filter(|(_, bucket)| !bucket.preexisting);
        let mut entries: Vec<_> = made.map(|(id, bucket)| self.entry(id, bucket)).collect();
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        entries
    }

    fn entry(&self, id: &str, bucket: &Bucket) -> BucketEntry {
        let owners = bucket.permissions.iter().filter(|(_, may)| may.owner);
        let owners = owners.filter_map(|(key, _)| Some(self.key(key)?.name.clone()));
        BucketEntry {
            name: bucket.aliases.first().cloned().unwrap_or_else(|| id.to_owned()),
            owners: owners.collect(),
            objects: u64::try_from(bucket.objects.len()).unwrap_or(u64::MAX),
            quota_bytes: bucket.max_size.unwrap_or(0),
        }
    }

    /// The names of the keys that are there.
    pub(crate) fn key_names(&self) -> Vec<String> {
        self.keys.values().filter(|key| !key.deleted).map(|key| key.name.clone()).collect()
    }
}

pub(super) fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
