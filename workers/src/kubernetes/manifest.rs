//! What is applied: the objects of a server, and whose an object is.

use serde_json::{Value, json};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::kubernetes::{Apply, Place};

/// The label that carries our marker.
pub(super) const MARKER: &str = "stead/marker";
/// How long new pods may take to become ready before the rollout counts as failed.
const PROGRESS_SECONDS: u32 = 300;
/// How many sets of pods of before are kept for whoever looks at them.
const REVISIONS_KEPT: u32 = 3;

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    ConfigMap,
    Deployment,
    Service,
}

impl Kind {
    /// In the order in which they are taken away: nobody is led to a server that goes.
    pub(super) const ALL: [Self; 3] = [Self::ConfigMap, Self::Service, Self::Deployment];

    /// The kind of an object that we apply.
    pub(super) fn of(object: &Value) -> Self {
        match object["kind"].as_str() {
            Some("Deployment") => Self::Deployment,
            Some("Service") => Self::Service,
            _ => Self::ConfigMap,
        }
    }

    /// As the ledger has it.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmap",
            Self::Deployment => "deployment",
            Self::Service => "service",
        }
    }

    /// Where such objects are: the group's path, and their plural.
    pub(super) const fn base(self) -> (&'static str, &'static str) {
        match self {
            Self::ConfigMap => ("api/v1", "configmaps"),
            Self::Deployment => ("apis/apps/v1", "deployments"),
            Self::Service => ("api/v1", "services"),
        }
    }
}

/// Whose an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    Ours,
    /// It has no marker of ours, or another one's.
    Others,
}

pub(super) fn whose(object: &Value, place: &Place) -> Whose {
    match object["metadata"]["labels"][MARKER] == place.marker.as_str() {
        true => Whose::Ours,
        false => Whose::Others,
    }
}

/// The conflict that an object of this kind is not ours.
pub(super) fn strange(kind: Kind, object: &Value, place: &Place) -> Failure {
    let Place { namespace, name, .. } = place;
    let carries = match object["metadata"]["labels"][MARKER].as_str() {
        Some(marker) => format!("is {marker}'s"),
        None => "carries no mark of ours".to_owned(),
    };
    let words = format!("{} {namespace}/{name} is there, and {carries}", kind.base().1);
    Failure::new(Class::Conflict, words)
}

/// The objects of a server, in the order in which they are made.
pub(super) fn objects(ask: &Apply) -> [Value; 3] {
    [deployment(ask), service(ask), route(ask)]
}

fn labels(place: &Place) -> Value {
    json!({
        "app": place.name, "app.kubernetes.io/managed-by": "stead",
        "app.kubernetes.io/part-of": "mcp-servers", MARKER: place.marker,
    })
}

/// What the pods are selected by. Whoever has a Deployment of this name selects others, so that ours
/// cannot be merged into it.
fn selector(place: &Place) -> Value {
    json!({ "app": place.name, MARKER: place.marker })
}

fn metadata(place: &Place) -> Value {
    json!({ "name": place.name, "namespace": place.namespace, "labels": labels(place) })
}

fn deployment(ask: &Apply) -> Value {
    let env: Vec<Value> =
        ask.env.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
    let container = json!({
        "name": "server", "image": ask.image, "env": env,
        // Without the protocol its default is not merged with what is there.
        "ports": [{ "name": "http", "containerPort": ask.port, "protocol": "TCP" }],
        "readinessProbe": { "tcpSocket": { "port": "http" } },
        "securityContext": { "allowPrivilegeEscalation": false },
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata(&ask.place),
        "spec": {
            "replicas": ask.replicas,
            "progressDeadlineSeconds": PROGRESS_SECONDS,
            "revisionHistoryLimit": REVISIONS_KEPT,
            "selector": { "matchLabels": selector(&ask.place) },
            // What runs goes on until what is new answers.
            "strategy": {
                "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": 0, "maxSurge": 1 },
            },
            "template": {
                "metadata": { "labels": labels(&ask.place) },
                "spec": { "automountServiceAccountToken": false, "containers": [container] },
            },
        },
    })
}

fn service(ask: &Apply) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata(&ask.place),
        "spec": {
            "type": "ClusterIP", "selector": selector(&ask.place),
            "ports": [{
                "name": "http", "port": ask.port, "targetPort": "http", "protocol": "TCP",
            }],
        },
    })
}

/// How the proxy finds the server. The proxy's own prefix is not handed on to it.
fn route(ask: &Apply) -> Value {
    let Place { name, namespace, .. } = &ask.place;
    let route = json!({ "routes": [{
        "name": name, "prefix": format!("/mcp/{name}"), "strip_prefix": true,
        "upstream": format!("http://{name}.{namespace}.svc.cluster.local:{}", ask.port),
        "auth": { "type": "oauth-vault", "vault_path": ask.vault_path },
    }] });
    let mut metadata = metadata(&ask.place);
    metadata["labels"]["stead/mcp-route"] = "true".into();
    // JSON is YAML, too, and has no quoting traps.
    json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata,
        "data": { format!("{name}.yaml"): format!("{route:#}\n") },
    })
}
