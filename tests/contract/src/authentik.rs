//! Authentik: the path is there, and it knows every parameter, each of its kind; the answer is as
//! described.

use serde_json::Value;
use stead_lab::RecordedRequest;

use crate::schema::{Described, operation, typed};
use crate::{Found, Specs};

pub(crate) fn faults(specs: &Specs, call: &RecordedRequest) -> Vec<Found> {
    let spec = specs.file("authentik/schema.json");
    let path = call.path.strip_prefix("/api/v3").unwrap_or_default();
    let Some(operation) = operation(&spec, &call.method, path) else {
        return vec![(String::new(), "there is no such call".to_owned())];
    };
    let at = |schema, at: &str, value: &Value| {
        let name = format!("authentik {schema}");
        Described { specs, name, root: &spec, schema }.faults(at, value)
    };
    let mut faults = Vec::new();
    if !call.body.is_null() {
        faults.push(("request.body".to_owned(), "nobody is to be changed".to_owned()));
    }
    let parameters = operation["parameters"].as_array().into_iter().flatten();
    let parameters: Vec<&Value> = parameters.map(|parameter| follow(&spec, parameter)).collect();
    for (name, value) in call.query.as_object().into_iter().flatten() {
        let place = format!("request.query.{name}");
        match parameters.iter().find(|known| known["name"] == *name && known["in"] == "query") {
            Some(known) => {
                let value = typed(&known["schema"], value.as_str().unwrap_or_default());
                faults.extend(at(&known["schema"], &place, &value));
            }
            None => faults.push((place, "there is no such parameter".to_owned())),
        }
    }
    let Some(answer) = &call.answer else { return faults };
    // Which refusals there are is not described for every call, and how they look in one place only.
    let is_refused = call.status >= 400;
    let described = follow(&spec, &operation["responses"][call.status.to_string()]);
    match &described["content"]["application/json"]["schema"] {
        Value::Null if is_refused => {}
        Value::Null => {
            let words = format!("the status {} is not described", call.status);
            faults.push(("answer".to_owned(), words));
        }
        schema => faults.extend(at(schema, "answer", answer)),
    }
    faults
}

fn follow<'a>(spec: &'a Value, part: &'a Value) -> &'a Value {
    part["$ref"].as_str().and_then(|reference| spec.pointer(&reference[1..])).unwrap_or(part)
}
