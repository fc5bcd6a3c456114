//! Reads a command's fields one by one, so that each fault is named with its field.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Map, Value};

use crate::depth::{DEPTH_MAX, is_too_deep};
use crate::limit::Priority;
use crate::refusal::Refusal;

/// The largest command that is read, in bytes.
pub const COMMAND_BYTES_MAX: usize = 64 * 1024;
/// The longest command id, in characters.
pub const COMMAND_ID_MAX: usize = 128;

/// The field that says how much a command is wanted before others.
pub const PRIORITY: &str = "priority";

/// Takes the bytes of a command apart.
///
/// # Errors
/// If they are too many, too deeply nested, or not one JSON object.
pub fn read_object(bytes: &[u8]) -> Result<Map<String, Value>, Refusal> {
    if bytes.len() > COMMAND_BYTES_MAX {
        let words = format!(
            "a command has at most {COMMAND_BYTES_MAX} bytes, this one has {}",
            bytes.len()
        );
        return Err(Refusal::new("command.too-large", words));
    }
    match serde_json::from_slice(bytes) {
        Ok(value) if is_too_deep(&value) => {
            let words = format!("a command has at most {DEPTH_MAX} levels of lists and objects");
            Err(Refusal::new("command.too-deep", words))
        }
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(malformed("a command is one JSON object, such as {\"name\":\"dev\"}")),
        Err(error) => {
            Err(malformed(format!("a command is one JSON object; this is none: {error}")))
        }
    }
}

fn malformed(words: impl Into<String>) -> Refusal {
    Refusal::new("command.malformed", words)
}

/// Takes the optional id out of a command's fields.
///
/// # Errors
/// If there is one that is no text, empty or too long.
pub fn read_id(fields: &Map<String, Value>) -> Result<Option<String>, Refusal> {
    match fields.get("id") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(id)) if !id.is_empty() && id.chars().count() <= COMMAND_ID_MAX => {
            Ok(Some(id.clone()))
        }
        Some(_) => {
            let words = format!("an id is a text of 1 to {COMMAND_ID_MAX} characters");
            Err(Refusal::new("command.id-invalid", words).field("id"))
        }
    }
}

/// How much a command is wanted before others; as usual if nothing is said.
///
/// # Errors
/// If something is said that is no priority.
pub fn read_priority(fields: &Map<String, Value>) -> Result<Priority, Refusal> {
    let said = match fields.get(PRIORITY) {
        None | Some(Value::Null) => return Ok(Priority::Normal),
        Some(said) => said,
    };
    let known = Priority::ALL.into_iter().find(|known| said.as_str() == Some(known.word()));
    known.ok_or_else(|| {
        let words = "a priority is high, normal or low";
        Refusal::new("command.priority-invalid", words).field(PRIORITY)
    })
}

/// The fields of a command that are not read yet.
pub struct Fields<'a> {
    given: &'a Map<String, Value>,
    known: Vec<&'static str>,
}

/// Whether a letter shows itself and does nothing else: it begins no line, moves no cursor, and
/// turns no other letters round.
#[must_use]
pub fn is_printable(letter: char) -> bool {
    !letter.is_control() && !matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a text may stand as a reason: on one line, in 1 to `most` characters. It is shown to others
/// among what is so.
#[must_use]
pub fn is_reason(text: &str, most: usize) -> bool {
    !text.trim().is_empty() && text.chars().count() <= most && text.chars().all(is_printable)
}

impl<'a> Fields<'a> {
    /// Starts reading. The fields `id` and `name` belong to every command.
    #[must_use]
    pub fn of(given: &'a Map<String, Value>) -> Self {
        Self { given, known: Vec::from(["id", "name"]) }
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// If it is missing or no text.
    pub fn text(&mut self, field: &'static str) -> Result<&'a str, Refusal> {
        match self.optional_text(field)? {
            Some(text) => Ok(text),
            None => Err(Refusal::new("parameter.missing", "this field is needed").field(field)),
        }
    }

    /// A text that may be there.
    ///
    /// # Errors
    /// If it is there and no text.
    pub fn optional_text(&mut self, field: &'static str) -> Result<Option<&'a str>, Refusal> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong_type(field, "a text", other)),
        }
    }

    /// A whole number that may be there.
    ///
    /// # Errors
    /// If it is there and no whole number from 0 to 4294967295.
    pub fn optional_number(&mut self, field: &'static str) -> Result<Option<u32>, Refusal> {
        let Some(value) = self.take(field) else { return Ok(None) };
        match value.as_u64().and_then(|number| u32::try_from(number).ok()) {
            Some(number) => Ok(Some(number)),
            None if value.is_number() => {
                let words = format!("{value} is out of range; a whole number is wanted");
                Err(Refusal::new("parameter.out-of-range", words).field(field))
            }
            None => Err(wrong_type(field, "a whole number", value)),
        }
    }

    /// True or false, if it is said.
    ///
    /// # Errors
    /// If it is there and neither.
    pub fn optional_flag(&mut self, field: &'static str) -> Result<Option<bool>, Refusal> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(other) => Err(wrong_type(field, "true or false", other)),
        }
    }

    /// A value of any type that must be there; null is a value.
    ///
    /// # Errors
    /// If it is missing.
    pub fn value(&mut self, field: &'static str) -> Result<&'a Value, Refusal> {
        self.known.push(field);
        self.given
            .get(field)
            .ok_or_else(|| Refusal::new("parameter.missing", "this field is needed").field(field))
    }

    /// A value of any type that may be there.
    pub fn optional_value(&mut self, field: &'static str) -> Option<&'a Value> {
        self.take(field)
    }

    /// An object that may be there.
    ///
    /// # Errors
    /// If it is there and no object.
    pub fn optional_object(
        &mut self,
        field: &'static str,
    ) -> Result<Option<&'a Map<String, Value>>, Refusal> {
        match self.take(field) {
            None => Ok(None),
            Some(Value::Object(object)) => Ok(Some(object)),
            Some(other) => Err(wrong_type(field, "an object", other)),
        }
    }

    /// Ends reading.
    ///
    /// # Errors
    /// If there is a field that nobody asked for.
    pub fn finish(self) -> Result<(), Refusal> {
        let stranger = self.given.keys().find(|field| !self.known.contains(&field.as_str()));
        let Some(stranger) = stranger else { return Ok(()) };
        let words = format!("there is no such field; the fields are {}", self.known.join(", "));
        let shown: String = stranger.chars().take(64).collect();
        Err(Refusal::new("command.unknown-field", words).field(&shown))
    }

    fn take(&mut self, field: &'static str) -> Option<&'a Value> {
        self.known.push(field);
        self.given.get(field).filter(|value| !value.is_null())
    }
}

fn wrong_type(field: &str, wanted: &str, found: &Value) -> Refusal {
    let found = match found {
        Value::Null => "nothing".to_string(),
        Value::Bool(_) => "true or false".to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(_) => "a text".to_string(),
        Value::Array(_) => "a list".to_string(),
        Value::Object(_) => "an object".to_string(),
    };
    Refusal::new("parameter.wrong-type", format!("{wanted} is wanted, not {found}")).field(field)
}
