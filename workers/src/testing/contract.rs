//! What the workers ask for, checked against the vendors' own API descriptions, where those are
//! at hand. `STEAD_SPECS` says where they lie.

use serde_json::{Value, json};
use stead_lab::RecordedRequest;

/// A vendor's API description, if it is at hand.
pub(crate) fn specification(path: &str) -> Option<Value> {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/specs");
    let specs = std::env::var("STEAD_SPECS").unwrap_or_else(|_| beside.to_owned());
    let text = std::fs::read(format!("{specs}/{path}")).ok();
    if text.is_none() {
        tracing::warn!(path, "skipped: the vendor's API description is not at hand");
    }
    serde_json::from_slice(&text?).ok()
}

fn check(schema: &Value, value: &Value, what: &str) {
    let validator = jsonschema::validator_for(schema).unwrap();
    let faults: Vec<_> = validator.iter_errors(value).map(|fault| fault.to_string()).collect();
    assert!(faults.is_empty(), "{what}: {faults:#?}\n{value:#}");
}

/// TrueNAS: the method is there, and each parameter in its place is as described.
pub(crate) fn check_truenas(spec: &Value, call: &RecordedRequest) {
    let methods = spec["methods"].as_array().unwrap();
    let method = methods.iter().find(|method| method["name"] == call.path.as_str());
    let method = method.unwrap_or_else(|| panic!("TrueNAS has no method {}", call.path));
    let described = method["params"].as_array().unwrap();
    let given = call.body.as_array().unwrap();
    assert!(given.len() <= described.len(), "{} takes {} parameters", call.path, described.len());
    for (parameter, value) in described.iter().zip(given) {
        let mut schema = parameter["schema"].clone();
        if method["params_defs"].is_object() {
            schema["$defs"] = method["params_defs"].clone();
        }
        check(&schema, value, &call.path);
    }
}

/// Proxmox: the path is there, it knows every parameter, and none that it needs is missing.
pub(crate) fn check_proxmox(spec: &Value, call: &RecordedRequest) {
    let path = call.path.strip_prefix("/api2/json").unwrap_or(&call.path);
    let what = format!("{} {path}", call.method);
    let node = find_path(spec, path).unwrap_or_else(|| panic!("Proxmox has no {path}"));
    let described = &node["info"][&call.method]["parameters"]["properties"];
    assert!(node["info"][&call.method].is_object(), "Proxmox has no {what}");
    let given: Vec<&String> = [&call.query, &call.body]
        .into_iter()
        .filter_map(Value::as_object)
        .flat_map(|fields| fields.keys())
        .collect();
    let numbered = |name: &str| format!("{}[n]", name.trim_end_matches(char::is_numeric));
    for name in &given {
        let known = [name.as_str(), &numbered(name)].iter().any(|name| described[name].is_object());
        assert!(known, "{what} does not know {name}");
    }
    let template = node["path"].as_str().unwrap();
    for (name, description) in described.as_object().into_iter().flatten() {
        let is_given = given.contains(&name) || template.contains(&format!("{{{name}}}"));
        assert!(is_given || description["optional"] == 1, "{what} needs {name}");
    }
}

fn find_path<'a>(tree: &'a Value, path: &str) -> Option<&'a Value> {
    let fits = |template: &str| {
        let (wanted, found): (Vec<_>, Vec<_>) =
            (template.split('/').collect(), path.split('/').collect());
        wanted.len() == found.len()
            && wanted.iter().zip(found).all(|(part, is)| part.starts_with('{') || *part == is)
    };
    tree.as_array()?.iter().find_map(|node| match node["path"].as_str() {
        Some(template) if fits(template) => Some(node),
        _ => find_path(&node["children"], path),
    })
}

/// Kubernetes: an object is as this file describes its kind, with no field that is not there.
pub(crate) fn check_object(path: &str, object: &Value) {
    if let Some(spec) = specification(path) {
        check(&spec, object, path);
    }
}

/// Coder: the path is there and the body is as described, with no field that is not.
pub(crate) fn check_coder(spec: &Value, call: &RecordedRequest) {
    let paths = spec["paths"].as_object().unwrap();
    let parts = |path: &str| path.split('/').map(str::to_owned).collect::<Vec<_>>();
    let found = parts(&call.path);
    let fits = |template: &str| {
        let wanted = parts(template);
        wanted.len() == found.len()
            && wanted.iter().zip(&found).all(|(part, is)| part.starts_with('{') || part == is)
    };
    let method = call.method.to_lowercase();
    let operation = paths
        .iter()
        .find(|(template, operations)| fits(template) && operations[&method].is_object());
    let (_, operations) =
        operation.unwrap_or_else(|| panic!("Coder has no {method} {}", call.path));
    if call.body.is_null() {
        return;
    }
    let parameters = operations[&method]["parameters"].as_array().unwrap();
    // A file is described as a field of a form; Coder's own clients, and its source, send it as it is.
    if parameters.iter().any(|parameter| parameter["in"] == "formData") {
        return;
    }
    let body = parameters.iter().find(|parameter| parameter["in"] == "body").unwrap();
    let reference = body["schema"]["$ref"].as_str().unwrap();
    check(
        &json!({ "$ref": reference, "definitions": spec["definitions"] }),
        &call.body,
        &call.path,
    );
    let name = reference.rsplit('/').next().unwrap();
    for field in call.body.as_object().unwrap().keys() {
        let known = spec["definitions"][name]["properties"][field].is_object();
        assert!(known, "{} does not know {field}", call.path);
    }
}

/// Authentik: the path is there, and it knows every parameter, each of its kind.
pub(crate) fn check_authentik(spec: &Value, call: &RecordedRequest) {
    let path = call.path.strip_prefix("/api/v3").unwrap();
    let operation = &spec["paths"][path][call.method.to_lowercase()];
    let described = operation["parameters"].as_array().unwrap_or_else(|| panic!("no {path}"));
    let described: Vec<&Value> = described
        .iter()
        .map(|parameter| match parameter["$ref"].as_str() {
            Some(reference) => spec.pointer(reference.trim_start_matches('#')).unwrap(),
            None => parameter,
        })
        .collect();
    assert!(call.body.is_null(), "{path} takes no body");
    for (name, value) in call.query.as_object().unwrap() {
        let found = described.iter().find(|known| known["name"] == *name && known["in"] == "query");
        let found = found.unwrap_or_else(|| panic!("{path} does not know {name}"));
        let text = value.as_str().unwrap();
        // Numbers and truths are texts in a query.
        let value = match found["schema"]["type"].as_str() {
            Some("integer" | "boolean") => serde_json::from_str(text).unwrap(),
            _ => value.clone(),
        };
        check(&found["schema"], &value, name);
    }
}

/// Vault: the path of a login or of something wrapped is there, and its body is as described. What is
/// `null` is not said.
pub(crate) fn check_vault(spec: &Value, call: &RecordedRequest) {
    let path = call.path.strip_prefix("/v1").unwrap();
    let path = match path.split('/').collect::<Vec<_>>().as_slice() {
        ["", "auth", mount, "login"] => format!("/auth/{{{mount}_mount_path}}/login"),
        ["", "sys", "wrapping", _] => path.to_owned(),
        _ => return,
    };
    let described = &spec["paths"][&path]["post"]["requestBody"]["content"]["application/json"];
    let reference = described["schema"]["$ref"].as_str().unwrap_or_else(|| panic!("no {path}"));
    let schema = spec.pointer(reference.trim_start_matches('#')).unwrap();
    let mut body = call.body.as_object().cloned().unwrap_or_default();
    body.retain(|_, value| !value.is_null());
    for name in body.keys() {
        assert!(schema["properties"][name].is_object(), "{path} does not know {name}");
    }
    check(schema, &Value::Object(body), &path);
}
