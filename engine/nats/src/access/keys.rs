//! Keys: a seed, which its user keeps to itself, and a public half, which the server knows.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nkeys::{KeyPair, KeyPairType};

/// A text is no seed of a user's key. The text is never shown.
#[derive(Debug, thiserror::Error)]
#[error(
    "this is not the seed of a NATS user's key, which begins with SU; `stead nats key` makes one"
)]
pub struct KeyError;

/// A new key: its seed.
///
/// # Errors
/// If the machine has no chance to give.
pub fn new_seed() -> Result<String, KeyError> {
    KeyPair::new_user().seed().map_err(|_| KeyError)
}

/// The public half of a key.
///
/// # Errors
/// If it is not the seed of a user's key.
pub fn public_key(seed: &str) -> Result<String, KeyError> {
    let pair = KeyPair::from_seed(seed.trim()).map_err(|_| KeyError)?;
    let public = pair.public_key();
    if pair.key_pair_type() == KeyPairType::User { Ok(public) } else { Err(KeyError) }
}

/// What a key says of some bytes, in base64.
///
/// # Errors
/// If it is not the seed of a user's key.
pub fn sign(seed: &str, bytes: &[u8]) -> Result<String, KeyError> {
    let pair = KeyPair::from_seed(seed.trim()).map_err(|_| KeyError)?;
    Ok(STANDARD.encode(pair.sign(bytes).map_err(|_| KeyError)?))
}

/// Whether the key with this public half has signed these bytes.
#[must_use]
pub fn has_signed(public: &str, bytes: &[u8], signature: &str) -> bool {
    let Ok(pair) = KeyPair::from_public_key(public) else { return false };
    STANDARD.decode(signature).is_ok_and(|signature| pair.verify(bytes, &signature).is_ok())
}

/// Whether a text is the public half of a user's key.
#[must_use]
pub fn is_public_key(text: &str) -> bool {
    text.starts_with('U') && KeyPair::from_public_key(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::{has_signed, is_public_key, new_seed, public_key, sign};

    #[test]
    fn a_new_key_has_a_public_half() {
        let seed = new_seed().expect("a seed");
        let public = public_key(&seed).expect("its public half");
        assert!(is_public_key(&public) && !is_public_key(&seed), "{public}");
        assert_eq!(public_key(&format!("{seed}\n")).expect("the same"), public);
    }

    #[test]
    fn a_signature_is_of_one_key_and_these_bytes() {
        let seed = new_seed().expect("a seed");
        let public = public_key(&seed).expect("its public half");
        let other = public_key(&new_seed().expect("a seed")).expect("its public half");
        let signature = sign(&seed, b"bytes").expect("signed");
        assert!(has_signed(&public, b"bytes", &signature));
        for (public, bytes, signature) in [
            (&other, "bytes", &signature),
            (&public, "other", &signature),
            (&public, "bytes", &String::new()),
            (&"U".to_owned(), "bytes", &signature),
        ] {
            assert!(!has_signed(public, bytes.as_bytes(), signature), "{public} {bytes}");
        }
    }

    #[test]
    fn a_text_that_is_no_seed_is_not_shown() {
        let error = public_key("SUsecret").expect_err("no seed").to_string();
        assert!(!error.contains("SUsecret"), "{error}");
    }
}
