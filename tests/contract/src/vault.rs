//! Vault: the path and the method are there, the query is known, the body has the fields that are
//! described and no other, and so has what an answer holds.

use serde_json::{Value, json};
use stead_lab::RecordedRequest;

use crate::schema::{Described, placeholders};
use crate::{Found, Specs, is_done};

/// The mounts of the site, by the names that the description has for them. A lab may have another one
/// for secrets.
const MOUNTS: [(&str, &str); 3] = [
    ("approle_mount_path", "approle"),
    ("kubernetes_mount_path", "kubernetes"),
    ("transit_mount_path", "transit"),
];
const KV_MOUNTS: [&str; 2] = ["secret", "kv"];

/// What stands around everything that Vault answers.
const ENVELOPE: [&str; 9] = [
    "auth",
    "data",
    "lease_duration",
    "lease_id",
    "mount_type",
    "renewable",
    "request_id",
    "warnings",
    "wrap_info",
];

pub(crate) fn faults(specs: &Specs, call: &RecordedRequest) -> Vec<Found> {
    let spec = specs.file("vault/openapi.json");
    let Some(path) = call.path.strip_prefix("/v1") else {
        return vec![(String::new(), "it is not below /v1".to_owned())];
    };
    let mut query = call.query.as_object().cloned().unwrap_or_default();
    // LIST is another word for a GET with `list=true`, PUT another for POST.
    let (method, path) = match call.method.as_str() {
        "LIST" => {
            query.insert("list".to_owned(), Value::from("true"));
            ("get", format!("{}/", path.trim_end_matches('/')))
        }
        "PUT" => ("post", path.to_owned()),
        method => (&*method.to_lowercase(), path.to_owned()),
    };
    let mut paths = spec["paths"].as_object().into_iter().flatten();
    let found = paths.find(|(template, known)| fits(template, &path) && known[method].is_object());
    let Some((_, known)) = found else {
        return vec![(String::new(), "there is no such call".to_owned())];
    };
    let operation = &known[method];
    let mut faults = Vec::new();
    for name in query.keys() {
        let mut parameters = operation["parameters"].as_array().into_iter().flatten();
        if !parameters.any(|known| known["in"] == "query" && known["name"] == name.as_str()) {
            let at = format!("request.query.{name}");
            faults.push((at, "there is no such parameter".to_owned()));
        }
    }
    faults.extend(body(specs, &spec, operation, &call.body));
    match &call.answer {
        Some(answer) if is_done(call) => {
            faults.extend(answered(specs, &spec, operation, (call, answer)));
        }
        Some(answer) if !path.starts_with("/sys/") => faults.extend(refused(answer)),
        Some(_) | None => {}
    }
    faults
}

/// What is `null` is not said.
fn body(specs: &Specs, spec: &Value, operation: &Value, body: &Value) -> Vec<Found> {
    let at = "request.body";
    let mut said = body.as_object().cloned().unwrap_or_default();
    said.retain(|_, value| !value.is_null());
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    match schema {
        Value::Null if said.is_empty() => Vec::new(),
        Value::Null => vec![(at.to_owned(), "it takes none".to_owned())],
        schema => {
            let name = format!("vault {schema}");
            let said = Value::Object(said);
            Described { specs, name, root: spec, schema }.faults(at, &said)
        }
    }
}

/// Only what is within the envelope is described.
fn answered(
    specs: &Specs,
    spec: &Value,
    operation: &Value,
    (call, answer): (&RecordedRequest, &Value),
) -> Vec<Found> {
    let described = &operation["responses"][call.status.to_string()];
    if described.is_null() {
        return vec![("answer".to_owned(), format!("the status {} is not described", call.status))];
    }
    let strange = answer.as_object().into_iter().flatten().filter(|(name, _)| {
        !ENVELOPE.contains(&name.as_str()) && !call.path.starts_with("/v1/sys/")
    });
    let mut faults: Vec<Found> = strange
        .map(|(name, _)| (format!("answer.{name}"), "there is no such field".to_owned()))
        .collect();
    let schema = &described["content"]["application/json"]["schema"];
    if !schema.is_null() && answer["wrap_info"].is_null() {
        let name = format!("vault {schema}");
        let described = Described { specs, name, root: spec, schema };
        faults.extend(described.faults("answer.data", &answer["data"]));
    }
    faults
}

/// What is refused is told in a list of texts; what was deleted shows when.
fn refused(answer: &Value) -> Vec<Found> {
    let is_told = answer["errors"].as_array().is_some_and(|all| all.iter().all(Value::is_string));
    let is_gone = answer["data"]["metadata"].is_object() && answer["data"]["data"] == json!(null);
    if is_told || is_gone {
        return Vec::new();
    }
    vec![("answer.errors".to_owned(), format!("{answer} tells no errors"))]
}

/// Whether a path fits a template. A secret's path may have any depth.
fn fits(template: &str, path: &str) -> bool {
    const KV: &str = "{kv_v2_mount_path}";
    if template.contains(KV) {
        return KV_MOUNTS.iter().any(|mount| fits(&template.replace(KV, mount), path));
    }
    let template = MOUNTS.iter().fold(template.to_owned(), |template, (name, mount)| {
        template.replace(&format!("{{{name}}}"), mount)
    });
    if template.contains("mount_path}") {
        return false;
    }
    match template.split_once("{path}") {
        Some((front, end)) => path
            .strip_prefix(front)
            .and_then(|rest| rest.strip_suffix(end))
            .is_some_and(|inner| !inner.is_empty() && !inner.ends_with('/')),
        None => placeholders(&template, path).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_secret_may_lie_at_any_depth() {
        assert!(fits("/{kv_v2_mount_path}/data/{path}", "/secret/data/a/b/c"));
        assert!(fits("/{kv_v2_mount_path}/metadata/{path}/", "/secret/metadata/a/b/"));
        assert!(!fits("/{kv_v2_mount_path}/metadata/{path}", "/secret/metadata/a/b/"));
        assert!(fits("/{kv_v2_mount_path}/data/{path}", "/kv/data/a"));
        assert!(!fits("/{kv_v2_mount_path}/data/{path}", "/other/data/a"));
        assert!(!fits("/{cubbyhole_mount_path}/{path}", "/secret/data/a"));
    }
}
