//! Tokens of Coder's, by the place where each lies in Vault.

use std::time::Duration;

use serde_json::{Value, json};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::time::Timestamp;

use super::World;

impl World {
    /// Coder: a token that is made, proved or revoked.
    pub(super) fn with_token(&mut self, step: &str, ask: &Value) -> Result<Value, Failure> {
        let place = |field: &str| ask["place"][field].as_str().unwrap_or_default().to_owned();
        let thing = token_at(&place("credentials"));
        match step {
            "coder.create-token" => {
                self.ensure(thing, place("marker"))?;
                let life = Duration::from_secs(ask["life_seconds"].as_u64().unwrap_or_default());
                // The world has no clock: each token is taken to be made six days after the last.
                let number = place("name").rsplit('-').next().and_then(|n| n.parse().ok());
                let before = Duration::from_secs(6 * 86_400) * (number.unwrap_or(1) - 1);
                let expires_at = Timestamp::default().after(before).after(life);
                let credentials = format!("{}#1", place("credentials"));
                Ok(json!({ "credentials": credentials, "expires_at": expires_at }))
            }
            "coder.revoke-token" => self.remove(&thing),
            _ => match self.opens(ask["credentials"].as_str().unwrap_or_default()) {
                true => Ok(json!({})),
                false => Err(Failure::new(Class::Auth, "the token opens nothing")),
            },
        }
    }

    /// Whether the token that lies there is one of Coder's.
    pub(super) fn opens(&self, credentials: &str) -> bool {
        self.things.contains_key(&token_at(credentials))
    }
}

/// `token john/ci/a` of `vault:secret/data/stead/tokens/john/ci/a#1`.
fn token_at(credentials: &str) -> String {
    let place = credentials.split('#').next().unwrap_or_default();
    let place = place.strip_prefix("vault:secret/data/stead/tokens/").unwrap_or(place);
    format!("token {place}")
}
