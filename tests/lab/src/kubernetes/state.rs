//! What the cluster and its registry know.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::fields::Fields;
use super::jobs::Jobs;
use crate::inventory::KubernetesEntry;

/// The one namespace that there is.
pub(super) const NAMESPACE: &str = "mcp-servers";
/// What the registry has images of, each with these tags.
pub(crate) const REPOSITORIES: [&str; 5] = ["appflowy", "git", "outline", "s3", "splunk"];
const TAGS: [&str; 2] = ["1", "latest"];

/// A kind of object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    ConfigMap,
    Deployment,
    Service,
}

impl Kind {
    const ALL: [Self; 3] = [Self::ConfigMap, Self::Deployment, Self::Service];

    /// The kind of `deployments`, in this group and version.
    pub(super) fn read(group: &str, plural: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.group() == group && kind.plural() == plural)
    }

    /// The kind that the ledger calls so.
    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    pub(super) const fn group(self) -> &'static str {
        match self {
            Self::ConfigMap | Self::Service => "v1",
            Self::Deployment => "apps/v1",
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Deployment => "Deployment",
            Self::Service => "Service",
        }
    }

    /// As the ledger and effects have it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmap",
            Self::Deployment => "deployment",
            Self::Service => "service",
        }
    }

    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmaps",
            Self::Deployment => "deployments",
            Self::Service => "services",
        }
    }
}

/// An object.
#[derive(Clone)]
pub(super) struct Object {
    pub(super) uid: Uuid,
    pub(super) born: DateTime<Utc>,
    pub(super) generation: u64,
    pub(super) version: u64,
    pub(super) fields: Fields,
    /// Null where the kind has none.
    pub(super) status: Value,
    /// Why its new pods are not ready, if they are not: reason and message.
    pub(super) waiting: Option<(String, String)>,
}

impl Object {
    /// The label that is somebody's mark, whatever he calls it.
    pub(super) fn marker(&self) -> Option<String> {
        let shown = self.fields.show();
        let labels = shown["metadata"]["labels"].as_object()?;
        let found = labels.iter().find(|(name, _)| name.ends_with("/marker"))?;
        found.1.as_str().map(str::to_owned)
    }

    pub(super) fn replicas(&self) -> u64 {
        self.fields.show()["spec"]["replicas"].as_u64().unwrap_or(1)
    }

    pub(super) fn image(&self) -> String {
        let shown = self.fields.show();
        let containers = &shown["spec"]["template"]["spec"]["containers"];
        containers[0]["image"].as_str().unwrap_or_default().to_owned()
    }
}

/// What the cluster and its registry know.
pub(crate) struct State {
    pub(super) objects: BTreeMap<(Kind, String), Object>,
    /// Digest by repository and tag.
    pub(super) tags: BTreeMap<(String, String), String>,
    /// Every image there ever was, and whether its pods become ready.
    pub(super) images: BTreeMap<String, bool>,
    /// The number of the last change.
    pub(super) version: u64,
    pub(super) jobs: Jobs,
}

impl State {
    pub(crate) fn pristine() -> Self {
        let mut state = Self {
            objects: BTreeMap::new(),
            tags: BTreeMap::new(),
            images: BTreeMap::new(),
            version: 1,
            jobs: Jobs::default(),
        };
        for repository in REPOSITORIES {
            for tag in TAGS {
                state.push(repository, tag, true);
            }
        }
        state
    }

    /// Makes a new image, which the tag means from now on. Its pods become ready, or crash.
    pub(crate) fn push(&mut self, repository: &str, tag: &str, runs: bool) -> String {
        let seed = format!("{repository} {}", self.images.len());
        let hex = Sha256::digest(seed.as_bytes()).into_iter().map(|byte| format!("{byte:02x}"));
        let digest = format!("sha256:{}", hex.collect::<String>());
        self.images.insert(digest.clone(), runs);
        self.tags.insert((repository.to_owned(), tag.to_owned()), digest.clone());
        digest
    }

    /// Somebody changes how many pods a server has, as `kubectl scale` does.
    pub(crate) fn scale(&mut self, name: &str, replicas: u32) -> bool {
        let found = self.objects.get_mut(&(Kind::Deployment, name.to_owned()));
        let Some(object) = found else { return false };
        let wanted = json!({ "spec": { "replicas": replicas } });
        object.fields.apply("kubectl", &wanted, true).is_ok()
    }

    /// Somebody else's object, of this kind and name.
    pub(crate) fn strange(&mut self, kind: &str, name: &str, uid: Uuid) {
        let Some(kind) = Kind::of_word(kind) else { return };
        let app = json!({ "app": "theirs" });
        let mut wanted = json!({ "metadata": { "labels": app } });
        match kind {
            Kind::Deployment => {
                let containers = json!([{ "name": "theirs", "image": "theirs:1" }]);
                let pods =
                    json!({ "metadata": { "labels": app }, "spec": { "containers": containers } });
                wanted["spec"] = json!({ "selector": { "matchLabels": app }, "template": pods });
            }
            Kind::Service => wanted["spec"] = json!({ "selector": app }),
            Kind::ConfigMap => wanted["data"] = json!({ "theirs": "" }),
        }
        let mut fields = Fields::default();
        if fields.apply("helm", &wanted, true).is_ok() {
            self.version += 1;
            let object = Object {
                uid,
                born: Utc::now(),
                generation: 1,
                version: self.version,
                fields,
                status: Value::Null,
                waiting: None,
            };
            self.objects.entry((kind, name.to_owned())).or_insert(object);
        }
    }

    /// Somebody deletes an object by hand. False if there is none.
    pub(crate) fn lose(&mut self, kind: &str, name: &str) -> bool {
        Kind::of_word(kind)
            .is_some_and(|kind| self.objects.remove(&(kind, name.to_owned())).is_some())
    }

    /// Somebody puts this label on an object by hand. False if there is none.
    pub(crate) fn label(&mut self, kind: &str, name: &str, label: &str, value: &str) -> bool {
        let found =
            Kind::of_word(kind).and_then(|kind| self.objects.get_mut(&(kind, name.to_owned())));
        let wanted = json!({ "metadata": { "labels": { label: value } } });
        found.is_some_and(|object| object.fields.apply("kubectl-label", &wanted, true).is_ok())
    }

    /// What carries somebody's mark.
    pub(crate) fn entries(&self) -> Vec<KubernetesEntry> {
        let entry = |((kind, name), object): (&(Kind, String), &Object)| {
            let is_run = *kind == Kind::Deployment;
            Some(KubernetesEntry {
                kind: kind.word().to_owned(),
                name: format!("{NAMESPACE}/{name}"),
                marker: object.marker()?,
                image: if is_run { object.image() } else { String::new() },
                available: object.status["availableReplicas"].as_u64().unwrap_or_default(),
            })
        };
        self.objects.iter().filter_map(entry).collect()
    }
}
