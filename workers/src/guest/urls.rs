//! The addresses that guests fetch their seed from. Each holds a signature of the run's id, so
//! nobody finds another machine's seed by guessing, and nothing has to be remembered. They stay
//! the same for a machine's life: cloud-init fetches the seed again at every boot.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use hmac::{Hmac, Mac};
use sha2::Sha256;
use stead_schemas::failure::{Class, Failure};

use super::Config;
use super::read::TOKEN_BYTES;
use crate::vault::{Key, Secret, Secrets};

/// Makes and checks seed addresses. A clone shares the key.
#[derive(Clone)]
pub struct SeedUrls {
    shared: Arc<Shared>,
}

struct Shared {
    public_url: OnceLock<String>,
    secrets: Secrets,
    key: Key,
}

impl SeedUrls {
    /// Addresses beneath the configured one, or beneath that of the seed server in this process.
    #[must_use]
    pub fn new(config: &Config, secrets: Secrets) -> Self {
        let public_url = OnceLock::new();
        if let Some(url) = &config.public_url {
            public_url.get_or_init(|| url.to_string());
        }
        let key = Key::new(config.secret.clone(), secrets.clone());
        Self { shared: Arc::new(Shared { public_url, secrets, key }) }
    }

    /// Where the machine of this run fetches its seed; ends in a slash.
    ///
    /// # Errors
    /// If the key cannot be read, or nobody knows how guests reach the seed server.
    pub async fn seed_url(&self, run: &str) -> Result<String, Failure> {
        let Some(base) = self.public_url() else {
            let words =
                "no seed server runs here and the configuration names none (guest.public_url)";
            return Err(Failure::new(Class::Permanent, words));
        };
        let signature = self.signer(run).await?.finalize().into_bytes();
        Ok(format!("{base}/ci/{run}/{}/", hex(&signature[..TOKEN_BYTES])))
    }

    /// How guests reach the seed server, without a slash at the end.
    #[must_use]
    pub fn public_url(&self) -> Option<&str> {
        self.shared.public_url.get().map(String::as_str)
    }

    /// Whether an address holds the signature of its run. Takes the same time either way.
    pub(super) async fn is_genuine(
        &self,
        run: &str,
        token: &[u8; TOKEN_BYTES],
    ) -> Result<bool, Failure> {
        Ok(self.signer(run).await?.verify_truncated_left(token).is_ok())
    }

    /// Notes where the seed server listens, unless the configuration knows better.
    pub(super) fn listening_on(&self, address: SocketAddr) {
        self.shared.public_url.get_or_init(|| format!("http://{address}"));
    }

    /// The reference to what lies at this path in the mount that the site has.
    pub(super) fn reference(&self, path: &str) -> String {
        self.shared.secrets.reference(path)
    }

    /// Reads something else from the same Vault.
    pub(super) async fn read_secret(&self, reference: &str) -> Result<Arc<Secret>, Failure> {
        self.shared.secrets.read(reference).await
    }

    /// Reads something from the same Vault that need not be there.
    pub(super) async fn secret_if_there(
        &self,
        reference: &str,
    ) -> Result<Option<Arc<Secret>>, Failure> {
        Ok(self.shared.secrets.current(reference).await?.secret)
    }

    async fn signer(&self, run: &str) -> Result<Hmac<Sha256>, Failure> {
        let mut signer = self.shared.key.signer().await?;
        signer.update(run.as_bytes());
        Ok(signer)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
