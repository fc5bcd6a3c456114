//! Authentik's errors.

use serde_json::{Value, json};

use crate::net::Answer;

pub(super) fn detail(status: u16, text: &str) -> Answer {
    Answer::json(status, json!({ "detail": text }))
}

/// A token that is none is no 401 here.
pub(super) fn bad_token() -> Answer {
    detail(403, "Token invalid/expired")
}

pub(super) fn forbidden() -> Answer {
    detail(403, "You do not have permission to perform this action.")
}

/// No such path.
pub(super) fn not_found() -> Answer {
    detail(404, "Not Found")
}

/// No such thing.
pub(super) fn none(what: &str) -> Answer {
    detail(404, &format!("No {what} matches the given query."))
}

/// A filter that cannot be this.
pub(super) fn invalid(field: &str, text: &str) -> Answer {
    let body: Value = json!({ field: [text] });
    Answer::json(400, body)
}
