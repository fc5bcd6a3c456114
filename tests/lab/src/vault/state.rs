//! Vault's tokens, and the secrets a lab is born with.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value, json};

use super::kv_state::{Fate, Store};
use super::policy::Policy;
use super::transit::Transit;
use super::wrapping::Wrapped;
use crate::net::Call;
use crate::options::Credentials;
use crate::pace::Pace;
use crate::world::{NAS_USER, PVE_TOKEN_ID, PVE_USER, Secrets};

/// How long a token lives after login or renewal.
pub(super) const TOKEN_TTL_S: i64 = 3600;

/// A client token that is not revoked.
#[derive(Clone)]
pub(super) struct Token {
    /// Where its bearer logged in: `approle`.
    pub(super) by: &'static str,
    pub(super) metadata: Value,
    /// What its bearer may do; everything if there is none.
    pub(super) policy: Option<Policy>,
    pub(super) accessor: String,
    pub(super) entity: String,
    pub(super) issued: DateTime<Utc>,
    pub(super) expires: DateTime<Utc>,
}

impl Token {
    pub(super) fn new(
        pace: &Pace,
        by: &'static str,
        metadata: Value,
        policy: Option<Policy>,
    ) -> Self {
        let issued = Utc::now();
        Self {
            by,
            metadata,
            policy,
            accessor: pace.uuid().simple().to_string(),
            entity: pace.uuid().to_string(),
            issued,
            expires: issued + TimeDelta::seconds(TOKEN_TTL_S),
        }
    }
}

/// What Vault knows.
pub(crate) struct State {
    tokens: BTreeMap<String, Token>,
    /// AppRoles besides the one that may do everything: secret id, name and policy, by role id.
    roles: BTreeMap<String, (String, String, Policy)>,
    /// Secret ids of the AppRole that were made here.
    secret_ids: BTreeSet<String>,
    /// The token that a service account's pod has now.
    projected: Option<String>,
    /// Tokens ever minted and secrets ever written: secrets even after their death.
    minted: Vec<String>,
    pub(super) store: Store,
    pub(super) transit: Transit,
    pub(super) wrapped: Wrapped,
}

impl State {
    pub(crate) fn pristine(secrets: &Secrets) -> Self {
        let mut state = Self {
            tokens: BTreeMap::new(),
            roles: BTreeMap::new(),
            secret_ids: BTreeSet::new(),
            projected: None,
            minted: Vec::new(),
            store: Store::default(),
            transit: Transit::pristine(),
            wrapped: Wrapped::default(),
        };
        state.put(
            "proxmox/api",
            json!({ "token_id": PVE_TOKEN_ID, "token_secret": secrets.pve_token }),
        );
        // The same Proxmox, for whoever has no token there.
        state
            .put("proxmox/user", json!({ "username": PVE_USER, "password": secrets.pve_password }));
        state.put("truenas/api", json!({ "username": NAS_USER, "api_key": secrets.nas_key }));
        state.put("coder/api", json!({ "token": secrets.coder_token }));
        state.put("forgejo/api", json!({ "token": secrets.forgejo_token }));
        state.put("kubernetes/api", json!({ "token": secrets.kubernetes_token }));
        state.put("s3/admin", json!({ "token": secrets.s3_token }));
        state.put("authentik/api", json!({ "token": secrets.authentik_token }));
        state.put("stead/webhook", json!({ "key": secrets.webhook_key }));
        state.put("stead/seed", json!({ "key": secrets.seed_key }));
        state
    }

    /// Writes a new version of a secret; returns its number.
    pub(crate) fn put(&mut self, path: &str, data: Value) -> u64 {
        let fields: Map<String, Value> = data.as_object().cloned().unwrap_or_default();
        self.store.put(path, fields)
    }

    /// Deletes a secret as Terraform does: softly, the latest version.
    pub(crate) fn soft_delete(&mut self, path: &str) {
        let current = self.store.get(path).map_or(0, |secret| secret.current);
        self.store.apply(path, &[current], Fate::Delete);
    }

    /// Remembers the secrets in what is written, so that they can be searched for.
    pub(super) fn remember(&mut self, data: &Map<String, Value>) {
        let secret = data.get("secret_access_key").and_then(Value::as_str);
        self.minted.extend(secret.map(str::to_owned));
    }

    /// The paths of the secrets beneath the folder of buckets that can be read.
    pub(crate) fn kept_secrets(&self) -> Vec<String> {
        let folders = ["stead/buckets/", "stead/tokens/"];
        folders.iter().flat_map(|folder| self.store.readable(folder)).collect()
    }

    /// Every token ever minted, and every secret that a worker has written.
    pub(crate) fn tokens(&self) -> Vec<String> {
        self.minted.clone()
    }

    /// Remembers a secret that Vault has made, so that it can be searched for.
    pub(super) fn made(&mut self, secret: String) {
        self.minted.push(secret);
    }

    /// A service account's pod has this token from now on, and what it had before has ended.
    pub(crate) fn project(&mut self, token: String) {
        self.minted.push(token.clone());
        self.projected = Some(token);
    }

    pub(super) fn is_projected(&self, token: &str) -> bool {
        self.projected.as_deref() == Some(token)
    }

    pub(super) fn add_secret_id(&mut self, id: String) {
        self.minted.push(id.clone());
        self.secret_ids.insert(id);
    }

    pub(super) fn has_secret_id(&self, id: &str) -> bool {
        self.secret_ids.contains(id)
    }

    /// Makes an AppRole of this name that may do no more than its policy says.
    pub(crate) fn add_role(
        &mut self,
        pace: &Pace,
        name: &str,
        policy: &str,
    ) -> Result<Credentials, String> {
        let policy = Policy::read(policy)?;
        let [vault_role_id, vault_secret_id] = [(); 2].map(|()| format!("canary-{}", pace.uuid()));
        self.minted.push(vault_secret_id.clone());
        let role = (vault_secret_id.clone(), name.to_owned(), policy);
        self.roles.insert(vault_role_id.clone(), role);
        Ok(Credentials { vault_role_id, vault_secret_id })
    }

    /// The name and the policy of whoever has this role and its secret.
    pub(super) fn role(&self, role: &str, secret: &str) -> Option<(String, Policy)> {
        let (kept, name, policy) = self.roles.get(role)?;
        (kept == secret).then(|| (name.clone(), policy.clone()))
    }

    /// Whether the bearer of this token may do this.
    pub(super) fn allows(&self, token: &str, call: &Call, path: &str) -> bool {
        let policy = self.tokens.get(token).and_then(|token| token.policy.as_ref());
        policy.is_none_or(|policy| policy.allows(call, path))
    }

    pub(super) fn mint(&mut self, id: String, token: Token) {
        self.minted.push(id.clone());
        self.tokens.insert(id, token);
    }

    pub(super) fn token(&self, id: &str) -> Option<Token> {
        self.tokens.get(id).filter(|token| token.expires > Utc::now()).cloned()
    }

    pub(super) fn is_live(&self, id: &str) -> bool {
        self.token(id).is_some()
    }

    pub(super) fn renew(&mut self, id: &str) -> Option<Token> {
        let token = self.tokens.get_mut(id)?;
        token.expires = Utc::now() + TimeDelta::seconds(TOKEN_TTL_S);
        Some(token.clone())
    }

    pub(super) fn revoke(&mut self, id: &str) {
        self.tokens.remove(id);
    }
}
