//! Payloads at rest: with keys, what lies on the servers' disks can be read by their holders only.
//!
//! A sealed message says in a header which key opens it; its body is a salt and what AES-256-GCM
//! makes of the payload, with a key of its own that follows from ours and the salt, so that no two
//! messages share one. The subject is bound in: a message that is moved to another history does
//! not open there. What has no such header is plain, so that histories from before read on.
//!
//! Sealed are transitions, the archive, and commands whose sender has the keys. Subjects, headers,
//! the notes of owners and leases are not: they hold no payload. Digests are over what is sealed,
//! so that chains hold whatever the key. `keys.rs` is the keys, `record.rs` which of them a platform
//! needs.

mod keys;
mod record;

use async_nats::HeaderMap;
use bytes::Bytes;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

pub use keys::{Keys, KeysError, new_line};
pub(crate) use record::agree;
pub use record::{KeySeen, KeyState, inspect_keys};

use keys::Key;

/// The header that says which key opens the body.
pub(crate) const KEY_HEADER: &str = "Stead-Key";
/// Chance before each body, from which its own key follows.
const SALT_BYTES: usize = 24;
/// What a sealed body is longer by: the salt, and AES-GCM's tag.
const ADDED_BYTES: usize = SALT_BYTES + 16;
/// Binds every key that is made of ours to this shape.
const SHAPE: &[u8] = b"stead sealed 1";

/// Why a message cannot be sealed.
#[derive(Debug, thiserror::Error)]
#[error("the machine has no chance to give, without which nothing can be sealed")]
pub(crate) struct NotSealed;

/// Why a message cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// We do not have the key.
    #[error("it is sealed with the key `{0}`, which is not among the keys of [encryption]")]
    Missing(String),
    /// The key is another one of the same name, or the message was altered or moved.
    #[error(
        "it does not open with the key `{0}`: that is another key of the same name, or it was \
         altered, or moved here from elsewhere"
    )]
    Closed(String),
}

impl Keys {
    /// Seals a payload for a subject, if there are keys, and says so in the headers.
    pub(crate) fn seal(
        &self,
        subject: &str,
        headers: &mut HeaderMap,
        payload: Vec<u8>,
    ) -> Result<Bytes, NotSealed> {
        let Some(key) = self.sealing() else { return Ok(payload.into()) };
        let mut body = Vec::with_capacity(payload.len() + ADDED_BYTES);
        body.resize(SALT_BYTES, 0);
        SystemRandom::new().fill(&mut body).map_err(|_| NotSealed)?;
        let own = own_key(key, &body).ok_or(NotSealed)?;
        body.extend_from_slice(&payload);
        let bound = Aad::from(subject.as_bytes());
        let tag = own.seal_in_place_separate_tag(nonce(), bound, &mut body[SALT_BYTES..]);
        body.extend_from_slice(tag.map_err(|_| NotSealed)?.as_ref());
        headers.insert(KEY_HEADER, key.id.as_str());
        Ok(body.into())
    }

    /// The payload of a message on a subject.
    pub(crate) fn open(
        &self,
        subject: &str,
        headers: Option<&HeaderMap>,
        body: Bytes,
    ) -> Result<Bytes, NotOpened> {
        match headers.and_then(|headers| headers.get(KEY_HEADER)) {
            None => Ok(body),
            Some(id) => self.open_sealed(subject, id.as_str(), body.into()).map(Bytes::from),
        }
    }

    /// The payload of a body that is sealed with the key of this name, for this subject.
    ///
    /// # Errors
    /// If the key is not among these, or does not open it.
    pub fn open_sealed(
        &self,
        subject: &str,
        id: &str,
        mut body: Vec<u8>,
    ) -> Result<Vec<u8>, NotOpened> {
        let key = self.find(id).ok_or_else(|| NotOpened::Missing(shown(id)))?;
        let closed = || NotOpened::Closed(shown(id));
        let salt = body.get(..SALT_BYTES).ok_or_else(closed)?;
        let own = own_key(key, salt).ok_or_else(closed)?;
        let bound = Aad::from(subject.as_bytes());
        let opened = own.open_within(nonce(), bound, &mut body, SALT_BYTES..);
        let length = opened.map_err(|_| closed())?.len();
        body.truncate(length);
        Ok(body)
    }
}

/// A key for one message alone.
fn own_key(key: &Key, salt: &[u8]) -> Option<LessSafeKey> {
    let info = [SHAPE, salt];
    let made = key.secret.expand(&info, &AES_256_GCM).ok()?;
    Some(LessSafeKey::new(UnboundKey::from(made)))
}

/// Each key is used once, and so is each nonce.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; NONCE_LEN])
}

/// A key's name as a message says it, which anybody may have written.
fn shown(id: &str) -> String {
    id.chars().filter(|letter| !letter.is_control()).take(keys::ID_MAX).collect()
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;
    use bytes::Bytes;

    use super::{ADDED_BYTES, KEY_HEADER, Keys, NotOpened, new_line};

    fn keys(ids: &[&str]) -> (Keys, String) {
        let lines: Vec<String> = ids.iter().map(|id| new_line(id).expect("a key")).collect();
        let text = lines.join("\n");
        (Keys::read(&text).expect("keys"), text)
    }

    fn sealed(keys: &Keys, subject: &str, payload: &[u8]) -> (HeaderMap, Bytes) {
        let mut headers = HeaderMap::new();
        let body = keys.seal(subject, &mut headers, payload.to_vec()).expect("it is sealed");
        (headers, body)
    }

    #[test]
    fn what_is_sealed_opens_where_it_belongs_only() {
        let (keys, _) = keys(&["k1"]);
        for payload in [&b""[..], b"x", &[7; 100_000]] {
            let (headers, body) = sealed(&keys, "stead.log.0.1.a", payload);
            assert_eq!(body.len(), payload.len() + ADDED_BYTES);
            let opened = keys.open("stead.log.0.1.a", Some(&headers), body.clone());
            assert_eq!(opened.expect("it opens"), payload);
            let moved = keys.open("stead.log.0.1.b", Some(&headers), body);
            assert_eq!(moved, Err(NotOpened::Closed("k1".into())));
        }
    }

    #[test]
    fn the_same_payload_is_never_sealed_the_same() {
        let (keys, _) = keys(&["k1"]);
        let (one, other) = (sealed(&keys, "a", b"payload").1, sealed(&keys, "a", b"payload").1);
        assert_ne!(one[..24], other[..24]);
        assert_ne!(one[24..], other[24..]);
    }

    #[test]
    fn each_altered_byte_is_noticed() {
        let (keys, _) = keys(&["k1"]);
        let (headers, body) = sealed(&keys, "a", b"payload");
        for at in 0..body.len() {
            let mut altered = body.to_vec();
            altered[at] ^= 1;
            assert!(keys.open("a", Some(&headers), altered.into()).is_err(), "byte {at}");
            assert!(keys.open("a", Some(&headers), body.slice(..at)).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn without_keys_nothing_changes_and_what_was_sealed_is_refused_in_words() {
        let none = Keys::default();
        let (headers, body) = sealed(&none, "a", b"payload");
        assert!(headers.get(KEY_HEADER).is_none() && &body[..] == b"payload");
        let (keys, _) = keys(&["k1"]);
        assert_eq!(keys.open("a", Some(&headers), body).expect("plain"), "payload");
        let (headers, body) = sealed(&keys, "a", b"payload");
        let words = none.open("a", Some(&headers), body).expect_err("no key").to_string();
        assert!(words.contains("`k1`") && words.contains("[encryption]"), "{words}");
    }

    #[test]
    fn the_first_key_seals_and_the_others_read_on() {
        let (before, old) = keys(&["k1"]);
        let (headers, body) = sealed(&before, "a", b"payload");
        let rotated = format!("{}\n{old}", new_line("k2").expect("a key"));
        let rotated = Keys::read(&rotated).expect("keys");
        assert_eq!(rotated.open("a", Some(&headers), body.clone()).expect("old"), "payload");
        let (newer, _) = sealed(&rotated, "a", b"payload");
        assert_eq!(newer.get(KEY_HEADER).expect("a key").as_str(), "k2");
        // Another key of the same name opens nothing.
        let (another, _) = keys(&["k1"]);
        let wrong = another.open("a", Some(&headers), body);
        assert_eq!(wrong, Err(NotOpened::Closed("k1".into())));
    }
}
