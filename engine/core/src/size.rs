//! How large a value is on the wire, without writing it, and how large what a run says may be.
//!
//! What a workflow decides depends on these measures, so that a history replays only where they stay
//! as they are.

use alloc::string::String;

use serde_json::{Number, Value};
use stead_schemas::dispatch::Route;
use stead_schemas::event::{Event, Signal};
use stead_schemas::policy::StepPolicy;

use crate::fold::Illegal;

/// The most that a run carries over when it begins anew: it has to fit into one message.
pub const CARRIED_BYTES_MAX: usize = 768 * 1024;
/// The same with the signals that it has not taken.
pub const CARRIED_WITH_SIGNALS_BYTES_MAX: usize = 800 * 1024;
/// The most that one note is about.
pub const NOTE_BYTES_MAX: usize = 512 * 1024;
/// The most that all steps together take in the log that a run wants at once, after one fact.
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

/// What a step takes in the log beside its name, request, address and patience: numbers, flags and the
/// names of fields.
const STEP_BYTES: usize = 128;
/// What its address takes beside the names in it, where it is not any worker.
const ROUTE_BYTES: usize = 64;
/// What its patience takes, where that is not as usual.
const POLICY_BYTES: usize = 320;

/// At least the bytes of a step in the log, where its request has `request_bytes`.
pub(crate) fn step_bytes(
    step: &str,
    route: &Route,
    policy: &StepPolicy,
    request_bytes: usize,
) -> usize {
    let route = match route {
        Route::Worker => 0,
        Route::Outside => ROUTE_BYTES,
        Route::Entity { kind, owner, name } => {
            ROUTE_BYTES + [kind, owner.as_str(), name].map(text_bytes).iter().sum::<usize>()
        }
    };
    let policy = if policy.is_usual() { 0 } else { POLICY_BYTES };
    STEP_BYTES + step.len() + route + policy + request_bytes
}

/// About the bytes of a value as JSON: exact but for escaped characters and long numbers.
pub(crate) fn json_bytes(value: &Value) -> usize {
    Measure { text: str::len, number: |_| 8 }.bytes(value)
}

/// At least the bytes of a value as JSON, and no fewer than [`json_bytes`].
pub(crate) fn written_bytes(value: &Value) -> usize {
    Measure { text: text_bytes, number: number_bytes }.bytes(value)
}

/// How the parts of a value are measured.
struct Measure {
    /// A text, without its quotes.
    text: fn(&str) -> usize,
    number: fn(&Number) -> usize,
}

impl Measure {
    fn bytes(&self, value: &Value) -> usize {
        match value {
            Value::Null | Value::Bool(_) => 5,
            Value::Number(number) => (self.number)(number),
            Value::String(text) => (self.text)(text) + 2,
            Value::Array(items) => 2 + items.iter().map(|item| self.bytes(item) + 1).sum::<usize>(),
            Value::Object(fields) => {
                let field =
                    |(name, field): (&String, &Value)| (self.text)(name) + 4 + self.bytes(field);
                2 + fields.iter().map(field).sum::<usize>()
            }
        }
    }
}

fn text_bytes(text: &str) -> usize {
    let written = |byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0C => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(written).sum()
}

fn number_bytes(number: &Number) -> usize {
    let whole = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
    // The longest one that is not whole is like -2.2250738585072014e-308.
    let bytes = whole.map_or(24, |whole| whole.checked_ilog10().map_or(1, |digits| digits + 2));
    bytes.max(8) as usize
}
