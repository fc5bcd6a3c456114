//! Keys: made, imported, looked at, deleted.

use serde_json::{Value, json};

use super::answer;
use super::state::{Key, State, stamp};
use crate::net::{Answer, Call};
use crate::world::World;

pub(super) fn show(world: &World, call: &Call) -> Result<Answer, Answer> {
    let with_secret = call.query("showSecretKey") == Some("true");
    world.read(|state| {
        let state = &state.s3;
        let id = match (call.query("id"), call.query("search")) {
            (Some(id), None) => id.to_owned(),
            (None, Some(pattern)) => search(state, pattern)?,
            _ => {
                let words = "Either id or search must be provided (but not both)";
                return Err(answer::bad_request(words));
            }
        };
        let key = state.key(&id).ok_or_else(|| answer::no_key(&id))?;
        Ok(Answer::json(200, body(state, &id, key, with_secret)))
    })
}

/// The one key whose id begins so, or whose name is this.
fn search(state: &State, pattern: &str) -> Result<String, Answer> {
    let pattern = pattern.to_lowercase();
    let fits = |(id, key): &(&String, &Key)| {
        !key.deleted
            && (id.to_lowercase().starts_with(&pattern) || key.name.to_lowercase() == pattern)
    };
    let found: Vec<&String> = state.keys.iter().filter(fits).map(|(id, _)| id).collect();
    match found.as_slice() {
        [] => Err(answer::no_key(&pattern)),
        [one] => Ok((*one).clone()),
        many => Err(answer::bad_request(&format!("{} matching keys", many.len()))),
    }
}

fn body(state: &State, id: &str, key: &Key, with_secret: bool) -> Value {
    let mine = |local: &(String, String)| local.0 == id;
    let relevant = state.buckets.iter().filter(|(_, bucket)| {
        bucket.permissions.get(id).is_some_and(|may| may.is_any()) || bucket.local.iter().any(mine)
    });
    let buckets: Vec<Value> = relevant
        .map(|(bucket_id, bucket)| {
            let local = bucket.local.iter().filter(|local| mine(local)).map(|(_, name)| name);
            json!({
                "id": bucket_id,
                "globalAliases": bucket.aliases,
                "localAliases": local.collect::<Vec<_>>(),
                "permissions": bucket.permissions.get(id).copied().unwrap_or_default().as_json(),
            })
        })
        .collect();
    let mut body = json!({
        "accessKeyId": id, "name": key.name, "created": stamp(key.created), "expiration": null,
        "expired": false, "permissions": { "createBucket": false }, "buckets": buckets,
    });
    if with_secret {
        body["secretAccessKey"] = key.secret.clone().into();
    }
    body
}

pub(super) fn list(world: &World) -> Answer {
    world.read(|state| {
        let there = state.s3.keys.iter().filter(|(_, key)| !key.deleted);
        let keys = there.map(|(id, key)| {
            json!({
                "id": id, "name": key.name, "created": stamp(key.created), "expiration": null,
                "expired": false,
            })
        });
        Answer::json(200, keys.collect())
    })
}

/// Asked twice, there are two.
pub(super) fn create(world: &World, call: &Call) -> Result<Answer, Answer> {
    let id = format!("GK{}", &world.pace.uuid().simple().to_string()[..24]);
    let secret = format!("{}{}", world.pace.uuid().simple(), world.pace.uuid().simple());
    let name = call.text("name").unwrap_or("Unnamed key");
    world.change(|state| state.s3.add_key(&id, name, &secret));
    world.journal.effect("s3", "key-created", &id, name);
    shown(world, &id, true)
}

pub(super) fn import(world: &World, call: &Call) -> Result<Answer, Answer> {
    let (Some(id), Some(secret)) = (call.text("accessKeyId"), call.text("secretAccessKey")) else {
        return Err(answer::bad_request("missing field `accessKeyId` or `secretAccessKey`"));
    };
    if id.len() < 8 || secret.len() < 16 {
        return Err(answer::bad_request("Invalid key format"));
    }
    let name = call.text("name").unwrap_or("Imported key");
    world.change(|state| {
        if state.s3.keys.contains_key(id) {
            return Err(answer::key_exists(id));
        }
        state.s3.add_key(id, name, secret);
        Ok(())
    })?;
    world.journal.effect("s3", "key-imported", id, name);
    shown(world, id, false)
}

fn shown(world: &World, id: &str, with_secret: bool) -> Result<Answer, Answer> {
    world.read(|state| {
        let key = state.s3.key(id).ok_or_else(|| answer::no_key(id))?;
        Ok(Answer::json(200, body(&state.s3, id, key, with_secret)))
    })
}

pub(super) fn delete(world: &World, call: &Call) -> Result<Answer, Answer> {
    let id = call.query("id").ok_or_else(|| answer::bad_request("missing parameter `id`"))?;
    let name = world.change(|state| {
        let state = &mut state.s3;
        let key = state.keys.get_mut(id).filter(|key| !key.deleted);
        let key = key.ok_or_else(|| answer::no_key(id))?;
        key.deleted = true;
        let name = key.name.clone();
        for bucket in state.buckets.values_mut() {
            bucket.permissions.remove(id);
            bucket.local.retain(|(key, _)| key != id);
        }
        Ok(name)
    })?;
    world.journal.effect("s3", "key-deleted", id, &name);
    Ok(Answer::json(200, Value::Null))
}
