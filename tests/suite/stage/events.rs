//! Everything that is published for the world to watch, as it comes.

use std::fmt;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use stead_nats::SteadClient;
use tokio::sync::watch;
use tokio::time::Instant;

use super::wait::DEADLINE;

/// How long to trust silence before looking again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// A published event.
#[derive(Clone, Debug)]
pub struct Seen {
    pub subject: String,
    pub body: Value,
}

impl fmt::Display for Seen {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.subject, self.body)
    }
}

impl Seen {
    /// One token of `stead.evt.<owner>.<kind>.<id>.<event>`.
    fn token(&self, at: usize) -> &str {
        self.subject.split('.').nth(at).unwrap_or_default()
    }

    pub fn owner(&self) -> &str {
        self.token(2)
    }

    pub fn kind(&self) -> &str {
        self.token(3)
    }

    pub fn name(&self) -> &str {
        self.token(5)
    }

    /// The step that is scheduled, if this says so.
    pub fn scheduled(&self) -> Option<&str> {
        self.body["event"]["StepScheduled"]["step"].as_str()
    }
}

/// All events since the stage was set.
#[derive(Clone)]
pub struct Events {
    seen: Arc<Mutex<Vec<Seen>>>,
    count: watch::Receiver<usize>,
}

impl Events {
    /// Watches from now on.
    pub async fn watch(client: &SteadClient) -> Self {
        let mut stream = client.watch("stead.evt.>").await.expect("a subscription");
        let (counted, count) = watch::channel(0);
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let book = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Some((subject, body)) = stream.next().await {
                let mut book = book.lock().unwrap_or_else(PoisonError::into_inner);
                book.push(Seen { subject, body });
                counted.send_replace(book.len());
            }
        });
        Self { seen, count }
    }

    /// How many there are by now.
    pub fn count(&self) -> usize {
        self.book().len()
    }

    /// All of them, from number `from` on.
    pub fn since(&self, from: usize) -> Vec<Seen> {
        self.book()[from..].to_vec()
    }

    /// The first from number `from` on that fits.
    pub async fn first(&self, what: &str, from: usize, fits: impl Fn(&Seen) -> bool) -> Seen {
        let look = || ready(self.book()[from..].iter().find(|seen| fits(seen)).cloned());
        self.until(what, look).await
    }

    /// Looks after every event, and now and then without one.
    pub async fn until<T, F>(&self, what: &str, mut look: impl FnMut() -> F) -> T
    where
        F: Future<Output = Option<T>>,
    {
        let deadline = Instant::now() + DEADLINE;
        let mut count = self.count.clone();
        loop {
            count.mark_unchanged();
            if let Some(found) = look().await {
                return found;
            }
            if Instant::now() >= deadline {
                let last =
                    self.book().iter().rev().take(8).map(Seen::to_string).collect::<Vec<_>>();
                panic!(
                    "waited {DEADLINE:?} in vain: {what}; the last events:\n{}",
                    last.join("\n")
                );
            }
            // An event that is not seen shows in the log at the next look.
            tokio::time::timeout(LOOK_AGAIN, count.changed()).await.ok();
        }
    }

    fn book(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
