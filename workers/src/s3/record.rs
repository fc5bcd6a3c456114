//! The record of a bucket's key in Vault: what opens the bucket, and our marker. It is written
//! before the key is made, so that a key whose secret nobody knows cannot come about.

use std::collections::BTreeMap;
use std::sync::Arc;

use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::s3::Place;

use super::client::Client;
use crate::vault::Secret;

/// The fields, as a guest's environment and its owner read them.
pub(super) const ID: &str = "access_key_id";
pub(super) const SECRET: &str = "secret_access_key";
const ENDPOINT: &str = "endpoint";
const BUCKET: &str = "bucket";
const REGION: &str = "region";
pub(super) const MARKER: &str = "marker";
/// By which name an owner's own key is let at a bucket, where S3 has to be told so.
const PRINCIPAL: &str = "principal";

/// A key as it lies in Vault.
#[derive(Clone, Debug)]
pub(super) struct Record {
    secret: Arc<Secret>,
}

/// What lies in Vault where a bucket's key belongs.
pub(super) struct Found {
    /// Our key, if it is there.
    pub record: Option<Record>,
    /// What a write has to follow.
    pub version: u64,
}

impl Record {
    /// A key that somebody else has laid into Vault, with the same fields.
    pub(super) const fn of(secret: Arc<Secret>) -> Self {
        Self { secret }
    }

    /// By which name S3 is to let the key at the bucket, if it has to be told.
    pub(super) fn principal(&self) -> Option<&str> {
        self.secret.field(PRINCIPAL).ok().filter(|name| !name.is_empty())
    }

    /// The key's id.
    pub(super) fn id(&self) -> Result<&str, Failure> {
        self.secret.field(ID)
    }

    /// The key's secret, for whoever signs with it.
    pub(super) fn secret(&self) -> Result<&str, Failure> {
        self.secret.field(SECRET)
    }

    /// What a write that replaces it has to follow.
    pub(super) fn version(&self) -> u64 {
        self.secret.place().version().unwrap_or_default()
    }

    /// Where it lies, pinned.
    pub(super) fn place(&self) -> String {
        self.secret.place().to_string()
    }
}

/// Looks for our record.
///
/// # Errors
/// As a conflict if somebody else's secret lies there.
pub(super) async fn find(client: &Client, place: &Place) -> Result<Found, Failure> {
    let current = client.secrets().current(&place.credentials).await?;
    let version = current.version;
    let Some(secret) = current.secret else { return Ok(Found { record: None, version }) };
    if secret.field(MARKER).is_ok_and(|marker| marker == place.marker) {
        return Ok(Found { record: Some(Record { secret }), version });
    }
    let words = format!("the secret at {} is not this bucket's", place.credentials);
    Err(Failure::new(Class::Conflict, words))
}

/// Chooses a new key and writes it down, after version `after`; nothing if somebody else was
/// faster.
pub(super) async fn write(
    client: &Client,
    place: &Place,
    endpoint: &str,
    after: u64,
) -> Result<Option<Record>, Failure> {
    let key = [(ID, format!("GK{}", random_hex::<12>()?)), (SECRET, random_hex::<32>()?)];
    lay(client, place, endpoint, after, key.into()).await
}

/// The same with a key that its owner had before.
pub(super) async fn copy(
    client: &Client,
    place: &Place,
    endpoint: &str,
    after: u64,
    user: &Record,
) -> Result<Option<Record>, Failure> {
    let mut key =
        BTreeMap::from([(ID, user.id()?.to_owned()), (SECRET, user.secret()?.to_owned())]);
    key.extend(user.principal().map(|name| (PRINCIPAL, name.to_owned())));
    lay(client, place, endpoint, after, key).await
}

async fn lay(
    client: &Client,
    place: &Place,
    endpoint: &str,
    after: u64,
    key: BTreeMap<&'static str, String>,
) -> Result<Option<Record>, Failure> {
    let mut values = key;
    values.extend([
        (ENDPOINT, endpoint.to_owned()),
        (BUCKET, place.bucket.clone()),
        (REGION, client.config().region.clone()),
        (MARKER, place.marker.clone()),
    ]);
    let Some(written) = client.secrets().write(&place.credentials, &values, after).await? else {
        return Ok(None);
    };
    let secret = client.secrets().read(&written.to_string()).await?;
    Ok(Some(Record { secret }))
}

/// As many random bytes, in hexadecimal digits, as Garage writes its own keys.
fn random_hex<const BYTES: usize>() -> Result<String, Failure> {
    let mut bytes = [0_u8; BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::new(Class::Retry, "this machine has no random numbers").vendor(error.to_string())
    })?;
    Ok(super::sign::hex(&bytes))
}
