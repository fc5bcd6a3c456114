//! Engines: the real thing, each on a machine with a clock of its own, which dies, freezes and
//! thaws as a whole.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::task::{Poll, Waker};
use std::time::Duration;

use stead_runtime::engine;
use stead_runtime::env::{Env, Tuning};
use stead_runtime::memory::MemoryIndex;
use stead_runtime::ports::{Clock, Ports};
use stead_schemas::site::Site;
use stead_schemas::time::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::bus::EngineBus;
use crate::leases::EngineLeases;
use crate::log::EngineLog;
use crate::pages::PAGES;
use crate::plan::Fault;
use crate::world::{State, World};

/// The rule that an engine breaks which spins.
const RESTS: &str = "an engine lets time pass";
/// How often an engine may look at its clock in one moment; much more than any has to.
const LOOKS_MAX: u32 = 100_000;

/// What has become of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It runs.
    Runs,
    /// None of its tasks runs; it does not know.
    Frozen,
    /// It is no more.
    Dead,
}

/// One engine's machine. A new engine gets a new one.
pub struct Machine {
    /// The engine's name, which no other that lives has.
    pub name: String,
    /// See [`Fate`].
    pub fate: Fate,
    /// Whether what it has on its lips is held back while it is frozen.
    pub holds: bool,
    /// Its wall clock.
    pub clock: Arc<MachineClock>,
    /// Whether it was asked to stop.
    pub stopping: bool,
    /// Its index.
    pub index: Arc<MemoryIndex>,
    stop: watch::Sender<bool>,
    waker: Option<Waker>,
}

/// A wall clock that may be wrong and may jump.
pub struct MachineClock {
    wrong_ms: AtomicI64,
    latest_ms: AtomicI64,
    /// The moment of the last look by an honest clock, and how often it was looked at then.
    moment_ms: AtomicI64,
    looks: AtomicU32,
    jumped: AtomicBool,
}

impl MachineClock {
    fn new(wrong_ms: i64) -> Self {
        Self {
            wrong_ms: AtomicI64::new(wrong_ms),
            latest_ms: AtomicI64::new(i64::MIN),
            moment_ms: AtomicI64::new(i64::MIN),
            looks: AtomicU32::new(0),
            jumped: AtomicBool::new(false),
        }
    }

    /// The latest time it has ever shown.
    #[must_use]
    pub fn latest(&self) -> i64 {
        self.latest_ms.load(Ordering::Relaxed)
    }

    /// What it shows while an honest one shows this.
    #[must_use]
    pub fn shows(&self, honest_ms: i64) -> i64 {
        honest_ms + self.wrong_ms.load(Ordering::Relaxed)
    }

    /// Whether it has ever jumped.
    #[must_use]
    pub fn has_jumped(&self) -> bool {
        self.jumped.load(Ordering::Relaxed)
    }

    /// Whether it has always been right.
    #[must_use]
    pub fn is_honest(&self) -> bool {
        !self.has_jumped() && self.wrong_ms.load(Ordering::Relaxed) == 0
    }

    /// Jumps.
    pub fn jump(&self, by_ms: i64) {
        self.jumped.store(true, Ordering::Relaxed);
        self.wrong_ms.fetch_add(by_ms, Ordering::Relaxed);
    }
}

/// A machine's clock, as the engine reads it.
struct Watch {
    world: Arc<World>,
    clock: Arc<MachineClock>,
}

impl Clock for Watch {
    fn now(&self) -> Timestamp {
        let honest = self.world.honest_now().as_millis();
        self.lets_time_pass(honest);
        let shown = self.clock.shows(honest);
        self.clock.latest_ms.fetch_max(shown, Ordering::Relaxed);
        Timestamp::from_millis(shown)
    }
}

impl Watch {
    /// An engine that never comes to rest in one moment would keep the world from going on.
    fn lets_time_pass(&self, moment_ms: i64) {
        if self.clock.moment_ms.swap(moment_ms, Ordering::Relaxed) != moment_ms {
            self.clock.looks.store(0, Ordering::Relaxed);
        }
        if self.clock.looks.fetch_add(1, Ordering::Relaxed) > LOOKS_MAX {
            let words = format!("it looked at its clock {LOOKS_MAX} times at one moment");
            self.world.lock().broken(RESTS, words.as_str());
            panic!("{RESTS}: {words}");
        }
    }
}

/// Starts another engine.
pub fn start(world: &Arc<World>) {
    let (number, env, stopped) = boot(world);
    let mut tasks = LocalSet::new();
    tasks.spawn_local(async move { engine::run(Rc::new(env), stopped).await });
    let world = Arc::clone(world);
    tokio::task::spawn_local(async move {
        std::future::poll_fn(|context| {
            let fate = {
                let mut state = world.lock();
                let machine = &mut state.machines[number];
                machine.waker = Some(context.waker().clone());
                machine.fate
            };
            match fate {
                Fate::Dead => Poll::Ready(()),
                Fate::Frozen => Poll::Pending,
                Fate::Runs => Pin::new(&mut tasks).poll(context),
            }
        })
        .await;
        // All its tasks are dropped where they stand.
        drop(tasks);
        let mut state = world.lock();
        state.machines[number].fate = Fate::Dead;
        state.network.forget(number);
        let name = state.machines[number].name.clone();
        state.tell(format_args!("{name} is no more"));
    });
}

pub(crate) fn boot(world: &Arc<World>) -> (usize, Env, watch::Receiver<bool>) {
    let mut state = world.lock();
    let number = state.machines.len();
    let name = state.name_of_next(number);
    let wrong = state.chance.between(0, 6_000);
    let wrong = if state.plan.skewed { i64::try_from(wrong).unwrap_or(0) - 3_000 } else { 0 };
    let clock = Arc::new(MachineClock::new(wrong));
    let (stop, stopped) = watch::channel(false);
    let index = Arc::new(MemoryIndex::new());
    state.tell(format_args!("{name} starts, its clock wrong by {wrong} ms"));
    state.machines.push(Machine {
        name: name.clone(),
        fate: Fate::Runs,
        holds: false,
        clock: Arc::clone(&clock),
        stopping: false,
        index: Arc::clone(&index),
        stop,
        waker: None,
    });
    let partitions = state.log.partitions();
    let limits = state.plan.limits.clone();
    let (archive_after, idle_after) = (state.plan.archive_after, state.plan.idle_after);
    let log = Arc::new(EngineLog { world: Arc::clone(world), engine: number });
    let bus = Arc::new(EngineBus { world: Arc::clone(world), engine: number });
    let ports = Ports {
        log: log.clone(),
        epochs: log.clone(),
        archive: log,
        bus: bus.clone(),
        inboxes: bus,
        leases: Arc::new(EngineLeases { world: Arc::clone(world), engine: number }),
        index,
        clock: Arc::new(Watch { world: Arc::clone(world), clock }),
        aside: Handle::current(),
    };
    let env = Env {
        engine: name,
        build: "simulated".into(),
        partitions,
        definitions: PAGES,
        site: Site { limits, ..Site::default() }.into(),
        ports,
        tuning: Tuning { archive_after, idle_after, ..Tuning::default() },
    };
    (number, env, stopped)
}

impl State {
    /// Every other engine is one that has died and is started again in its place.
    fn name_of_next(&self, number: usize) -> String {
        let lives = |name: &str| {
            self.machines.iter().any(|other| other.fate != Fate::Dead && other.name == name)
        };
        let mut dead = self.machines.iter().rev().filter(|machine| !lives(&machine.name));
        let again = dead.next().filter(|_| number % 2 == 1);
        again.map_or_else(|| format!("engine-{number}"), |again| again.name.clone())
    }

    /// The engines that are there, frozen or not, and were not asked to stop.
    #[must_use]
    pub fn living_engines(&self) -> Vec<usize> {
        let all = self.machines.iter().enumerate();
        all.filter(|(_, machine)| machine.fate != Fate::Dead && !machine.stopping)
            .map(|(number, _)| number)
            .collect()
    }

    /// An engine dies on the spot.
    pub fn crash(&mut self, engine: usize) {
        let machine = &mut self.machines[engine];
        if machine.fate == Fate::Dead {
            return;
        }
        machine.fate = Fate::Dead;
        machine.wake();
        let name = machine.name.clone();
        self.counts.add("crashes");
        self.tell(format_args!("{name} CRASHES"));
    }

    /// An engine's tasks do not run any more, until it thaws.
    pub fn freeze(&mut self, engine: usize) {
        let holds = self.chance.strikes(500);
        let machine = &mut self.machines[engine];
        // It may have died in the same moment; what thaws afterwards would be no engine.
        if machine.fate != Fate::Runs {
            return;
        }
        machine.fate = Fate::Frozen;
        machine.holds = holds;
        let name = machine.name.clone();
        self.counts.add("freezes");
        self.tell(format_args!("{name} FREEZES, holding back what is on its lips: {holds}"));
    }

    /// A frozen engine goes on, and believes that no time has passed.
    pub fn thaw(&mut self, engine: usize) {
        let machine = &mut self.machines[engine];
        if machine.fate != Fate::Frozen {
            return;
        }
        machine.fate = Fate::Runs;
        machine.wake();
        let name = machine.name.clone();
        self.network.release(engine);
        self.tell(format_args!("{name} THAWS"));
    }

    /// An engine is asked to stop.
    pub fn stop(&mut self, engine: usize) {
        let machine = &mut self.machines[engine];
        machine.stopping = true;
        machine.stop.send_replace(true);
        let name = machine.name.clone();
        self.counts.add("orderly stops");
        self.tell(format_args!("{name} is asked to stop"));
    }

    /// The clock of an engine's machine jumps.
    pub fn jump(&mut self, engine: usize) {
        let by = i64::try_from(self.chance.between(0, 120_000)).unwrap_or(0) - 60_000;
        let machine = &self.machines[engine];
        machine.clock.jump(by);
        let name = machine.name.clone();
        self.counts.add("clock jumps");
        self.tell(format_args!("the clock of {name} JUMPS by {by} ms"));
    }
}

impl Machine {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }
}

/// How long an engine stays frozen.
pub async fn freeze_for_a_while(world: Arc<World>, engine: usize) {
    world.lock().freeze(engine);
    world.pause(200, 9_000).await;
    world.lock().thaw(engine);
    world.posted.notify_one();
}

/// What an engine may meet at any time.
pub const TROUBLES: [Fault; 5] =
    [Fault::Crash, Fault::Freeze, Fault::Stop, Fault::ClockJump, Fault::LostIndex];

/// The least time between two looks at what strikes next.
pub const LOOK_EVERY: Duration = Duration::from_millis(250);
