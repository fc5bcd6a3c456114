//! Vault: logins by AppRole and by Kubernetes, tokens, wrapped answers, one KV v2 mount, `secret` unless
//! the lab is told otherwise, and a transit engine.
//!
//! Bad logins answer 400, a lost token and a missing policy alike 403, a soft-deleted secret 404
//! with a body, a sealed Vault 503.

mod answer;
mod auth;
mod kv;
mod kv_state;
mod policy;
mod state;
mod transit;
mod wrapping;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use state::State;

use crate::net::{Answer, Before, Call, HttpVendor, Severity};
use crate::world::World;

/// The vendor.
pub(crate) struct Vault;

impl HttpVendor for Vault {
    const NAME: &'static str = "vault";
    const BEHIND_PROXY: bool = true;

    fn before(world: &World, call: &Call) -> Before {
        let faults = &world.faults;
        if faults.fires("vault", "sealed") {
            return Before::Answer(answer::sealed(call));
        }
        let is_secret = is_secret(world, call);
        if is_secret && faults.fires("vault", "denied") {
            return Before::Answer(answer::denied());
        }
        if is_secret && faults.fires("vault", "behind") {
            return Before::Answer(answer::errors(412, &["required index state not present"]));
        }
        if faults.fires("vault", "slow") {
            return Before::Wait(Duration::from_secs(1));
        }
        Before::Go
    }

    fn answer(world: &Arc<World>, call: &Call) -> Answer {
        let Some(segments) = call.segments("/v1/") else {
            return answer::errors(404, &[]);
        };
        let path: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (call.method.as_str(), path.as_slice()) {
            ("GET" | "HEAD", ["sys", "health"]) => answer::health(false),
            ("GET", ["sys", "seal-status"]) => answer::seal_status(),
            ("POST" | "PUT", ["auth", "approle", "login"]) => auth::login(world, call),
            ("POST" | "PUT", ["auth", "kubernetes", "login"]) => {
                auth::log_in_by_kubernetes(world, call)
            }
            ("POST" | "PUT", ["sys", "wrapping", "lookup"]) => wrapping::look_up(world, call),
            ("POST" | "PUT", ["sys", "wrapping", "unwrap"]) => wrapping::unwrap(world, call),
            (method, path) => with_token(world, call, method, path),
        }
    }

    fn after(world: &World, call: &Call, answer: Answer) -> Option<Answer> {
        let changes = (is_secret(world, call) || call.path.ends_with("/wrapping/unwrap"))
            && matches!(call.method.as_str(), "POST" | "PUT" | "DELETE");
        if changes && answer.is_success() && world.faults.fires("vault", "lost-response") {
            return None;
        }
        Some(answer)
    }

    fn failure(severity: Severity) -> Answer {
        match severity {
            Severity::Passing => answer::errors(500, &["internal error"]),
            Severity::Lasting => answer::denied(),
        }
    }
}

fn is_secret(world: &World, call: &Call) -> bool {
    let rest = call.path.strip_prefix("/v1/").and_then(|path| path.strip_prefix(world.vault_mount));
    rest.is_some_and(|rest| rest.starts_with('/'))
}

fn token_of(call: &Call) -> &str {
    call.header("x-vault-token")
        .or_else(|| call.header("authorization").and_then(|bearer| bearer.strip_prefix("Bearer ")))
        .unwrap_or_default()
}

fn with_token(world: &World, call: &Call, method: &str, path: &[&str]) -> Answer {
    let token = token_of(call);
    if world.faults.fires("vault", "token-expired") {
        world.change(|state| state.vault.revoke(token));
    }
    if !world.read(|state| state.vault.is_live(token)) {
        return answer::denied();
    }
    let own = matches!(path, ["auth", "token", ..]) || path.starts_with(&["sys", "wrapping"]);
    if !own && !world.read(|state| state.vault.allows(token, call, &path.join("/"))) {
        return answer::denied();
    }
    match (method, path) {
        ("GET", ["auth", "token", "lookup-self"]) => auth::lookup(world, token),
        ("POST" | "PUT", ["auth", "token", "renew-self"]) => auth::renew(world, token),
        ("POST" | "PUT", ["auth", "token", "revoke-self"]) => auth::revoke(world, token),
        ("POST" | "PUT", ["sys", "wrapping", "wrap"]) => wrapping::wrap(world, call),
        ("POST" | "PUT", ["auth", "approle", "role", auth::ROLE, "secret-id"]) => {
            wrapping::new_secret_id(world, call)
        }
        (_, [mount, room, rest @ ..]) if *mount == world.vault_mount => {
            kv::answer(world, call, room, &rest.join("/"))
        }
        (_, ["transit", rest @ ..]) => transit::answer(world, call, rest),
        (_, path) => answer::no_route(&path.join("/")),
    }
}
