//! Proxmox VE's answers: data in an envelope, errors in the reason phrase.

use serde_json::{Map, Value, json};

use crate::net::{Answer, Call};

pub(super) fn data(data: Value) -> Answer {
    Answer::json(200, json!({ "data": data }))
}

/// An error whose text is in the reason phrase.
pub(super) fn error(status: u16, text: impl Into<String>) -> Answer {
    let text = text.into();
    let body = json!({ "data": null, "message": format!("{text}\n") });
    Answer::json(status, body).reason(text)
}

/// The same error as older versions tell it, which have no message in the body.
pub(super) fn without_message(answer: Answer) -> Answer {
    answer.body(json!({ "data": null }))
}

/// A 400 that names one parameter.
pub(super) fn parameter(name: &str, text: &str) -> Answer {
    parameters(Map::from_iter([(name.to_owned(), Value::from(text))]))
}

/// A 400 that names several parameters.
pub(super) fn parameters(errors: Map<String, Value>) -> Answer {
    let phrase = "Parameter verification failed.";
    let body = json!({ "data": null, "errors": errors, "message": format!("{phrase}\n") });
    Answer::json(400, body).reason(phrase)
}

pub(super) fn no_such_vm(node: &str, vmid: u32) -> Answer {
    error(500, format!("Configuration file 'nodes/{node}/qemu-server/{vmid}.conf' does not exist"))
}

pub(super) fn unknown_node(node: &str) -> Answer {
    let why = "failed to get address info for";
    error(
        500,
        format!("hostname lookup '{node}' failed - {why}: {node}: Name or service not known"),
    )
}

pub(super) fn not_implemented(call: &Call) -> Answer {
    let path = call.path.strip_prefix("/api2/json").unwrap_or(&call.path);
    error(501, format!("Method '{} {path}' not implemented", call.method))
}
