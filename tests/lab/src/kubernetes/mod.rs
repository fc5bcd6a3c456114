//! Kubernetes, as far as a service account sees it who runs servers in one namespace: Deployments,
//! Services and ConfigMaps by server-side apply, rollouts that take their time, pods that say why
//! they wait, Jobs of CronJobs' templates. Beside it, under `/v2/`, the registry that the images lie in.
//!
//! There is no list of events, no watch and no quota. A merge key of a list is always the name.

mod answer;
mod fields;
mod jobs;
mod objects;
mod rollout;
mod state;

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
pub(crate) use state::{REPOSITORIES, State};

use crate::net::{Answer, Before, Call, HttpVendor, Severity};
use crate::world::World;
use state::Kind;

/// The vendor.
pub(crate) struct Kubernetes;

impl HttpVendor for Kubernetes {
    const NAME: &'static str = "kubernetes";

    fn before(world: &World, call: &Call) -> Before {
        let fires = |name| world.faults.fires("kubernetes", name);
        if call.path.starts_with("/v2/") {
            return match fires("registry-down") {
                true => Before::Answer(Answer::empty(503)),
                false => Before::Go,
            };
        }
        if fires("unauthorized") {
            return Before::Answer(answer::status(401, "Unauthorized", "Unauthorized", &[]));
        }
        if fires("rate-limited") {
            let words = "the server has received too many requests and has asked us to try again";
            let limited = answer::status(429, "TooManyRequests", words, &[]);
            return Before::Answer(limited.header("retry-after", "1"));
        }
        if fires("slow") {
            return Before::Wait(Duration::from_secs(1));
        }
        if call.method == "PATCH" {
            objects::meddle(world, call);
        }
        Before::Go
    }

    fn answer(world: &Arc<World>, call: &Call) -> Answer {
        if let Some(path) = call.segments("/v2/") {
            return manifest(world, call, &path);
        }
        let token = call.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if token != Some(world.secrets.kubernetes_token.as_str()) {
            return answer::status(401, "Unauthorized", "Unauthorized", &[]);
        }
        route(world, call).unwrap_or_else(|refused| refused)
    }

    fn after(world: &World, call: &Call, answer: Answer) -> Option<Answer> {
        let is_real = call.query("dryRun").is_none();
        let changes = call.method != "GET" && is_real && answer.is_success();
        let is_lost = changes && !call.path.starts_with("/v2/");
        if is_lost && world.faults.fires("kubernetes", "lost-response") {
            return None;
        }
        Some(answer)
    }

    fn failure(severity: Severity) -> Answer {
        match severity {
            Severity::Passing => {
                answer::status(500, "InternalError", "etcdserver: request timed out", &[])
            }
            Severity::Lasting => {
                let words = "deployments.apps is forbidden: User cannot do this";
                answer::status(403, "Forbidden", words, &[])
            }
        }
    }
}

fn route(world: &Arc<World>, call: &Call) -> Result<Answer, Answer> {
    let nowhere = || answer::status(404, "NotFound", "the server could not find it", &[]);
    let path = call.segments("/").ok_or_else(nowhere)?;
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    if let ["apis", "batch", "v1", "namespaces", state::NAMESPACE, rest @ ..] = path.as_slice() {
        return jobs::route(world, call, rest);
    }
    let (group, rest) = match path.as_slice() {
        ["api", "v1", rest @ ..] => ("v1", rest),
        ["apis", "apps", "v1", rest @ ..] => ("apps/v1", rest),
        _ => return Err(nowhere()),
    };
    let ["namespaces", namespace, plural, rest @ ..] = rest else { return Err(nowhere()) };
    if *namespace != state::NAMESPACE {
        // What is not there can be looked into, and is empty.
        return match (call.method.as_str(), rest) {
            ("GET", []) => Ok(Answer::json(200, json!({ "metadata": {}, "items": [] }))),
            ("GET", [name, ..]) => Err(answer::not_found(plural, name)),
            _ => Err(answer::not_found("namespaces", namespace)),
        };
    }
    match (call.method.as_str(), *plural, rest) {
        ("GET", "pods", []) => return Ok(objects::pods(world, call)),
        ("GET", "pods", [pod, "log"]) => return jobs::log(world, pod),
        _ => {}
    }
    let kind = Kind::read(group, plural).ok_or_else(nowhere)?;
    match (call.method.as_str(), rest) {
        ("GET", []) => Ok(objects::list(world, call, kind)),
        ("GET", [name]) => objects::show(world, kind, name),
        ("PATCH", [name]) => objects::apply(world, call, kind, name),
        ("DELETE", [name]) => objects::delete(world, call, kind, name),
        _ => Err(answer::status(405, "MethodNotAllowed", "the server does not allow this", &[])),
    }
}

/// `HEAD /v2/<repository>/manifests/<tag or digest>`.
fn manifest(world: &World, call: &Call, path: &[String]) -> Answer {
    let unknown = |code: &str| {
        let error = json!({ "code": code, "message": "", "detail": {} });
        Answer::json(404, json!({ "errors": [error] }))
    };
    let [repository @ .., manifests, reference] = path else { return unknown("NAME_UNKNOWN") };
    if manifests != "manifests" || call.method != "HEAD" {
        return unknown("NAME_UNKNOWN");
    }
    let repository = repository.join("/");
    let digest = world.read(|state| {
        let state = &state.kubernetes;
        let tagged = state.tags.get(&(repository, reference.clone())).cloned();
        tagged.or_else(|| state.images.get_key_value(reference).map(|(digest, _)| digest.clone()))
    });
    match digest {
        Some(digest) => Answer::empty(200).header("docker-content-digest", digest),
        None => unknown("MANIFEST_UNKNOWN"),
    }
}
