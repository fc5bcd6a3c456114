//! A key that is asked for at every request: read from Vault, and kept for a while.

use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, Mac};
use sha2::Sha256;
use stead_schemas::failure::{Class, Failure};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Secret, Secrets};

/// How long the key is kept.
const KEY_LIFE: Duration = Duration::from_secs(60);
/// The field of the secret that is the key.
const FIELD: &str = "key";

/// See the module's head.
pub(crate) struct Key {
    place: String,
    secrets: Secrets,
    held: Mutex<Option<(Instant, Arc<Secret>)>>,
}

impl Key {
    /// The key that lies there.
    pub(crate) fn new(place: String, secrets: Secrets) -> Self {
        Self { place, secrets, held: Mutex::default() }
    }

    /// Something to sign with it, or to check a signature.
    ///
    /// # Errors
    /// If it cannot be read, or there is none: what is signed with nothing is not signed.
    pub(crate) async fn signer(&self) -> Result<Hmac<Sha256>, Failure> {
        let secret = self.read().await?;
        let key = secret.field(FIELD)?;
        let unusable = || {
            let words = format!("the key at {} is empty", self.place);
            Failure::new(Class::Permanent, words)
        };
        if key.is_empty() {
            return Err(unusable());
        }
        Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|_| unusable())
    }

    async fn read(&self) -> Result<Arc<Secret>, Failure> {
        let mut held = self.held.lock().await;
        if let Some((_, key)) = held.as_ref().filter(|(read, _)| read.elapsed() < KEY_LIFE) {
            return Ok(key.clone());
        }
        let key = self.secrets.read(&self.place).await?;
        *held = Some((Instant::now(), key.clone()));
        Ok(key)
    }
}
