//! Writes secrets that a worker has made, and forgets them. A write names the version that it
//! follows: of two writers who saw the same, one is told that he was overtaken.
//!
//! The numbers of versions do not go back when a secret is deleted softly, so what a write has to
//! name is asked of the metadata, and never guessed to be 0. Only deleting the metadata itself
//! would begin anew at 1; that is never done, since a pinned reference would then mean two things.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use stead_schemas::failure::Failure;
use vaultrs::api::kv2::requests::{
    DestroySecretVersionsRequest, ReadSecretMetadataRequest, SetSecretRequest,
    SetSecretRequestOptions,
};
use vaultrs::api::kv2::responses::ReadSecretMetadataResponse;
use vaultrs::error::ClientError;

use super::ask::{ask, tell};
use super::classify::{Doing, classify, is_missing};
use super::client::{Secret, Secrets, unasked};
use super::reference::Reference;
use super::session::Session;
use crate::http::Effect;
use crate::measured::Call;

/// What Vault says to a write that names a version which is not the latest.
const OVERTAKEN: &str = "check-and-set";

/// A secret as it stands now.
#[derive(Debug)]
pub struct Current {
    /// What lies there; nothing if nothing does, or it was deleted.
    pub secret: Option<Arc<Secret>>,
    /// What the next write has to name as the version that it follows.
    pub version: u64,
}

impl Secrets {
    /// The secret as it stands now, whatever version the reference is pinned to.
    ///
    /// # Errors
    /// In Vault's terms.
    pub async fn current(&self, reference: &str) -> Result<Current, Failure> {
        let place = self.place_of(reference)?;
        let call = Call::of("vault", Effect::None);
        let asking = |session: Session| {
            let place = &place;
            async move { call.measured(session.current(place)).await }
        };
        self.asked(asking).await
    }

    /// Writes a new version that follows version `after`. The answer is its pinned reference;
    /// nothing if another writer was faster: look again then.
    ///
    /// # Errors
    /// In Vault's terms, never with any of the values. As [`Class::Ambiguous`] if the answer was
    /// lost.
    pub async fn write(
        &self,
        reference: &str,
        values: &BTreeMap<&str, String>,
        after: u64,
    ) -> Result<Option<Reference>, Failure> {
        let place = self.place_of(reference)?;
        let call = Call::of("vault", Effect::Possible);
        let asking = |session: Session| {
            let place = &place;
            async move { call.measured(session.write(place, values, after)).await }
        };
        self.asked(asking).await
    }

    /// Destroys every version of a secret: nobody can bring it back. What was written when, Vault
    /// goes on knowing. Done too if there is none.
    ///
    /// # Errors
    /// In Vault's terms.
    pub async fn forget(&self, reference: &str) -> Result<(), Failure> {
        let place = self.place_of(reference)?;
        let call = Call::of("vault", Effect::Possible);
        let asking = |session: Session| {
            let place = &place;
            async move { call.measured(session.forget(place)).await }
        };
        self.asked(asking).await
    }

    fn place_of(&self, reference: &str) -> Result<Reference, Failure> {
        let place = Reference { version: None, ..reference.parse()? };
        self.check_mount(&place)?;
        Ok(place)
    }
}

impl Session {
    /// The number first, then what lies under this number: whoever writes in between makes the
    /// number too old to be written after.
    async fn current(&self, place: &Reference) -> Result<Current, Failure> {
        let version = self.metadata(place).await?.map_or(0, |metadata| metadata.current_version);
        if version == 0 {
            return Ok(Current { secret: None, version });
        }
        match self.read_if_there(&place.pinned(version)).await? {
            Some(secret) => Ok(Current { secret: Some(Arc::new(secret)), version }),
            None => Ok(Current { secret: None, version }),
        }
    }

    /// What Vault knows of a secret besides what it is, if it knows it.
    async fn metadata(
        &self,
        place: &Reference,
    ) -> Result<Option<ReadSecretMetadataResponse>, Failure> {
        let request = ReadSecretMetadataRequest::builder()
            .mount(place.mount.as_str())
            .path(place.path.as_str())
            .build()
            .map_err(unasked)?;
        match ask(&self.client, request).await {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(classify(&error, Doing::Read(&place.to_string()))),
        }
    }

    async fn write(
        &self,
        place: &Reference,
        values: &BTreeMap<&str, String>,
        after: u64,
    ) -> Result<Option<Reference>, Failure> {
        // Vault takes no number above what 32 bits hold; no secret has that many versions.
        let cas = u32::try_from(after).unwrap_or(u32::MAX);
        let options = SetSecretRequestOptions { cas };
        let request = SetSecretRequest::builder()
            .mount(place.mount.as_str())
            .path(place.path.as_str())
            .data(json!(values))
            .options(options)
            .build()
            .map_err(unasked)?;
        match ask(&self.client, request).await {
            Ok(written) => Ok(Some(place.pinned(written.version))),
            Err(error) if is_overtaken(&error) => Ok(None),
            Err(error) => Err(classify(&error, Doing::Write(&place.to_string()))),
        }
    }

    async fn forget(&self, place: &Reference) -> Result<(), Failure> {
        let Some(known) = self.metadata(place).await? else { return Ok(()) };
        let left = known.versions.iter().filter(|(_, version)| !version.destroyed);
        let left: Vec<u64> = left.filter_map(|(number, _)| number.parse().ok()).collect();
        if left.is_empty() {
            return Ok(());
        }
        let request = DestroySecretVersionsRequest::builder()
            .mount(place.mount.as_str())
            .path(place.path.as_str())
            .versions(left)
            .build()
            .map_err(unasked)?;
        tell(&self.client, request)
            .await
            .map_err(|error| classify(&error, Doing::Write(&place.to_string())))
    }
}

fn is_overtaken(error: &ClientError) -> bool {
    let ClientError::APIError { code: 400, errors } = error else { return false };
    errors.iter().any(|text| text.starts_with(OVERTAKEN))
}
