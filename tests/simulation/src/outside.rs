//! The vendor and the steps that act on it. It keeps things by name, each with a marker; whoever
//! changes one says which state of it he has seen, and is turned away if it has changed since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};

use stead_runtime::env::Tuning;
use stead_runtime::keeper::LEASE;
use stead_runtime::worker::StepContext;
use stead_schemas::dispatch::{StepAddress, StepRequest};
use stead_schemas::event::Event;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::limit::{PlaceAsk, PlaceWanted};
use stead_schemas::step::Done;
use tokio::time::Instant;

use crate::pages::{Make, Unmake, cursed};
use crate::plan::Fault;
use crate::world::{State, World};

/// What is there.
#[derive(Default)]
pub struct Outside {
    things: BTreeMap<String, Thing>,
    /// Steps whose effect was there once.
    made: BTreeMap<StepAddress, u32>,
    /// Steps that only former owners have asked for, and those that an owner has asked for.
    stale: BTreeSet<StepAddress>,
    fresh: BTreeSet<StepAddress>,
    /// What is going on there now: how many processes are at each step.
    under_way: BTreeMap<StepAddress, Work>,
    /// The owners that have asked for a step, by their epochs.
    asked_by: BTreeMap<StepAddress, BTreeSet<u64>>,
    /// What the keeper of its place has heard last from a step's owner: the number, and when; no
    /// time where it has given its place back.
    heard: BTreeMap<StepAddress, (u64, Option<Instant>)>,
    /// Steps that are over: a worker that is still at one has not heard of it.
    over: BTreeSet<StepAddress>,
    /// Steps that a cancel has hit, and where that lies in the log.
    pub cancelled: BTreeMap<StepAddress, u64>,
    /// The latest owner of each partition.
    pub epochs: BTreeMap<Partition, u64>,
}

#[derive(Default)]
struct Thing {
    version: u64,
    marker: Option<String>,
}

/// A step that the vendor is busy with.
struct Work {
    owner: String,
    processes: u32,
    /// When a process that is at it was told to stop.
    stopped: Option<Instant>,
}

impl Work {
    /// Whether the one process that is at it was told to stop and is to be waited for. An owner has
    /// begun to wait before: what it said was on its way.
    fn is_stopping(&self) -> bool {
        let waits = Tuning::default().grace / 2;
        self.processes == 1 && self.stopped.is_some_and(|when| when.elapsed() < waits)
    }
}

/// That the vendor is busy with a step, until this is dropped.
struct Busy {
    world: Arc<World>,
    address: StepAddress,
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut state = self.world.lock();
        let Some(work) = state.outside.under_way.get_mut(&self.address) else { return };
        work.processes -= 1;
        if work.processes == 0 {
            state.outside.under_way.remove(&self.address);
        }
    }
}

/// The vendor begins with a step. It is asked for no more at once than the site allows.
fn busy(world: &Arc<World>, cx: &StepContext, thing: &str) -> Busy {
    let address = cx.address().clone();
    let owner = thing.split('/').next().unwrap_or_default().to_owned();
    let mut state = world.lock();
    let work = state.outside.under_way.entry(address.clone());
    work.or_insert(Work { owner: owner.clone(), processes: 0, stopped: None }).processes += 1;
    state.judge_limits(&owner);
    drop(state);
    Busy { world: Arc::clone(world), address }
}

impl State {
    fn judge_limits(&mut self, owner: &str) {
        let Some(limit) = self.plan.limits.first() else { return };
        let counts = |work: &Work| limit.per.is_none() || work.owner == owner;
        let all = self.outside.under_way.iter();
        let counted =
            all.filter(|(address, work)| counts(work) && self.outside.counts(address, work));
        let counted: Vec<String> =
            counted.map(|(address, _)| format!("{}:{}", address.run, address.seq)).collect();
        if counted.len() > limit.at_once.unwrap_or(u32::MAX) as usize {
            let words = counted.join(", ");
            self.broken("no more is under way at once than the site allows", words);
        }
    }
}

impl Outside {
    /// Everything that is there: its name and its marker.
    #[must_use]
    pub fn all(&self) -> BTreeSet<(String, String)> {
        let there = |(name, thing): (&String, &Thing)| Some((name.clone(), thing.marker.clone()?));
        self.things.iter().filter_map(there).collect()
    }

    /// A request for a step has reached a worker.
    pub fn asked(&mut self, address: &StepAddress, stale: bool) {
        let set = if stale { &mut self.stale } else { &mut self.fresh };
        set.insert(address.clone());
    }

    /// An owner asks for a step.
    pub fn asked_for(&mut self, request: &StepRequest) {
        let owners = self.asked_by.entry(request.address.clone()).or_default();
        owners.insert(request.epoch);
    }

    /// Whether an owner asks for a step though it has read that it was cancelled: its own place in the
    /// log lies behind the cancel.
    #[must_use]
    pub fn is_cancelled(&self, request: &StepRequest) -> bool {
        self.cancelled.get(&request.address).is_some_and(|cancelled| *cancelled < request.epoch)
    }

    /// A process is told to stop; if it is at the step it will, in its time.
    pub fn told_to_stop(&mut self, address: &StepAddress) {
        if let Some(work) = self.under_way.get_mut(address) {
            work.stopped.get_or_insert_with(Instant::now);
        }
    }

    /// The keeper of its place has heard from a step's owner.
    pub fn keeper_hears(&mut self, ask: &PlaceAsk) {
        let has_left = ask.wants == PlaceWanted::Leave;
        let news = (ask.number, (!has_left).then(Instant::now));
        let last = self.heard.entry(ask.step.clone()).or_insert(news);
        if last.0 <= ask.number {
            *last = news;
        }
    }

    /// Whether a step that is under way has to be among those that the site allows: it is not over,
    /// one owner alone has asked for it, and its keeper has heard of that within a lease, or the one
    /// worker that is at it was told to stop and is to be waited for.
    fn counts(&self, address: &StepAddress, work: &Work) -> bool {
        let owners = self.asked_by.get(address);
        let Some(owner) = owners.filter(|all| all.len() == 1).and_then(BTreeSet::first) else {
            return false;
        };
        let Some((number, when)) = self.heard.get(address) else { return false };
        let is_had = when.map_or_else(|| work.is_stopping(), |when| when.elapsed() < LEASE);
        !self.over.contains(address) && number >> 32 == *owner && is_had
    }

    /// Keeps which steps are over.
    pub fn note(&mut self, run: &RunId, event: &Event) {
        let seq = match event {
            Event::StepCompleted(step) => step.seq,
            Event::StepFailed(step) => step.seq,
            Event::StepCancelled(step) => step.seq,
            Event::StepDropped(step) => step.seq,
            _ => return,
        };
        self.over.insert(StepAddress { run: run.clone(), seq });
    }

    fn look(&self, name: &str) -> (u64, Option<String>) {
        self.things.get(name).map_or((0, None), |thing| (thing.version, thing.marker.clone()))
    }

    /// Changes a thing, if it is still as it was seen.
    fn change(&mut self, name: &str, seen: u64, marker: Option<String>) -> Result<(), Failure> {
        let thing = self.things.entry(name.to_owned()).or_default();
        if thing.version != seen {
            return Err(Failure::new(Class::Ambiguous, "it has changed meanwhile"));
        }
        thing.version += 1;
        thing.marker = marker;
        Ok(())
    }
}

/// The vendor as a worker reaches it.
#[derive(Clone)]
pub struct Vendor(Weak<World>);

impl Vendor {
    /// The vendor of this world.
    #[must_use]
    pub fn new(world: &Arc<World>) -> Self {
        Self(Arc::downgrade(world))
    }

    fn world(&self) -> Result<Arc<World>, Failure> {
        self.0.upgrade().ok_or_else(|| Failure::new(Class::VendorDown, "the world has ended"))
    }
}

/// Looks, acts, marks.
pub(crate) async fn make(vendor: Vendor, cx: StepContext, ask: Make) -> Result<Done, Failure> {
    let world = vendor.world()?;
    let (version, marker) = begin(&world, &cx, &ask.thing);
    match marker {
        Some(marker) if marker == ask.marker => return Ok(Done {}),
        Some(_) => return Err(Failure::new(Class::Wait, "another's thing is in the way")),
        None => {}
    }
    let _busy = busy(&world, &cx, &ask.thing);
    reach(&world, &cx).await?;
    let curse = is_cursed(&ask);
    if curse == Some(Half::Before) {
        return Err(cursed(&ask.thing));
    }
    {
        let mut state = world.lock();
        state.outside.change(&ask.thing, version, Some(ask.marker.clone()))?;
        state.made(&cx, &ask);
    }
    after(&world).await?;
    match curse {
        Some(_) => Err(cursed(&ask.thing)),
        None => Ok(Done {}),
    }
}

/// Looks, and takes away what is ours.
pub(crate) async fn unmake(vendor: Vendor, cx: StepContext, ask: Unmake) -> Result<Done, Failure> {
    let world = vendor.world()?;
    let (version, marker) = begin(&world, &cx, &ask.thing);
    if marker.as_ref() != Some(&ask.marker) {
        return Ok(Done {});
    }
    if world.lock().strikes(Fault::ShutOut) {
        return Err(Failure::new(Class::Auth, "the vendor does not let us in"));
    }
    let _busy = busy(&world, &cx, &ask.thing);
    reach(&world, &cx).await?;
    {
        let mut state = world.lock();
        state.outside.change(&ask.thing, version, None)?;
        state.tell(format_args!("outside  {} of {} is taken away", ask.thing, ask.marker));
    }
    after(&world).await?;
    Ok(Done {})
}

/// Where a step that can never be done fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Before,
    After,
}

/// Some things can never be made: which, their names and markers say, so that all workers agree.
fn is_cursed(ask: &Make) -> Option<Half> {
    let sum: u32 = ask.thing.bytes().chain(ask.marker.bytes()).map(u32::from).sum();
    match sum % 17 {
        0 => Some(Half::Before),
        1 => Some(Half::After),
        _ => None,
    }
}

fn begin(world: &World, cx: &StepContext, thing: &str) -> (u64, Option<String>) {
    let mut state = world.lock();
    let address = cx.address();
    if state.outside.stale.contains(address) && !state.outside.fresh.contains(address) {
        let words = format!("{}:{}", address.run, address.seq);
        state.broken("a worker does nothing for a former owner", words);
    }
    state.outside.look(thing)
}

/// The vendor takes its time before it acts, and may fail.
async fn reach(world: &World, cx: &StepContext) -> Result<(), Failure> {
    cx.still_wanted()?;
    let (span, fails) = {
        let mut state = world.lock();
        let slow = state.strikes(Fault::SlowVendor);
        let fails = state.strikes(Fault::PassingFailure);
        (if slow { state.span(500, 4_000) } else { state.span(3, 20) }, fails)
    };
    tokio::time::sleep(span).await;
    cx.still_wanted()?;
    if fails {
        let class = world.lock().chance.one_of(&[Class::Retry, Class::Wait, Class::VendorDown]);
        return Err(Failure::new(class, "the vendor fails in passing"));
    }
    Ok(())
}

/// What may happen between the effect and the answer.
async fn after(world: &World) -> Result<(), Failure> {
    let (span, lost) = {
        let mut state = world.lock();
        let slow = state.strikes(Fault::SlowVendor);
        let lost = state.strikes(Fault::LostEffect);
        (if slow { state.span(500, 12_000) } else { state.span(1, 10) }, lost)
    };
    tokio::time::sleep(span).await;
    if lost {
        return Err(Failure::new(Class::Ambiguous, "the vendor's answer was lost"));
    }
    Ok(())
}

impl State {
    fn made(&mut self, cx: &StepContext, ask: &Make) {
        self.tell(format_args!("outside  {} of {} is made", ask.thing, ask.marker));
        self.counts.add("effects");
        let address = cx.address();
        let times = self.outside.made.entry(address.clone()).or_default();
        *times += 1;
        if *times > 1 {
            let words = format!("{}:{} ({})", address.run, address.seq, ask.thing);
            self.broken("a step has its effect once", words);
        }
    }
}
