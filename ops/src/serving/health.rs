//! How a process is. It is found out from what it does anyway: an engine writes to its leases all
//! the time, and nothing is appended but through here.
//!
//! An engine that owns nothing is ready; one that cannot append is not.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use stead_nats::Connection;
use stead_runtime::ports::{
    Append, AppendError, Claim, EventLog, LeaseError, Leases, LogError, Recorded,
};
use stead_schemas::ids::{Partition, RunId};

/// An append that takes longer is one that the log does not take now.
const APPEND_WITHIN: Duration = Duration::from_secs(5);
/// An engine that could write no lease for so long could write nothing else, either. Leases are
/// written several times in a second, and last three.
const LEASES_WITHIN: Duration = Duration::from_secs(5);
/// An engine that did not even try for so long hangs.
const TRIES_WITHIN: Duration = Duration::from_secs(60);

/// How this process is.
#[derive(Default)]
pub struct Health {
    parts: Mutex<Vec<Part>>,
}

/// A part of the process, with its connection.
struct Part {
    name: &'static str,
    connection: Connection,
    engine: Option<Arc<EngineHealth>>,
}

impl Health {
    /// Watches over an engine from now on.
    pub fn has_engine(&self, connection: &Connection) -> Arc<EngineHealth> {
        let health = Arc::new(EngineHealth::default());
        let (connection, engine) = (connection.clone(), Some(Arc::clone(&health)));
        lock(&self.parts).push(Part { name: "the engine", connection, engine });
        health
    }

    /// Watches over a part of this name from now on, which can do its work while its connection stands.
    pub fn has(&self, name: &'static str, connection: &Connection) {
        let connection = connection.clone();
        lock(&self.parts).push(Part { name, connection, engine: None });
    }

    /// Whether the process does anything at all; if not, in words why. Only an engine has something that
    /// it does all the time: that workers hang shows in what waits for them.
    pub fn lives(&self) -> Result<(), String> {
        lock(&self.parts).iter().try_for_each(|part| match &part.engine {
            Some(engine) => engine.lives(Instant::now()),
            None => Ok(()),
        })
    }

    /// Whether every part of it can do its work; if not, in words why.
    pub fn is_ready(&self) -> Result<(), String> {
        let parts = lock(&self.parts);
        if parts.is_empty() {
            return Err("it is starting".to_owned());
        }
        parts.iter().try_for_each(Part::is_ready)
    }
}

impl Part {
    fn is_ready(&self) -> Result<(), String> {
        if !self.connection.stands() {
            return Err(format!("{} cannot reach the NATS server", self.name));
        }
        self.engine.as_ref().map_or(Ok(()), |engine| engine.is_ready(Instant::now()))
    }
}

/// What is known of an engine.
pub struct EngineHealth {
    state: Mutex<State>,
}

struct State {
    /// When it last began to write a lease.
    tried: Instant,
    /// When a lease was last written.
    written: Option<Instant>,
    /// When each append that is under way began; the number tells those of one moment apart.
    appends: BTreeSet<(Instant, u64)>,
    next: u64,
}

impl Default for EngineHealth {
    fn default() -> Self {
        let state =
            State { tried: Instant::now(), written: None, appends: BTreeSet::new(), next: 0 };
        Self { state: Mutex::new(state) }
    }
}

impl EngineHealth {
    fn lives(&self, now: Instant) -> Result<(), String> {
        let silent = now.saturating_duration_since(lock(&self.state).tried);
        if silent > TRIES_WITHIN {
            let seconds = silent.as_secs();
            return Err(format!("the engine hangs: it has looked at no lease for {seconds} s"));
        }
        Ok(())
    }

    fn is_ready(&self, now: Instant) -> Result<(), String> {
        let state = lock(&self.state);
        let since = |moment: Instant| now.saturating_duration_since(moment);
        let Some(written) = state.written else {
            return Err("the engine has written no lease yet".to_owned());
        };
        if since(written) > LEASES_WITHIN {
            let seconds = since(written).as_secs();
            return Err(format!("the engine could write no lease for {seconds} s"));
        }
        match state.appends.first() {
            Some((begun, _)) if since(*begun) > APPEND_WITHIN => {
                let seconds = since(*begun).as_secs();
                Err(format!("an append has not been acknowledged for {seconds} s"))
            }
            _ => Ok(()),
        }
    }

    fn begins(&self) -> (Instant, u64) {
        let mut state = lock(&self.state);
        state.next += 1;
        let append = (Instant::now(), state.next);
        state.appends.insert(append);
        append
    }
}

/// An append under way. It is over, too, when nobody waits for it any more.
struct Under<'a> {
    health: &'a EngineHealth,
    append: (Instant, u64),
}

impl Drop for Under<'_> {
    fn drop(&mut self) {
        lock(&self.health.state).appends.remove(&self.append);
    }
}

/// A log whose appends are watched.
pub struct WatchedLog<L> {
    /// The log.
    pub log: L,
    /// Who watches.
    pub health: Arc<EngineHealth>,
}

#[async_trait]
impl<L: EventLog> EventLog for WatchedLog<L> {
    async fn append(&self, append: Append) -> Result<u64, AppendError> {
        let _under = Under { health: &self.health, append: self.health.begins() };
        self.log.append(append).await
    }

    async fn claim(&self, partition: Partition, engine: &str) -> Result<Claim, LogError> {
        self.log.claim(partition, engine).await
    }

    async fn read_partition(
        &self,
        partition: Partition,
        epoch: u32,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Recorded, LogError>>, LogError> {
        self.log.read_partition(partition, epoch, after).await
    }

    async fn last(&self, partition: Partition, epoch: u32) -> Result<u64, LogError> {
        self.log.last(partition, epoch).await
    }

    async fn read_run(&self, run: &RunId) -> Result<Vec<Recorded>, LogError> {
        self.log.read_run(run).await
    }
}

/// Leases that are watched.
pub struct WatchedLeases<L> {
    /// The leases.
    pub leases: L,
    /// Who watches.
    pub health: Arc<EngineHealth>,
}

#[async_trait]
impl<L: Leases> Leases for WatchedLeases<L> {
    async fn present(&self, engine: &str) -> Result<usize, LeaseError> {
        lock(&self.health.state).tried = Instant::now();
        let present = self.leases.present(engine).await;
        if present.is_ok() {
            lock(&self.health.state).written = Some(Instant::now());
        }
        present
    }

    async fn acquire(&self, partition: Partition, engine: &str) -> Result<bool, LeaseError> {
        self.leases.acquire(partition, engine).await
    }

    async fn renew(&self, partition: Partition, engine: &str) -> Result<bool, LeaseError> {
        self.leases.renew(partition, engine).await
    }

    async fn release(&self, partition: Partition, engine: &str) -> Result<(), LeaseError> {
        self.leases.release(partition, engine).await
    }

    async fn leave(&self, engine: &str) -> Result<(), LeaseError> {
        self.leases.leave(engine).await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{APPEND_WITHIN, EngineHealth, LEASES_WITHIN, TRIES_WITHIN, Under, lock};

    const LITTLE: Duration = Duration::from_millis(1);

    #[test]
    fn an_engine_is_ready_while_leases_are_written_and_appends_acknowledged() {
        let health = EngineHealth::default();
        let now = Instant::now();
        assert_eq!(health.is_ready(now).unwrap_err(), "the engine has written no lease yet");
        lock(&health.state).written = Some(now);
        assert_eq!(health.is_ready(now), Ok(()));
        let late = health.is_ready(now + LEASES_WITHIN + LITTLE).unwrap_err();
        assert_eq!(late, "the engine could write no lease for 5 s");

        let under = Under { health: &health, append: health.begins() };
        let later = under.append.0 + APPEND_WITHIN;
        lock(&health.state).written = Some(later);
        assert_eq!(health.is_ready(later), Ok(()));
        let stuck = health.is_ready(later + LITTLE).unwrap_err();
        assert_eq!(stuck, "an append has not been acknowledged for 5 s");
        drop(under);
        assert_eq!(health.is_ready(later + LITTLE), Ok(()));
    }

    #[test]
    fn an_engine_that_tries_nothing_any_more_hangs() {
        let health = EngineHealth::default();
        let tried = lock(&health.state).tried;
        assert_eq!(health.lives(tried + TRIES_WITHIN), Ok(()));
        let hangs = health.lives(tried + TRIES_WITHIN + LITTLE).unwrap_err();
        assert_eq!(hangs, "the engine hangs: it has looked at no lease for 60 s");
    }
}
