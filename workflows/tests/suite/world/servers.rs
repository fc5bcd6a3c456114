//! Servers that run in Kubernetes.

use serde_json::{Value, json};
use stead_schemas::failure::{Class, Failure};

use super::World;

/// What was done in Kubernetes last, and what fails there next.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Servers {
    pub applied: Value,
    /// The namespace in which something was taken away.
    pub removed: String,
    /// Whether the pods of what is applied next do not answer.
    pub pods_fail: bool,
}

impl World {
    /// Servers, by the letter that their image's tag had.
    pub(super) fn with_server(&mut self, step: &str, ask: &Value) -> Result<Value, Failure> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (image, place) = (text(&ask["image"]), &ask["place"]);
        let server = format!("server {} ", text(&place["name"]));
        let marker = text(&place["marker"]);
        let is_strange =
            self.things.iter().any(|(thing, by)| thing.starts_with(&server) && *by != marker);
        match step {
            "kubernetes.resolve-image" => {
                let (repository, tag) = image.rsplit_once(':').unwrap_or_default();
                let digest = format!("{repository}@sha256:{}", tag.repeat(64));
                Ok(json!({ "image": digest }))
            }
            "kubernetes.try-apply" | "kubernetes.apply" if is_strange => {
                Err(Failure::new(Class::Conflict, "the server is a stranger's"))
            }
            "kubernetes.apply" => {
                self.things.retain(|thing, _| !thing.starts_with(&server));
                let letter = image.chars().last().unwrap_or_default();
                self.things.insert(format!("{server}{letter}"), marker);
                self.servers.applied = ask.clone();
                Ok(json!({ "generation": 1 }))
            }
            "kubernetes.await-rollout" if self.servers.pods_fail => {
                self.servers.pods_fail = false;
                Err(Failure::new(Class::Permanent, "the new pods do not become ready in time"))
            }
            "kubernetes.remove" => {
                self.servers.removed = text(&place["namespace"]);
                self.things.retain(|thing, by| !thing.starts_with(&server) || *by != marker);
                Ok(json!({}))
            }
            _ => Ok(json!({})),
        }
    }
}
