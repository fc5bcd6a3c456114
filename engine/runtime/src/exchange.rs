//! A worker whose client can be exchanged while it works: an address or a login has changed. What
//! it is at ends with the client that it began with.

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use crate::worker::{AnyWorker, StepContext, StepFuture};

/// See the module's head.
pub struct Exchangeable {
    system: &'static str,
    now: RwLock<Arc<dyn AnyWorker>>,
}

impl Exchangeable {
    /// A worker that stands for this one until another one takes its place.
    #[must_use]
    pub fn new(worker: Arc<dyn AnyWorker>) -> Self {
        Self { system: worker.system(), now: RwLock::new(worker) }
    }

    /// Gives every step that comes from now on to `worker`, if it is of the same system.
    pub fn exchange(&self, worker: Arc<dyn AnyWorker>) {
        if worker.system() == self.system {
            *self.now.write().unwrap_or_else(PoisonError::into_inner) = worker;
        }
    }

    fn now(&self) -> Arc<dyn AnyWorker> {
        Arc::clone(&self.now.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AnyWorker for Exchangeable {
    fn system(&self) -> &'static str {
        self.system
    }

    fn name_of(&self, step: &str) -> Option<&'static str> {
        self.now().name_of(step)
    }

    fn begin(&self, step: &str, context: StepContext, request: Value) -> StepFuture {
        self.now().begin(step, context, request)
    }
}
