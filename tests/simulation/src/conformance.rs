//! The simulated log, archive and leases keep the promises that the real ones keep: what holds in
//! simulated worlds says something of the real one.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use stead_runtime::conformance::{
    LosesAcknowledgements, check_archive, check_epochs, check_leases, check_log,
};
use stead_runtime::ports::Ports;
use stead_schemas::ids::Partition;
use tokio::task::{LocalSet, spawn_local};

use crate::engine;
use crate::judge::Judge;
use crate::network::deliver;
use crate::world::World;

/// Acknowledgements are late here and never lost: the truth takes its time.
struct NothingIsLost;

#[async_trait]
impl LosesAcknowledgements for NothingIsLost {
    async fn lose_next(&self) {}
}

/// What a machine reaches on which no engine runs, in a kind world.
fn on_a_machine<T>(check: impl AsyncFnOnce(Ports, u16) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let world = World::new(1);
        world.lock().kind = true;
        // What is appended are no transitions; the judge's verdict is not asked for.
        spawn_local(deliver(Arc::clone(&world), Rc::new(RefCell::new(Judge::default()))));
        let (_, env, _stopped) = engine::boot(&world);
        check(env.ports, env.partitions).await
    })
}

#[test]
fn the_simulated_log_keeps_the_promises_of_a_log() {
    on_a_machine(async |ports, partitions| {
        check_log(&*ports.log, partitions, &NothingIsLost).await;
        check_epochs(&*ports.log, &*ports.epochs, partitions).await;
    });
}

#[test]
fn the_simulated_archive_keeps_the_promises_of_an_archive() {
    on_a_machine(async |ports, _| check_archive(&*ports.archive).await);
}

#[test]
fn the_simulated_leases_keep_the_promises_of_leases() {
    on_a_machine(async |ports, _| check_leases(&*ports.leases, Partition(0)).await);
}
