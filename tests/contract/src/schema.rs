//! Values held against JSON schemas, those of OpenAPI included: what a schema forbids, and fields that
//! it does not know.

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use serde_json::{Map, Value, json};

use crate::{Found, Specs};

/// A schema inside a description.
pub(crate) struct Described<'a> {
    pub(crate) specs: &'a Specs,
    /// A name of its own among all schemas.
    pub(crate) name: String,
    /// What its references lead into.
    pub(crate) root: &'a Value,
    pub(crate) schema: &'a Value,
}

impl Described<'_> {
    /// What is wrong with a value that stands at `at`.
    pub(crate) fn faults(&self, at: &str, value: &Value) -> Vec<Found> {
        let whole = || standalone(self.root, self.schema);
        let validator = self.specs.validator(&self.name, whole);
        let mut faults: Vec<Found> =
            validator.iter_errors(value).flat_map(|fault| innermost(at, &fault)).collect();
        faults.extend(unknown(self.root, self.schema, at, value));
        faults
    }
}

/// What exactly is wrong, and where: of several schemas that none fits, the one that fits best counts.
fn innermost(at: &str, fault: &ValidationError<'_>) -> Vec<Found> {
    let at_fault = place(at, fault.instance_path().as_str());
    match fault.kind() {
        ValidationErrorKind::AnyOf { context } | ValidationErrorKind::OneOfNotValid { context } => {
            // A schema of another type is not the one that was meant, nor is one with many faults.
            let is_other = |inner: &ValidationError<'_>| {
                matches!(inner.kind(), ValidationErrorKind::Type { .. })
                    && inner.instance_path() == fault.instance_path()
            };
            let best =
                context.iter().min_by_key(|faults| (faults.iter().any(is_other), faults.len()));
            let best = best.map_or(&[][..], Vec::as_slice);
            best.iter().flat_map(|fault| innermost(at, fault)).collect()
        }
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let strange =
                |name| (format!("{at_fault}.{name}"), "there is no such field".to_owned());
            unexpected.iter().map(strange).collect()
        }
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![(format!("{at_fault}.{name}"), "it is missing".to_owned())]
        }
        _ => vec![(at_fault, fault.to_string().chars().take(200).collect())],
    }
}

/// `/results/0/name` beneath `answer` is `answer.results[].name`.
fn place(at: &str, pointer: &str) -> String {
    let parts = pointer.split('/').skip(1);
    parts.fold(at.to_owned(), |place, part| match part.parse::<usize>() {
        Ok(_) => place + "[]",
        Err(_) => place + "." + part,
    })
}

/// Fields that nobody described.
fn unknown(root: &Value, schema: &Value, at: &str, value: &Value) -> Vec<Found> {
    let schema = follow(root, schema);
    for word in ["allOf", "anyOf", "oneOf"] {
        if let Some(schemas) = schema[word].as_array() {
            let fits = schemas.iter().map(|schema| follow(root, schema));
            let fits = fits.filter(|schema| schema["type"] != "null");
            let each = fits.map(|schema| unknown(root, schema, at, value));
            return each.min_by_key(Vec::len).unwrap_or_default();
        }
    }
    match value {
        Value::Array(items) => {
            let at = format!("{at}[]");
            items.iter().flat_map(|item| unknown(root, &schema["items"], &at, item)).collect()
        }
        Value::Object(fields) => {
            fields.iter().flat_map(|field| unknown_in(root, schema, at, field)).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn unknown_in(
    root: &Value,
    schema: &Value,
    at: &str,
    (name, value): (&String, &Value),
) -> Vec<Found> {
    let at = format!("{at}.{name}");
    let Some(known) = schema["properties"].as_object().filter(|known| !known.is_empty()) else {
        return Vec::new();
    };
    match known.get(name) {
        Some(schema) => unknown(root, schema, &at, value),
        // What a schema forbids in so many words, its validator has told.
        None if schema["additionalProperties"].is_null() => {
            vec![(at, "there is no such field".to_owned())]
        }
        None => unknown(root, &schema["additionalProperties"], &at, value),
    }
}

fn follow<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema["$ref"].as_str().and_then(|reference| root.pointer(pointer(reference)));
    target.map_or(schema, |target| follow(root, target))
}

/// A schema with all that it refers to, and without the dialect of OpenAPI 3.0.
fn standalone(root: &Value, schema: &Value) -> Value {
    let mut wanted = references(schema);
    let mut whole = plain(schema);
    while let Some(reference) = wanted.pop() {
        let pointer = pointer(&reference);
        let Some(part) = root.pointer(pointer).filter(|_| whole.pointer(pointer).is_none()) else {
            continue;
        };
        wanted.extend(references(part));
        let mut names = pointer.split('/').skip(1).peekable();
        let mut spot = &mut whole;
        while let Some(name) = names.next() {
            let last = names.peek().is_none();
            spot = &mut spot[name];
            if last {
                *spot = plain(part);
            }
        }
    }
    whole
}

/// Where in a document a reference leads.
fn pointer(reference: &str) -> &str {
    reference.split_once('#').map_or("", |(_, pointer)| pointer)
}

fn references(schema: &Value) -> Vec<String> {
    match schema {
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str).map(str::to_owned);
            own.into_iter().chain(fields.values().flat_map(references)).collect()
        }
        Value::Array(items) => items.iter().flat_map(references).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// `nullable` is a word of OpenAPI 3.0 only.
fn plain(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            let mut plain: Map<String, Value> =
                fields.iter().map(|(name, part)| (name.clone(), self::plain(part))).collect();
            // Whatever is referred to comes along, so that it is always in this very document.
            if let Some(Value::String(reference)) = plain.get_mut("$ref") {
                *reference = format!("#{}", pointer(reference));
            }
            match plain.remove("nullable") {
                Some(Value::Bool(true)) => {
                    json!({ "anyOf": [plain, { "type": "null" }] })
                }
                // It may be the name of a field as well.
                Some(part @ Value::Object(_)) => {
                    plain.insert("nullable".to_owned(), part);
                    Value::Object(plain)
                }
                _ => Value::Object(plain),
            }
        }
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => schema.clone(),
    }
}

/// The values of a template's placeholders if the path fits it.
pub(crate) fn placeholders<'a>(
    template: &'a str,
    path: &'a str,
) -> Option<Vec<(&'a str, &'a str)>> {
    let (wanted, found): (Vec<_>, Vec<_>) =
        (template.split('/').collect(), path.split('/').collect());
    if wanted.len() != found.len() {
        return None;
    }
    let mut values = Vec::new();
    for (part, is) in wanted.into_iter().zip(found) {
        match part.strip_prefix('{').and_then(|part| part.strip_suffix('}')) {
            Some(name) if !is.is_empty() => values.push((name, is)),
            None if part == is => {}
            Some(_) | None => return None,
        }
    }
    Some(values)
}

/// The operation of an OpenAPI description that a call is: of several templates, the most definite.
pub(crate) fn operation<'a>(spec: &'a Value, method: &str, path: &str) -> Option<&'a Value> {
    let method = method.to_lowercase();
    let paths = spec["paths"].as_object()?.iter();
    let fitting = paths.filter_map(|(template, operations)| {
        let operation = operations.get(&method)?;
        Some((placeholders(template, path)?.len(), operation))
    });
    fitting.min_by_key(|(open, _)| *open).map(|(_, operation)| operation)
}

/// A text of a query as a value of the type that its schema wants, if it can be one.
pub(crate) fn typed(schema: &Value, text: &str) -> Value {
    match schema["type"].as_str() {
        Some("integer" | "number" | "boolean") => {
            serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
        }
        _ => Value::from(text),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{innermost, placeholders, standalone, unknown};

    fn check(value: &Value, expected: &[&str]) {
        let root = json!({ "defs": {
            "Pet": { "type": "object", "properties": {
                "name": { "type": "string" },
                "friend": { "allOf": [{ "$ref": "#/defs/Pet" }], "nullable": true },
            }, "required": ["name"] },
        } });
        let schema = json!({ "type": "array", "items": { "$ref": "#/defs/Pet" } });
        let whole = standalone(&root, &schema);
        let validator = jsonschema::validator_for(&whole).expect("a schema");
        let wrong = validator.iter_errors(value).flat_map(|fault| innermost("pets", &fault));
        let found = wrong.chain(unknown(&root, &schema, "pets", value));
        let found: Vec<_> = found.map(|(field, words)| format!("{field}: {words}")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_fault_is_named_where_it_is() {
        check(&json!([{ "name": "Rex", "friend": null }]), &[]);
        check(&json!([{ "name": "Rex", "friend": { "name": "Mia" } }]), &[]);
        check(&json!([{ "name": 4 }]), &["pets[].name: 4 is not of type \"string\""]);
        check(&json!([{}]), &["pets[].name: it is missing"]);
        let strange = json!([{ "name": "Rex", "friend": { "name": "Mia", "age": 3 } }]);
        check(&strange, &["pets[].friend.age: there is no such field"]);
        let deep = json!([{ "name": "Rex", "friend": { "name": null } }]);
        check(&deep, &["pets[].friend.name: null is not of type \"string\""]);
    }

    #[test]
    fn a_placeholder_stands_for_one_part() {
        assert_eq!(placeholders("/a/{b}/c", "/a/x/c"), Some(vec![("b", "x")]));
        assert_eq!(placeholders("/a/{b}", "/a/x/c"), None);
        assert_eq!(placeholders("/a/{b}", "/a/"), None);
    }
}
