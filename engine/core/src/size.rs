//! How large a value is on the wire, without writing it, and how large what a run says may be.

use serde_json::Value;
use stead_schemas::event::Event;

use crate::fold::Illegal;

/// The most that a run carries over when it begins anew: it has to fit into one message.
pub const CARRIED_BYTES_MAX: usize = 768 * 1024;
/// The most that one note is about.
pub const NOTE_BYTES_MAX: usize = 512 * 1024;

/// Whether a decision is small enough to be written. What is in a history was; so nobody asks on
/// replay.
pub(crate) fn fits(decision: &Event) -> Result<(), Illegal> {
    let (value, most, why) = match decision {
        Event::ContinuedAsNew(next) => {
            (&next.carried, CARRIED_BYTES_MAX, "what is carried over has more than 768 KiB")
        }
        Event::Noted(noted) => {
            (&noted.about, NOTE_BYTES_MAX, "what the note is about has more than 512 KiB")
        }
        _ => return Ok(()),
    };
    match json_bytes(value) > most {
        true => Err(Illegal { event: decision.name(), why }),
        false => Ok(()),
    }
}

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
