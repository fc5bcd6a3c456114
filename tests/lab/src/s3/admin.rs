//! Buckets: made, named, limited, opened to keys, deleted.

use serde_json::{Value, json};

use super::answer;
use super::state::{Bucket, Permissions, State, stamp};
use crate::net::{Answer, Call};
use crate::world::World;

pub(super) fn show(world: &World, call: &Call) -> Result<Answer, Answer> {
    world.read(|state| {
        let state = &state.s3;
        let id = match (call.query("id"), call.query("globalAlias")) {
            (Some(id), None) => id,
            (None, Some(alias)) => state.named(alias).ok_or_else(|| answer::no_bucket(alias))?,
            _ => {
                let words = "Either id, globalAlias or search must be provided (but not several)";
                return Err(answer::bad_request(words));
            }
        };
        shown(state, id)
    })
}

fn shown(state: &State, id: &str) -> Result<Answer, Answer> {
    let bucket = state.buckets.get(id).ok_or_else(|| answer::no_bucket(id))?;
    Ok(Answer::json(200, body(state, id, bucket)))
}

fn body(state: &State, id: &str, bucket: &Bucket) -> Value {
    let keys = bucket.permissions.iter().filter_map(|(key, may)| {
        let local = bucket.local.iter().filter(|(of, _)| of == key).map(|(_, name)| name);
        Some(json!({
            "accessKeyId": key, "name": state.key(key)?.name, "permissions": may.as_json(),
            "bucketLocalAliases": local.collect::<Vec<_>>(),
        }))
    });
    json!({
        "id": id, "created": stamp(bucket.created), "globalAliases": bucket.aliases,
        "websiteAccess": false, "keys": keys.collect::<Vec<_>>(),
        "objects": bucket.objects.len(), "bytes": bucket.size(),
        "unfinishedUploads": bucket.uploads, "unfinishedMultipartUploads": bucket.uploads,
        "unfinishedMultipartUploadParts": 0, "unfinishedMultipartUploadBytes": 0,
        "quotas": { "maxSize": bucket.max_size, "maxObjects": bucket.max_objects },
    })
}

pub(super) fn list(world: &World) -> Answer {
    world.read(|state| {
        let buckets = state.s3.buckets.iter().map(|(id, bucket)| {
            json!({
                "id": id, "created": stamp(bucket.created), "globalAliases": bucket.aliases,
                "localAliases": [],
            })
        });
        Answer::json(200, buckets.collect())
    })
}

pub(super) fn create(world: &World, call: &Call) -> Result<Answer, Answer> {
    let fields = Value::Object(call.fields());
    let local = fields["localAlias"].clone();
    if let Some(alias) = fields["globalAlias"].as_str() {
        check_name(alias)?;
        stranger_on(world, alias);
    }
    let id = world.change(|state| {
        let state = &mut state.s3;
        if let Some(alias) = fields["globalAlias"].as_str()
            && state.named(alias).is_some()
        {
            return Err(answer::bucket_exists());
        }
        let known = check_local(state, &local)?;
        let id = state.add(&world.pace);
        let alias = fields["globalAlias"].as_str().map(str::to_owned);
        if let Some(bucket) = state.buckets.get_mut(&id) {
            bucket.aliases.extend(alias);
            if let Some((key, name)) = known {
                let may = Permissions::read_from(&local["allow"]);
                bucket.permissions.insert(key.clone(), may);
                bucket.local.insert((key, name));
            }
        }
        Ok(id)
    })?;
    world.journal.effect("s3", "bucket-created", &id, "");
    world.read(|state| shown(&state.s3, &id))
}

fn check_local(state: &State, local: &Value) -> Result<Option<(String, String)>, Answer> {
    let (Some(key), Some(name)) = (local["accessKeyId"].as_str(), local["alias"].as_str()) else {
        return Ok(None);
    };
    check_name(name)?;
    state.key(key).ok_or_else(|| answer::no_key(key))?;
    let pair = (key.to_owned(), name.to_owned());
    if state.buckets.values().any(|bucket| bucket.local.contains(&pair)) {
        return Err(answer::bad_request("Local alias already exists"));
    }
    Ok(Some(pair))
}

fn check_name(name: &str) -> Result<(), Answer> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    let edge = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let good = (3..=63).contains(&name.len())
        && name.bytes().all(plain)
        && name.bytes().next().is_some_and(edge)
        && name.bytes().last().is_some_and(edge)
        && !name.starts_with("xn--")
        && !name.ends_with("-s3alias");
    if good { Ok(()) } else { Err(answer::bad_request(&format!("{name}: Invalid bucket name."))) }
}

/// The fault by which somebody else has the name first.
fn stranger_on(world: &World, alias: &str) {
    if !world.faults.fires("s3", "alias-taken") {
        return;
    }
    world.change(|state| {
        let id = state.s3.add(&world.pace);
        if let Some(bucket) = state.s3.buckets.get_mut(&id) {
            bucket.preexisting = true;
            bucket.aliases.insert(alias.to_owned());
        }
    });
}

pub(super) fn add_alias(world: &World, call: &Call) -> Result<Answer, Answer> {
    let (Some(id), Some(alias)) = (call.text("bucketId"), call.text("globalAlias")) else {
        return Err(answer::bad_request("missing field `bucketId` or `globalAlias`"));
    };
    check_name(alias)?;
    stranger_on(world, alias);
    world.change(|state| {
        let state = &mut state.s3;
        if let Some(other) = state.named(alias).filter(|other| *other != id) {
            let words =
                format!("Alias {alias} already exists and points to different bucket: {other}");
            return Err(answer::bad_request(&words));
        }
        let bucket = state.buckets.get_mut(id).ok_or_else(|| answer::no_bucket(id))?;
        bucket.aliases.insert(alias.to_owned());
        Ok(())
    })?;
    world.journal.effect("s3", "bucket-named", alias, "");
    world.read(|state| shown(&state.s3, id))
}

pub(super) fn update(world: &World, call: &Call) -> Result<Answer, Answer> {
    let fields = Value::Object(call.fields());
    let id = id_of(call)?;
    world.change(|state| {
        let bucket = state.s3.buckets.get_mut(id).ok_or_else(|| answer::no_bucket(id))?;
        if fields["quotas"].is_object() {
            bucket.max_size = fields["quotas"]["maxSize"].as_u64();
            bucket.max_objects = fields["quotas"]["maxObjects"].as_u64();
        }
        Ok(())
    })?;
    world.journal.effect("s3", "bucket-limited", id, "");
    world.read(|state| shown(&state.s3, id))
}

fn id_of(call: &Call) -> Result<&str, Answer> {
    call.query("id").ok_or_else(|| answer::bad_request("missing parameter `id`"))
}

pub(super) fn delete(world: &World, call: &Call) -> Result<Answer, Answer> {
    let id = id_of(call)?;
    let appears = world.faults.fires("s3", "objects-appear");
    let name = world.change(|state| {
        let buckets = &mut state.s3.buckets;
        let bucket = buckets.get_mut(id).ok_or_else(|| answer::no_bucket(id))?;
        if appears {
            bucket.objects.insert("late".to_owned(), 1);
        }
        if !bucket.objects.is_empty() || bucket.uploads > 0 {
            return Err(answer::not_empty());
        }
        let name = bucket.aliases.first().cloned().unwrap_or_default();
        buckets.remove(id);
        Ok(name)
    })?;
    world.journal.effect("s3", "bucket-deleted", &name, "");
    Ok(Answer::json(200, Value::Null))
}

pub(super) fn clean_up(world: &World, call: &Call) -> Result<Answer, Answer> {
    let id = call.text("bucketId").unwrap_or_default();
    let uploads = world.change(|state| {
        let bucket = state.s3.buckets.get_mut(id).ok_or_else(|| answer::no_bucket(id))?;
        Ok(std::mem::take(&mut bucket.uploads))
    })?;
    Ok(Answer::json(200, json!({ "uploadsDeleted": uploads })))
}

pub(super) fn permit(world: &World, call: &Call, flag: bool) -> Result<Answer, Answer> {
    let fields = Value::Object(call.fields());
    let text = |field: &str| fields[field].as_str().unwrap_or_default();
    let (id, key) = (text("bucketId"), text("accessKeyId"));
    world.change(|state| {
        let state = &mut state.s3;
        state.key(key).ok_or_else(|| answer::no_key(key))?;
        let bucket = state.buckets.get_mut(id).ok_or_else(|| answer::no_bucket(id))?;
        let which = Permissions::read_from(&fields["permissions"]);
        bucket.permissions.entry(key.to_owned()).or_default().set(which, flag);
        Ok(())
    })?;
    world.read(|state| shown(&state.s3, id))
}
