//! Kubernetes' answers that are no objects: each is a `Status`.

use serde_json::{Value, json};

use crate::net::Answer;

pub(super) fn status(code: u16, reason: &str, message: &str, causes: &[Value]) -> Answer {
    let mut body = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    if !causes.is_empty() {
        body["details"] = json!({ "causes": causes });
    }
    Answer::json(code, body)
}

pub(super) fn not_found(resource: &str, name: &str) -> Answer {
    status(404, "NotFound", &format!("{resource} \"{name}\" not found"), &[])
}

pub(super) fn bad_request(message: &str) -> Answer {
    status(400, "BadRequest", message, &[])
}

pub(super) fn invalid(message: &str) -> Answer {
    status(422, "Invalid", message, &[])
}

/// Fields are wanted that others own: who, and which.
pub(super) fn conflict(held: &[(String, String)]) -> Answer {
    let cause = |(manager, field): &(String, String)| {
        json!({
            "reason": "FieldManagerConflict", "field": field,
            "message": format!("conflict with \"{manager}\""),
        })
    };
    let causes: Vec<Value> = held.iter().map(cause).collect();
    let message = format!("Apply failed with {} conflicts", causes.len());
    status(409, "Conflict", &message, &causes)
}
