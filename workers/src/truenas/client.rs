//! The way to TrueNAS, and to others beside it: keeps one session for each login, shared by all steps, and opens a new
//! one when it is gone. After a failure the next attempt waits a little, longer each time:
//! TrueNAS locks out an address that logs in too often.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::backup;
use tokio::time::Instant;

use super::Config;
use super::session::Session;
use crate::http::Effect;
use crate::pace::Pace;
use crate::trouble::Trouble;
use crate::vault::Secrets;

/// Logins whose session is kept: the current key, and the one before while it rotates, at each of a
/// few servers.
const LOGINS_MAX: usize = 16;
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// All sessions with TrueNAS. A clone shares them.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    secrets: Secrets,
    doors: Mutex<BTreeMap<(String, String), Arc<Door>>>,
}

impl Client {
    /// A client that connects when it is first used.
    #[must_use]
    pub fn new(config: &Config, secrets: Secrets) -> Self {
        let (config, doors) = (config.clone(), Mutex::default());
        Self { shared: Arc::new(Shared { config, secrets, doors }) }
    }

    /// The TrueNAS that keeps homes, as the user whose key `login` refers to.
    pub(super) fn log_in(&self, login: &str) -> Nas {
        self.enter(self.shared.config.address.as_str(), login)
    }

    /// The TrueNAS of this name, as the user whose key its login refers to.
    pub(super) fn at(&self, nas: &backup::Nas) -> Result<Nas, Failure> {
        let Some(name) = &nas.name else { return Ok(self.log_in(&nas.login)) };
        match self.shared.config.others.get(name) {
            Some(address) => Ok(self.enter(address.as_str(), &nas.login)),
            None => {
                let words = format!("this worker's configuration knows no TrueNAS {name}");
                Err(Failure::new(Class::Wait, words))
            }
        }
    }

    fn enter(&self, address: &str, login: &str) -> Nas {
        let place = (address.to_owned(), login.to_owned());
        let mut doors = self.shared.doors.lock().unwrap_or_else(PoisonError::into_inner);
        if doors.len() >= LOGINS_MAX && !doors.contains_key(&place) {
            doors.clear();
        }
        let door = doors.entry(place.clone()).or_default().clone();
        let (address, login) = place;
        Nas { shared: self.shared.clone(), door, address, login }
    }
}

/// Where sessions of one login come from, one at a time.
#[derive(Default)]
struct Door {
    inside: tokio::sync::Mutex<Inside>,
    attempts: AtomicU64,
}

struct Inside {
    session: Option<Arc<Session>>,
    pace: Pace,
    not_before: Instant,
    last_failure: Option<Failure>,
}

impl Default for Inside {
    fn default() -> Self {
        let pace = Pace::new(FIRST_PAUSE, LONGEST_PAUSE);
        Self { session: None, pace, not_before: Instant::now(), last_failure: None }
    }
}

/// TrueNAS, as one user.
pub(super) struct Nas {
    shared: Arc<Shared>,
    door: Arc<Door>,
    address: String,
    login: String,
}

impl Nas {
    /// Asks something that changes nothing.
    pub(super) async fn look(&self, method: &str, params: Value) -> Result<Value, Failure> {
        Ok(self.try_look(method, params).await?)
    }

    /// Asks something that changes nothing, and says how it went.
    pub(super) async fn try_look(&self, method: &str, params: Value) -> Result<Value, Trouble> {
        let session = self.session().await.map_err(Trouble::Other)?;
        session.call(method, params, Effect::None).await
    }

    /// Asks for a change.
    pub(super) async fn act(&self, method: &str, params: Value) -> Result<Value, Trouble> {
        let session = self.session().await.map_err(Trouble::Other)?;
        session.call(method, params, Effect::Possible).await
    }

    /// The number of our key, which its text begins with.
    pub(super) async fn key_id(&self) -> Result<u64, Failure> {
        let secret = self.shared.secrets.read(&self.login).await?;
        let number = secret.field("api_key")?.split('-').next().and_then(|id| id.parse().ok());
        number.ok_or_else(|| Failure::new(Class::Permanent, "our TrueNAS key has no number"))
    }

    /// A session that was open a moment ago.
    pub(super) async fn session(&self) -> Result<Arc<Session>, Failure> {
        let seen = self.door.attempts.load(Relaxed);
        let mut inside = self.door.inside.lock().await;
        if let Some(session) = inside.session.as_ref().filter(|session| !session.is_closed()) {
            return Ok(session.clone());
        }
        // Somebody else tried while we stood at the door: what they met is our answer too.
        if let (true, Some(failure)) =
            (self.door.attempts.load(Relaxed) > seen, &inside.last_failure)
        {
            return Err(failure.clone());
        }
        tokio::time::sleep_until(inside.not_before).await;
        let opened = self.open().await;
        self.door.attempts.fetch_add(1, Relaxed);
        inside.note(opened)
    }

    async fn open(&self) -> Result<Session, Failure> {
        let secret = self.shared.secrets.read(&self.login).await?;
        Session::open(&self.address, &secret).await
    }
}

impl Inside {
    fn note(&mut self, opened: Result<Session, Failure>) -> Result<Arc<Session>, Failure> {
        match opened {
            Ok(session) => {
                let session = Arc::new(session);
                *self = Self { session: Some(session.clone()), ..Self::default() };
                Ok(session)
            }
            Err(failure) => {
                self.session = None;
                self.not_before = Instant::now() + jittered(self.pace.step());
                self.last_failure = Some(failure.clone());
                Err(failure)
            }
        }
    }
}

/// Half to all of `pause`, so that many workers do not come back at the same moment.
fn jittered(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0u8) % 1000;
    let share = u32::try_from(random).unwrap_or(0);
    pause / 2 + pause / 2 * share / 1000
}
