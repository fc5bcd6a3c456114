//! What an order will do, in words: for whoever asks before it is given, and for whoever reads the
//! history. No workflow reads it.

use alloc::format;
use alloc::string::String;

use serde_json::{Map, Value};

const DAY: u64 = 24 * 60 * 60;

/// The order with its plan.
pub(crate) fn planned<const LINES: usize>(order: Value, plan: [Option<String>; LINES]) -> Value {
    let mut fields = match order {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    let plan = plan.into_iter().flatten().map(Value::String).collect();
    fields.insert("plan".into(), Value::Array(plan));
    Value::Object(fields)
}

/// A time of grace, as it is configured.
pub(crate) fn span(seconds: u64) -> String {
    match seconds {
        DAY.. if seconds.is_multiple_of(DAY) => format!("{} days", seconds / DAY),
        3_600.. => format!("{} h", seconds / 3_600),
        _ => format!("{seconds} s"),
    }
}
