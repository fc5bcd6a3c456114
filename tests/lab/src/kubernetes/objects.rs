//! Objects: listed, shown, applied, deleted.

use std::sync::Arc;

use chrono::Utc;
use serde_json::{Value, json};

use super::answer;
use super::jobs;
use super::rollout;
use super::state::{Kind, NAMESPACE, Object, State};
use crate::net::{Answer, Call};
use crate::world::World;

/// What is sent is YAML by its name, and JSON is YAML.
const APPLY: &str = "application/apply-patch+yaml";

/// What others do just before something is applied.
pub(super) fn meddle(world: &World, call: &Call) {
    let name = call.path.rsplit('/').next().unwrap_or_default();
    if call.path.contains("/deployments/") && world.faults.fires("kubernetes", "field-taken") {
        world.change(|state| state.kubernetes.scale(name, 7));
    }
    if call.query("dryRun").is_none() && world.faults.fires("kubernetes", "stranger-appears") {
        let uid = world.pace.uuid();
        world.change(|state| state.kubernetes.strange("deployment", name, uid));
    }
}

/// A page of them, in the order of their names: `continue` is the last one that was told.
pub(super) fn list(world: &World, call: &Call, kind: Kind) -> Answer {
    let limit = call.query("limit").and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
    let after = call.query("continue").unwrap_or_default().to_owned();
    world.read(|state| {
        let state = &state.kubernetes;
        let of_kind = state.objects.iter().filter(|((of, _), _)| *of == kind);
        let mut rest = of_kind.filter(|((_, name), _)| *name > after);
        let page: Vec<_> = rest.by_ref().take(limit).collect();
        let mut metadata = json!({ "resourceVersion": state.version.to_string() });
        if let (Some(((_, last), _)), true) = (page.last(), rest.next().is_some()) {
            metadata["continue"] = last.clone().into();
        }
        let items: Vec<Value> =
            page.into_iter().map(|((_, name), object)| shape(kind, name, object)).collect();
        let body = json!({
            "kind": format!("{}List", kind.name()), "apiVersion": kind.group(),
            "metadata": metadata, "items": items,
        });
        Answer::json(200, body)
    })
}

/// The pods that carry all labels of `labelSelector`.
pub(super) fn pods(world: &World, call: &Call) -> Answer {
    let wanted = call.query("labelSelector").unwrap_or_default().to_owned();
    if let Some(job) = wanted.strip_prefix("job-name=") {
        return jobs::pods(world, job);
    }
    let wanted: Vec<_> = wanted.split(',').filter_map(|label| label.split_once('=')).collect();
    let fits =
        |pod: &Value| wanted.iter().all(|(name, value)| pod["metadata"]["labels"][*name] == *value);
    world.read(|state| {
        let of_kind = |((kind, name), object): (&(Kind, String), &Object)| match kind {
            Kind::Deployment => rollout::pods(name, object),
            Kind::ConfigMap | Kind::Service => Vec::new(),
        };
        let all = state.kubernetes.objects.iter().flat_map(of_kind);
        let items: Vec<Value> = all.filter(|pod| fits(pod)).collect();
        let body = json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items });
        Answer::json(200, body)
    })
}

pub(super) fn show(world: &World, kind: Kind, name: &str) -> Result<Answer, Answer> {
    world.read(|state| {
        let found = state.kubernetes.objects.get(&(kind, name.to_owned()));
        let object = found.ok_or_else(|| answer::not_found(kind.plural(), name))?;
        Ok(Answer::json(200, shape(kind, name, object)))
    })
}

fn shape(kind: Kind, name: &str, object: &Object) -> Value {
    let mut shown = object.fields.show();
    let manager =
        |name: &str| json!({ "manager": name, "operation": "Apply", "fieldsType": "FieldsV1" });
    shown["apiVersion"] = kind.group().into();
    shown["kind"] = kind.name().into();
    let metadata = json!({
        "name": name, "namespace": NAMESPACE, "uid": object.uid, "creationTimestamp": object.born,
        "resourceVersion": object.version.to_string(), "generation": object.generation,
        "managedFields": object.fields.managers().into_iter().map(manager).collect::<Vec<_>>(),
    });
    for (field, value) in metadata.as_object().into_iter().flatten() {
        shown["metadata"][field] = value.clone();
    }
    if !object.status.is_null() {
        shown["status"] = object.status.clone();
    }
    shown
}

pub(super) fn apply(
    world: &Arc<World>,
    call: &Call,
    kind: Kind,
    name: &str,
) -> Result<Answer, Answer> {
    if call.header("content-type") != Some(APPLY) {
        let words = "the body of the request was in an unknown format";
        return Err(answer::status(415, "UnsupportedMediaType", words, &[]));
    }
    let Some(manager) = call.query("fieldManager") else {
        return Err(answer::invalid(
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required",
        ));
    };
    let wanted = wanted(call, kind, name)?;
    let (force, dry) = (call.query("force") == Some("true"), call.query("dryRun").is_some());
    let uid = world.pace.uuid();
    let applied = world.change(|state| {
        let state = &mut state.kubernetes;
        let before = state.objects.get(&(kind, name.to_owned())).cloned();
        let mut object = before.clone().unwrap_or_else(|| newborn(kind, uid));
        let old = object.fields.show();
        object.fields.apply(manager, &wanted, force).map_err(|held| answer::conflict(&held))?;
        let new = object.fields.show();
        let is_new = before.is_none();
        if !is_new && kind == Kind::Deployment && old["spec"]["selector"] != new["spec"]["selector"]
        {
            let words =
                format!("Deployment.apps \"{name}\" is invalid: spec.selector: field is immutable");
            return Err(answer::invalid(&words));
        }
        if is_new || old["spec"] != new["spec"] {
            object.generation += 1;
        }
        let has_changed = is_new || old != new;
        // Who owns what may change without a value that does.
        if !dry {
            keep(state, kind, name, &mut object);
        }
        Ok((object, is_new, has_changed, old["spec"] != new["spec"]))
    })?;
    let (object, is_new, has_changed, rolls) = applied;
    if has_changed && !dry {
        let word = if is_new { "created" } else { "changed" };
        let marker = object.marker().unwrap_or_default();
        world.journal.effect("kubernetes", &format!("{}-{word}", kind.word()), name, &marker);
        if kind == Kind::Deployment && rolls {
            rollout::begin(world, name, object.generation);
        }
    }
    Ok(Answer::json(if is_new { 201 } else { 200 }, shape(kind, name, &object)))
}

fn newborn(kind: Kind, uid: uuid::Uuid) -> Object {
    let status = if kind == Kind::Deployment { json!({}) } else { Value::Null };
    Object {
        uid,
        born: Utc::now(),
        generation: 0,
        version: 0,
        fields: super::fields::Fields::default(),
        status,
        waiting: None,
    }
}

fn keep(state: &mut State, kind: Kind, name: &str, object: &mut Object) {
    state.version += 1;
    object.version = state.version;
    state.objects.insert((kind, name.to_owned()), object.clone());
}

/// What is to be applied, without what only says where.
fn wanted(call: &Call, kind: Kind, name: &str) -> Result<Value, Answer> {
    let mut wanted = Value::Object(call.fields());
    if wanted["apiVersion"] != kind.group() || wanted["kind"] != kind.name() {
        return Err(answer::bad_request("the object provided is of another kind than the path"));
    }
    if wanted["metadata"]["name"] != name || wanted["metadata"]["namespace"] != NAMESPACE {
        return Err(answer::bad_request(
            "the name of the object does not match the name on the URL",
        ));
    }
    for field in ["apiVersion", "kind"] {
        wanted.as_object_mut().map(|fields| fields.remove(field));
    }
    for field in ["name", "namespace"] {
        wanted["metadata"].as_object_mut().map(|fields| fields.remove(field));
    }
    let (selector, template) = (&wanted["spec"]["selector"], &wanted["spec"]["template"]);
    let labels = &template["metadata"]["labels"];
    let selects = |(name, value): (&String, &Value)| labels[name] == *value;
    let matched = selector["matchLabels"].as_object();
    let is_sound = matched.is_some_and(|matched| matched.iter().all(selects));
    if kind == Kind::Deployment && !is_sound {
        let words = "`selector` does not match template `labels`";
        return Err(answer::invalid(words));
    }
    Ok(wanted)
}

pub(super) fn delete(world: &World, call: &Call, kind: Kind, name: &str) -> Result<Answer, Answer> {
    let fields = Value::Object(call.fields());
    let wanted = fields["preconditions"]["uid"].as_str();
    let gone = world.change(|state| {
        let objects = &mut state.kubernetes.objects;
        let key = (kind, name.to_owned());
        let found = objects.get(&key).ok_or_else(|| answer::not_found(kind.plural(), name))?;
        if wanted.is_some_and(|uid| uid != found.uid.to_string()) {
            let words = "Precondition failed: UID in precondition differs from UID in object meta";
            return Err(answer::status(409, "Conflict", words, &[]));
        }
        Ok(objects.remove(&key))
    })?;
    let marker = gone.as_ref().and_then(Object::marker).unwrap_or_default();
    world.journal.effect("kubernetes", &format!("{}-deleted", kind.word()), name, &marker);
    let uid = gone.map(|object| object.uid);
    let details = json!({ "name": name, "kind": kind.plural(), "uid": uid });
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
        "details": details,
    });
    Ok(Answer::json(200, body))
}
