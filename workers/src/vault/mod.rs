//! Vault: where secrets lie. `client.rs` reads them for every other worker; the one step here
//! says which versions are current.

mod ask;
mod classify;
mod client;
mod key;
mod list;
mod login;
mod reference;
mod session;
mod steps;
#[cfg(test)]
mod tests;
mod transit;
mod write;

use std::fmt;

use serde::Deserialize;
use stead_runtime::worker::Worker;

pub use client::{Secret, Secrets};
pub(crate) use key::Key;
pub use login::Login;
pub use reference::Reference;
pub use transit::{NoTransitKey, TransitKey};
pub use write::Current;

use crate::address::HttpAddress;

/// Where Vault is and who we are to it. The texts are resolved already: this is no reference.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// `https://vault.lan:8200`.
    pub address: HttpAddress,
    /// The mount of the KV version 2 engine: `secret`.
    #[serde(default = "mount")]
    pub mount: String,
    /// How we log in.
    pub login: Login,
}

fn mount() -> String {
    "secret".to_owned()
}

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretText(String);

impl SecretText {
    /// The text itself, for the one who sends it to where it belongs.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("…")
    }
}

/// The table of steps.
#[must_use]
pub fn worker(secrets: Secrets) -> Worker<Secrets> {
    Worker::new("vault", secrets).on(steps::pin_secrets).on(steps::sight_secrets)
}
