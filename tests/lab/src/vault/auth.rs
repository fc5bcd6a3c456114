//! Logging in, and what a token can do with itself.

use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};

use super::answer;
use super::policy::Policy;
use super::state::{TOKEN_TTL_S, Token};
use crate::net::{Answer, Call};
use crate::world::World;

/// The role that may do everything.
pub(super) const ROLE: &str = "stead";

pub(super) fn login(world: &World, call: &Call) -> Answer {
    let wanted = &world.secrets.credentials;
    match (call.text("role_id"), call.text("secret_id")) {
        (None | Some(""), _) => answer::errors(400, &["missing role_id"]),
        (Some(_), None | Some("")) => answer::errors(400, &["missing secret_id"]),
        (Some(role), Some(secret))
            if role == wanted.vault_role_id
                && (secret == wanted.vault_secret_id
                    || world.read(|state| state.vault.has_secret_id(secret))) =>
        {
            let_in(world, "approle", json!({ "role_name": ROLE }), None)
        }
        (Some(role), Some(secret)) => match world.read(|state| state.vault.role(role, secret)) {
            Some((name, policy)) => {
                let_in(world, "approle", json!({ "role_name": name }), Some(policy))
            }
            None => answer::errors(400, &["invalid role or secret ID"]),
        },
    }
}

/// By a service account's token. One that has ended is refused as one that never was.
pub(super) fn log_in_by_kubernetes(world: &World, call: &Call) -> Answer {
    let jwt = call.text("jwt").unwrap_or_default();
    match call.text("role") {
        None | Some("") => answer::errors(400, &["missing role"]),
        Some(_) if jwt.is_empty() => answer::errors(400, &["missing jwt"]),
        Some(ROLE) if world.read(|state| state.vault.is_projected(jwt)) => {
            let metadata = json!({ "role": ROLE, "service_account_name": "worker" });
            let_in(world, "kubernetes", metadata, None)
        }
        Some(ROLE) => answer::denied(),
        Some(other) => answer::errors(400, &[&format!("invalid role name \"{other}\"")]),
    }
}

fn let_in(world: &World, by: &'static str, metadata: Value, policy: Option<Policy>) -> Answer {
    let id = format!("hvs.canary-{}", world.pace.uuid().simple());
    let token = Token::new(&world.pace, by, metadata, policy);
    let auth = auth_body(&id, &token);
    world.change(|state| state.vault.mint(id, token));
    answer::auth(world.pace.uuid(), auth)
}

pub(super) fn renew(world: &World, id: &str) -> Answer {
    match world.change(|state| state.vault.renew(id)) {
        Some(token) => answer::auth(world.pace.uuid(), auth_body(id, &token)),
        None => answer::denied(),
    }
}

pub(super) fn revoke(world: &World, id: &str) -> Answer {
    world.change(|state| state.vault.revoke(id));
    Answer::empty(204)
}

pub(super) fn lookup(world: &World, id: &str) -> Answer {
    match world.read(|state| state.vault.token(id)) {
        Some(token) => answer::data(world.pace.uuid(), lookup_body(id, &token)),
        None => answer::denied(),
    }
}

fn auth_body(id: &str, token: &Token) -> Value {
    json!({
        "client_token": id,
        "accessor": token.accessor,
        "policies": ["default", "stead"],
        "token_policies": ["default", "stead"],
        "metadata": token.metadata,
        "lease_duration": TOKEN_TTL_S,
        "renewable": true,
        "entity_id": token.entity,
        "token_type": "service",
        "orphan": true,
        "mfa_requirement": null,
        "num_uses": 0,
    })
}

fn lookup_body(id: &str, token: &Token) -> Value {
    json!({
        "accessor": token.accessor,
        "creation_time": token.issued.timestamp(),
        "creation_ttl": TOKEN_TTL_S,
        "display_name": token.by,
        "entity_id": token.entity,
        "expire_time": token.expires.to_rfc3339_opts(SecondsFormat::Nanos, true),
        "explicit_max_ttl": 0,
        "id": id,
        "issue_time": token.issued.to_rfc3339_opts(SecondsFormat::Nanos, true),
        "meta": token.metadata,
        "num_uses": 0,
        "orphan": true,
        "path": format!("auth/{}/login", token.by),
        "policies": ["default", "stead"],
        "renewable": true,
        "ttl": (token.expires - Utc::now()).num_seconds().max(0),
        "type": "service",
    })
}
