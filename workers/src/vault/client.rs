//! Reads secrets from Vault, for every worker of this process. The token is kept, renewed at
//! half its life, and replaced by a new login once when Vault refuses it. Logging in for every
//! read would use up the AppRole's secret and be delayed by rate limits.
//!
//! A pinned version never changes, so it is cached; what is not pinned is read every time.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use stead_schemas::failure::{Class, Failure};
use tokio::time::Instant;
use vaultrs::api::kv2::requests::ReadSecretRequest;
use vaultrs::api::kv2::responses::ReadSecretResponse;
use vaultrs::api::token::requests::RenewTokenSelfRequest;
use vaultrs::client::{VaultClient, VaultClientSettingsBuilder};

use super::ask::{ask, enter};
use super::classify::{Doing, classify, is_missing};
use super::login::{self, Way};
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
    /// Nothing but logging in happens under this lock, so that one login serves all who wait.
    session: tokio::sync::Mutex<Option<Session>>,
    pinned: Mutex<BTreeMap<Reference, Arc<Secret>>>,
}

#[derive(Clone)]
pub(super) struct Session {
    pub(super) client: Arc<VaultClient>,
    renew_at: Option<Instant>,
    way: Way,
}

impl Secrets {
    /// The secrets of this Vault. Nothing is asked of it yet.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(config: Config) -> Result<Self, StartError> {
        connect(&config, "")?;
        let (session, pinned) = (tokio::sync::Mutex::default(), Mutex::default());
        Ok(Self { shared: Arc::new(Shared { config, session, pinned }) })
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
        let secret = Arc::new(self.fetch(&place).await?);
        if place.version.is_some() {
            self.remember(place, secret.clone());
        }
        Ok(secret)
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

    async fn fetch(&self, place: &Reference) -> Result<Secret, Failure> {
        let session = self.session(None).await?;
        match session.read(place).await {
            // A token that has ended is refused like one that may not: try a fresh one, once.
            Err(failure) if failure.class == Class::Auth => {
                self.session(Some(&session)).await?.read(place).await
            }
            answer => answer,
        }
    }

    /// A session that is logged in, and not `refused`.
    pub(super) async fn session(&self, refused: Option<&Session>) -> Result<Session, Failure> {
        let mut held = self.shared.session.lock().await;
        let usable = held.take().filter(|session| !refused.is_some_and(|old| session.is(old)));
        let session = match usable {
            Some(session) if !session.is_due() => session,
            Some(session) => match session.renewed().await {
                Ok(session) => session,
                Err(_) => self.log_in().await?,
            },
            None => self.log_in().await?,
        };
        Ok(held.insert(session).clone())
    }

    /// As if half of the token's life were over.
    #[cfg(test)]
    pub(super) async fn grow_old(&self) {
        if let Some(session) = self.shared.session.lock().await.as_mut() {
            session.renew_at = Some(Instant::now());
        }
    }

    async fn log_in(&self) -> Result<Session, Failure> {
        let config = &self.shared.config;
        let login = login::enter(config, &connected(config, "")?).await?;
        let client = Arc::new(connected(config, &login.client_token)?);
        let way = config.login.way();
        Ok(Session { client, renew_at: half_of(login.lease_duration), way })
    }
}

impl Session {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.client, &other.client)
    }

    fn is_due(&self) -> bool {
        self.renew_at.is_some_and(|due| due <= Instant::now())
    }

    async fn renewed(&self) -> Result<Self, Failure> {
        let renewing = async {
            let login = enter(&self.client, RenewTokenSelfRequest::default()).await;
            login.map_err(|error| classify(&error, Doing::LogIn(self.way)))
        };
        let login = Call::login("vault").measured(renewing).await?;
        let client = self.client.clone();
        Ok(Self { client, renew_at: half_of(login.lease_duration), way: self.way })
    }

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

/// Half of a token's life from now; a life of 0 is one without end.
fn half_of(lease_seconds: u64) -> Option<Instant> {
    (lease_seconds > 0).then(|| Instant::now() + Duration::from_secs(lease_seconds) / 2)
}

fn as_texts(data: Value) -> BTreeMap<String, String> {
    let Value::Object(fields) = data else { return BTreeMap::new() };
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    fields.into_iter().map(|(name, value)| (name, text(value))).collect()
}
