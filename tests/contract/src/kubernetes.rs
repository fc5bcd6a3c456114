//! Kubernetes: an object is as its kind is described, with no field that is not there, and so is every
//! answer; a query has only words that its reference knows.
//!
//! Of two kinds there is a description among the others. Those of all kinds lie in the package
//! `kubernetes-validate`, which `ops/test` fetches.

use serde_json::Value;
use stead_lab::RecordedRequest;

use crate::schema::Described;
use crate::{Found, Specs};

/// What may be asked for in a query, as the reference of the API has it: it is in no schema.
const QUERIES: [(&str, &[&str]); 4] = [
    ("DELETE", &["dryRun", "gracePeriodSeconds", "propagationPolicy"]),
    (
        "GET",
        &["container", "continue", "fieldSelector", "labelSelector", "limit", "tailLines", "watch"],
    ),
    ("PATCH", &["dryRun", "fieldManager", "fieldValidation", "force"]),
    ("POST", &["dryRun", "fieldManager", "fieldValidation"]),
];

pub(crate) fn faults(specs: &Specs, call: &RecordedRequest) -> Vec<Found> {
    // The registry for images is another system, which speaks where Kubernetes does in the lab.
    if call.path.starts_with("/v2/") {
        return Vec::new();
    }
    let mut faults = object(specs, "request.body", &call.body);
    let known = QUERIES.iter().find(|(method, _)| *method == call.method);
    let known = known.map_or(&[][..], |(_, names)| names);
    for (name, _) in call.query.as_object().into_iter().flatten() {
        if !known.contains(&name.as_str()) {
            let at = format!("request.query.{name}");
            faults.push((at, "there is no such parameter".to_owned()));
        }
    }
    // A log is no object.
    if let Some(answer) = call.answer.as_ref().filter(|answer| answer.is_object()) {
        faults.extend(object(specs, "answer", answer));
    }
    faults
}

fn object(specs: &Specs, at: &str, object: &Value) -> Vec<Found> {
    if object.is_null() {
        return Vec::new();
    }
    let (Some(version), Some(kind)) = (object["apiVersion"].as_str(), object["kind"].as_str())
    else {
        return vec![(at.to_owned(), "it does not say what it is".to_owned())];
    };
    let file = file(version, kind);
    if let Some(all) = specs.kubernetes("_definitions.json") {
        let Some(schema) = specs.kubernetes(&file) else {
            return vec![(at.to_owned(), format!("there is no {kind} in {version}"))];
        };
        let name = format!("kubernetes {file}");
        return Described { specs, name, root: &all, schema: &schema }.faults(at, object);
    }
    match [("apps/v1", "Deployment"), ("v1", "Service")].contains(&(version, kind)) {
        true => {
            let spec = specs.file(&format!("kubernetes/{file}"));
            let name = format!("kubernetes {file}");
            Described { specs, name, root: &spec, schema: &spec }.faults(at, object)
        }
        false => Vec::new(),
    }
}

/// `Job` of `batch/v1` is described in `job-batch-v1.json`.
fn file(version: &str, kind: &str) -> String {
    let kind = kind.to_lowercase();
    match (version.split_once('/'), kind.as_str()) {
        (Some((group, version)), _) => format!("{kind}-{group}-{version}.json"),
        (None, "deleteoptions" | "status") => format!("{kind}-meta-{version}.json"),
        (None, _) => format!("{kind}-{version}.json"),
    }
}

#[cfg(test)]
mod tests {
    use super::file;

    #[test]
    fn a_kind_is_described_in_a_file_of_its_own() {
        assert_eq!(file("batch/v1", "Job"), "job-batch-v1.json");
        assert_eq!(file("v1", "ConfigMap"), "configmap-v1.json");
        assert_eq!(file("v1", "DeleteOptions"), "deleteoptions-meta-v1.json");
    }
}
