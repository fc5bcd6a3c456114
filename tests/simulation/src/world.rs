//! What everything in a world shares: its chance, its log, what is on its way, what is outside.
//!
//! A world lives on one thread. The lock is there for the ports, which must be `Sync`; nobody
//! ever waits for it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stead_runtime::memory::MemoryLeases;
use stead_schemas::ids::Partition;
use stead_schemas::time::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::chance::Chance;
use crate::engine::Machine;
use crate::log::Log;
use crate::network::Network;
use crate::outside::Outside;
use crate::plan::{Fault, Plan};
use crate::trace::{Counts, Trace};
use crate::worker::Process;

/// When every world begins, by an honest clock.
const BEGINNING: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which rule.
    pub rule: &'static str,
    /// How.
    pub words: String,
}

/// See the module's head.
pub struct World {
    state: Mutex<State>,
    began: Instant,
    /// Something new is on its way.
    pub posted: Notify,
    /// The leases themselves.
    pub leases: MemoryLeases,
}

/// See [`World`].
pub struct State {
    /// Where all chance comes from.
    pub chance: Chance,
    /// How large and unkind the world is.
    pub plan: Plan,
    /// Since when faults do not strike any more.
    pub kind_since: Option<Instant>,
    /// The story so far.
    pub trace: Trace,
    /// How often what happened.
    pub counts: Counts,
    /// The first rule that was broken.
    pub violation: Option<Violation>,
    /// The log, and what was said in it.
    pub log: Log,
    /// What is on its way.
    pub network: Network,
    /// The machines on which engines run.
    pub machines: Vec<Machine>,
    /// The workers' processes.
    pub processes: Vec<Process>,
    /// The vendor.
    pub outside: Outside,
    /// Until when which engine may believe that it owns a partition.
    pub leased: BTreeMap<(usize, Partition), Instant>,
    began: Instant,
}

impl World {
    /// The world of a seed, in which nothing happens yet.
    #[must_use]
    pub fn new(seed: u64) -> Arc<Self> {
        let mut chance = Chance::new(seed);
        let plan = Plan::of(&mut chance);
        let began = Instant::now();
        let state = State {
            log: Log::new(plan.partitions),
            chance,
            plan,
            kind_since: None,
            trace: Trace::default(),
            counts: Counts::default(),
            violation: None,
            network: Network::default(),
            machines: Vec::new(),
            processes: Vec::new(),
            outside: Outside::default(),
            leased: BTreeMap::new(),
            began,
        };
        let (posted, leases) = (Notify::new(), MemoryLeases::new());
        Arc::new(Self { state: Mutex::new(state), began, posted, leases })
    }

    /// Everything.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an honest clock shows.
    #[must_use]
    pub fn honest_now(&self) -> Timestamp {
        BEGINNING.after(self.began.elapsed())
    }

    /// Whether the world may end: a rule was broken.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.lock().violation.is_some()
    }

    /// Waits for a time between these.
    pub async fn pause(&self, low_ms: u64, high_ms: u64) {
        let span = self.lock().span(low_ms, high_ms);
        tokio::time::sleep(span).await;
    }
}

impl State {
    /// Whether a fault strikes now.
    pub fn strikes(&mut self, fault: Fault) -> bool {
        let rate = self.plan.rate(fault);
        self.kind_since.is_none() && rate > 0 && self.chance.strikes(rate)
    }

    /// A time between these.
    pub fn span(&mut self, low_ms: u64, high_ms: u64) -> Duration {
        Duration::from_millis(self.chance.between(low_ms, high_ms))
    }

    /// Adds to the story.
    pub fn tell(&mut self, words: fmt::Arguments<'_>) {
        self.trace.add(self.began.elapsed(), words);
    }

    /// Notes that a rule was broken; the first one counts.
    pub fn broken(&mut self, rule: &'static str, words: impl Into<String>) {
        let words = words.into();
        self.tell(format_args!("BROKEN   {rule}: {words}"));
        self.violation.get_or_insert(Violation { rule, words });
    }

    /// What an honest clock shows.
    #[must_use]
    pub fn honest_now(&self) -> Timestamp {
        BEGINNING.after(self.began.elapsed())
    }
}
