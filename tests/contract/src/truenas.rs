//! TrueNAS: the method is there, each parameter in its place is as described, and so is the result: in
//! the version that the lab plays, and in the next one.

use serde_json::{Value, json};
use stead_lab::RecordedRequest;

use crate::schema::Described;
use crate::{Found, Specs, is_done};

/// Versions, by the word that their faults begin with.
const VERSIONS: [(&str, &str); 2] =
    [("", "truenas/api-v25.10.5.json"), ("v26.", "truenas/api-v26.0.0-beta3.json")];

pub(crate) fn faults(specs: &Specs, call: &RecordedRequest) -> Vec<Found> {
    VERSIONS.iter().flat_map(|version| faults_by(specs, *version, call)).collect()
}

fn faults_by(specs: &Specs, (word, file): (&str, &str), call: &RecordedRequest) -> Vec<Found> {
    let spec = specs.file(file);
    let methods = spec["methods"].as_array().map_or(&[][..], Vec::as_slice);
    let Some(method) = methods.iter().find(|method| method["name"] == call.path.as_str()) else {
        return vec![(String::new(), format!("there is no such method in {file}"))];
    };
    let described = method["params"].as_array().map_or(&[][..], Vec::as_slice);
    let given = call.body.as_array().map_or(&[][..], Vec::as_slice);
    let mut faults = Vec::new();
    if given.len() > described.len() {
        let words = format!("it takes {} parameters, not {}", described.len(), given.len());
        faults.push((format!("{word}request"), words));
    }
    for missing in described.iter().skip(given.len()).filter(|p| p["required"] == true) {
        let name = missing["name"].as_str().unwrap_or_default();
        faults.push((format!("{word}request.{name}"), "it is missing".to_owned()));
    }
    let check = |defs: &str, what: &str, schema: &Value, value: &Value| {
        let root = format!("{file} {} {defs}", call.path);
        let root = specs.made(&root, || json!({ "$defs": method[defs] }));
        let name = format!("{file} {} {what}", call.path);
        let described = Described { specs, name, root: &root, schema };
        described.faults(&format!("{word}{what}"), value)
    };
    for (parameter, value) in described.iter().zip(given) {
        let what = format!("request.{}", parameter["name"].as_str().unwrap_or_default());
        faults.extend(check("params_defs", &what, &parameter["schema"], value));
    }
    let Some(answer) = call.answer.as_ref().filter(|_| is_done(call)) else { return faults };
    // A job is answered with its number; what is described is its result.
    let is_job = method["job"] == true && answer.is_i64();
    if !is_job && !method["result"].is_null() {
        faults.extend(check("result_defs", "answer", &method["result"], answer));
    }
    faults
}
