//! Vault: where secrets lie. Only references travel.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Step;

/// Which version of each secret is current. Proves that the secrets can be read, before anything
/// is made; their values stay in the worker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinSecrets {
    /// `vault:secret/data/proxmox/api`, each.
    pub secrets: Vec<String>,
}

/// The answer to [`PinSecrets`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedSecrets {
    /// `vault:secret/data/proxmox/api` to `vault:secret/data/proxmox/api#7`.
    pub pinned: BTreeMap<String, String>,
}

impl PinnedSecrets {
    /// The pinned reference of `secret`, or `secret` itself if it was not asked for.
    #[must_use]
    pub fn of(&self, secret: &str) -> String {
        self.pinned.get(secret).map_or_else(|| secret.into(), Clone::clone)
    }
}

impl Step for PinSecrets {
    const NAME: &'static str = "vault.pin-secrets";
    type Answer = PinnedSecrets;
}
