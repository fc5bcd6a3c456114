//! Reads secrets from Vault, for every worker of this process. Logging in for every read would use
//! up the AppRole's secret and be delayed by rate limits: `session.rs` keeps the login.
//!
//! A pinned version never changes, so it is cached; what is not pinned is read every time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use stead_schemas::failure::{Class, Failure};
use vaultrs::api::kv2::requests::ReadSecretRequest;
use vaultrs::api::kv2::responses::ReadSecretResponse;
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};

use super::ask::ask;
use super::classify::{Doing, classify, is_missing};
use super::session::{Door, Session};
use super::{Config, Reference};
use crate::StartError;
use crate::http::Effect;
use crate::measured::Call;

const ANSWER_TIME_MAX: Duration = Duration::from_secs(15);
/// Pinned secrets that are remembered; there are a handful, and a few more while they rotate.
const PINNED_MAX: usize = 256;

/// A secret's values. They are never printed.
pub struct Secret {
    place: Reference,
    values: BTreeMap<String, String>,
}

impl Secret {
    /// One of the values.
    ///
    /// # Errors
    /// If there is none of this name.
    pub fn field(&self, name: &str) -> Result<&str, Failure> {
        self.values.get(name).map(String::as_str).ok_or_else(|| {
            let words = format!("the secret at {} has no field `{name}`", self.place);
            Failure::new(Class::Permanent, words)
        })
    }

    /// Where it lies, pinned to the version that was read.
    #[must_use]
    pub fn place(&self) -> &Reference {
        &self.place
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} …", self.place)
    }
}

/// The secrets in Vault, by reference. A clone shares the login.
#[derive(Clone)]
pub struct Secrets {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    door: Door,
    pinned: Mutex<BTreeMap<Reference, Arc<Secret>>>,
}

impl Secrets {
    /// The secrets of this Vault. Nothing is asked of it yet.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(config: Config) -> Result<Self, StartError> {
        connect(&config, "")?;
        let (door, pinned) = (Door::default(), Mutex::default());
        Ok(Self { shared: Arc::new(Shared { config, door, pinned }) })
    }

    /// Reads a secret: that version of it if the reference is pinned, else the current one.
    ///
    /// # Errors
    /// In Vault's terms; never with any part of the secret.
    pub async fn read(&self, reference: &str) -> Result<Arc<Secret>, Failure> {
        let place: Reference = reference.parse()?;
        self.check_mount(&place)?;
        if let Some(secret) = self.pinned().get(&place) {
            return Ok(secret.clone());
        }
        let reading = |session: Session| {
            let place = &place;
            async move { session.read(place).await }
        };
        let secret = Arc::new(self.asked(reading).await?);
        if place.version.is_some() {
            self.remember(place, secret.clone());
        }
        Ok(secret)
    }

    /// The reference to what lies at this path in the one mount that is read.
    #[must_use]
    pub fn reference(&self, path: &str) -> String {
        format!("vault:{}/data/{path}", self.shared.config.mount)
    }

    pub(super) fn check_mount(&self, place: &Reference) -> Result<(), Failure> {
        let mount = &self.shared.config.mount;
        if place.mount == *mount {
            return Ok(());
        }
        let words = format!("{place} is not in the mount `{mount}`, the only one we read");
        Err(Failure::new(Class::Permanent, words))
    }

    fn pinned(&self) -> std::sync::MutexGuard<'_, BTreeMap<Reference, Arc<Secret>>> {
        self.shared.pinned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, place: Reference, secret: Arc<Secret>) {
        let mut pinned = self.pinned();
        if pinned.len() >= PINNED_MAX {
            pinned.clear();
        }
        pinned.insert(place, secret);
    }

    /// Where the secrets are, and the door to them.
    pub(super) fn place(&self) -> (&Config, &Door) {
        (&self.shared.config, &self.shared.door)
    }
}

impl Session {
    pub(super) async fn read(&self, place: &Reference) -> Result<Secret, Failure> {
        let request = request_of(place)?;
        let reading = async {
            let answer = ask(&self.client, request).await;
            answer.map_err(|error| classify(&error, Doing::Read(&place.to_string())))
        };
        let answer = Call::of("vault", Effect::None).measured(reading).await?;
        Ok(secret_of(place, answer))
    }

    /// Reads a secret that may be missing.
    pub(super) async fn read_if_there(&self, place: &Reference) -> Result<Option<Secret>, Failure> {
        let answer = ask(&self.client, request_of(place)?).await;
        match answer {
            Ok(answer) => Ok(Some(secret_of(place, answer))),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(classify(&error, Doing::Read(&place.to_string()))),
        }
    }
}

fn request_of(place: &Reference) -> Result<ReadSecretRequest, Failure> {
    ReadSecretRequest::builder()
        .mount(place.mount.as_str())
        .path(place.path.as_str())
        .version(place.version)
        .build()
        .map_err(unasked)
}

/// What cannot be asked for, since something was not said.
pub(super) fn unasked(error: impl fmt::Display) -> Failure {
    Failure::new(Class::Permanent, error.to_string())
}

fn secret_of(place: &Reference, answer: ReadSecretResponse) -> Secret {
    Secret { place: place.pinned(answer.metadata.version), values: as_texts(answer.data) }
}

/// Verification is asked for explicitly: the crate would otherwise be talked out of it by an
/// environment variable.
fn connect(config: &Config, token: &str) -> Result<VaultClient, StartError> {
    let http = |source: Box<dyn std::error::Error + Send + Sync>| StartError::Http {
        system: "vault",
        source,
    };
    let settings = VaultClientSettingsBuilder::default()
        .address(config.address.as_str())
        .token(token)
        .verify(true)
        .timeout(Some(ANSWER_TIME_MAX))
        .build()
        .map_err(|error| http(Box::new(error)))?;
    VaultClient::new(settings).map_err(|error| http(Box::new(error)))
}

/// The same, for whoever has begun already.
pub(super) fn connected(config: &Config, token: &str) -> Result<VaultClient, Failure> {
    connect(config, token).map_err(|error| Failure::new(Class::Permanent, error.to_string()))
}

fn as_texts(data: Value) -> BTreeMap<String, String> {
    let Value::Object(fields) = data else { return BTreeMap::new() };
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    fields.into_iter().map(|(name, value)| (name, text(value))).collect()
}
