//! How engines share the partitions, on ports in memory and simulated time.

use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, json};
use stead_runtime::engine;
use stead_runtime::env::{Env, Tuning};
use stead_runtime::inbound::Inbound;
use stead_runtime::memory::{MemoryArchive, MemoryIndex, MemoryLeases, MemoryLog};
use stead_runtime::ports::{
    InboxError, Inboxes, Index, LeaseError, Leases, Outgoing, Ports, ReplyTo,
};
use stead_schemas::dispatch::{Caller, EntityCommand, StepReply, StepRequest};
use stead_schemas::ids::{EntityKey, Partition};
use stead_schemas::owner::Owner;
use stead_schemas::site::Site;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, sleep};

use crate::desk::on_simulated_time;
use crate::pages::PAGES;
use crate::shown::shown;
use crate::world::{Sent, SimulatedClock};

/// How many there are to be shared.
pub const PARTITIONS: u16 = 64;
/// Whoever comes or goes, everybody has his share by then.
const SHARED_WITHIN: Duration = Duration::from_secs(5);

/// How long a disk and a cluster take for one message, on a bad day.
const SLOW: Duration = Duration::from_millis(40);

/// How long a log takes that is nearly gone.
const SLOWEST: Duration = Duration::from_secs(2);

/// Inboxes into which nothing comes but what a test says.
#[derive(Default)]
struct Silent {
    open: Mutex<Vec<(Partition, mpsc::UnboundedSender<Inbound>)>>,
    takes: Duration,
}

#[async_trait::async_trait]
impl Inboxes for Silent {
    async fn open(&self, of: Partition) -> Result<mpsc::UnboundedReceiver<Inbound>, InboxError> {
        sleep(self.takes).await;
        let (open, inbox) = mpsc::unbounded_channel();
        self.open.lock().unwrap().push((of, open));
        Ok(inbox)
    }
}

/// An engine that is spoken to, and heard.
struct Talking {
    engine: JoinHandle<()>,
    inboxes: Arc<Silent>,
    sent: Arc<Sent>,
}

impl Talking {
    /// Whether it owns the partition; then it is told this.
    fn say(&self, to: Partition, message: Inbound) -> bool {
        let open = self.inboxes.open.lock().unwrap();
        let inbox = open.iter().rev().find(|(partition, _)| *partition == to);
        inbox.is_some_and(|(_, inbox)| inbox.send(message).is_ok())
    }

    /// The next step that it asks workers for.
    async fn next_step(&self) -> StepRequest {
        loop {
            let sent = self.sent.all.lock().unwrap().pop_front();
            match sent {
                Some(Outgoing::Step(step)) => return step,
                Some(_) => {}
                None => sleep(Duration::from_millis(10)).await,
            }
        }
    }
}

/// How long a request to the broker may take before it counts as unanswered: longer than a lease is
/// believed.
const UNANSWERED: Duration = Duration::from_secs(3);
/// The partition whose renewal is not answered.
const UNLUCKY: Partition = Partition(7);

/// Leases that take their time, and some of which are not answered at all.
struct Slow {
    leases: Arc<MemoryLeases>,
    /// How long it takes to be given one, or to be refused.
    acquired_in: Duration,
    /// Whether the next question for the engines is not answered.
    no_count: AtomicBool,
    /// Whether the next renewal is not.
    no_renewal: AtomicBool,
}

impl Slow {
    fn new(leases: &Arc<MemoryLeases>) -> Self {
        let leases = Arc::clone(leases);
        let (no_count, no_renewal) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { leases, acquired_in: SLOW, no_count, no_renewal }
    }

    async fn reach(fails: &AtomicBool) -> Result<(), LeaseError> {
        if fails.swap(false, Ordering::Relaxed) {
            sleep(UNANSWERED).await;
            return Err(LeaseError("no answer in time".into()));
        }
        sleep(SLOW).await;
        Ok(())
    }
}

#[async_trait::async_trait]
impl Leases for Slow {
    async fn present(&self, engine: &str) -> Result<usize, LeaseError> {
        Self::reach(&self.no_count).await?;
        self.leases.present(engine).await
    }

    async fn acquire(&self, partition: Partition, engine: &str) -> Result<bool, LeaseError> {
        sleep(self.acquired_in).await;
        self.leases.acquire(partition, engine).await
    }

    async fn renew(&self, partition: Partition, engine: &str) -> Result<bool, LeaseError> {
        match partition {
            UNLUCKY => Self::reach(&self.no_renewal).await?,
            _ => sleep(SLOW).await,
        }
        self.leases.renew(partition, engine).await
    }

    async fn release(&self, partition: Partition, engine: &str) -> Result<(), LeaseError> {
        sleep(SLOW).await;
        self.leases.release(partition, engine).await
    }

    async fn leave(&self, engine: &str) -> Result<(), LeaseError> {
        self.leases.leave(engine).await
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

    /// Starts an engine that can be spoken to. Whoever aborts it kills it.
    fn talking_engine(&self, name: &str) -> Talking {
        let (inboxes, sent) = (Arc::new(Silent::default()), Arc::new(Sent::default()));
        let mut env = self.env(name, Arc::new(MemoryIndex::new()));
        (env.ports.inboxes, env.ports.bus) = (inboxes.clone(), sent.clone());
        let (stop, stopped) = watch::channel(false);
        let engine = spawn_local(async move {
            engine::run(Rc::new(env), stopped).await;
            drop(stop);
        });
        Talking { engine, inboxes, sent }
    }

    /// Starts an engine on slow ports. Whoever aborts it kills it. Also tells how often it has taken
    /// a partition.
    fn slow_engine(&self, name: &str) -> (JoinHandle<()>, impl Fn() -> usize + use<>) {
        self.engine_on(name, Arc::new(Slow::new(&self.leases)))
    }

    fn engine_on(
        &self,
        name: &str,
        leases: Arc<Slow>,
    ) -> (JoinHandle<()>, impl Fn() -> usize + use<>) {
        self.engine_in(name, leases, SLOW)
    }

    /// The same; opening an inbox takes so long.
    fn engine_in(
        &self,
        name: &str,
        leases: Arc<Slow>,
        takes: Duration,
    ) -> (JoinHandle<()>, impl Fn() -> usize + use<>) {
        let inboxes = Arc::new(Silent { takes, ..Silent::default() });
        let mut env = self.env(name, Arc::new(MemoryIndex::new()));
        env.ports.inboxes = inboxes.clone();
        env.ports.leases = leases;
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
            clock: SimulatedClock::since(self.clock),
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
    shown(|shown| async move {
        let house = House::new();
        let one = house.engine("one");
        let _two = house.engine("two");
        sleep(SHARED_WITHIN).await;
        assert_eq!(house.share_of("two").await, 32);
        one.send_replace(true);
        sleep(SHARED_WITHIN).await;
        assert_eq!((house.share_of("one").await, house.share_of("two").await), (0, 64));
        // It gave half of them to the other one, and the other half as it went.
        assert_eq!(shown.count("stead_owners_stopped_total", "asked"), 64);
    });
}

#[test]
fn an_engine_that_is_told_to_go_has_handed_everything_over_within_a_second() {
    on_simulated_time(async {
        let house = House::new();
        let one = house.engine("one");
        let _two = house.engine("two");
        sleep(SHARED_WITHIN).await;
        assert_eq!(house.share_of("one").await, 32);
        let told = Instant::now();
        one.send_replace(true);
        while house.share_of("two").await < 64 {
            assert!(
                told.elapsed() < Duration::from_secs(1),
                "{} have no owner",
                64 - house.share_of("two").await
            );
            sleep(Duration::from_millis(10)).await;
        }
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

#[test]
fn a_run_goes_on_within_five_seconds_of_the_end_of_its_engine() {
    on_simulated_time(async {
        let house = House::new();
        let engines = ["one", "two"].map(|name| house.talking_engine(name));
        sleep(SHARED_WITHIN).await;
        let key = EntityKey::of("pair", &Owner::new("john").expect("a name"), "x");
        let partition = key.partition(PARTITIONS);
        let command = EntityCommand {
            kind: "pair".into(),
            owner: Owner::new("john").expect("a name"),
            name: "x".into(),
            verb: "start".into(),
            fields: Map::new(),
            id: "id-1".into(),
            by: Caller::Api,
        };
        let say = Inbound::Command(command, ReplyTo("caller".into()));
        let owns = engines.each_ref().map(|engine| engine.say(partition, say.clone()));
        let [killed, heir] = match owns {
            [true, false] => engines,
            [false, true] => {
                let [one, two] = engines;
                [two, one]
            }
            owns => panic!("one engine owns a partition: {owns:?}"),
        };
        assert_eq!(killed.next_step().await.step, "test.first");
        killed.engine.abort();
        let end = Instant::now();
        // The worker is done meanwhile, and says so to whoever asks again.
        let first = heir.next_step().await;
        assert_eq!(first.step, "test.first");
        let StepRequest { address, attempt, proof, .. } = first;
        let (proof, reply) = (Some(proof), StepReply::Done(json!({})));
        assert!(heir.say(partition, Inbound::Answer { address, attempt, proof, reply }));
        assert_eq!(heir.next_step().await.step, "test.second");
        assert!(end.elapsed() < SHARED_WITHIN, "it stood still for {:?}", end.elapsed());
    });
}

#[test]
fn a_renewal_and_a_count_that_are_not_answered_cost_no_partition() {
    on_simulated_time(async {
        let house = House::new();
        let leases = Arc::new(Slow::new(&house.leases));
        let (_one, taken_by_one) = house.engine_on("one", leases.clone());
        sleep(SHARED_WITHIN).await;
        for fails in [&leases.no_count, &leases.no_renewal] {
            fails.store(true, Ordering::Relaxed);
            sleep(2 * UNANSWERED).await;
            assert!(!fails.load(Ordering::Relaxed), "it was asked");
        }
        assert_eq!((house.share_of("one").await, taken_by_one()), (64, 64));
    });
}

#[test]
fn an_engine_that_takes_slowly_is_counted_all_the_while() {
    on_simulated_time(async {
        let house = House::new();
        let leases = Arc::new(Slow::new(&house.leases));
        let (_one, taken_by_one) = house.engine_in("one", leases, SLOWEST);
        sleep(2 * SLOW).await;
        let begun = Instant::now();
        // Who asks how many there are is counted, too, and has a share coming.
        while taken_by_one() < 32 {
            sleep(SLOW).await;
            let counted = house.leases.present("a guest").await.unwrap();
            assert_eq!(counted, 2, "after {:?}, {} taken", begun.elapsed(), taken_by_one());
        }
    });
}

#[test]
fn each_partition_has_its_turn_however_slowly_it_is_told_who_has_it() {
    on_simulated_time(async {
        let house = House::new();
        let _one = house.engine("one");
        sleep(SHARED_WITHIN).await;
        assert_eq!(house.share_of("one").await, 64);
        // In one round it asks for the first half, which the other one keeps.
        let leases = Slow { acquired_in: Duration::from_millis(400), ..Slow::new(&house.leases) };
        let (_two, _taken) = house.engine_on("two", Arc::new(leases));
        sleep(2 * SHARED_WITHIN).await;
        assert_eq!((house.share_of("one").await, house.share_of("two").await), (32, 32));
    });
}
