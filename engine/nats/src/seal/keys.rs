//! The keys of a process: a text with one on each line, of which the first seals and all open.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hkdf::{HKDF_SHA256, Prk};
use ring::rand::{SecureRandom, SystemRandom};

/// The longest name of a key, in characters.
pub(super) const ID_MAX: usize = 32;
/// How long a key is.
const KEY_BYTES: usize = 32;

/// The keys to what is sealed; none if nothing is to be. The first one seals.
#[derive(Clone, Default)]
pub struct Keys(Arc<[Key]>);

/// A key and its name.
pub(super) struct Key {
    pub id: String,
    pub secret: Prk,
}

/// Why a text holds no keys. Nothing of it is shown but names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// There is none.
    #[error("there is no key in it; `stead config key NAME` makes one")]
    Empty,
    /// A line is no key.
    #[error(
        "line {line} is no key: it is a name of small letters, digits and hyphens, a space, and 32 \
         bytes in base64, as `stead config key NAME` makes it"
    )]
    Line {
        /// Which line, counted from 1.
        line: usize,
    },
    /// Two keys have one name.
    #[error("line {line} names the key `{id}` a second time")]
    Twice {
        /// Which line, counted from 1.
        line: usize,
        /// The name.
        id: String,
    },
    /// There is no chance.
    #[error("the machine has no chance to give for a key")]
    NoChance,
    /// A name cannot be one.
    #[error("`{0}` is no name for a key: it has 1 to 32 small letters, digits and hyphens")]
    Name(String),
}

impl Keys {
    /// Reads keys. Empty lines and those that begin with `#` are left out.
    ///
    /// # Errors
    /// With the first line that is none.
    pub fn read(text: &str) -> Result<Self, KeysError> {
        let mut keys: Vec<Key> = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            let said = line.trim();
            if said.is_empty() || said.starts_with('#') {
                continue;
            }
            let key = read_line(said).ok_or(KeysError::Line { line: number })?;
            if keys.iter().any(|known| known.id == key.id) {
                return Err(KeysError::Twice { line: number, id: key.id });
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(KeysError::Empty) } else { Ok(Self(keys.into())) }
    }

    /// The names of all keys, that which seals first.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.id.as_str())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn sealing(&self) -> Option<&Key> {
        self.0.first()
    }

    pub(super) fn find(&self, id: &str) -> Option<&Key> {
        self.0.iter().find(|key| key.id == id)
    }
}

// By hand, so that no secret can reach a log.
impl fmt::Debug for Keys {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.names()).finish()
    }
}

/// A line with a new key of this name, for the file that holds them.
///
/// # Errors
/// If the name cannot be one, or the machine has no chance to give.
pub fn new_line(id: &str) -> Result<String, KeysError> {
    if !is_name(id) {
        return Err(KeysError::Name(id.chars().take(ID_MAX).collect()));
    }
    let mut secret = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut secret).map_err(|_| KeysError::NoChance)?;
    Ok(format!("{id} {}", STANDARD.encode(secret)))
}

fn read_line(line: &str) -> Option<Key> {
    let (id, secret) = line.split_once(char::is_whitespace)?;
    let secret = STANDARD.decode(secret.trim()).ok()?;
    let is_key = is_name(id) && secret.len() == KEY_BYTES;
    is_key.then(|| Key { id: id.to_owned(), secret: Prk::new_less_safe(HKDF_SHA256, &secret) })
}

fn is_name(id: &str) -> bool {
    let known = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '-');
    (1..=ID_MAX).contains(&id.len()) && id.chars().all(known)
}

#[cfg(test)]
mod tests {
    use super::{Keys, KeysError, new_line};

    fn check(text: &str, error: &KeysError) {
        assert_eq!(&Keys::read(text).expect_err(text), error, "{text}");
    }

    #[test]
    fn keys_are_read_in_order_and_never_shown() {
        let (new, old) = (new_line("k2").expect("a key"), new_line("k1").expect("a key"));
        let keys = Keys::read(&format!("# newest first\n\n{new}\n  {old}\n")).expect("keys");
        assert_eq!(keys.names().collect::<Vec<_>>(), ["k2", "k1"]);
        assert_eq!(format!("{keys:?}"), "[\"k2\", \"k1\"]");
    }

    #[test]
    fn a_line_that_is_no_key_is_named_and_not_shown() {
        check("", &KeysError::Empty);
        check("# nothing", &KeysError::Empty);
        let good = new_line("k1").expect("a key");
        for bad in ["k2", "k2 c2hvcnQ=", "K2 x", "k2 canary", &good.replace("k1", "k.1")] {
            let text = format!("{good}\n{bad}");
            check(&text, &KeysError::Line { line: 2 });
            assert!(!Keys::read(&text).expect_err("no key").to_string().contains("canary"));
        }
        check(&format!("{good}\n{good}"), &KeysError::Twice { line: 2, id: "k1".into() });
        assert_eq!(new_line("a b"), Err(KeysError::Name("a b".into())));
    }
}
