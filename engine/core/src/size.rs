//! How large a value is on the wire, without writing it, and how large what a run says may be.

use serde_json::Value;
use stead_schemas::event::{Event, Signal};

use crate::fold::Illegal;

/// The most that a run carries over when it begins anew: it has to fit into one message.
pub const CARRIED_BYTES_MAX: usize = 768 * 1024;
/// The same with the signals that it has not taken.
pub const CARRIED_WITH_SIGNALS_BYTES_MAX: usize = 800 * 1024;
/// The most that one note is about.
pub const NOTE_BYTES_MAX: usize = 512 * 1024;
/// The most that all steps together ask for that a run wants at once, after one fact.
pub const ASKED_BYTES_MAX: usize = 640 * 1024;
/// The most that a run shows of itself.
pub const VIEW_BYTES_MAX: usize = 256 * 1024;
/// The most that a run which is ended by hand says of what it leaves and what it showed.
pub const LEFT_BYTES_MAX: usize = 512 * 1024;
/// How many signals wait for a run that does not take them.
pub const SIGNALS_MAX: usize = 100;
/// How many bytes they may have together.
pub const SIGNALS_BYTES_MAX: usize = 128 * 1024;

/// Whether there is room for one more signal behind these.
#[must_use]
pub fn has_room<'a>(signal: &Signal, waiting: impl Iterator<Item = &'a Signal>) -> bool {
    let (mut count, mut bytes) = (1, signal_bytes(signal));
    for other in waiting {
        count += 1;
        bytes += signal_bytes(other);
    }
    count <= SIGNALS_MAX && bytes <= SIGNALS_BYTES_MAX
}

/// Whether a decision is small enough to be written. What is in a history was; so nobody asks on
/// replay.
pub(crate) fn fits(decision: &Event) -> Result<(), Illegal> {
    let why = match decision {
        Event::ContinuedAsNew(next) => {
            let carried = json_bytes(&next.carried);
            let signals: usize = next.signals.iter().map(signal_bytes).sum();
            if carried > CARRIED_BYTES_MAX {
                "what is carried over has more than 768 KiB"
            } else if carried + signals > CARRIED_WITH_SIGNALS_BYTES_MAX {
                "what is carried over has more than 800 KiB with the signals that nobody has taken"
            } else {
                return Ok(());
            }
        }
        Event::Noted(noted) if json_bytes(&noted.about) > NOTE_BYTES_MAX => {
            "what the note is about has more than 512 KiB"
        }
        _ => return Ok(()),
    };
    Err(Illegal { event: decision.name(), why })
}

fn signal_bytes(signal: &Signal) -> usize {
    // The names of its fields, and what stands between them.
    24 + signal.name.len() + json_bytes(&signal.payload)
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
