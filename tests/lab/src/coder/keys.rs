//! Tokens of users: made, shown once, looked at, revoked. They end by themselves.
//!
//! A lifetime is a number of nanoseconds. Whoever takes it for seconds has a token that has ended
//! before he can use it.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer;
use super::state::{ME, State};
use crate::net::{Answer, Call};
use crate::world::World;

/// The longest that a token may live: 30 days.
const LIFETIME_NS_MAX: i64 = 30 * 24 * 3600 * 1_000_000_000;

/// A token of a user's.
#[derive(Clone)]
pub(crate) struct Key {
    pub(super) id: String,
    pub(crate) name: String,
    pub(super) user: String,
    user_id: Uuid,
    token: String,
    created: DateTime<Utc>,
    expires: DateTime<Utc>,
    used: DateTime<Utc>,
}

impl Key {
    fn lives(&self) -> bool {
        self.expires > Utc::now()
    }

    fn shape(&self) -> Value {
        json!({
            "id": self.id, "user_id": self.user_id, "token_name": self.name,
            "created_at": self.created, "updated_at": self.created, "expires_at": self.expires,
            "last_used": self.used, "login_type": "token", "scope": "all", "scopes": ["all"],
            "lifetime_seconds": (self.expires - self.created).num_seconds(),
            "allow_list": [{ "type": "*", "id": "*" }],
        })
    }
}

impl State {
    /// Whose token this is, if it lives.
    pub(crate) fn opened_by(&self, token: &str) -> Option<String> {
        let key = self.keys.iter().find(|key| key.token == token && key.lives());
        key.map(|key| key.user.clone())
    }

    /// Somebody revokes a token of this name in Coder. False if there is none.
    pub(crate) fn lose_key(&mut self, name: &str) -> bool {
        let before = self.keys.len();
        self.keys.retain(|key| key.name != name);
        self.keys.len() < before
    }

    /// Somebody makes a token by hand, for an hour. False if there is no such user.
    pub(crate) fn plant_key(&mut self, user: &str, name: &str, uuid: Uuid) -> bool {
        let Some((user, user_id)) = self.user(user) else { return false };
        let id = uuid.simple().to_string()[..10].to_owned();
        let (token, created) = (format!("{id}-canary{}", uuid.simple()), Utc::now());
        let (name, expires) = (name.to_owned(), created + TimeDelta::hours(1));
        self.tokens.push(token.clone());
        self.keys.push(Key { id, name, user, user_id, token, created, expires, used: created });
        true
    }

    fn key(&self, user: &str, fits: impl Fn(&Key) -> bool) -> Result<&Key, Answer> {
        let (user, _) = self.user(user).ok_or_else(answer::no_user)?;
        let found = self.keys.iter().find(|key| key.user == user && fits(key));
        found.ok_or_else(answer::not_found)
    }
}

pub(super) fn create(world: &World, call: &Call, user: &str) -> Result<Answer, Answer> {
    let fields = Value::Object(call.fields());
    let lifetime = fields["lifetime"].as_i64().unwrap_or_default();
    if !(1..=LIFETIME_NS_MAX).contains(&lifetime) {
        let detail = "lifetime must be greater than 0 and less than 720h0m0s";
        let text = "Failed to validate create API key request.";
        return Err(answer::validation(400, text, "lifetime", detail));
    }
    let id = world.pace.uuid().simple().to_string()[..10].to_owned();
    let token = format!("{id}-canary{}", world.pace.uuid().simple());
    let (name, created) = (call.text("token_name").unwrap_or(&id).to_owned(), Utc::now());
    world.change(|state| {
        let state = &mut state.coder;
        let (user, user_id) = state.user(user).ok_or_else(answer::no_user)?;
        if state.keys.iter().any(|key| key.user == user && key.name == name) {
            let text = format!("A token with name {name:?} already exists.");
            return Err(answer::validation(
                409,
                &text,
                "token_name",
                "This value is already in use",
            ));
        }
        let expires = created + TimeDelta::nanoseconds(lifetime);
        state.tokens.push(token.clone());
        let (id, token, name) = (id.clone(), token.clone(), name.clone());
        state.keys.push(Key { id, name, user, user_id, token, created, expires, used: created });
        Ok(())
    })?;
    world.journal.effect("coder", "token-created", &name, "");
    Ok(Answer::json(201, json!({ "key": token })))
}

/// The tokens of one user, or of all users, with whose each is, for whom Coder shows them all.
pub(super) fn list(world: &World, call: &Call, user: &str, caller: &str) -> Result<Answer, Answer> {
    let is_said = |name: &str| call.query(name) == Some("true");
    let (expired, everybody) = (is_said("include_expired"), is_said("include_all"));
    world.read(|state| {
        // Whoever is no owner gets his own, and no word of the others.
        let user = if everybody { caller } else { user };
        let (user, _) = state.coder.user(user).ok_or_else(answer::no_user)?;
        let is_shown = |key: &&Key| {
            let is_whose = key.user == user || (everybody && caller == ME);
            is_whose && (expired || key.lives())
        };
        let shape = |key: &Key| {
            let mut shape = key.shape();
            if everybody {
                shape["username"] = key.user.clone().into();
            }
            shape
        };
        // The latest first: no order of theirs is promised.
        let keys = state.coder.keys.iter().rev().filter(is_shown);
        Ok(Answer::json(200, keys.map(shape).collect()))
    })
}

pub(super) fn by_name(world: &World, user: &str, name: &str) -> Result<Answer, Answer> {
    world.read(|state| {
        let key = state.coder.key(user, |key| key.name == name)?;
        Ok(Answer::json(200, key.shape()))
    })
}

/// The token of whoever asks, too, which was made before the lab was.
pub(super) fn by_id(world: &World, user: &str, id: &str) -> Result<Answer, Answer> {
    let is_ours = world.secrets.coder_token.split('-').next() == Some(id);
    world.read(|state| {
        if !is_ours {
            return Ok(Answer::json(200, state.coder.key(user, |key| key.id == id)?.shape()));
        }
        let ends = state.logins_end.get("coder").copied();
        Ok(Answer::json(200, ours(id, ends.unwrap_or_else(|| Utc::now() + TimeDelta::days(365)))))
    })
}

fn ours(id: &str, expires: DateTime<Utc>) -> Value {
    let created = expires - TimeDelta::days(365);
    json!({
        "id": id, "user_id": Uuid::nil(), "token_name": "stead", "created_at": created,
        "updated_at": created, "expires_at": expires, "last_used": created, "login_type": "token",
        "scope": "all", "scopes": ["all"], "lifetime_seconds": 365 * 86_400,
        "allow_list": [{ "type": "*", "id": "*" }],
    })
}

pub(super) fn delete(world: &World, user: &str, id: &str) -> Result<Answer, Answer> {
    let name = world.change(|state| {
        let name = state.coder.key(user, |key| key.id == id)?.name.clone();
        state.coder.keys.retain(|key| key.id != id);
        Ok(name)
    })?;
    world.journal.effect("coder", "token-revoked", &name, "");
    Ok(Answer::empty(204))
}

pub(super) fn config() -> Answer {
    Answer::json(200, json!({ "max_token_lifetime": LIFETIME_NS_MAX }))
}
