//! How large a value is on the wire, without writing it.

use serde_json::Value;

/// About the bytes of a value as JSON: exact but for escaped characters and long numbers.
pub(crate) fn json_bytes(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) => 5,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| json_bytes(item) + 1).sum::<usize>(),
        Value::Object(fields) => {
            2 + fields.iter().map(|(name, field)| name.len() + 4 + json_bytes(field)).sum::<usize>()
        }
    }
}
