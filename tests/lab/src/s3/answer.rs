//! Garage's answers and errors: JSON from its administration, XML from S3.

use serde_json::json;

use crate::net::Answer;

pub(super) fn error(status: u16, code: &str, message: &str) -> Answer {
    let body = json!({ "code": code, "message": message, "region": "garage", "path": "/" });
    Answer::json(status, body)
}

pub(super) fn bad_request(message: &str) -> Answer {
    error(400, "InvalidRequest", &format!("Bad request: {message}"))
}

pub(super) fn forbidden(message: &str) -> Answer {
    error(403, "AccessDenied", &format!("Forbidden: {message}"))
}

pub(super) fn no_bucket(name: &str) -> Answer {
    error(404, "NoSuchBucket", &format!("Bucket not found: {name}"))
}

pub(super) fn no_key(id: &str) -> Answer {
    error(404, "NoSuchAccessKey", &format!("Access key not found: {id}"))
}

pub(super) fn bucket_exists() -> Answer {
    error(409, "BucketAlreadyExists", "Bucket already exists")
}

pub(super) fn not_empty() -> Answer {
    error(409, "BucketNotEmpty", "Tried to delete a non-empty bucket")
}

pub(super) fn key_exists(id: &str) -> Answer {
    let message = format!(
        "Key {id} already exists in data store. Even if it is deleted, we can't let you create a \
         new key with the same ID. Sorry."
    );
    error(409, "KeyAlreadyExists", &message)
}

pub(super) fn no_quorum() -> Answer {
    let message =
        "Internal error: Could not reach quorum of 2 (sets=None). 1 of 3 request succeeded";
    error(503, "ServiceUnavailable", message)
}

/// An error of S3 itself.
pub(super) fn refused(status: u16, code: &str, message: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{}</Message>\
         <Resource>/</Resource><Region>garage</Region></Error>",
        escaped(message)
    );
    Answer::xml(status, body)
}

/// A text as XML holds it.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
