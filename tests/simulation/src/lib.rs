//! The real engine in simulated worlds.
//!
//! One seed is one world: engines, workers, clients, a log, a bus, leases and a vendor, on
//! simulated time, with faults that the seed draws. Only what touches the outside is simulated;
//! the engine, the harness and the probe are the ones that serve. The rules of the house are
//! judged at every append and every message (`judge.rs`, `bus.rs`), and at the end (`director.rs`).

mod appending;
pub mod archive;
pub mod bus;
pub mod by_hand;
pub mod cancels;
mod chance;
pub mod clients;
#[cfg(test)]
mod conformance;
mod crew;
pub mod director;
pub mod engine;
pub mod judge;
pub mod leases;
pub mod log;
pub mod network;
pub mod outside;
pub mod pages;
pub mod plan;
pub mod trace;
pub mod worker;
pub mod world;

use std::sync::{Arc, Mutex};

use crate::trace::Counts;
use crate::world::{Violation, World};

/// What came of a world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The first rule that was broken, if one was.
    pub violation: Option<Violation>,
    /// What happened, line by line.
    pub trace: Vec<String>,
    /// The digest of the trace.
    pub digest: u64,
    /// How often what happened.
    pub counts: Counts,
}

/// Lets the world of a seed live from beginning to end.
///
/// # Panics
/// If no runtime can be made, as when the machine has no memory left.
#[must_use]
pub fn simulate(seed: u64) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let kept: Mutex<Option<Arc<World>>> = Mutex::default();
    let tasks = tokio::task::LocalSet::new();
    tasks.block_on(&runtime, async {
        let world = World::new(seed);
        if let Ok(mut kept) = kept.lock() {
            *kept = Some(Arc::clone(&world));
        }
        director::live(world).await;
    });
    let world = kept.lock().ok().and_then(|mut kept| kept.take()).expect("it has lived");
    let mut state = world.lock();
    let (trace, digest) = std::mem::take(&mut state.trace).told();
    let outcome =
        Outcome { violation: state.violation.take(), trace, digest, counts: state.counts.clone() };
    drop(state);
    // The tasks hold the world and the world holds what they wait for.
    drop(tasks);
    drop(runtime);
    outcome
}
