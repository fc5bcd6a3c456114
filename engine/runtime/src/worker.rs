//! How a worker is written: a table of plain async functions, one for each step of its system.
//!
//! ```
//! use stead_runtime::worker::{StepContext, Worker};
//! use stead_schemas::{failure::Failure, step::{Done, probe::Noop}};
//!
//! async fn noop(_client: (), _cx: StepContext, _ask: Noop) -> Result<Done, Failure> {
//!     Ok(Done {})
//! }
//!
//! let worker = Worker::new("probe", ()).on(noop);
//! assert_eq!(worker.steps().collect::<Vec<_>>(), ["probe.noop"]);
//! ```
//!
//! A step may be asked any number of times, and by two workers at once: it looks, acts, marks,
//! and reads back when it is not sure. Its `Failure` is the decision whether to ask again.
//! `harness.rs` takes requests off the bus and calls these functions.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde_json::{Map, Value};
use stead_schemas::dispatch::{OutsideAnswer, OutsideReply, StepAddress};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::RunId;
use stead_schemas::owner::Owner;
use stead_schemas::public::RunView;
use stead_schemas::step::Step;
use tokio::sync::watch;

/// What comes of one attempt: the step's answer as JSON, or why not.
pub type StepResult = Result<Value, Failure>;
/// An attempt that is under way.
pub type StepFuture = Pin<Box<dyn Future<Output = StepResult> + Send>>;
type Handler<C> = Arc<dyn Fn(C, StepContext, Value) -> StepFuture + Send + Sync>;

/// The steps of one system, carried out with one client.
pub struct Worker<C> {
    system: &'static str,
    client: C,
    steps: BTreeMap<&'static str, Handler<C>>,
}

impl<C: Clone + Send + Sync + 'static> Worker<C> {
    /// A worker of `system` that knows no step yet.
    pub fn new(system: &'static str, client: C) -> Self {
        Self { system, client, steps: BTreeMap::new() }
    }

    /// The same worker, which also carries out the step `S`.
    #[must_use]
    pub fn on<S, F, Fut>(mut self, step: F) -> Self
    where
        S: Step,
        F: Fn(C, StepContext, S) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<S::Answer, Failure>> + Send + 'static,
    {
        let handler: Handler<C> =
            Arc::new(move |client, context, request| match serde_json::from_value::<S>(request) {
                Ok(ask) => {
                    let answer = step(client, context, ask);
                    Box::pin(async move { answer_as_json(answer.await?) })
                }
                Err(error) => Box::pin(std::future::ready(Err(unreadable(S::NAME, &error)))),
            });
        self.steps.insert(S::NAME, handler);
        self
    }

    /// The names of the steps, in order.
    pub fn steps(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.steps.keys().copied()
    }
}

/// A worker, whatever its client.
pub trait AnyWorker: Send + Sync {
    /// The system it works for: `proxmox`.
    fn system(&self) -> &'static str;

    /// The step's name, as the table has it; nothing if it is not there.
    fn name_of(&self, step: &str) -> Option<&'static str>;

    /// Begins one attempt at a step. Fails as lasting if the step is not in the table.
    fn begin(&self, step: &str, context: StepContext, request: Value) -> StepFuture;
}

impl<C: Clone + Send + Sync + 'static> AnyWorker for Worker<C> {
    fn system(&self) -> &'static str {
        self.system
    }

    fn name_of(&self, step: &str) -> Option<&'static str> {
        self.steps.get_key_value(step).map(|(name, _)| *name)
    }

    fn begin(&self, step: &str, context: StepContext, request: Value) -> StepFuture {
        match self.steps.get(step) {
            Some(handler) => handler(self.client.clone(), context, request),
            None => Box::pin(std::future::ready(Err(unknown(step)))),
        }
    }
}

fn answer_as_json(answer: impl serde::Serialize) -> StepResult {
    serde_json::to_value(answer)
        .map_err(|error| Failure::new(Class::Permanent, format!("unprintable answer: {error}")))
}

fn unreadable(step: &str, error: &serde_json::Error) -> Failure {
    let words = format!("this worker cannot read the request: {error}; are all builds the same?");
    Failure::new(Class::Permanent, words).at(step)
}

fn unknown(step: &str) -> Failure {
    Failure::new(Class::Permanent, "this worker knows no such step; is it of an older build?")
        .at(step)
}

/// What a step knows of the attempt that it is.
#[derive(Clone)]
pub struct StepContext {
    address: StepAddress,
    progress: watch::Sender<Option<String>>,
    cancelled: watch::Receiver<bool>,
}

impl StepContext {
    /// A context for one attempt. `progress` is shown live; `cancelled` turns true when nobody
    /// waits any more.
    #[must_use]
    pub fn new(
        address: StepAddress,
        progress: watch::Sender<Option<String>>,
        cancelled: watch::Receiver<bool>,
    ) -> Self {
        Self { address, progress, cancelled }
    }

    /// A context that nobody watches, for tests of single steps.
    #[must_use]
    pub fn unwatched(run: RunId) -> Self {
        let (progress, _) = watch::channel(None);
        let (_, cancelled) = watch::channel(false);
        Self::new(StepAddress { run, seq: 1 }, progress, cancelled)
    }

    /// The run that asks.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.address.run
    }

    /// Which step of which run this is.
    #[must_use]
    pub fn address(&self) -> &StepAddress {
        &self.address
    }

    /// Says how far the step is: `clone 40 %`. Shown live, written nowhere.
    pub fn progress(&self, words: impl Into<String>) {
        self.progress.send_replace(Some(words.into()));
    }

    /// Fails if nobody waits for this step any more. To be asked before every change that the
    /// step makes and in every loop that waits.
    ///
    /// # Errors
    /// As [`Class::Cancelled`], once the step was cancelled.
    pub fn still_wanted(&self) -> Result<(), Failure> {
        if *self.cancelled.borrow() {
            return Err(Failure::new(Class::Cancelled, "the step was cancelled"));
        }
        Ok(())
    }

    /// Resolves when nobody waits for this step any more.
    pub async fn cancelled(&self) {
        let mut cancelled = self.cancelled.clone();
        if cancelled.wait_for(|cancelled| *cancelled).await.is_err() {
            // The harness is gone without a word; only the attempt's own end is left.
            std::future::pending::<()>().await;
        }
    }
}

/// What a worker that listens to the outside may ask of the engines. The guest's seed server is
/// the one user.
#[async_trait::async_trait]
pub trait Engines: Send + Sync {
    /// What a run shows of itself; nothing if there is no such run.
    ///
    /// # Errors
    /// In words, if no engine answers.
    async fn view(&self, run: &RunId) -> Result<Option<RunView>, String>;

    /// Hands in an answer that a run waits for. Accepted means: it is in the log.
    ///
    /// # Errors
    /// In words, if no engine answers.
    async fn answer(&self, answer: OutsideAnswer) -> Result<OutsideReply, String>;
}

/// Where a worker that listens to the outside leaves commands. The door for webhooks is the one
/// user.
#[async_trait::async_trait]
pub trait Inbox: Send + Sync {
    /// Leaves a command, which is kept until it is carried out or refused, even while no engine is
    /// there.
    ///
    /// # Errors
    /// In words, if it is not kept.
    async fn leave(
        &self,
        owner: &Owner,
        kind: &str,
        verb: &str,
        fields: Map<String, Value>,
    ) -> Result<(), String>;
}
