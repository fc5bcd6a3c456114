//! Proxmox VE: the path is there, it knows every parameter, none that it needs is missing, and each
//! value has the type, the range and the choice that are described. Of an answer likewise.

use std::collections::BTreeMap;

use serde_json::Value;
use stead_lab::RecordedRequest;

use crate::schema::placeholders;
use crate::{Found, Specs, is_done};

pub(crate) fn faults(specs: &Specs, call: &RecordedRequest) -> Vec<Found> {
    let spec = specs.file("proxmox/apidata.json");
    let path = call.path.strip_prefix("/api2/json").unwrap_or(&call.path);
    let Some((node, in_path)) = find(&spec, path) else {
        return vec![(String::new(), "there is no such path".to_owned())];
    };
    let operation = &node["info"][&call.method];
    if !operation.is_object() {
        return vec![(String::new(), "the path has no such method".to_owned())];
    }
    let mut faults = request(&operation["parameters"]["properties"], call, in_path);
    match &call.answer {
        Some(answer) if is_done(call) => {
            let (described, data) = (&operation["returns"], &answer["data"]);
            // What need not be returned is `null`.
            if !data.is_null() || is_needed("", described) {
                faults.extend(returned(described, "answer.data", data));
            }
        }
        Some(_) | None => {}
    }
    faults
}

fn request(
    described: &Value,
    call: &RecordedRequest,
    in_path: BTreeMap<String, String>,
) -> Vec<Found> {
    let mut given: BTreeMap<String, String> = BTreeMap::new();
    for fields in [&call.query, &call.body].into_iter().filter_map(Value::as_object) {
        given.extend(fields.iter().map(|(name, value)| (name.clone(), text(value))));
    }
    given.extend(in_path);
    let mut faults = Vec::new();
    for (name, value) in &given {
        let at = format!("request.{name}");
        match property(described, name) {
            Some(description) => {
                faults.extend(value_fault(value, description).map(|words| (at, words)));
            }
            None => faults.push((at, "there is no such parameter".to_owned())),
        }
    }
    for (name, description) in described.as_object().into_iter().flatten() {
        if is_needed(name, description) && !given.contains_key(name) {
            faults.push((format!("request.{name}"), "it is missing".to_owned()));
        }
    }
    faults
}

fn is_needed(name: &str, description: &Value) -> bool {
    let may_lack =
        matches!(&description["optional"], Value::Number(one) if one.as_i64() == Some(1));
    !may_lack && !name.ends_with("[n]")
}

/// `net0` is described as itself or as `net[n]`.
fn property<'a>(described: &'a Value, name: &str) -> Option<&'a Value> {
    let numbered = format!("{}[n]", name.trim_end_matches(|digit: char| digit.is_ascii_digit()));
    [name, &numbered].into_iter().map(|name| &described[name]).find(|found| found.is_object())
}

/// The node of the tree that a path leads to, and what stands in its placeholders.
fn find<'a>(tree: &'a Value, path: &str) -> Option<(&'a Value, BTreeMap<String, String>)> {
    tree.as_array()?.iter().find_map(|node| {
        match node["path"].as_str().and_then(|template| placeholders(template, path)) {
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

fn value_fault(value: &str, description: &Value) -> Option<String> {
    let fault = |words: String| Some(format!("it is `{value}`, and {words}"));
    let limit = |which: &str| text(&description[which]).parse::<f64>().ok();
    match description["type"].as_str().unwrap_or_default() {
        word @ ("integer" | "number") => {
            let Ok(number) = value.parse::<f64>() else {
                return fault("a number is wanted".into());
            };
            if word == "integer" && number.fract() != 0.0 {
                return fault("a whole number is wanted".into());
            }
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

/// What is wrong with a part of an answer.
fn returned(description: &Value, at: &str, value: &Value) -> Vec<Found> {
    let wrong = |words: &str| vec![(at.to_owned(), format!("{value} is {words}"))];
    match description["type"].as_str().unwrap_or_default() {
        "array" => match value.as_array() {
            Some(items) => {
                let at = format!("{at}[]");
                items.iter().flat_map(|item| returned(&description["items"], &at, item)).collect()
            }
            None => wrong("no list"),
        },
        "object" => match value.as_object() {
            Some(_) if !description["properties"].is_object() => Vec::new(),
            Some(fields) => returned_fields(&description["properties"], at, fields),
            None => wrong("no object"),
        },
        "integer" if !value.is_i64() && !value.is_u64() => wrong("no whole number"),
        "number" if !value.is_number() => wrong("no number"),
        "string" if !value.is_string() => wrong("no text"),
        "null" if !value.is_null() => wrong("something, and nothing is described"),
        "boolean" if *value != 0 && *value != 1 => wrong("neither 0 nor 1"),
        _ => match description["enum"].as_array() {
            Some(choice) if !choice.contains(value) => wrong("not among the choices"),
            Some(_) | None => Vec::new(),
        },
    }
}

fn returned_fields(
    described: &Value,
    at: &str,
    fields: &serde_json::Map<String, Value>,
) -> Vec<Found> {
    let mut faults = Vec::new();
    for (name, value) in fields {
        let at = format!("{at}.{name}");
        match property(described, name) {
            Some(description) => faults.extend(returned(description, &at, value)),
            None => faults.push((at, "there is no such field".to_owned())),
        }
    }
    for (name, description) in described.as_object().into_iter().flatten() {
        if is_needed(name, description) && !fields.contains_key(name) {
            faults.push((format!("{at}.{name}"), "it is missing".to_owned()));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{returned, value_fault};

    fn check(description: &Value, value: &Value, expected: &[&str]) {
        let found = returned(description, "data", value);
        let found: Vec<_> =
            found.iter().map(|(field, words)| format!("{field}: {words}")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_answer_has_what_is_described_and_nothing_else() {
        let described = json!({ "type": "array", "items": { "type": "object", "properties": {
            "vmid": { "type": "integer" },
            "lock": { "type": "string", "optional": 1, "enum": ["clone", "backup"] },
            "net[n]": { "type": "string" },
        } } });
        check(&described, &json!([{ "vmid": 1, "net0": "virtio" }]), &[]);
        check(&described, &json!([{ "vmid": "1" }]), &["data[].vmid: \"1\" is no whole number"]);
        check(&described, &json!([{}]), &["data[].vmid: it is missing"]);
        let strange = json!([{ "vmid": 1, "disk": 2 }]);
        check(&described, &strange, &["data[].disk: there is no such field"]);
        let locked = json!([{ "vmid": 1, "lock": "mine" }]);
        check(&described, &locked, &["data[].lock: \"mine\" is not among the choices"]);
        check(&described, &Value::Null, &["data: null is no list"]);
    }

    #[test]
    fn a_parameter_has_its_type_its_range_and_its_choice() {
        let number = json!({ "type": "integer", "minimum": 100, "maximum": "200" });
        assert_eq!(value_fault("100", &number), None);
        assert!(value_fault("99", &number).is_some() && value_fault("201", &number).is_some());
        assert!(value_fault("1e", &number).is_some() && value_fault("100.5", &number).is_some());
        let choice = json!({ "type": "string", "enum": ["raw"] });
        assert!(value_fault("raw", &choice).is_none() && value_fault("qcow", &choice).is_some());
        assert!(value_fault("true", &json!({ "type": "boolean" })).is_some());
    }
}
