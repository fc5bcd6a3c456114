//! Who a workspace belongs to, and the one reversible spelling of any text as a subject token.
//!
//! The owner is a token of every command's subject, so that the broker's own permissions decide
//! who may ask for what. Subjects are split at dots and know wildcards; a name may hold both.

use alloc::string::String;
use core::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest owner name, in bytes of UTF-8. Encoded, each byte may take three characters.
pub const OWNER_BYTES_MAX: usize = 64;

/// The person or team that a run belongs to, as the identity provider spells it: `john.doe`.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(try_from = "String", into = "String")]
pub struct Owner(String);

/// Why a text is no owner.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OwnerError {
    /// Nothing there.
    #[error("an owner name may not be empty")]
    Empty,
    /// Longer than [`OWNER_BYTES_MAX`].
    #[error("an owner name has at most {OWNER_BYTES_MAX} bytes, this one has {bytes}")]
    TooLong {
        /// How long it is.
        bytes: usize,
    },
    /// Control characters would garble every log line.
    #[error("an owner name may not hold control characters")]
    Control,
    /// The token is not the one spelling of any text.
    #[error("`{token}` is not a properly encoded subject token")]
    Token {
        /// The token as it came.
        token: String,
    },
}

impl Owner {
    /// Takes a plain name.
    ///
    /// # Errors
    /// If it is empty, too long or holds control characters.
    pub fn new(name: impl Into<String>) -> Result<Self, OwnerError> {
        let name = name.into();
        if name.is_empty() {
            return Err(OwnerError::Empty);
        }
        if name.len() > OWNER_BYTES_MAX {
            return Err(OwnerError::TooLong { bytes: name.len() });
        }
        if name.chars().any(char::is_control) {
            return Err(OwnerError::Control);
        }
        Ok(Self(name))
    }

    /// Takes the owner's token out of a subject.
    ///
    /// # Errors
    /// If the token is not the one spelling of an owner.
    pub fn from_token(token: &str) -> Result<Self, OwnerError> {
        let name = decode_token(token).ok_or_else(|| OwnerError::Token { token: token.into() })?;
        Self::new(name)
    }

    /// The owner as a subject token.
    #[must_use]
    pub fn token(&self) -> String {
        encode_token(&self.0)
    }

    /// The plain name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl TryFrom<String> for Owner {
    type Error = OwnerError;
    fn try_from(name: String) -> Result<Self, OwnerError> {
        Self::new(name)
    }
}

impl From<Owner> for String {
    fn from(owner: Owner) -> Self {
        owner.0
    }
}

/// Spells any text as one subject token: letters, digits, `-` and `_` stand for themselves,
/// every other byte becomes `%` and two capital hexadecimal digits.
#[must_use]
pub fn encode_token(text: &str) -> String {
    let mut token = String::with_capacity(text.len());
    for byte in text.bytes() {
        if stands_for_itself(byte) {
            token.push(char::from(byte));
        } else {
            token.push('%');
            token.push(hex_digit(byte >> 4));
            token.push(hex_digit(byte & 15));
        }
    }
    token
}

/// Reads a token back; `None` if it is not the one spelling that [`encode_token`] makes.
#[must_use]
pub fn decode_token(token: &str) -> Option<String> {
    let mut bytes = alloc::vec::Vec::with_capacity(token.len());
    let mut rest = token.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let (high, low) = (rest.next()?, rest.next()?);
            bytes.push(hex_value(high)? << 4 | hex_value(low)?);
        } else {
            bytes.push(byte);
        }
    }
    let text = String::from_utf8(bytes).ok()?;
    (encode_token(&text) == token).then_some(text)
}

fn stands_for_itself(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

fn hex_digit(value: u8) -> char {
    char::from(b"0123456789ABCDEF"[usize::from(value)])
}

fn hex_value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::{Owner, decode_token, encode_token};

    fn check(text: &str, token: &str) {
        assert_eq!(encode_token(text), token);
        assert_eq!(decode_token(token).as_deref(), Some(text));
    }

    #[test]
    fn every_text_has_one_spelling() {
        check("john", "john");
        check("john.doe", "john%2Edoe");
        check("a b*c>d", "a%20b%2Ac%3Ed");
        check("50%", "50%25");
        check("🦀", "%F0%9F%A6%80");
    }

    #[test]
    fn a_second_spelling_is_no_spelling() {
        for token in ["%6Aohn", "john%2edoe", "%", "%2", "%FF", "a.b", "a*"] {
            assert_eq!(decode_token(token), None, "{token}");
        }
    }

    #[test]
    fn an_owner_is_short_and_printable() {
        assert!(Owner::new("").is_err());
        assert!(Owner::new("a\nb").is_err());
        assert!(Owner::new("x".repeat(65)).is_err());
        assert!(Owner::new("john.doe").is_ok());
    }
}
