//! Coder: the path is there, its query is known, body and answer are as described, with no field that
//! is not. What it refuses is always told in the same shape.

use serde_json::{Value, json};
use stead_lab::RecordedRequest;

use crate::schema::{Described, operation, typed};
use crate::{Found, Specs, is_done};

pub(crate) fn faults(specs: &Specs, call: &RecordedRequest) -> Vec<Found> {
    let spec = specs.file("coder/swagger.json");
    let Some(operation) = operation(&spec, &call.method, &call.path) else {
        return vec![(String::new(), "there is no such call".to_owned())];
    };
    let parameters = operation["parameters"].as_array().map_or(&[][..], Vec::as_slice);
    let mut faults = query(specs, parameters, &call.query);
    faults.extend(body(specs, &spec, parameters, &call.body));
    if let Some(answer) = &call.answer {
        faults.extend(answered(specs, &spec, operation, (call, answer)));
    }
    faults
}

fn query(specs: &Specs, parameters: &[Value], query: &Value) -> Vec<Found> {
    let mut faults = Vec::new();
    for (name, value) in query.as_object().into_iter().flatten() {
        let at = format!("request.query.{name}");
        let known = parameters.iter().find(|p| p["in"] == "query" && p["name"] == name.as_str());
        let Some(known) = known else {
            faults.push((at, "there is no such parameter".to_owned()));
            continue;
        };
        let mut schema = json!({ "type": known["type"] });
        if known["enum"].is_array() {
            schema["enum"] = known["enum"].clone();
        }
        let value = typed(&schema, value.as_str().unwrap_or_default());
        let name = format!("coder query {schema}");
        faults
            .extend(Described { specs, name, root: &schema, schema: &schema }.faults(&at, &value));
    }
    for wanted in parameters.iter().filter(|p| p["in"] == "query" && p["required"] == true) {
        let name = wanted["name"].as_str().unwrap_or_default();
        if query[name].is_null() {
            faults.push((format!("request.query.{name}"), "it is missing".to_owned()));
        }
    }
    faults
}

fn body(specs: &Specs, spec: &Value, parameters: &[Value], body: &Value) -> Vec<Found> {
    let at = "request.body";
    // A file is described as a field of a form; Coder's own clients, and its source, send it as it is.
    if parameters.iter().any(|parameter| parameter["in"] == "formData") {
        return Vec::new();
    }
    let described = parameters.iter().find(|parameter| parameter["in"] == "body");
    match (described, body.is_null()) {
        (None, true) => Vec::new(),
        (None, false) => vec![(at.to_owned(), "it takes none".to_owned())],
        (Some(described), true) if described["required"] == true => {
            vec![(at.to_owned(), "it is missing".to_owned())]
        }
        (Some(_), true) => Vec::new(),
        (Some(described), false) => {
            described_by(specs, spec, &described["schema"]).faults(at, body)
        }
    }
}

fn answered(
    specs: &Specs,
    spec: &Value,
    operation: &Value,
    (call, answer): (&RecordedRequest, &Value),
) -> Vec<Found> {
    let refused = json!({ "$ref": "#/definitions/codersdk.Response" });
    if !is_done(call) {
        return described_by(specs, spec, &refused).faults("answer", answer);
    }
    let described = &operation["responses"][call.status.to_string()];
    match &described["schema"] {
        _ if described.is_null() => {
            vec![("answer".to_owned(), format!("the status {} is not described", call.status))]
        }
        Value::Null => Vec::new(),
        schema => described_by(specs, spec, schema).faults("answer", answer),
    }
}

fn described_by<'a>(specs: &'a Specs, root: &'a Value, schema: &'a Value) -> Described<'a> {
    Described { specs, name: format!("coder {schema}"), root, schema }
}
