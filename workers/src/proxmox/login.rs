//! How we show who we are. An API token stands in every request. A user has a ticket, for his password;
//! it ends after two hours, so it is renewed when half of them are over, and replaced where Proxmox
//! knows it no more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, COOKIE, HeaderValue};
use serde_json::Value;
use stead_schemas::failure::{Class, Failure};
use tokio::time::Instant;

use super::classify::is_unknown;
use super::client::send;
use crate::door::{self, Door};
use crate::http::{Effect, secret_header, segment};
use crate::measured::Call;
use crate::trouble::Trouble;
use crate::vault::{Reference, Secret};

/// How long a ticket lives.
const LIFE: Duration = Duration::from_secs(2 * 60 * 60);
/// Half of that.
const RENEWED_AFTER: Duration = Duration::from_secs(60 * 60);
/// How long one that could not be renewed is used on before that is tried again.
const RENEWED_AGAIN_AFTER: Duration = Duration::from_secs(30);
/// How long a ticket is not replaced that came in place of one that was refused, and has never opened
/// anything: another one would open nothing either, where the clocks of the nodes differ.
const BELIEVED_FOR: Duration = Duration::from_secs(60);
/// Against forged requests: Proxmox wants it with whatever is no GET, and does not mind it there.
const CSRF: &str = "csrfpreventiontoken";

/// The doors to tickets, by where the password lies.
pub(super) type Doors = door::Doors<Reference, Ticket>;

/// As if every ticket were so old that it is renewed.
#[cfg(test)]
pub(super) async fn grow_old(doors: &Doors) {
    for door in doors.all() {
        door.replace(|ticket| ticket.to_renew_at(Instant::now())).await;
    }
}

/// Who we are at Proxmox.
pub(super) enum Login {
    /// An API token.
    Token {
        /// `stead@pve!workers`.
        id: String,
        /// What stands in a request.
        header: HeaderValue,
    },
    /// A user, who logs in by his password.
    User {
        /// His name and his password.
        secret: Arc<Secret>,
        /// Where his tickets come from.
        door: Arc<Door<Ticket>>,
    },
}

impl Login {
    /// Whoever is named in Vault: a token, or a user.
    pub(super) fn by(secret: Arc<Secret>, doors: &Doors) -> Result<Self, Failure> {
        if let Ok(id) = secret.field("token_id") {
            let value = secret.field("token_secret")?;
            let header = secret_header(&format!("PVEAPIToken={id}={value}"))?;
            return Ok(Self::Token { id: id.to_owned(), header });
        }
        if secret.field("username").is_err() {
            let place = secret.place();
            let words = format!("the secret at {place} has neither `token_id` nor `username`");
            return Err(Failure::new(Class::Permanent, words));
        }
        let door = doors.to(secret.place());
        Ok(Self::User { secret, door })
    }

    /// Whether we are the user of this name. Some realms do not tell capital letters from others.
    pub(super) fn is(&self, user: &str) -> bool {
        match self {
            Self::Token { .. } => false,
            Self::User { secret, .. } => {
                secret.field("username").is_ok_and(|name| name.eq_ignore_ascii_case(user))
            }
        }
    }

    /// What is shown in the next request.
    pub(super) async fn pass(&self, http: &reqwest::Client, base: &str) -> Result<Pass, Failure> {
        match self {
            Self::Token { header, .. } => Ok(Pass::Token(header.clone())),
            Self::User { secret, door } => {
                let at = At { http, base, secret };
                let open = |before| at.renewed_or_another(before);
                Ok(Pass::Ticket(door.enter(Ticket::serves, open).await?))
            }
        }
    }
}

/// Where a user logs in.
#[derive(Clone, Copy)]
struct At<'a> {
    http: &'a reqwest::Client,
    base: &'a str,
    secret: &'a Secret,
}

impl At<'_> {
    async fn renewed_or_another(self, before: Option<Arc<Ticket>>) -> Result<Ticket, Failure> {
        let was_refused = before.as_ref().is_some_and(|ticket| ticket.refused.load(Relaxed));
        if let Some(before) = before.filter(|_| !was_refused) {
            // Proxmox takes a ticket in place of the password, as long as it lives.
            match self.enter(&before.text).await {
                Err(failure) if failure.class == Class::Auth => {}
                Err(_) if Instant::now() + RENEWED_AGAIN_AFTER < before.ends_at => {
                    return Ok(before.to_renew_at(Instant::now() + RENEWED_AGAIN_AFTER));
                }
                answer => return answer,
            }
        }
        let ticket = self.enter(self.secret.field("password")?).await?;
        let believed_for = if was_refused { BELIEVED_FOR } else { Duration::ZERO };
        Ok(Ticket { believed_until: Instant::now() + believed_for, ..ticket })
    }

    async fn enter(self, password: &str) -> Result<Ticket, Failure> {
        let form = [("username", self.secret.field("username")?), ("password", password)];
        let request = self.http.post(format!("{}/access/ticket", self.base)).form(&form);
        let answer = Call::login("proxmox").measured(send(request, Effect::None)).await?;
        Ticket::read(&answer)
    }
}

/// A ticket, and what came of it so far.
pub(super) struct Ticket {
    text: String,
    cookie: HeaderValue,
    csrf: HeaderValue,
    renew_at: Instant,
    ends_at: Instant,
    believed_until: Instant,
    accepted: AtomicBool,
    refused: AtomicBool,
}

impl Ticket {
    fn read(answer: &Value) -> Result<Self, Failure> {
        let text = answer["ticket"].as_str().unwrap_or_default();
        if text.starts_with("PVE:!tfa!") {
            let words = "Proxmox wants a second factor of our user; let it have none, or Stead an API \
                         token";
            return Err(Failure::new(Class::Auth, words));
        }
        let Some(csrf) = answer["CSRFPreventionToken"].as_str().filter(|_| !text.is_empty()) else {
            return Err(Failure::new(Class::Retry, "what Proxmox answered cannot be read"));
        };
        let now = Instant::now();
        Ok(Self {
            text: text.to_owned(),
            cookie: secret_header(&format!("PVEAuthCookie={}", segment(text)))?,
            csrf: secret_header(csrf)?,
            renew_at: now + RENEWED_AFTER,
            ends_at: now + LIFE,
            believed_until: now,
            accepted: AtomicBool::new(false),
            refused: AtomicBool::new(false),
        })
    }

    fn serves(&self) -> bool {
        !self.is_over() && Instant::now() < self.renew_at
    }

    /// Whether another one may open what this one does not.
    fn is_over(&self) -> bool {
        let is_tried = self.accepted.load(Relaxed) || Instant::now() >= self.believed_until;
        self.refused.load(Relaxed) && is_tried
    }

    /// The same ticket, to be renewed then.
    fn to_renew_at(&self, renew_at: Instant) -> Self {
        Self {
            text: self.text.clone(),
            cookie: self.cookie.clone(),
            csrf: self.csrf.clone(),
            renew_at,
            ends_at: self.ends_at,
            believed_until: self.believed_until,
            accepted: AtomicBool::new(self.accepted.load(Relaxed)),
            refused: AtomicBool::new(self.refused.load(Relaxed)),
        }
    }
}

/// What is shown in one request.
pub(super) enum Pass {
    /// A token.
    Token(HeaderValue),
    /// A ticket.
    Ticket(Arc<Ticket>),
}

impl Pass {
    /// The request with it. Never both: Proxmox is not to choose.
    pub(super) fn shown(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Token(token) => request.header(AUTHORIZATION, token.clone()),
            Self::Ticket(ticket) => {
                request.header(COOKIE, ticket.cookie.clone()).header(CSRF, ticket.csrf.clone())
            }
        }
    }

    /// Remembers whether it was accepted.
    pub(super) fn note(&self, answer: &Result<Value, Trouble>) {
        let Self::Ticket(ticket) = self else { return };
        match answer {
            Ok(_) => ticket.accepted.store(true, Relaxed),
            Err(trouble) if is_unknown(trouble) => ticket.refused.store(true, Relaxed),
            Err(_) => {}
        }
    }

    /// Whether another one may open what this one does not.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Token(_) => false,
            Self::Ticket(ticket) => ticket.is_over(),
        }
    }
}
