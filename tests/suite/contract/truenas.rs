//! TrueNAS: the method is there, and each parameter in its place is as described.

use serde_json::Value;
use stead_lab::RecordedRequest;

use super::schema_faults;

pub(super) fn check(spec: &Value, call: &RecordedRequest) -> Vec<String> {
    let methods = spec["methods"].as_array().expect("methods");
    let Some(method) = methods.iter().find(|method| method["name"] == call.path.as_str()) else {
        return vec!["there is no such method".to_owned()];
    };
    let described = method["params"].as_array().map_or(&[][..], Vec::as_slice);
    let given = call.body.as_array().map_or(&[][..], Vec::as_slice);
    let mut faults = Vec::new();
    if given.len() > described.len() {
        faults.push(format!("it takes {} parameters, not {}", described.len(), given.len()));
    }
    for missing in described.iter().skip(given.len()).filter(|p| p["required"] == true) {
        faults.push(format!("the parameter {} is missing", missing["name"]));
    }
    for (parameter, value) in described.iter().zip(given) {
        let mut schema = parameter["schema"].clone();
        if method["params_defs"].is_object() {
            schema["$defs"] = method["params_defs"].clone();
        }
        faults.extend(schema_faults(&schema, value));
    }
    faults
}
