//! The one login that all clones of [`Secrets`] share: renewed at half its life, and replaced by a
//! new one where Vault knows it no more.
//!
//! What concerns the login happens at its door, one at a time, so that one login serves all who wait;
//! and so does one failure, and one look whether it lives, since a Vault that is silent would keep each
//! of them waiting in turn.
//! Vault says the same to a token that has ended and to one that may not. So it is asked which, and
//! a token that lives is replaced at most once a minute: its policies may have changed since, but a
//! role whose secret may be used so many times must not be used up by what it never lets us do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use stead_schemas::failure::{Class, Failure, Kind};
use tokio::time::Instant;
use vaultrs::api::token::requests::{LookupTokenSelfRequest, RenewTokenSelfRequest};
use vaultrs::client::VaultClient;

use super::Config;
use super::ask::{enter, tell};
use super::classify::{Doing, classify};
use super::client::{Secrets, connected};
use super::login::{self, Way};
use crate::http::Effect;
use crate::measured::Call;

/// How long a token that Vault could not renew is used before that is tried again.
const RENEWED_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// How long whoever logs in takes what Vault refuses for what it means.
const BELIEVED_FOR: Duration = Duration::from_secs(60);

/// Where sessions come from, one at a time.
#[derive(Default)]
pub(super) struct Door {
    inside: tokio::sync::Mutex<Inside>,
    attempts: AtomicU64,
}

#[derive(Default)]
struct Inside {
    session: Option<Session>,
    /// What came of the last attempt, if it was no session.
    met: Option<Met>,
}

/// What whoever stood at the door has met there, and all who waited meet, too.
enum Met {
    Failure(Failure),
    /// The session that was refused lives.
    Lives,
}

/// A client that is logged in.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) client: Arc<VaultClient>,
    since: Instant,
    renew_at: Option<Instant>,
    way: Way,
}

impl Secrets {
    /// Asks Vault something; once more, with another login, where ours has ended or may be too old.
    pub(super) async fn asked<T, F>(&self, ask: impl Fn(Session) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let session = self.session().await?;
        match ask(session.clone()).await {
            Err(failure) if failure.class == Class::Auth => match self.another(&session).await? {
                Some(another) => ask(another).await,
                None => Err(failure),
            },
            answer => answer,
        }
    }

    /// A session that is logged in.
    pub(super) async fn session(&self) -> Result<Session, Failure> {
        let (config, door) = self.place();
        let seen = door.attempts.load(Relaxed);
        let mut inside = door.inside.lock().await;
        if let Some(session) = inside.session.as_ref().filter(|session| !session.is_due()) {
            return Ok(session.clone());
        }
        // Somebody else tried while we stood at the door: what they met is our answer, too.
        if let (true, Some(Met::Failure(failure))) = (door.has_tried_since(seen), &inside.met) {
            return Err(failure.clone());
        }
        let opened = match &inside.session {
            Some(session) => session.renewed_or_another(config).await,
            None => log_in(config).await,
        };
        door.attempts.fetch_add(1, Relaxed);
        inside.note(opened)
    }

    /// Another session than the one that was refused; nothing if another would be refused, too.
    pub(super) async fn another(&self, refused: &Session) -> Result<Option<Session>, Failure> {
        let (config, door) = self.place();
        let seen = door.attempts.load(Relaxed);
        let mut inside = door.inside.lock().await;
        if let Some(session) = inside.session.as_ref().filter(|session| !session.is(refused)) {
            return Ok(Some(session.clone()));
        }
        match (door.has_tried_since(seen), &inside.met) {
            (true, Some(Met::Failure(failure))) => return Err(failure.clone()),
            (true, Some(Met::Lives)) => return Ok(None),
            _ => {}
        }
        if refused.since.elapsed() < BELIEVED_FOR && refused.lives().await {
            door.attempts.fetch_add(1, Relaxed);
            inside.met = Some(Met::Lives);
            return Ok(None);
        }
        inside.session = None;
        let opened = log_in(config).await;
        door.attempts.fetch_add(1, Relaxed);
        inside.note(opened).map(Some)
    }

    /// As if half of the token's life were over, and it were so old.
    #[cfg(test)]
    pub(super) async fn grow_old(&self) {
        if let Some(session) = self.place().1.inside.lock().await.session.as_mut() {
            session.renew_at = Some(Instant::now());
            session.since -= BELIEVED_FOR;
        }
    }
}

impl Door {
    fn has_tried_since(&self, seen: u64) -> bool {
        self.attempts.load(Relaxed) > seen
    }
}

impl Inside {
    fn note(&mut self, opened: Result<Session, Failure>) -> Result<Session, Failure> {
        match opened {
            Ok(session) => {
                *self = Self { session: Some(session.clone()), met: None };
                Ok(session)
            }
            Err(failure) => {
                self.met = Some(Met::Failure(failure.clone()));
                Err(failure)
            }
        }
    }
}

impl Session {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.client, &other.client)
    }

    fn is_due(&self) -> bool {
        self.renew_at.is_some_and(|due| due <= Instant::now())
    }

    /// Whether Vault knows its token. Where it does not say, the token is taken for one that lives.
    async fn lives(&self) -> bool {
        let looking = async {
            let seen = tell(&self.client, LookupTokenSelfRequest::default()).await;
            seen.map_err(|error| classify(&error, Doing::LogIn(self.way)))
        };
        let seen = Call::of("vault", Effect::None).measured(looking).await;
        !seen.is_err_and(|failure| failure.class == Class::Auth)
    }

    /// A token that Vault does not renew is replaced. One that it cannot renew now has half of its life
    /// before it, or is found to have ended by whoever asks with it.
    async fn renewed_or_another(&self, config: &Config) -> Result<Self, Failure> {
        match self.renewed().await {
            Err(failure) if failure.class.kind() == Kind::Passing => {
                tracing::warn!(%failure, "our token at Vault is not renewed");
                let renew_at = Some(Instant::now() + RENEWED_AGAIN_AFTER);
                Ok(Self { renew_at, ..self.clone() })
            }
            Err(_) => log_in(config).await,
            renewed => renewed,
        }
    }

    async fn renewed(&self) -> Result<Self, Failure> {
        let renewing = async {
            let login = enter(&self.client, RenewTokenSelfRequest::default()).await;
            login.map_err(|error| classify(&error, Doing::LogIn(self.way)))
        };
        let login = Call::login("vault").measured(renewing).await?;
        Ok(Self { renew_at: half_of(login.lease_duration), ..self.clone() })
    }
}

async fn log_in(config: &Config) -> Result<Session, Failure> {
    let login = login::enter(config, &connected(config, "")?).await?;
    let client = Arc::new(connected(config, &login.client_token)?);
    let renew_at = half_of(login.lease_duration);
    Ok(Session { client, since: Instant::now(), renew_at, way: config.login.way() })
}

/// Half of a token's life from now; a life of 0 is one without end.
fn half_of(lease_seconds: u64) -> Option<Instant> {
    (lease_seconds > 0).then(|| Instant::now() + Duration::from_secs(lease_seconds) / 2)
}
