//! Coder's answers and errors.

use serde_json::{Value, json};

use crate::net::Answer;

pub(super) fn message(status: u16, text: &str) -> Answer {
    Answer::json(status, json!({ "message": text }))
}

/// An error that names a field.
pub(super) fn validation(status: u16, text: &str, field: &str, detail: &str) -> Answer {
    let validations = json!([{ "field": field, "detail": detail }]);
    Answer::json(status, json!({ "message": text, "validations": validations }))
}

pub(super) fn not_found() -> Answer {
    message(404, "Resource not found or you do not have access to this resource")
}

/// Said of users that are not there and of names that are none, so that nobody learns which.
pub(super) fn no_user() -> Answer {
    message(400, "\"user\" must be an existing uuid or username.")
}

pub(super) fn unauthorized() -> Answer {
    let body: Value = json!({
        "message": "You are signed out or your session has expired. Please sign in again to continue.",
        "detail": "API key is invalid.",
    });
    Answer::json(401, body)
}

pub(super) fn rate_limited() -> Answer {
    message(429, "You've been rate limited for sending more than 512 requests in 1m0s.")
        .header("retry-after", "1")
}

pub(super) fn build_active() -> Answer {
    message(409, "A workspace build is already active.")
}
