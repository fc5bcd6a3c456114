//! Lets workers look whether their systems can be worked with, when somebody asks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stead_schemas::checkup::{ASKS_MAX, Ask, CheckupReply, CheckupRequest, READS, Seen};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::owner::Owner;

use crate::worker::{AnyWorker, StepContext};

/// How long one look may take.
pub const LOOK_MAX: Duration = Duration::from_secs(10);

/// The workers of a process, to be asked for checkups.
pub struct Checker {
    workers: BTreeMap<&'static str, Arc<dyn AnyWorker>>,
    build: String,
}

impl Checker {
    /// A checker of these workers.
    #[must_use]
    pub fn new(workers: &[Arc<dyn AnyWorker>], build: impl Into<String>) -> Self {
        let workers = workers.iter().map(|worker| (worker.system(), Arc::clone(worker))).collect();
        Self { workers, build: build.into() }
    }

    /// Looks at a system by the steps that are asked for. Never changes anything: what is no
    /// looking step is refused.
    pub async fn check(&self, system: &str, request: CheckupRequest) -> CheckupReply {
        let mut seen = Vec::new();
        for ask in request.asks.into_iter().take(ASKS_MAX) {
            let step = ask.step.clone();
            let looked = self.look(system, ask).await;
            let ends = looked.as_ref().ok().and_then(|answer| answer.get("login_ends")).cloned();
            let login_ends = ends.and_then(|ends| serde_json::from_value(ends).ok());
            seen.push(Seen { step, failure: looked.err(), login_ends });
        }
        CheckupReply { build: self.build.clone(), seen }
    }

    async fn look(&self, system: &str, ask: Ask) -> Result<Value, Failure> {
        if !READS.contains(&ask.step.as_str()) {
            let words = "this step changes something, or this worker is of an older build";
            return Err(Failure::new(Class::Permanent, words).at(&ask.step));
        }
        let Some(worker) = self.workers.get(system) else {
            let words = format!("this worker has nothing to do with {system}");
            return Err(Failure::new(Class::Permanent, words).at(&ask.step));
        };
        let context = StepContext::unwatched(nobody(system));
        match tokio::time::timeout(LOOK_MAX, worker.begin(&ask.step, context, ask.request)).await {
            Ok(answer) => answer.map_err(|failure| failure.at(&ask.step)),
            Err(_) => {
                let words = format!("no answer in {} seconds", LOOK_MAX.as_secs());
                Err(Failure::new(Class::VendorDown, words).at(&ask.step))
            }
        }
    }
}

/// Steps know the run that asks; here there is none.
fn nobody(system: &str) -> RunId {
    // A fixed lower-case name is always an owner.
    Owner::new("stead").map_or_else(
        |_| unreachable!("`stead` is an owner's name"),
        |owner| EntityKey::of("checkup", &owner, system).run(1),
    )
}
