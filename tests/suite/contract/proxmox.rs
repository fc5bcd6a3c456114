//! Proxmox: the path is there, it knows every parameter, none that it needs is missing, and
//! each value has the type, the range and the choice that are described.

use std::collections::BTreeMap;

use serde_json::Value;
use stead_lab::RecordedRequest;

use super::placeholders;

pub(super) fn check(spec: &Value, call: &RecordedRequest) -> Vec<String> {
    let path = call.path.strip_prefix("/api2/json").unwrap_or(&call.path);
    let Some((node, in_path)) = find(spec, path) else {
        return vec!["there is no such path".to_owned()];
    };
    let operation = &node["info"][&call.method];
    if !operation.is_object() {
        return vec!["the path has no such method".to_owned()];
    }
    let described = &operation["parameters"]["properties"];
    let mut given: BTreeMap<String, String> = BTreeMap::new();
    for fields in [&call.query, &call.body].into_iter().filter_map(Value::as_object) {
        given.extend(fields.iter().map(|(name, value)| (name.clone(), text(value))));
    }
    given.extend(in_path);
    let mut faults = Vec::new();
    for (name, value) in &given {
        let numbered = format!("{}[n]", name.trim_end_matches(char::is_numeric));
        let known = [name, &numbered].into_iter().map(|name| &described[name]);
        match known.into_iter().find(|description| description.is_object()) {
            Some(description) => faults.extend(value_fault(name, value, description)),
            None => faults.push(format!("there is no parameter {name}")),
        }
    }
    for (name, description) in described.as_object().into_iter().flatten() {
        if description["optional"] != 1 && !given.contains_key(name) {
            faults.push(format!("the parameter {name} is missing"));
        }
    }
    faults
}

/// The node of the tree that a path leads to, and what stands in its placeholders.
fn find<'a>(tree: &'a Value, path: &str) -> Option<(&'a Value, BTreeMap<String, String>)> {
    tree.as_array()?.iter().find_map(|node| {
        let values = placeholders(node["path"].as_str()?, path);
        match values {
            Some(values) => {
                let owned = values.into_iter().map(|(name, is)| (name.to_owned(), decoded(is)));
                Some((node, owned.collect()))
            }
            None => find(&node["children"], path),
        }
    })
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A colon, an at or an exclamation mark in a path may be written as itself or encoded.
fn decoded(part: &str) -> String {
    part.replace("%3A", ":").replace("%40", "@").replace("%21", "!")
}

fn value_fault(name: &str, value: &str, description: &Value) -> Option<String> {
    let fault = |words: String| Some(format!("{name} is `{value}`, and {words}"));
    let limit = |which: &str| text(&description[which]).parse::<f64>().ok();
    match description["type"].as_str().unwrap_or_default() {
        "integer" | "number" => {
            let Ok(number) = value.parse::<f64>() else {
                return fault("a number is wanted".into());
            };
            if limit("minimum").is_some_and(|least| number < least) {
                return fault(format!("the least is {}", description["minimum"]));
            }
            if limit("maximum").is_some_and(|most| number > most) {
                return fault(format!("the most is {}", description["maximum"]));
            }
        }
        "boolean" if !["0", "1"].contains(&value) => return fault("0 or 1 is wanted".into()),
        _ => {}
    }
    if limit("maxLength").is_some_and(|most| value.len() as f64 > most) {
        return fault(format!("at most {} characters are allowed", description["maxLength"]));
    }
    let choice = description["enum"].as_array()?;
    if choice.iter().any(|known| known == value) {
        return None;
    }
    fault(format!("it is one of {choice:?}"))
}
