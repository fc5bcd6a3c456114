//! The simulated ports keep the promises that the real ones keep: what holds in simulated worlds
//! says something of the real one.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use async_trait::async_trait;
use stead_runtime::conformance::{
    Ends, Engine, Link, LosesAcknowledgements, check_archive, check_bus, check_epochs,
    check_inboxes, check_leases, check_link, check_log,
};
use stead_runtime::inbound::Inbound;
use stead_runtime::ports::{Ports, ReplyTo};
use stead_schemas::dispatch::RunQuery;
use stead_schemas::ids::Partition;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{LocalSet, spawn_local};
use tokio::time::Instant;

use crate::bus::WorkerMouth;
use crate::engine;
use crate::judge::Judge;
use crate::network::{Kind, Parcel, deliver};
use crate::world::World;

/// A kind world: everything comes once, and soon, but for the acknowledgements that it is told to
/// lose.
struct Kindly(Arc<World>);

#[async_trait]
impl LosesAcknowledgements for Kindly {
    async fn lose_next(&self) {
        self.0.lock().log.lose_next = true;
    }
}

#[async_trait]
impl Ends for Kindly {
    async fn engine(&self) -> Engine {
        let (_, env, _stopped) = engine::boot(&self.0);
        Engine { bus: env.ports.bus, inboxes: env.ports.inboxes }
    }

    async fn worker(&self, systems: &[&str]) -> Link {
        let (ear, asked) = mpsc::unbounded_channel();
        let systems = systems.iter().map(|&system| system.to_owned()).collect();
        let task = tokio::spawn(async {}).abort_handle();
        self.0.lock().hire(systems, ear, task);
        Link { asked, replies: Arc::new(WorkerMouth { world: Arc::clone(&self.0) }) }
    }

    async fn ask(&self, partition: Partition, query: RunQuery) -> oneshot::Receiver<Vec<u8>> {
        let (reply, heard) = oneshot::channel();
        let mut state = self.0.lock();
        let to = format!("query {} - {}", query.run, state.network.clients.len());
        state.network.clients.insert(to.clone(), reply);
        let message = || {
            let query = Inbound::Query(query.clone(), ReplyTo(to.clone()));
            Parcel::Partition(partition, query)
        };
        state.send(None, Kind::Other, message);
        drop(state);
        self.0.posted.notify_one();
        heard
    }

    async fn watch(&self, subject: &str) -> UnboundedReceiver<Vec<u8>> {
        let (watcher, heard) = mpsc::unbounded_channel();
        self.0.lock().network.watchers.push((subject.to_owned(), watcher));
        heard
    }
}

/// A kind world in which no engine runs.
fn in_a_kind_world<T>(check: impl AsyncFnOnce(Kindly, u16) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, async {
        let world = World::new(1);
        let partitions = {
            let mut state = world.lock();
            state.kind_since = Some(Instant::now());
            state.log.partitions()
        };
        // What is said follows from no history; the judge's verdict is not asked for.
        spawn_local(deliver(Arc::clone(&world), Rc::new(RefCell::new(Judge::default()))));
        check(Kindly(world), partitions).await
    })
}

/// What a machine reaches on which no engine runs.
fn on_a_machine<T>(check: impl AsyncFnOnce(Ports, u16) -> T) -> T {
    in_a_kind_world(async |world, partitions| {
        let (_, env, _stopped) = engine::boot(&world.0);
        check(env.ports, partitions).await
    })
}

#[test]
fn the_simulated_log_keeps_the_promises_of_a_log() {
    in_a_kind_world(async |world, partitions| {
        let (_, env, _stopped) = engine::boot(&world.0);
        let ports = env.ports;
        check_log(&*ports.log, partitions, &world).await;
        let lost = world.0.lock().counts.of("lost acknowledgements");
        assert!(lost >= 3, "{lost} acknowledgements were lost");
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

#[test]
fn the_simulated_bus_keeps_the_promises_of_a_bus() {
    in_a_kind_world(async |world, partitions| {
        assert!(partitions >= 2);
        check_bus(&world, partitions).await;
    });
}

#[test]
fn the_simulated_inboxes_keep_the_promises_of_inboxes() {
    in_a_kind_world(async |world, partitions| check_inboxes(&world, partitions).await);
}

#[test]
fn the_simulated_workers_keep_the_promises_of_a_link() {
    in_a_kind_world(async |world, partitions| check_link(&world, partitions).await);
}
