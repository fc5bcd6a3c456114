//! The owner of a partition: it alone decides for the runs in it, for as long as it holds the
//! lease and nobody else writes.
//!
//! One loop takes in what arrives, lets the run decide, appends, and acts only on what has been
//! acknowledged. Everything in memory here follows from the log; losing it costs time only.
//!
//! What arrives: `commands.rs` (the door), `orders.rs` (what people do to a run by hand),
//! `outside.rs` (answers of those nobody was sent for), `queries.rs` and `listing.rs` (questions),
//! `outcomes.rs` (who waits for the end of a command), `cancels.rs` (what a parent wants cancelled).
//!
//! What is decided and done: `deciding.rs` takes facts in, `advance.rs` appends what came of them, `act.rs` carries out what an
//! append said, `attempts.rs` sees steps through, `patience.rs` says how long each may take,
//! `proofs.rs` which answer is an attempt's, `pausing.rs` lets runs rest, `unheard.rs` offers again
//! what nobody heard, `strays.rs` keeps anything from being done after it was undone. `gate.rs` waits
//! for the turn of a step that the site limits, `leaving.rs` keeps its place while somebody stops,
//! `keeping.rs` says whose turn it is.
//!
//! What is kept: `live.rs` is a run in memory, `idle.rs` lets go of those that wait for long,
//! `entities.rs` keeps what is needed of those that are over, `reading.rs` and `load.rs` read the
//! partition back, `tail.rs` looks for strangers, `clocks.rs` for clocks that part, `turning.rs` begins a
//! new epoch of the log, `bugs.rs` catches the panics of workflows, `parked.rs` ends by hand what this
//! build does not go on with.
//!
//! What is shown: `publish.rs` tells what happens, `waiting.rs` what a run waits for, `counting.rs`
//! counts, `shown.rs` says what more of tokens, pools and backups.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use stead_schemas::dispatch::{ListRuns, OrderRun};
use stead_schemas::event::Seq;
use stead_schemas::ids::{EntityKey, Partition, RunId};
use stead_schemas::public::RunSummary;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::archive::Draft;
use crate::env::Env;
use crate::inbound::Inbound;
use crate::lease::LeaseClock;
use crate::ports::{AppendError, Claim, LogError, Outgoing, ReplyTo};

mod act;
mod advance;
mod attempts;
mod bugs;
mod cancels;
mod clocks;
mod commands;
mod counting;
mod deciding;
mod entities;
mod gate;
mod idle;
mod keeping;
mod leaving;
mod listing;
mod live;
mod load;
mod met;
mod orders;
mod outcomes;
mod outside;
mod parked;
mod patience;
mod pausing;
mod proofs;
mod publish;
mod queries;
mod reading;
mod shown;
mod strays;
mod tail;
mod turning;
mod unheard;
mod waiting;

use clocks::Clocks;
use entities::Entities;
use gate::Gate;
use idle::{Call, Idle};
use keeping::Keeping;
use live::{Asker, Live};
use outcomes::{Said, Waiters};
use reading::Message;
use tail::Tail;
use turning::Turning;
use unheard::Unheard;

/// The most messages taken in before appends and timers get their turn.
const MESSAGES_IN_A_ROW: usize = 64;

/// How long what has changed may wait to be put into the index.
const FLUSH_PAUSE: Duration = Duration::from_millis(200);

/// Why an owner stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The lease is over.
    LeaseOver,
    /// Somebody else wrote to this partition.
    Fenced,
    /// Nothing comes in any more: whoever listens for it is gone.
    Deaf,
    /// It was asked to.
    Asked,
    /// It was asked to, and what it was writing was not acknowledged in time.
    Unacknowledged,
    /// The log could not be read.
    Unreadable,
    /// It panicked.
    Broken,
}

impl Stopped {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::LeaseOver => "lease-over",
            Self::Fenced => "fenced",
            Self::Deaf => "deaf",
            Self::Asked => "asked",
            Self::Unacknowledged => "unacknowledged",
            Self::Unreadable => "unreadable",
            Self::Broken => "broken",
        }
    }
}

/// See the module's head.
pub struct Owner {
    env: Rc<Env>,
    partition: Partition,
    /// The owner's own epoch, by which workers know it.
    epoch: u64,
    /// The epoch of the log that it writes to.
    log_epoch: u32,
    lease: Rc<LeaseClock>,
    entities: Entities,
    runs: HashMap<RunId, Box<Live>>,
    /// The runs that live and are not in memory.
    idle: Idle,
    wakes: BTreeSet<(Instant, RunId, Seq)>,
    /// When it last looked at what is due.
    woken_at: Instant,
    clocks: Clocks,
    jobs: FuturesUnordered<LocalBoxFuture<'static, Finished>>,
    dirty: HashSet<RunId>,
    ended: Vec<RunSummary>,
    /// Who waits for a list while the lost index is filled again.
    refilling: Vec<(ListRuns, ReplyTo)>,
    waiters: Waiters,
    unheard: Unheard,
    gate: Gate,
    keeping: Keeping,
    /// Whether the index lacks the lines of runs in the archive.
    lacks_lines: bool,
    tail: Tail,
    /// When an append of this owner was last acknowledged; at first, when it took over.
    last_kept: Instant,
    /// How many messages of the log belong to runs that are over.
    over: u64,
    turning: Turning,
    chance: u64,
    stopped: Option<Stopped>,
}

/// Something that was waited for.
enum Finished {
    Append { run: RunId, result: Result<u64, AppendError> },
    Reply { to: ReplyTo, bytes: Vec<u8> },
    Refill { is_whole: bool },
    Look { epoch: u32, asked: Instant, last: Option<u64> },
    CameBack { run: RunId, history: Result<Vec<Message>, LogError> },
    MayRead { run: RunId },
    ReadToEnd { order: OrderRun, to: ReplyTo, history: Result<Vec<Message>, LogError> },
    Outcome { asker: Asker, said: Result<Said, LogError> },
    Drafted(Result<Option<Draft>, LogError>),
    Completed(Result<Draft, LogError>),
    Closed(Draft, Result<(), AppendError>),
    Retired,
}

impl Owner {
    /// Takes a partition over: reads it, then serves it until something ends that.
    pub async fn run(
        env: Rc<Env>,
        partition: Partition,
        claim: Claim,
        lease: Rc<LeaseClock>,
        inbox: mpsc::UnboundedReceiver<Inbound>,
        stop: watch::Receiver<bool>,
    ) -> Stopped {
        let (chance, clocks) = (seed(&env.engine, claim.seq), Clocks::new(env.ports.clock.now()));
        let mut owner = Self {
            env,
            partition,
            epoch: claim.seq,
            log_epoch: claim.epoch,
            lease,
            entities: Entities::default(),
            runs: HashMap::new(),
            idle: Idle::new(),
            wakes: BTreeSet::new(),
            woken_at: Instant::now(),
            clocks,
            jobs: FuturesUnordered::new(),
            dirty: HashSet::new(),
            ended: Vec::new(),
            refilling: Vec::new(),
            waiters: Waiters::default(),
            unheard: Unheard::default(),
            gate: Gate::new(claim.seq),
            keeping: Keeping::default(),
            lacks_lines: false,
            tail: Tail::new(claim.seq),
            last_kept: Instant::now(),
            over: 0,
            turning: Turning::default(),
            chance,
            stopped: None,
        };
        if let Err(error) = owner.load().await {
            tracing::warn!(%partition, %error, "cannot read the partition");
            return Stopped::Unreadable;
        }
        owner.keeping.begin(claim.seq);
        owner.serve(inbox, stop).await
    }

    async fn serve(
        mut self,
        mut inbox: mpsc::UnboundedReceiver<Inbound>,
        mut stop: watch::Receiver<bool>,
    ) -> Stopped {
        while self.stopped.is_none() {
            let wake = self.next_wake();
            let wake = wake.min(self.lease.until());
            tokio::select! {
                biased;
                asked = stop.wait_for(|stop| *stop) => {
                    if asked.is_ok() {
                        drop(asked);
                        return self.hand_over().await;
                    }
                    // The engine has let go of the partition: the lease is somebody else's.
                    self.stopped = Some(Stopped::LeaseOver);
                }
                Some(finished) = self.jobs.next(), if !self.jobs.is_empty() => {
                    if self.may_act() {
                        self.finished(finished);
                    }
                }
                message = inbox.recv() => self.messages(message, &mut inbox),
                () = sleep_until(wake) => {}
            }
            // However much comes in, what is due has its turn behind it.
            if wake <= Instant::now() {
                self.wake();
            }
        }
        self.stopped.unwrap_or(Stopped::Asked)
    }

    fn next_wake(&self) -> Instant {
        let idle = if self.dirty.is_empty() { self.env.tuning.lease } else { FLUSH_PAUSE };
        let idle = self.woken_at + idle;
        let step = self.wakes.first().map(|(when, _, _)| *when);
        [step, self.unheard.next(), self.gate.next(), self.keeping.next()]
            .into_iter()
            .flatten()
            .fold(idle, Instant::min)
    }

    /// Whether the lease still holds. A process that was frozen finds out here, before it acts on
    /// anything it knew.
    fn may_act(&mut self) -> bool {
        if self.lease.is_over() {
            self.stopped.get_or_insert(Stopped::LeaseOver);
        }
        self.stopped.is_none()
    }

    fn messages(&mut self, first: Option<Inbound>, inbox: &mut mpsc::UnboundedReceiver<Inbound>) {
        let Some(first) = first else {
            self.stopped = Some(Stopped::Deaf);
            return;
        };
        if !self.may_act() {
            return;
        }
        self.message(first);
        for _ in 1..MESSAGES_IN_A_ROW {
            // The one before may have ended it, and taken its time.
            if !self.may_act() {
                return;
            }
            let Ok(next) = inbox.try_recv() else { break };
            self.message(next);
        }
    }

    fn message(&mut self, message: Inbound) {
        let Some(message) = self.unless_idle(message) else { return };
        match message {
            Inbound::Answer { address, attempt, proof, reply } => {
                self.answered(&address, attempt, proof.as_ref(), reply);
            }
            Inbound::NoListener { address, attempt, proof } => {
                self.unheard(&address, attempt, proof.as_ref());
            }
            Inbound::Command(command, to) => self.command(command, to),
            Inbound::Rehearse(mut command, to) => self.rehearse(&mut command, to),
            Inbound::Query(query, to) => self.query(&query.run, to),
            Inbound::Outcome(query, to) => self.outcome(query, to),
            Inbound::List(query, to) => self.list(query, to),
            Inbound::Order(order, to) => self.order(order, to),
            Inbound::Outside(answer, to) => self.outside(answer, to),
            Inbound::Place(ask) => self.place_asked(ask),
            Inbound::Placed(reply) => self.placed(&reply),
            Inbound::Limits(to) => self.limits(to),
            Inbound::Turn(asked, to) => self.asked_to_turn(asked, to),
        }
    }

    fn finished(&mut self, finished: Finished) {
        match finished {
            Finished::Append { run, result } => {
                self.append_ended(run, result);
                self.go_on_turning();
            }
            Finished::Look { epoch, asked, last } => {
                // What closes an epoch is a message, too: our own, most likely.
                let counts = epoch == self.log_epoch && !self.turning.holds_back();
                let last = last.filter(|_| counts);
                if let Some(last) = last {
                    self.compare_tail(last);
                    self.tail.looked(asked, last);
                }
                self.count_runs();
                self.look_at_tail();
                self.turn_if_due();
            }
            Finished::Drafted(draft) => self.drafted(draft),
            Finished::Completed(draft) => self.completed(draft),
            Finished::Closed(draft, result) => self.closed(draft, result),
            Finished::Retired => {}
            Finished::Reply { to, bytes } => self.send(Outgoing::Reply { to, bytes }),
            Finished::Refill { is_whole } => self.refilled(is_whole),
            Finished::CameBack { run, history } => self.came_back(run, history),
            Finished::MayRead { run } => self.may_read(run),
            Finished::ReadToEnd { order, to, history } => self.read_to_end(order, to, history),
            Finished::Outcome { asker, said } => self.outcome_read(asker, said),
        }
    }

    /// An append has an outcome. What it said is acted on once all before it is known.
    fn append_ended(&mut self, run: RunId, result: Result<u64, AppendError>) {
        match result {
            Ok(seq) => {
                self.last_kept = Instant::now();
                let settled = self.tail.kept(run, seq);
                settled.iter().for_each(|(run, seq)| self.appended(run, *seq));
                self.compare_tail(seq);
            }
            Err(error) => {
                self.tail.refused();
                self.not_appended(&run, &error);
                self.compare_tail(self.tail.known());
            }
        }
    }

    fn wake(&mut self) {
        if !self.may_act() {
            return;
        }
        self.flush_some();
        let now = Instant::now();
        self.woken_at = now;
        self.compare_clocks(now);
        self.scout(now);
        self.tend_places(now);
        self.give_places(now);
        while let Some((when, _, _)) = self.wakes.first() {
            if *when > now {
                break;
            }
            match self.wakes.pop_first() {
                Some((_, run, seq)) if self.idle.has(&run) => {
                    self.call_back(run, Call::Timer(seq));
                }
                Some((_, run, seq)) => self.woken(&run, seq),
                None => {}
            }
        }
        self.let_go_of_some();
    }

    /// Ends in good order: what is being appended is waited for, nothing new is begun. Whoever
    /// is told that something is in the log asks no more; so nobody is told after the lease is
    /// over, when the next owner may have read the log already, without it. A log that says nothing
    /// for as long as a lease lasts is not waited for any longer: the next owner finds what came into
    /// it, as after a crash.
    async fn hand_over(mut self) -> Stopped {
        let mut until = Instant::now() + self.env.tuning.lease;
        while self.tail.is_busy() {
            let Ok(finished) = timeout_at(until, self.jobs.next()).await else {
                return Stopped::Unacknowledged;
            };
            let Some(finished) = finished else { break };
            if self.lease.is_over() {
                return Stopped::LeaseOver;
            }
            match finished {
                Finished::Append { run, result: Ok(seq) } => {
                    until = Instant::now() + self.env.tuning.lease;
                    for (run, seq) in self.tail.kept(run, seq) {
                        self.acknowledge(&run, seq);
                    }
                }
                Finished::Append { result: Err(_), .. } => self.tail.refused(),
                _ => {}
            }
        }
        self.flush_index();
        Stopped::Asked
    }

    /// The run that an entity lives now.
    fn living(&self, key: &EntityKey) -> Option<&Live> {
        self.runs.get(&key.run(self.entities.latest(key))).map(|live| &**live)
    }

    fn send(&self, message: Outgoing) {
        self.env.ports.bus.send(message);
    }

    /// A number that nobody can foresee, for spreading retries; xorshift.
    fn chance(&mut self) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        self.chance
    }
}

/// Where an owner's chance begins: every engine and every epoch has its own, and the same again
/// where the same happens again.
fn seed(engine: &str, epoch: u64) -> u64 {
    let mixed = engine
        .bytes()
        .fold(epoch, |mixed, byte| (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    mixed | 1
}
