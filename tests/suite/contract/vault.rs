//! Vault: the path and the method are there, and the body has the fields that are described.

use serde_json::{Value, json};
use stead_lab::RecordedRequest;

use super::{placeholders, schema_faults};

/// The mounts of the site, by the names that the description has for them.
const MOUNTS: &[(&str, &str)] =
    &[("kv_v2_mount_path", "secret"), ("approle_mount_path", "approle")];

pub(super) fn check(spec: &Value, call: &RecordedRequest) -> Vec<String> {
    let Some(path) = call.path.strip_prefix("/v1") else {
        return vec!["it is not below /v1".to_owned()];
    };
    let method = call.method.to_lowercase();
    let paths = spec["paths"].as_object().expect("paths");
    let found = paths
        .iter()
        .find(|(template, operations)| fits(template, path) && operations[&method].is_object());
    let Some((_, operations)) = found else { return vec!["there is no such call".to_owned()] };
    if call.body.is_null() {
        return Vec::new();
    }
    let schema = &operations[&method]["requestBody"]["content"]["application/json"]["schema"];
    let Some(reference) = schema["$ref"].as_str() else {
        return vec!["it takes no body".to_owned()];
    };
    let whole = json!({ "$ref": reference, "components": spec["components"] });
    let mut faults = schema_faults(&whole, &call.body);
    let name = reference.rsplit('/').next().unwrap_or_default();
    let known = &spec["components"]["schemas"][name]["properties"];
    for field in call.body.as_object().into_iter().flatten().map(|(field, _)| field) {
        if !known[field].is_object() {
            faults.push(format!("{name} has no field {field}"));
        }
    }
    faults
}

/// Whether a path fits a template. A secret's path may have any depth.
fn fits(template: &str, path: &str) -> bool {
    let template = MOUNTS.iter().fold(template.to_owned(), |template, (name, mount)| {
        template.replace(&format!("{{{name}}}"), mount)
    });
    if template.contains("mount_path}") {
        return false;
    }
    match template.strip_suffix("{path}") {
        Some(front) => path.strip_prefix(front).is_some_and(|rest| !rest.is_empty()),
        None => placeholders(&template, path).is_some(),
    }
}
