//! Where the sessions of one login come from: one at a time, so that one serves all who wait, and so
//! does one failure. After a failure the next attempt waits a little, longer each time: vendors lock out
//! whoever logs in too often.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stead_schemas::failure::Failure;
use tokio::time::Instant;

use crate::pace::Pace;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Logins whose session is kept: the current one, and those before while it changes, at each of a few
/// servers.
const LOGINS_MAX: usize = 16;

/// The doors to the sessions of all logins, by what tells them apart.
pub(crate) struct Doors<K, S> {
    all: Mutex<BTreeMap<K, Arc<Door<S>>>>,
}

impl<K, S> Default for Doors<K, S> {
    fn default() -> Self {
        Self { all: Mutex::default() }
    }
}

impl<K: Ord + Clone, S> Doors<K, S> {
    /// The door to this login's.
    pub(crate) fn to(&self, login: &K) -> Arc<Door<S>> {
        let mut doors = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if doors.len() >= LOGINS_MAX && !doors.contains_key(login) {
            doors.clear();
        }
        doors.entry(login.clone()).or_default().clone()
    }

    /// All of them.
    #[cfg(test)]
    pub(crate) fn all(&self) -> Vec<Arc<Door<S>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// The door to one login's sessions.
pub(crate) struct Door<S> {
    inside: tokio::sync::Mutex<Inside<S>>,
    attempts: AtomicU64,
}

struct Inside<S> {
    session: Option<Arc<S>>,
    pace: Pace,
    not_before: Instant,
    last_failure: Option<Failure>,
}

impl<S> Default for Door<S> {
    fn default() -> Self {
        Self { inside: tokio::sync::Mutex::default(), attempts: AtomicU64::default() }
    }
}

impl<S> Default for Inside<S> {
    fn default() -> Self {
        let pace = Pace::new(FIRST_PAUSE, LONGEST_PAUSE);
        Self { session: None, pace, not_before: Instant::now(), last_failure: None }
    }
}

impl<S> Door<S> {
    /// The session that is there if it serves, else the one that is opened now; `open` is given what
    /// was there before, which stays where nothing comes of it.
    pub(crate) async fn enter<F>(
        &self,
        serves: impl Fn(&S) -> bool,
        open: impl FnOnce(Option<Arc<S>>) -> F,
    ) -> Result<Arc<S>, Failure>
    where
        F: Future<Output = Result<S, Failure>>,
    {
        let seen = self.attempts.load(Relaxed);
        let mut inside = self.inside.lock().await;
        if let Some(session) = inside.session.as_ref().filter(|session| serves(session)) {
            return Ok(session.clone());
        }
        // Somebody else tried while we stood at the door: what they met is our answer too.
        if let (true, Some(failure)) = (self.attempts.load(Relaxed) > seen, &inside.last_failure) {
            return Err(failure.clone());
        }
        tokio::time::sleep_until(inside.not_before).await;
        let opened = open(inside.session.clone()).await;
        self.attempts.fetch_add(1, Relaxed);
        inside.note(opened)
    }

    /// Puts another session in place of the one that is there.
    #[cfg(test)]
    pub(crate) async fn replace(&self, change: impl FnOnce(&S) -> S) {
        let mut inside = self.inside.lock().await;
        inside.session = inside.session.as_deref().map(|session| Arc::new(change(session)));
    }
}

impl<S> Inside<S> {
    fn note(&mut self, opened: Result<S, Failure>) -> Result<Arc<S>, Failure> {
        match opened {
            Ok(session) => {
                let session = Arc::new(session);
                *self = Self { session: Some(session.clone()), ..Self::default() };
                Ok(session)
            }
            Err(failure) => {
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
