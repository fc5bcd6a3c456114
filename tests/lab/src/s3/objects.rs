//! S3 itself: objects are listed, written and deleted, each call signed.

use super::answer::{escaped, refused};
use super::buckets;
use super::signature::signer;
use super::state::{Bucket, Permissions};
use crate::net::{Answer, Call, decoded};
use crate::world::World;

/// The most objects of one page.
const PAGE_MAX: usize = 1000;

pub(super) fn answer(world: &World, call: &Call) -> Result<Answer, Answer> {
    let path = call.path.trim_start_matches('/');
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let (bucket, key) = (decoded(bucket), decoded(key));
    if let Some(answer) = buckets::answer(world, call, &bucket, &key) {
        return answer;
    }
    match (call.method.as_str(), key.as_str()) {
        ("GET", "") if call.query("list-type") == Some("2") => {
            let list = |bucket: &mut Bucket| list(bucket, call);
            within(world, call, &bucket, |may| may.read, list)
        }
        ("POST", "") if call.query("delete").is_some() => delete_many(world, call, &bucket),
        ("PUT", key) if !key.is_empty() => {
            let size = u64::try_from(call.raw_body.len()).unwrap_or(u64::MAX);
            within(world, call, &bucket, |may| may.write, |bucket| put(bucket, key, size))?
        }
        ("DELETE", key) if !key.is_empty() => {
            within(world, call, &bucket, |may| may.write, |bucket| bucket.objects.remove(key))?;
            Ok(Answer::empty(204))
        }
        _ => Err(refused(501, "NotImplemented", "Unimplemented action")),
    }
}

/// Lets the caller at the bucket, if his key may.
pub(super) fn within<T>(
    world: &World,
    call: &Call,
    name: &str,
    may: fn(Permissions) -> bool,
    act: impl FnOnce(&mut Bucket) -> T,
) -> Result<T, Answer> {
    world.change(|state| {
        let state = &mut state.s3;
        let key = signer(state, call)?;
        let none = || refused(404, "NoSuchBucket", &format!("Bucket not found: {name}"));
        let id = state.known_to(&key, name).cloned().ok_or_else(none)?;
        let bucket = state.buckets.get_mut(&id).ok_or_else(none)?;
        let is_let_in = bucket.policy.as_ref().is_some_and(|policy| policy.contains(&key));
        if !is_let_in && !bucket.permissions.get(&key).copied().is_some_and(may) {
            let words = "Forbidden: Operation is not allowed for this key.";
            return Err(refused(403, "AccessDenied", words));
        }
        Ok(act(bucket))
    })
}

fn list(bucket: &Bucket, call: &Call) -> Answer {
    let wanted = call.query("max-keys").and_then(|max| max.parse().ok()).unwrap_or(PAGE_MAX);
    let page = wanted.min(PAGE_MAX);
    let spelled = |key: &str| match call.query("encoding-type") {
        Some("url") => encoded(key),
        _ => escaped(key),
    };
    let contents: String = bucket
        .objects
        .iter()
        .take(page)
        .map(|(key, size)| {
            format!("<Contents><Key>{}</Key><Size>{size}</Size></Contents>", spelled(key))
        })
        .collect();
    let more = bucket.objects.len() > page;
    Answer::xml(
        200,
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult \
             xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>b</Name><Prefix></Prefix>\
             <MaxKeys>{page}</MaxKeys><IsTruncated>{more}</IsTruncated>{contents}\
             </ListBucketResult>"
        ),
    )
}

fn put(bucket: &mut Bucket, key: &str, size: u64) -> Result<Answer, Answer> {
    let grown = bucket.size() - bucket.objects.get(key).copied().unwrap_or(0) + size;
    if bucket.max_size.is_some_and(|max| grown > max) {
        return Err(quota_reached(bucket.max_size.unwrap_or(0)));
    }
    bucket.objects.insert(key.to_owned(), size);
    Ok(Answer::empty(200))
}

pub(super) fn quota_reached(max: u64) -> Answer {
    let words = format!(
        "Forbidden: Bucket size quota is reached, maximum total size of objects for this bucket: \
         {max}. The bucket is already full."
    );
    refused(403, "AccessDenied", &words)
}

fn delete_many(world: &World, call: &Call, name: &str) -> Result<Answer, Answer> {
    let text = String::from_utf8_lossy(&call.raw_body).into_owned();
    let keys: Vec<String> = text
        .split("<Key>")
        .skip(1)
        .filter_map(|rest| rest.split_once("</Key>"))
        .map(|(key, _)| unescaped(key))
        .collect();
    if keys.is_empty() || keys.len() > PAGE_MAX {
        return Err(refused(400, "MalformedXML", "Malformed XML"));
    }
    let spared = if world.faults.fires("s3", "partial-delete") { keys.len() - 1 } else { 0 };
    let (deleted, kept) = keys.split_at(keys.len() - spared);
    within(
        world,
        call,
        name,
        |may| may.write,
        |bucket| {
            for key in deleted {
                bucket.objects.remove(key);
            }
        },
    )?;
    world.journal.effect("s3", "objects-deleted", name, "");
    let errors: String = kept
        .iter()
        .map(|key| {
            format!(
                "<Error><Key>{}</Key><Code>InternalError</Code><Message>timeout</Message></Error>",
                escaped(key)
            )
        })
        .collect();
    let body = format!("<?xml version=\"1.0\"?><DeleteResult>{errors}</DeleteResult>");
    Ok(Answer::xml(200, body))
}

fn unescaped(text: &str) -> String {
    let plain = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    plain.iter().fold(text.to_owned(), |text, (spelled, letter)| text.replace(spelled, letter))
}

/// A name as it stands in a URL; slashes stay.
pub(super) fn encoded(key: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte);
    key.bytes()
        .map(|byte| match plain(byte) {
            true => char::from(byte).to_string(),
            false => format!("%{byte:02X}"),
        })
        .collect()
}
