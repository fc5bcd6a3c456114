//! How deep a value from outside may be nested.
//!
//! What comes in becomes part of larger things: an answer stands in an event, which stands in a
//! transition. JSON readers give up at 128 levels, so that a value which could just be read, once
//! it is in the log, could never be read again. The doors keep far below that.

use serde_json::Value;

/// The most levels of lists and objects that are let in.
pub const DEPTH_MAX: usize = 64;

/// Whether the value has more levels than are let in.
#[must_use]
pub fn is_too_deep(value: &Value) -> bool {
    is_deeper(value, DEPTH_MAX)
}

fn is_deeper(value: &Value, than: usize) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        Value::Array(values) => than == 0 || values.iter().any(|value| is_deeper(value, than - 1)),
        Value::Object(fields) => {
            than == 0 || fields.values().any(|value| is_deeper(value, than - 1))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{DEPTH_MAX, is_too_deep};

    fn nested(levels: usize) -> Value {
        (0..levels).fold(json!(1), |value, level| {
            if level % 2 == 0 { json!([value]) } else { json!({ "a": value }) }
        })
    }

    #[test]
    fn the_levels_are_counted() {
        assert!(!is_too_deep(&json!("plain")));
        assert!(!is_too_deep(&nested(DEPTH_MAX)));
        assert!(is_too_deep(&nested(DEPTH_MAX + 1)));
    }
}
