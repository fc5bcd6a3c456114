//! Coder: the path is there, its query is known, and the body is as described, with no field
//! that is not.

use serde_json::{Value, json};
use stead_lab::RecordedRequest;

use super::{placeholders, schema_faults};

pub(super) fn check(spec: &Value, call: &RecordedRequest) -> Vec<String> {
    let method = call.method.to_lowercase();
    let paths = spec["paths"].as_object().expect("paths");
    let found = paths.iter().find(|(template, operations)| {
        placeholders(template, &call.path).is_some() && operations[&method].is_object()
    });
    let Some((_, operations)) = found else { return vec!["there is no such call".to_owned()] };
    let parameters = operations[&method]["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    let mut faults = Vec::new();
    for name in call.query.as_object().into_iter().flatten().map(|(name, _)| name) {
        let known = parameters.iter().any(|p| p["in"] == "query" && p["name"] == name.as_str());
        if !known {
            faults.push(format!("there is no query parameter {name}"));
        }
    }
    // A file is described as a field of a form; Coder's own clients, and its source, send it as it is.
    if parameters.iter().any(|parameter| parameter["in"] == "formData") {
        return faults;
    }
    let body = parameters.iter().find(|parameter| parameter["in"] == "body");
    match (body, call.body.is_null()) {
        (None, true) => {}
        (None, false) => faults.push("it takes no body".to_owned()),
        (Some(body), true) if body["required"] == true => {
            faults.push("the body is missing".to_owned());
        }
        (Some(_), true) => {}
        (Some(body), false) => faults.extend(body_faults(spec, &body["schema"], &call.body)),
    }
    faults
}

fn body_faults(spec: &Value, schema: &Value, body: &Value) -> Vec<String> {
    let reference = schema["$ref"].as_str().unwrap_or_default();
    let whole = json!({ "$ref": reference, "definitions": spec["definitions"] });
    let mut faults = schema_faults(&whole, body);
    let name = reference.rsplit('/').next().unwrap_or_default();
    let known = &spec["definitions"][name]["properties"];
    for field in body.as_object().into_iter().flatten().map(|(field, _)| field) {
        if !known[field].is_object() {
            faults.push(format!("{name} has no field {field}"));
        }
    }
    faults
}
