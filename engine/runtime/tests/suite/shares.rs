//! How engines share the partitions, on ports in memory and simulated time.

use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stead_runtime::engine;
use stead_runtime::env::{Env, Tuning};
use stead_runtime::inbound::Inbound;
use stead_runtime::memory::{MemoryArchive, MemoryIndex, MemoryLeases, MemoryLog};
use stead_runtime::ports::{InboxError, Inboxes, Index, LeaseError, Leases, Ports};
use stead_schemas::ids::Partition;
use stead_schemas::site::Site;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, sleep};

use crate::desk::{Sent, SimulatedClock, on_simulated_time};
use crate::pages::PAGES;

/// How many there are to be shared.
pub const PARTITIONS: u16 = 64;
/// Whoever comes or goes, everybody has his share by then.
const SHARED_WITHIN: Duration = Duration::from_secs(5);

/// How long a disk and a cluster take for one message, on a bad day.
const SLOW: Duration = Duration::from_millis(40);

/// Inboxes into which nothing comes.
#[derive(Default)]
struct Silent {
    open: Mutex<Vec<mpsc::UnboundedSender<Inbound>>>,
    takes: Duration,
}

#[async_trait::async_trait]
impl Inboxes for Silent {
    async fn open(&self, _: Partition) -> Result<mpsc::UnboundedReceiver<Inbound>, InboxError> {
        sleep(self.takes).await;
        let (open, inbox) = mpsc::unbounded_channel();
        self.open.lock().unwrap().push(open);
        Ok(inbox)
    }
}

/// Leases that take their time.
struct Slow(Arc<MemoryLeases>);

#[async_trait::async_trait]
impl Leases for Slow {
    async fn present(&self, engine: &str) -> Result<usize, LeaseError> {
        sleep(SLOW).await;
        self.0.present(engine).await
    }

    async fn acquire(&self, partition: Partition, engine: &str) -> Result<bool, LeaseError> {
        sleep(SLOW).await;
        self.0.acquire(partition, engine).await
    }

    async fn renew(&self, partition: Partition, engine: &str) -> Result<bool, LeaseError> {
        sleep(SLOW).await;
        self.0.renew(partition, engine).await
    }

    async fn release(&self, partition: Partition, engine: &str) -> Result<(), LeaseError> {
        sleep(SLOW).await;
        self.0.release(partition, engine).await
    }

    async fn leave(&self, engine: &str) -> Result<(), LeaseError> {
        self.0.leave(engine).await
    }
}

/// What engines have in common.
pub struct House {
    log: Arc<MemoryLog>,
    leases: Arc<MemoryLeases>,
    clock: Instant,
}

impl House {
    pub fn new() -> Self {
        let log = Arc::new(MemoryLog::new(PARTITIONS));
        Self { log, leases: Arc::new(MemoryLeases::new()), clock: Instant::now() }
    }

    /// Starts an engine, which goes when it is told to.
    fn engine(&self, name: &str) -> watch::Sender<bool> {
        self.engine_with(name, Arc::new(MemoryIndex::new()))
    }

    pub fn engine_with(&self, name: &str, index: Arc<dyn Index>) -> watch::Sender<bool> {
        let (stop, stopped) = watch::channel(false);
        spawn_local(engine::run(Rc::new(self.env(name, index)), stopped));
        stop
    }

    /// Starts an engine on slow ports. Whoever aborts it kills it. Also tells how often it has taken
    /// a partition.
    fn slow_engine(&self, name: &str) -> (JoinHandle<()>, impl Fn() -> usize) {
        let inboxes = Arc::new(Silent { takes: SLOW, ..Silent::default() });
        let mut env = self.env(name, Arc::new(MemoryIndex::new()));
        env.ports.inboxes = inboxes.clone();
        env.ports.leases = Arc::new(Slow(self.leases.clone()));
        let (stop, stopped) = watch::channel(false);
        let engine = spawn_local(async move {
            engine::run(Rc::new(env), stopped).await;
            drop(stop);
        });
        (engine, move || inboxes.open.lock().unwrap().len())
    }

    fn env(&self, name: &str, index: Arc<dyn Index>) -> Env {
        let ports = Ports {
            log: self.log.clone(),
            epochs: self.log.clone(),
            archive: Arc::new(MemoryArchive::default()),
            bus: Arc::new(Sent::default()),
            inboxes: Arc::new(Silent::default()),
            leases: self.leases.clone(),
            index,
            clock: Arc::new(SimulatedClock(self.clock)),
            aside: Handle::current(),
        };
        Env {
            engine: name.into(),
            build: "test".into(),
            partitions: PARTITIONS,
            definitions: PAGES,
            site: Site::default().into(),
            ports,
            tuning: Tuning::default(),
        }
    }

    async fn share_of(&self, engine: &str) -> usize {
        let mut share = 0;
        for partition in (0..PARTITIONS).map(Partition) {
            share += usize::from(self.leases.renew(partition, engine).await.unwrap());
        }
        share
    }
}

#[test]
fn whoever_comes_has_a_fair_share_within_five_seconds() {
    on_simulated_time(async {
        let house = House::new();
        let _one = house.engine("one");
        sleep(SHARED_WITHIN).await;
        assert_eq!(house.share_of("one").await, 64);
        let _two = house.engine("two");
        sleep(SHARED_WITHIN).await;
        assert_eq!((house.share_of("one").await, house.share_of("two").await), (32, 32));
        let _three = house.engine("three");
        sleep(SHARED_WITHIN).await;
        let mut shares = Vec::new();
        for engine in ["one", "two", "three"] {
            shares.push(house.share_of(engine).await);
        }
        assert_eq!(shares.iter().sum::<usize>(), 64, "{shares:?}");
        assert!(shares.iter().all(|share| (20..=22).contains(share)), "{shares:?}");
    });
}

#[test]
fn what_an_engine_that_goes_had_is_shared_within_five_seconds() {
    on_simulated_time(async {
        let house = House::new();
        let one = house.engine("one");
        let _two = house.engine("two");
        sleep(SHARED_WITHIN).await;
        assert_eq!(house.share_of("two").await, 32);
        one.send_replace(true);
        sleep(SHARED_WITHIN).await;
        assert_eq!((house.share_of("one").await, house.share_of("two").await), (0, 64));
    });
}

#[test]
fn where_every_message_takes_its_time_no_lease_is_lost_and_all_is_shared_as_soon() {
    on_simulated_time(async {
        let house = House::new();
        let (_one, taken_by_one) = house.slow_engine("one");
        sleep(SHARED_WITHIN).await;
        assert_eq!((house.share_of("one").await, taken_by_one()), (64, 64));
        let (two, taken_by_two) = house.slow_engine("two");
        sleep(SHARED_WITHIN).await;
        assert_eq!((house.share_of("one").await, house.share_of("two").await), (32, 32));
        assert_eq!((taken_by_one(), taken_by_two()), (64, 32), "each was taken once");
        two.abort();
        sleep(SHARED_WITHIN).await;
        assert_eq!((house.share_of("one").await, taken_by_one()), (64, 96));
    });
}
