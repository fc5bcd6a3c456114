//! Buckets through S3 itself, for whoever has no administration: listed, made, let others in by a policy,
//! and deleted. Of Garage's own S3 the policies are ours: it knows none.

use super::answer::{escaped, refused};
use super::objects::within;
use super::signature::signer;
use super::state::{Permissions, State};
use crate::net::{Answer, Call};
use crate::world::World;

/// What begins each answer.
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
const ALL: Permissions = Permissions { read: true, write: true, owner: true };

/// Nothing if it is about objects.
pub(super) fn answer(
    world: &World,
    call: &Call,
    bucket: &str,
    key: &str,
) -> Option<Result<Answer, Answer>> {
    let asks = |name: &str| call.query(name).is_some();
    Some(match (call.method.as_str(), bucket, key) {
        ("GET", "", _) => list(world, call),
        ("PUT", _, "") if asks("policy") => set_policy(world, call, bucket),
        ("PUT", _, "") => create(world, call, bucket),
        ("DELETE", _, "") => delete(world, call, bucket),
        ("DELETE", ..) if asks("uploadId") => within(
            world,
            call,
            bucket,
            |may| may.write,
            |held| {
                held.uploads = held.uploads.saturating_sub(1);
                Answer::empty(204)
            },
        ),
        ("GET", _, "") if asks("policy") => show_policy(world, call, bucket),
        ("GET", _, "") if asks("location") => {
            let body = format!("{HEAD}<LocationConstraint>garage</LocationConstraint>");
            within(world, call, bucket, |may| may.read, |_| Answer::xml(200, body))
        }
        ("GET", _, "") if asks("versioning") => within(
            world,
            call,
            bucket,
            |may| may.owner,
            |held| {
                let status = if held.versions { "<Status>Enabled</Status>" } else { "" };
                let body =
                    format!("{HEAD}<VersioningConfiguration>{status}</VersioningConfiguration>");
                Answer::xml(200, body)
            },
        ),
        ("GET", _, "") if asks("uploads") => {
            within(world, call, bucket, |may| may.read, |held| uploads(held.uploads))
        }
        _ => return None,
    })
}

fn list(world: &World, call: &Call) -> Result<Answer, Answer> {
    world.change(|state| {
        let state = &mut state.s3;
        let key = signer(state, call)?;
        let mine = state.buckets.values().filter(|held| held.permissions.contains_key(&key));
        let names: String = mine
            .flat_map(|held| &held.aliases)
            .map(|name| format!("<Bucket><Name>{}</Name></Bucket>", escaped(name)))
            .collect();
        let body = format!(
            "{HEAD}<ListAllMyBucketsResult><Buckets>{names}</Buckets></ListAllMyBucketsResult>"
        );
        Ok(Answer::xml(200, body))
    })
}

fn create(world: &World, call: &Call, name: &str) -> Result<Answer, Answer> {
    let lets = world.faults.fires("s3", "alias-taken");
    world.change(|state| {
        let state = &mut state.s3;
        let key = signer(state, call)?;
        if !state.key(&key).is_some_and(|key| key.makes_buckets) {
            return Err(refused(
                403,
                "AccessDenied",
                "Access key is not allowed to create buckets",
            ));
        }
        if lets {
            strange(state, world, name);
        }
        if let Some(held) = state.named(name).and_then(|id| state.buckets.get(id)) {
            let code = match held.permissions.contains_key(&key) {
                true => "BucketAlreadyOwnedByYou",
                false => "BucketAlreadyExists",
            };
            return Err(refused(409, code, "The bucket is there"));
        }
        let id = state.add(&world.pace);
        if let Some(held) = state.buckets.get_mut(&id) {
            held.aliases.insert(name.to_owned());
            held.permissions.insert(key, ALL);
        }
        Ok(())
    })?;
    world.journal.effect("s3", "bucket-created", name, "");
    Ok(Answer::empty(200))
}

/// Somebody else has the name first.
fn strange(state: &mut State, world: &World, name: &str) {
    let id = state.add(&world.pace);
    if let Some(held) = state.buckets.get_mut(&id) {
        held.preexisting = true;
        held.aliases.insert(name.to_owned());
    }
}

fn delete(world: &World, call: &Call, name: &str) -> Result<Answer, Answer> {
    let is_empty = |held: &mut super::state::Bucket| held.objects.is_empty() && held.uploads == 0;
    if !within(world, call, name, |may| may.owner, is_empty)? {
        return Err(refused(409, "BucketNotEmpty", "The bucket you tried to delete is not empty"));
    }
    world.change(|state| {
        if let Some(id) = state.s3.named(name).cloned() {
            state.s3.buckets.remove(&id);
        }
    });
    world.journal.effect("s3", "bucket-deleted", name, "");
    Ok(Answer::empty(204))
}

fn set_policy(world: &World, call: &Call, name: &str) -> Result<Answer, Answer> {
    let text = String::from_utf8_lossy(&call.raw_body).into_owned();
    let policy: Result<serde_json::Value, _> = serde_json::from_str(&text);
    if !policy.is_ok_and(|policy| policy["Statement"].is_array()) {
        return Err(refused(400, "MalformedPolicy", "Policies must be valid JSON"));
    }
    within(world, call, name, |may| may.owner, |held| held.policy = Some(text))?;
    world.journal.effect("s3", "policy-set", name, "");
    Ok(Answer::empty(204))
}

fn show_policy(world: &World, call: &Call, name: &str) -> Result<Answer, Answer> {
    let found = within(world, call, name, |may| may.owner, |held| held.policy.clone())?;
    let none = || refused(404, "NoSuchBucketPolicy", "The bucket policy does not exist");
    let policy: serde_json::Value =
        serde_json::from_str(&found.ok_or_else(none)?).unwrap_or_default();
    Ok(Answer::json(200, policy))
}

fn uploads(count: u64) -> Answer {
    let upload =
        |number| format!("<Upload><Key>k{number}</Key><UploadId>u{number}</UploadId></Upload>");
    let all: String = (0..count).map(upload).collect();
    Answer::xml(
        200,
        format!("{HEAD}<ListMultipartUploadsResult>{all}</ListMultipartUploadsResult>"),
    )
}
