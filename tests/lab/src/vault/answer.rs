//! Vault's envelopes and errors.

use chrono::Utc;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::net::{Answer, Call};

/// A 200 with the envelope that wraps every answer.
pub(super) fn data(request: Uuid, data: Value) -> Answer {
    Answer::json(200, envelope(request, data, Value::Null))
}

/// A 200 with an `auth` object.
pub(super) fn auth(request: Uuid, auth: Value) -> Answer {
    Answer::json(200, envelope(request, Value::Null, auth))
}

/// A 200 that says with which token the answer can be had.
pub(super) fn wrapped(request: Uuid, info: Value) -> Answer {
    let mut body = envelope(request, Value::Null, Value::Null);
    body["wrap_info"] = info;
    Answer::json(200, body)
}

/// A 404 that still has a body: the version was deleted or destroyed.
pub(super) fn gone(request: Uuid, data: Value) -> Answer {
    Answer::json(404, envelope(request, data, Value::Null))
}

fn envelope(request: Uuid, data: Value, auth: Value) -> Value {
    json!({
        "request_id": request,
        "lease_id": "",
        "renewable": false,
        "lease_duration": 0,
        "data": data,
        "wrap_info": null,
        "warnings": null,
        "auth": auth,
        "mount_type": "kv",
    })
}

pub(super) fn errors(status: u16, texts: &[&str]) -> Answer {
    Answer::json(status, json!({ "errors": texts }))
}

pub(super) fn denied() -> Answer {
    errors(403, &["permission denied"])
}

pub(super) fn no_route(path: &str) -> Answer {
    errors(404, &[&format!("no handler for route \"{path}\". route entry not found.")])
}

/// What a sealed Vault says: everything 503, health in its own shape.
pub(super) fn sealed(call: &Call) -> Answer {
    if call.path == "/v1/sys/health" {
        return health(true);
    }
    errors(503, &["Vault is sealed"])
}

pub(super) fn health(sealed: bool) -> Answer {
    let status = if sealed { 503 } else { 200 };
    Answer::json(
        status,
        json!({
            "initialized": true,
            "sealed": sealed,
            "standby": sealed,
            "performance_standby": false,
            "replication_performance_mode": if sealed { "unknown" } else { "disabled" },
            "replication_dr_mode": if sealed { "unknown" } else { "disabled" },
            "server_time_utc": Utc::now().timestamp(),
            "version": "1.20.4",
            "enterprise": false,
            "cluster_name": "vault-cluster-lab",
            "cluster_id": "5f0c7f2e-6a35-4a2a-9d3f-1b1a2c3d4e5f",
        }),
    )
}

pub(super) fn seal_status() -> Answer {
    Answer::json(
        200,
        json!({
            "type": "shamir", "initialized": true, "sealed": false, "t": 1, "n": 1, "progress": 0,
            "nonce": "", "version": "1.20.4", "migration": false, "recovery_seal": false,
            "storage_type": "raft",
        }),
    )
}
