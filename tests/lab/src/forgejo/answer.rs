//! Forgejo's errors.

use serde_json::json;

use crate::net::Answer;

pub(super) fn error(status: u16, message: &str) -> Answer {
    Answer::json(status, json!({ "message": message, "url": "http://127.0.0.1/api/swagger" }))
}

pub(super) fn not_found() -> Answer {
    let body = json!({
        "message": "The target couldn't be found.", "url": "http://127.0.0.1/api/swagger",
        "errors": [],
    });
    Answer::json(404, body)
}
