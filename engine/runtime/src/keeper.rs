//! Keeps the places of limits: who has one, who waits, whose turn is next.
//!
//! It knows no clock and no bus: whoever asks says what time it is. It may be lost at any moment.
//! A place is a lease that its holder renews; so a new keeper gives none before all that are held
//! have been renewed with it, and the limit is kept when the keeper changes.
//!
//! Whose turn it is: what takes something back goes before everything else, then what is wanted
//! with high, usual and low priority; whoever waits for long rises, a class every two minutes, so
//! that nobody waits for ever. Within a class the owners take turns, and each one's steps come in
//! the order in which they began to wait.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use stead_schemas::dispatch::StepAddress;
use stead_schemas::limit::{KeyView, Limit, Line, PlaceAsk, PlaceView, PlaceWanted, Priority};
use stead_schemas::owner::Owner;
use tokio::time::Instant;

use crate::env;

/// How long a place is kept for somebody who is not heard of: long enough for the partition of a
/// dead holder to be taken over, and for workers to say that they are at it.
pub const LEASE: Duration = Duration::from_secs(6);
const _: () = assert!(LEASE.as_millis() >= 2 * env::LEASE.as_millis());
/// How often places are renewed.
pub const RENEW: Duration = Duration::from_millis(1_500);
/// Whoever has waited so long rises by a class.
pub const RISES_AFTER: Duration = Duration::from_secs(120);

/// For each that waits, everybody asks this much less often: a thousand ask every six seconds.
const PATIENCE: Duration = Duration::from_millis(5);
/// The least often that anybody who waits asks.
const PATIENCE_MAX: Duration = Duration::from_secs(20);
/// How many of those at work whoever waits is told.
const NAMED_MAX: usize = 4;

/// Of what takes something back; the classes of priorities come behind it.
const CLASS_OF_UNDO: u32 = 0;

/// See the module's head: one key of one limit.
pub struct Key {
    at_once: u32,
    bucket: Option<Bucket>,
    /// When a keeper that follows another has heard of all.
    settled_at: Option<Instant>,
    at_work: BTreeMap<StepAddress, Held>,
    waiting: BTreeMap<StepAddress, Waiter>,
    /// What was said last of those that have left, and until when it is remembered: what was said
    /// before that may still be on its way.
    left: BTreeMap<StepAddress, (u64, Instant)>,
    /// When each owner had its last turn.
    turns: HashMap<Owner, u64>,
    turn: u64,
    /// The order of those who wait, while nothing changes; and when it was made.
    order: Option<(Instant, HashMap<StepAddress, u32>)>,
}

/// Those of one class who wait, by owner, each since when.
type Lines<'a> = BTreeMap<&'a Owner, Vec<(Instant, &'a StepAddress)>>;

/// A place that somebody has.
struct Held {
    who: Who,
    since: Instant,
    until: Instant,
}

/// Somebody who waits.
struct Waiter {
    who: Who,
    since: Instant,
    until: Instant,
}

/// Whoever has or wants a place.
#[derive(Clone)]
struct Who {
    what: String,
    owner: Owner,
    name: String,
    number: u64,
    priority: Priority,
    undo: bool,
}

/// A rate: what has not been used is kept, up to a burst.
struct Bucket {
    per_second: f64,
    most: f64,
    has: f64,
    filled: Instant,
}

/// What a step's owner is to be told: the number that it said last, and its line if it waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// For which step.
    pub step: StepAddress,
    /// What the keeper heard last.
    pub number: u64,
    /// The line that it stands in; nothing if it has a place.
    pub line: Option<Line>,
}

impl Key {
    /// A key that is first heard of `now`, by a keeper that gives nothing before `settled_at`; one
    /// that follows no other is given none.
    #[must_use]
    pub fn new(limit: &Limit, now: Instant, settled_at: Option<Instant>) -> Self {
        Self {
            at_once: limit.at_once.unwrap_or(u32::MAX),
            bucket: Bucket::of(limit, now, settled_at),
            settled_at,
            at_work: BTreeMap::new(),
            waiting: BTreeMap::new(),
            left: BTreeMap::new(),
            turns: HashMap::new(),
            turn: 0,
            order: None,
        }
    }

    /// Keeps to this limit from now on, which may be another one than it was.
    pub fn keep_to(&mut self, limit: &Limit, now: Instant) {
        self.at_once = limit.at_once.unwrap_or(u32::MAX);
        match (&mut self.bucket, Bucket::of(limit, now, self.settled_at)) {
            (Some(kept), Some(wanted)) => {
                kept.fill(now);
                (kept.per_second, kept.most) = (wanted.per_second, wanted.most);
            }
            (kept, wanted) => *kept = wanted,
        }
    }

    /// Takes in what a step's owner says. It is told where it stands, unless it leaves, or has said
    /// something later: an answer to what a former owner says would only make it say it again. The
    /// others who are told have got a place by it.
    pub fn hear(&mut self, now: Instant, ask: PlaceAsk) -> Vec<Told> {
        let (step, number) = (ask.step.clone(), ask.number);
        let is_overtaken = self.latest(&step).is_some_and(|latest| number < latest);
        let is_asking = ask.wants != PlaceWanted::Leave && !is_overtaken;
        if !is_overtaken {
            self.take(now, ask);
        }
        let mut told = self.give(now);
        if is_asking && !told.iter().any(|told| told.step == step) {
            told.extend(self.told(now, step, number));
        }
        told
    }

    fn take(&mut self, now: Instant, ask: PlaceAsk) {
        let PlaceAsk { step, what, owner, name, number, wants, .. } = ask;
        let who = |priority, undo| Who { what, owner, name, number, priority, undo };
        let until = now + LEASE;
        match wants {
            PlaceWanted::Leave => {
                self.at_work.remove(&step);
                self.waiting.remove(&step);
                self.left.insert(step, (number, until));
                self.order = None;
            }
            PlaceWanted::Stay => {
                if self.waiting.remove(&step).is_some() {
                    self.order = None;
                }
                // It is at work, whatever there is room for.
                let who = who(Priority::Normal, false);
                let held = self.at_work.entry(step).or_insert(Held { who, since: now, until });
                (held.until, held.who.number) = (until, number);
            }
            PlaceWanted::Turn { priority, undo, waited_ms } => {
                if let Some(held) = self.at_work.get_mut(&step) {
                    (held.until, held.who.number) = (until, number);
                    return;
                }
                let since = now.checked_sub(Duration::from_millis(waited_ms)).unwrap_or(now);
                let until = now + LEASE + patience(self.waiting.len());
                if let Some(waiter) = self.waiting.get_mut(&step) {
                    (waiter.until, waiter.who.number) = (until, number);
                    return;
                }
                self.waiting.insert(step, Waiter { who: who(priority, undo), since, until });
                self.order = None;
            }
        }
    }

    fn latest(&self, step: &StepAddress) -> Option<u64> {
        let held = self.at_work.get(step).map(|held| held.who.number);
        let waits = || self.waiting.get(step).map(|waiter| waiter.who.number);
        held.or_else(waits).or_else(|| self.left.get(step).map(|(number, _)| *number))
    }

    /// Gives places to those whose turn it is, as far as there are any; they are to be told.
    pub fn give(&mut self, now: Instant) -> Vec<Told> {
        self.expire(now);
        let mut told = Vec::new();
        while !self.is_settling(now)
            && self.at_work.len() < self.at_once as usize
            && !self.waiting.is_empty()
        {
            if self.bucket.as_mut().is_some_and(|bucket| !bucket.take(now)) {
                break;
            }
            let Some(step) = self.next(now) else { break };
            let Some(Waiter { who, .. }) = self.waiting.remove(&step) else { break };
            self.turn += 1;
            self.turns.insert(who.owner.clone(), self.turn);
            self.order = None;
            told.push(Told { step: step.clone(), number: who.number, line: None });
            self.at_work.insert(step, Held { who, since: now, until: now + LEASE });
        }
        told
    }

    fn is_settling(&self, now: Instant) -> bool {
        self.settled_at.is_some_and(|settled_at| now < settled_at)
    }

    fn expire(&mut self, now: Instant) {
        let before = self.waiting.len();
        self.at_work.retain(|_, held| held.until > now);
        self.left.retain(|_, (_, until)| *until > now);
        self.waiting.retain(|_, waiter| waiter.until > now);
        if self.waiting.len() != before {
            self.order = None;
        }
    }

    /// Whose turn it is.
    fn next(&self, now: Instant) -> Option<StepAddress> {
        // Of those that are equal the first step's, which the map's order gives.
        let first = self
            .waiting
            .iter()
            .min_by(|(_, one), (_, other)| self.rank(now, one).cmp(&self.rank(now, other)));
        first.map(|(step, _)| step.clone())
    }

    /// The less, the sooner it is its turn.
    fn rank<'a>(&self, now: Instant, waiter: &'a Waiter) -> (u32, u64, &'a Owner, Instant) {
        let turn = self.turns.get(&waiter.who.owner).copied().unwrap_or(0);
        (waiter.class(now), turn, &waiter.who.owner, waiter.since)
    }

    /// Where a step stands.
    fn told(&mut self, now: Instant, step: StepAddress, number: u64) -> Option<Told> {
        if let Some(held) = self.at_work.get(&step) {
            return Some(Told { step, number: held.who.number, line: None });
        }
        let heard = self.waiting.get(&step)?.who.number.max(number);
        let position = self.positions(now).get(&step).copied().unwrap_or(1);
        let named = self.at_work.values().take(NAMED_MAX);
        let line = Line {
            position,
            of: count(self.waiting.len()),
            at_work: named.map(|held| format!("{}/{}", held.who.owner, held.who.name)).collect(),
            more: count(self.at_work.len().saturating_sub(NAMED_MAX)),
            settling: self.is_settling(now),
            again_ms: u64::try_from(patience(self.waiting.len()).as_millis()).unwrap_or(u64::MAX),
        };
        Some(Told { step, number: heard, line: Some(line) })
    }

    /// The place of each that waits; made anew when something has changed, or after [`RENEW`].
    fn positions(&mut self, now: Instant) -> &HashMap<StepAddress, u32> {
        let is_fresh = |made: &Instant| now.saturating_duration_since(*made) < RENEW;
        if !self.order.as_ref().is_some_and(|(made, _)| is_fresh(made)) {
            let order = self.in_order(now).into_iter();
            let places = order.enumerate().map(|(place, step)| (step, count(place + 1)));
            self.order = Some((now, places.collect()));
        }
        let order = self.order.get_or_insert_with(|| (now, HashMap::new()));
        &order.1
    }

    /// Those who wait, in the order of their turns, if nobody comes and nobody goes.
    fn in_order(&self, now: Instant) -> Vec<StepAddress> {
        let (mut turns, mut turn) = (self.turns.clone(), self.turn);
        let mut classes: BTreeMap<u32, Lines<'_>> = BTreeMap::new();
        for (step, waiter) in &self.waiting {
            let owners = classes.entry(waiter.class(now)).or_default();
            owners.entry(&waiter.who.owner).or_default().push((waiter.since, step));
        }
        let mut order = Vec::with_capacity(self.waiting.len());
        for owners in classes.into_values() {
            let last = |owner: &Owner| turns.get(owner).copied().unwrap_or(0);
            let mut lines: Vec<_> = owners.into_iter().collect();
            lines.sort_by_key(|(owner, _)| (last(owner), *owner));
            for (_, steps) in &mut lines {
                steps.sort_unstable();
            }
            let rounds = lines.iter().map(|(_, steps)| steps.len()).max().unwrap_or(0);
            for round in 0..rounds {
                for (owner, steps) in lines.iter().filter(|(_, steps)| steps.len() > round) {
                    order.push(steps[round].1.clone());
                    turn += 1;
                    turns.insert((*owner).clone(), turn);
                }
            }
        }
        order
    }

    /// When there may be something to give without anybody saying anything.
    #[must_use]
    pub fn next_change(&self, now: Instant) -> Option<Instant> {
        if self.waiting.is_empty() {
            return None;
        }
        if self.is_settling(now) {
            return self.settled_at;
        }
        match self.at_work.len() < self.at_once as usize {
            true => self.bucket.as_ref().map(Bucket::next),
            false => self.at_work.values().map(|held| held.until).min(),
        }
    }

    /// Whether nobody has or wants a place, and nothing is known that matters later.
    pub fn is_idle(&mut self, now: Instant) -> bool {
        self.expire(now);
        let is_full = self.bucket.as_mut().is_none_or(|bucket| bucket.is_full(now));
        self.at_work.is_empty() && self.waiting.is_empty() && is_full && !self.is_settling(now)
    }

    /// How many have a place, and how many wait.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        (self.at_work.len(), self.waiting.len())
    }

    /// What there is to see.
    #[must_use]
    pub fn shown(&self, now: Instant, key: &str) -> KeyView {
        let view = |step: &StepAddress, who: &Who, since: Instant| PlaceView {
            step: step.clone(),
            what: who.what.clone(),
            owner: who.owner.clone(),
            name: who.name.clone(),
            priority: who.priority,
            undo: who.undo,
            for_ms: u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(0),
        };
        let held = self.at_work.iter();
        let mut at_work: Vec<_> =
            held.map(|(step, held)| view(step, &held.who, held.since)).collect();
        at_work.sort_by_key(|place| std::cmp::Reverse(place.for_ms));
        let order = self.in_order(now).into_iter();
        let waiting = order.filter_map(|step| {
            let waiter = self.waiting.get(&step)?;
            Some(view(&step, &waiter.who, waiter.since))
        });
        let (key, settling) = (key.to_owned(), self.is_settling(now));
        KeyView { key, settling, at_work, waiting: waiting.collect() }
    }
}

impl Waiter {
    /// The lower, the sooner.
    fn class(&self, now: Instant) -> u32 {
        let class = match (self.who.undo, self.who.priority) {
            (true, _) => CLASS_OF_UNDO,
            (false, Priority::High) => 1,
            (false, Priority::Normal) => 2,
            (false, Priority::Low) => 3,
        };
        let waited = now.saturating_duration_since(self.since).as_secs();
        let rises = u32::try_from(waited / RISES_AFTER.as_secs()).unwrap_or(u32::MAX);
        class.saturating_sub(rises)
    }
}

impl Bucket {
    /// What a keeper that follows another gave before is not known. So there is nothing in it when
    /// that has heard of all, even if nobody asks before long after.
    fn of(limit: &Limit, now: Instant, settled_at: Option<Instant>) -> Option<Self> {
        let most = f64::from(limit.burst());
        Some(Self {
            per_second: f64::from(limit.per_minute?) / 60.0,
            most,
            has: if settled_at.is_some() { 0.0 } else { most },
            filled: settled_at.unwrap_or(now),
        })
    }

    fn fill(&mut self, now: Instant) {
        let span = now.saturating_duration_since(self.filled).as_secs_f64();
        self.has = (self.has + span * self.per_second).min(self.most);
        self.filled = self.filled.max(now);
    }

    fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        // What is lost by counting in fractions must not cost a whole one.
        let is_enough = self.has > 1.0 - 1e-6;
        self.has -= f64::from(u8::from(is_enough));
        is_enough
    }

    fn is_full(&mut self, now: Instant) -> bool {
        self.fill(now);
        self.has > self.most - 1e-6
    }

    fn next(&self) -> Instant {
        let lacks = (1.0 - self.has).max(0.0) / self.per_second;
        // A millisecond more than that, for clocks that count in them.
        self.filled + Duration::from_secs_f64(lacks) + Duration::from_millis(1)
    }
}

/// How long whoever waits may be silent before it asks again.
fn patience(waiting: usize) -> Duration {
    RENEW.saturating_add(PATIENCE.saturating_mul(count(waiting))).min(PATIENCE_MAX)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
