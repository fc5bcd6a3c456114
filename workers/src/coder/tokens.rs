//! Tokens that Coder makes for somebody, and their records in Vault.
//!
//! Coder chooses a token itself and shows it once. So it gets a name that only we choose, and what
//! was shown is written to Vault with compare-and-set. A token of that name whose record is not
//! there, or is another one's, opens nothing that anybody knows: it is revoked and made again.
//!
//! Whoever revokes or makes one claims the place first, with a record that holds no token. So of
//! two attempts at once none revokes what the other one has found good.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::coder::{
    CreateToken, LookUpToken, ProveToken, RevokeToken, Token, TokenEnd, TokenPlace,
};
use stead_schemas::time::Timestamp;

use super::client::{Client, Coder};
use super::steps::no_user;
use crate::http::segment;
use crate::trouble::{Trouble, unless_missing};
use crate::vault::Secret;

/// The fields of a record, as whoever uses the token reads them.
const TOKEN: &str = "token";
const ID: &str = "id";
const NAME: &str = "name";
const USER: &str = "user";
const MARKER: &str = "marker";

/// How often other writers may be faster before this attempt is given up.
const ROUNDS_MAX: u32 = 5;
/// Coder counts a token's life in nanoseconds.
const NANOSECONDS: u64 = 1_000_000_000;

/// What lies in Vault where a token belongs.
struct Found {
    /// Ours, of this name or of one before.
    record: Option<Arc<Secret>>,
    /// What a write has to follow.
    version: u64,
}

/// Makes the token, unless it is there and its record, too.
pub(super) async fn create_token(
    client: Client,
    cx: StepContext,
    ask: CreateToken,
) -> Result<Token, Failure> {
    let place = &ask.place;
    let coder = client.log_in(&place.login).await?;
    for _ in 0..ROUNDS_MAX {
        let found = find(&client, place).await?;
        let key = look(&coder, place).await?;
        if let (Some(record), Some(key)) = (&found.record, &key)
            && record.field(ID).is_ok_and(|id| Some(id) == key["id"].as_str())
        {
            let credentials = record.place().to_string();
            return Ok(Token { credentials, expires_at: end_of(key)? });
        }
        cx.still_wanted()?;
        let Some(claimed) = write(&client, place, None, found.version).await? else { continue };
        if let Some(key) = key {
            revoke(&coder, place, id_of(&key)?).await?;
        }
        cx.still_wanted()?;
        if let Some(token) = make(&coder, &ask).await? {
            // Whether ours was written or another one's, the next round sees.
            write(&client, place, Some(token), claimed).await?;
        }
    }
    Err(Failure::new(Class::Retry, "others make the same token at the same time"))
}

async fn find(client: &Client, place: &TokenPlace) -> Result<Found, Failure> {
    let current = client.secrets().current(&place.credentials).await?;
    let (record, version) = (current.secret, current.version);
    let is_ours = |secret: &Arc<Secret>| secret.field(MARKER).is_ok_and(|of| of == place.marker);
    match record {
        Some(record) if !is_ours(&record) => {
            let words = format!("the secret at {} is not this token's", place.credentials);
            Err(Failure::new(Class::Conflict, words))
        }
        record => Ok(Found { record, version }),
    }
}

/// Asks Coder for the token of this name.
async fn look(coder: &Coder, place: &TokenPlace) -> Result<Option<Value>, Failure> {
    coder.look(&format!("{}/tokens/{}", keys_of(place), segment(&place.name))).await
}

fn keys_of(place: &TokenPlace) -> String {
    format!("/users/{}/keys", segment(&place.user))
}

fn id_of(key: &Value) -> Result<&str, Failure> {
    key["id"].as_str().ok_or_else(unknown_form)
}

fn end_of(key: &Value) -> Result<Timestamp, Failure> {
    serde_json::from_value(key["expires_at"].clone()).map_err(|_| unknown_form())
}

fn unknown_form() -> Failure {
    Failure::new(Class::Permanent, "Coder answered in an unknown form; its version differs")
}

/// Makes the token; nothing if another attempt was faster.
async fn make(coder: &Coder, ask: &CreateToken) -> Result<Option<String>, Failure> {
    let lifetime = ask.life_seconds.saturating_mul(NANOSECONDS);
    let body = json!({ "token_name": ask.place.name, "lifetime": lifetime });
    match coder.post(&format!("{}/tokens", keys_of(&ask.place)), &body).await {
        Ok(made) => Ok(Some(made["key"].as_str().ok_or_else(unknown_form)?.to_owned())),
        Err(Trouble::Already(_)) => Ok(None),
        Err(Trouble::Missing(said)) => Err(no_user(said, &ask.place.user)),
        Err(trouble) => Err(trouble.into()),
    }
}

/// Writes a record, or a claim to the place, after version `after`; its version, or nothing if
/// somebody else was faster.
async fn write(
    client: &Client,
    place: &TokenPlace,
    token: Option<String>,
    after: u64,
) -> Result<Option<u64>, Failure> {
    let mut values = BTreeMap::from([
        (NAME, place.name.clone()),
        (USER, place.user.clone()),
        (MARKER, place.marker.clone()),
    ]);
    if let Some(token) = token {
        // What stands before the dash is the token's id.
        let id = token.split('-').next().unwrap_or_default();
        values.insert(ID, id.to_owned());
        values.insert(TOKEN, token);
    }
    let written = client.secrets().write(&place.credentials, &values, after).await?;
    Ok(written.and_then(|place| place.version()))
}

async fn revoke(coder: &Coder, place: &TokenPlace, id: &str) -> Result<(), Failure> {
    let path = format!("{}/{}", keys_of(place), segment(id));
    unless_missing(coder.send(Method::DELETE, &path, None).await).map(drop)
}

/// Logs in with the token.
pub(super) async fn prove_token(
    client: Client,
    _cx: StepContext,
    ask: ProveToken,
) -> Result<Done, Failure> {
    let coder = client.log_in(&ask.credentials).await?;
    let user = coder.look("/users/me").await?.unwrap_or_default();
    match user["username"].as_str() {
        Some(name) if name.eq_ignore_ascii_case(&ask.user) => Ok(Done {}),
        _ => {
            let words = format!("the token is not one of Coder's user {}", ask.user);
            Err(Failure::new(Class::Permanent, words))
        }
    }
}

/// Asks when the token ends.
pub(super) async fn look_up_token(
    client: Client,
    _cx: StepContext,
    ask: LookUpToken,
) -> Result<TokenEnd, Failure> {
    let coder = client.log_in(&ask.place.login).await?;
    let key = look(&coder, &ask.place).await?;
    Ok(TokenEnd { expires_at: key.as_ref().map(end_of).transpose()? })
}

/// Revokes the token and destroys its record. A record of another name stays: it is a later
/// token's of ours.
pub(super) async fn revoke_token(
    client: Client,
    cx: StepContext,
    ask: RevokeToken,
) -> Result<Done, Failure> {
    let place = &ask.place;
    let coder = client.log_in(&place.login).await?;
    let found = find(&client, place).await?;
    cx.still_wanted()?;
    if let Some(key) = look(&coder, place).await? {
        revoke(&coder, place, id_of(&key)?).await?;
    }
    if found.record.is_some_and(|record| record.field(NAME).is_ok_and(|name| name == place.name)) {
        client.secrets().forget(&place.credentials).await?;
    }
    Ok(Done {})
}

#[cfg(test)]
mod tests;
