//! Keys that Vault keeps to itself, its transit engine: what is wrapped with one is opened by
//! asking Vault, by whoever its policy lets, and nowhere else.

use std::fmt;
use std::str::FromStr;

use stead_schemas::failure::Failure;
use vaultrs::api::transit::requests::{DataKeyType, DecryptDataRequest, GenerateDataKeyRequest};

use super::SecretText;
use super::ask::ask;
use super::classify::{Doing, classify};
use super::client::{Secrets, unasked};
use super::session::Session;
use crate::http::Effect;
use crate::measured::Call;

/// The mount that is meant where none is said.
const MOUNT: &str = "transit";

/// One of Vault's keys: `transit/stead`, or `stead` alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransitKey {
    mount: String,
    name: String,
}

/// A text that names no key.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` names no key of Vault's: write its mount and its name, `transit/stead`")]
pub struct NoTransitKey(String);

impl FromStr for TransitKey {
    type Err = NoTransitKey;

    fn from_str(text: &str) -> Result<Self, NoTransitKey> {
        let (mount, name) = text.rsplit_once('/').unwrap_or((MOUNT, text));
        let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_');
        let is_one = |part: &str| !part.is_empty() && part.chars().all(plain);
        match mount.split('/').all(is_one) && is_one(name) {
            true => Ok(Self { mount: mount.to_owned(), name: name.to_owned() }),
            false => Err(NoTransitKey(text.to_owned())),
        }
    }
}

impl fmt::Display for TransitKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.mount, self.name)
    }
}

impl Secrets {
    /// Opens what was wrapped with one of Vault's keys, in base64.
    ///
    /// # Errors
    /// In Vault's terms; never with what was opened.
    pub async fn open_wrapped(
        &self,
        key: &TransitKey,
        wrapped: &str,
    ) -> Result<SecretText, Failure> {
        let opening = |session: Session| async move {
            let request = DecryptDataRequest::builder()
                .mount(key.mount.as_str())
                .name(key.name.as_str())
                .ciphertext(wrapped)
                .build()
                .map_err(unasked)?;
            let opening = async {
                let opened = ask(&session.client, request).await;
                opened.map_err(|error| classify(&error, Doing::Unwrap(&key.to_string())))
            };
            Call::of("vault", Effect::None).measured(opening).await
        };
        Ok(SecretText::from(self.asked(opening).await?.plaintext))
    }

    /// A new key of 32 bytes, wrapped with one of Vault's; nobody has seen it.
    ///
    /// # Errors
    /// In Vault's terms.
    pub async fn new_wrapped(&self, key: &TransitKey) -> Result<String, Failure> {
        let making = |session: Session| async move {
            let request = GenerateDataKeyRequest::builder()
                .mount(key.mount.as_str())
                .name(key.name.as_str())
                .key_type(DataKeyType::Wrapped)
                .build()
                .map_err(unasked)?;
            let making = async {
                let made = ask(&session.client, request).await;
                made.map_err(|error| classify(&error, Doing::Unwrap(&key.to_string())))
            };
            Call::of("vault", Effect::None).measured(making).await
        };
        Ok(self.asked(making).await?.ciphertext)
    }
}

#[cfg(test)]
mod tests {
    use stead_schemas::failure::{Class, Kind};

    use super::TransitKey;
    use crate::testing::Stage;

    #[test]
    fn a_key_is_a_mount_and_a_name() {
        for (text, meant) in [("stead", "transit/stead"), ("sites/home/k-1", "sites/home/k-1")] {
            assert_eq!(text.parse::<TransitKey>().expect("a key").to_string(), meant);
        }
        for none in ["", "/", "transit/", "/stead", "a//b", "transit/a.b", "a?b/c"] {
            none.parse::<TransitKey>().expect_err(none);
        }
    }

    #[tokio::test]
    async fn what_is_wrapped_is_opened_by_vault_alone() {
        let stage = Stage::open().await;
        let secrets = stage.workers.secrets();
        let key: TransitKey = "transit/stead".parse().expect("a key");
        let one = secrets.new_wrapped(&key).await.expect("a key");
        let other = secrets.new_wrapped(&key).await.expect("a key");
        assert!(one.starts_with("vault:v1:") && one != other, "{one}");
        let opened = secrets.open_wrapped(&key, &one).await.expect("it opens");
        let again = secrets.open_wrapped(&key, &one).await.expect("it opens again");
        assert_eq!((opened.expose().len(), opened.expose()), (44, again.expose()));
        let altered = format!("{one}x");
        let failure = secrets.open_wrapped(&key, &altered).await.expect_err("it is another one");
        assert_eq!(failure.class.kind(), Kind::Lasting, "{failure}");
        let none: TransitKey = "transit/none".parse().expect("a key");
        let failure = secrets.new_wrapped(&none).await.expect_err("there is no such key");
        assert!(failure.to_string().contains("encryption key not found"), "{failure}");
        stage.lab.break_times("vault", "token-expired", 1).expect("a fault");
        secrets.open_wrapped(&key, &one).await.expect("a login that has ended is replaced");
        stage.lab.break_times("vault", "token-expired", 1).expect("a fault");
        secrets.new_wrapped(&key).await.expect("a login that has ended is replaced");
        stage.lab.break_("vault", "sealed").expect("a fault");
        let failure = secrets.open_wrapped(&key, &one).await.expect_err("it is sealed");
        assert_eq!(failure.class, Class::VendorDown, "{failure}");
    }
}
