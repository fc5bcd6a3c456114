//! Who gave a command, and from where.

use alloc::string::String;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The header in which a client says what it is. Nobody checks that.
pub const CLIENT_HEADER: &str = "Stead-Client";
/// How much of that is kept, in characters.
pub const CLIENT_CHARS_MAX: usize = 100;

/// Who sent a command, as far as that can be known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// The user, as the NATS server knows it: the public half of its key, or its name. The server
    /// has seen to it that this is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The address that the server saw it at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What the client says that it is. It is claimed, and nobody has checked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

/// What is kept of a client's claim; nothing of an empty one.
#[must_use]
pub fn claim(text: &str) -> Option<String> {
    let printable = text.trim().chars().filter(|letter| !letter.is_control());
    Some(printable.take(CLIENT_CHARS_MAX).collect::<String>()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{CLIENT_CHARS_MAX, claim};

    #[test]
    fn a_claim_is_short_and_printable() {
        assert_eq!(claim(" a\u{1b}[31m\n "), Some("a[31m".into()));
        assert_eq!(claim(" \t"), None);
        let long = claim(&"x".repeat(500)).unwrap_or_default();
        assert_eq!(long.len(), CLIENT_CHARS_MAX);
    }
}
