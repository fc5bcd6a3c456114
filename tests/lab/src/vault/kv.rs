//! The KV v2 API: data, metadata, delete, undelete, destroy.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::answer;
use super::kv_state::{Fate, Secret, VERSIONS_MAX, Version};
use crate::net::{Answer, Call};
use crate::world::World;

pub(super) fn answer(world: &World, call: &Call, room: &str, path: &str) -> Answer {
    let lists = call.method == "LIST" || call.query("list").is_some_and(|list| list == "true");
    match (call.method.as_str(), room) {
        ("GET", "data") => read(world, call, path),
        ("POST" | "PUT", "data") => write(world, call, path),
        ("DELETE", "data") => delete_latest(world, path),
        ("LIST" | "GET", "metadata") if lists => list(world, path),
        ("GET", "metadata") => metadata(world, path),
        ("DELETE", "metadata") => {
            world.change(|state| state.vault.store.forget(path));
            effect(world, "secret-forgotten", path);
            Answer::empty(204)
        }
        ("POST" | "PUT", "delete") => versions(world, call, path, Fate::Delete),
        ("POST" | "PUT", "undelete") => versions(world, call, path, Fate::Undelete),
        ("POST" | "PUT", "destroy") => versions(world, call, path, Fate::Destroy),
        (_, "data" | "metadata" | "delete" | "undelete" | "destroy") => {
            answer::errors(405, &["1 error occurred:\n\t* unsupported operation\n\n"])
        }
        (_, room) => answer::no_route(&format!("{}/{room}/{path}", world.vault_mount)),
    }
}

fn read(world: &World, call: &Call, path: &str) -> Answer {
    let wanted = call.query("version").unwrap_or("0").parse::<u64>();
    let Ok(wanted) = wanted else {
        return answer::errors(
            400,
            &["Field validation failed: error converting input for field \"version\""],
        );
    };
    let found = world.read(|state| {
        let secret = state.vault.store.get(path)?;
        let number = if wanted == 0 { secret.current } else { wanted };
        secret.versions.get(&number).map(|version| (number, version.clone()))
    });
    let Some((number, version)) = found else {
        return answer::errors(404, &[]);
    };
    let metadata = version_body(number, &version);
    if version.is_readable() {
        let body = json!({ "data": version.data, "metadata": metadata });
        return answer::data(world.pace.uuid(), body);
    }
    answer::gone(world.pace.uuid(), json!({ "data": null, "metadata": metadata }))
}

fn write(world: &World, call: &Call, path: &str) -> Answer {
    let fields = call.fields();
    let Some(Value::Object(data)) = fields.get("data").cloned() else {
        return answer::errors(400, &["no data provided"]);
    };
    let cas = fields.get("options").and_then(|options| options.get("cas")).and_then(Value::as_u64);
    let written = world.change(|state| {
        let store = &mut state.vault.store;
        let current = store.get(path).map_or(0, |secret| secret.current);
        if cas.is_some_and(|cas| cas != current) {
            return None;
        }
        state.vault.remember(&data);
        let store = &mut state.vault.store;
        let number = store.put(path, data);
        store.get(path)?.versions.get(&number).map(|version| version_body(number, version))
    });
    match written {
        Some(body) => {
            effect(world, "secret-written", path);
            answer::data(world.pace.uuid(), body)
        }
        None => answer::errors(400, &["check-and-set parameter did not match the current version"]),
    }
}

fn delete_latest(world: &World, path: &str) -> Answer {
    world.change(|state| state.vault.soft_delete(path));
    effect(world, "secret-deleted", path);
    Answer::empty(204)
}

fn versions(world: &World, call: &Call, path: &str, fate: Fate) -> Answer {
    let asked =
        call.fields().get("versions").and_then(Value::as_array).cloned().unwrap_or_default();
    let numbers: Vec<u64> = asked.iter().filter_map(number).collect();
    if numbers.is_empty() {
        return answer::errors(400, &["No version number provided"]);
    }
    world.change(|state| state.vault.store.apply(path, &numbers, fate));
    if matches!(fate, Fate::Destroy) {
        effect(world, "secret-destroyed", path);
    }
    Answer::empty(204)
}

/// The command line sends numbers as strings.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn list(world: &World, path: &str) -> Answer {
    let keys = world.read(|state| state.vault.store.list(path));
    if keys.is_empty() {
        return answer::errors(404, &[]);
    }
    answer::data(world.pace.uuid(), json!({ "keys": keys }))
}

fn metadata(world: &World, path: &str) -> Answer {
    match world.read(|state| state.vault.store.get(path).cloned()) {
        Some(secret) => answer::data(world.pace.uuid(), secret_body(&secret)),
        None => answer::errors(404, &[]),
    }
}

fn secret_body(secret: &Secret) -> Value {
    let versions: Map<String, Value> = secret
        .versions
        .iter()
        .map(|(number, version)| (number.to_string(), version_times(version)))
        .collect();
    json!({
        "cas_required": false,
        "created_time": stamp(secret.created),
        "current_version": secret.current,
        "custom_metadata": null,
        "delete_version_after": "0s",
        "max_versions": VERSIONS_MAX,
        "oldest_version": secret.versions.keys().next().copied().unwrap_or(0),
        "updated_time": stamp(secret.updated),
        "versions": versions,
    })
}

fn version_times(version: &Version) -> Value {
    json!({
        "created_time": stamp(version.created),
        "deletion_time": version.deleted.map(stamp).unwrap_or_default(),
        "destroyed": version.destroyed,
    })
}

fn version_body(number: u64, version: &Version) -> Value {
    let mut body = version_times(version);
    body["custom_metadata"] = Value::Null;
    body["version"] = Value::from(number);
    body
}

fn stamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Nanos, true)
}

fn effect(world: &World, kind: &str, path: &str) {
    world.journal.effect("vault", kind, path, "");
}
