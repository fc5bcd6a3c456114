//! Waits for a step's turn where the site limits how many are carried out at once.
//!
//! A step that a limit counts is sent only with a place from the limit's keeper, the owner of some
//! partition; of several limits it gets one place after the other, always in the same order, so
//! that nobody waits in a circle. A place is renewed while a worker is at the step, and given back
//! when the attempt ends; where its worker was only told to stop, when that one has answered or has
//! had its time (`leaving.rs`). A worker that is still at it for an owner before says so by itself;
//! that is as good as a place. Steps that no limit counts pass by all this.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};
use stead_core::fold::OpenStep;
use stead_schemas::command::fields::PRIORITY;
use stead_schemas::dispatch::{Route, StepAddress, StepReply};
use stead_schemas::event::{RunStarted, Seq};
use stead_schemas::ids::RunId;
use stead_schemas::limit::{Limit, Line, PER_OWNER, PlaceAsk, PlaceReply, PlaceWanted, keeper};
use stead_schemas::owner;
use tokio::time::Instant;

use super::Owner;
use super::attempts::Phase;
use super::leaving::Leaving;
use crate::keeper::{LEASE, RENEW};
use crate::ports::Outgoing;

/// Taken off the end of a place, for clocks that do not run quite alike.
const MARGIN: Duration = Duration::from_millis(500);

/// What an owner knows of its own steps' places.
pub(super) struct Gate {
    /// The number of what was said to a keeper last; larger than any that an owner before used.
    number: u64,
    /// When to say again what each step wants.
    pub(super) due: BTreeSet<(Instant, RunId, Seq)>,
    /// The places of steps that are settled, while a worker that was told to stop may be at them.
    pub(super) leaving: BTreeMap<StepAddress, Leaving>,
}

/// What one step has or wants of the limits that count it.
pub(super) struct Place {
    who: Who,
    shares: Vec<Share>,
    since: Instant,
    pub(super) due: Instant,
    /// Whether a worker may be at the step.
    pub is_at_work: bool,
    /// When it is given back, though a worker may be at it that fell silent, or was told to stop.
    pub(super) leaves: Option<Instant>,
}

/// Whose place it is, as keepers are told.
struct Who {
    step: StepAddress,
    what: String,
    owner: owner::Owner,
    name: String,
}

/// Each owner's numbers come behind those of the one before it: epochs are sequences of the log, of
/// which 36 bits are left, and an owner says far less than this between two of them.
const ASKS_BITS: u32 = 28;

/// What it has or wants of one limit.
struct Share {
    limit: Limit,
    key: String,
    /// What was said last, and when.
    said: Option<(u64, Instant)>,
    /// Until when it has a place.
    until: Option<Instant>,
    line: Option<Line>,
}

impl Gate {
    /// Of an owner of this epoch.
    pub const fn new(epoch: u64) -> Self {
        Self { number: epoch << ASKS_BITS, due: BTreeSet::new(), leaving: BTreeMap::new() }
    }

    /// When something is to be said.
    pub fn next(&self) -> Option<Instant> {
        self.due.first().map(|(when, ..)| *when)
    }

    /// What is said of one place, under the next number.
    fn ask(&mut self, who: &Who, limit: &str, key: &str, wants: PlaceWanted) -> PlaceAsk {
        self.number += 1;
        PlaceAsk {
            limit: limit.to_owned(),
            key: key.to_owned(),
            step: who.step.clone(),
            what: who.what.clone(),
            owner: who.owner.clone(),
            name: who.name.clone(),
            number: self.number,
            wants,
        }
    }

    /// The same of each place of a step for which its keeper was asked.
    pub(super) fn ask_all(&mut self, place: &Place, wants: PlaceWanted) -> Vec<PlaceAsk> {
        let asked = place.shares.iter().filter(|share| share.said.is_some());
        asked.map(|share| self.ask(&place.who, &share.limit.name, &share.key, wants)).collect()
    }
}

impl Who {
    fn of(step: StepAddress, what: &str, started: &RunStarted) -> Self {
        let (owner, name) = (started.owner.clone(), started.name.clone());
        Self { step, what: what.to_owned(), owner, name }
    }
}

impl Share {
    fn is_ours(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| now < until)
    }
}

impl Place {
    fn new(limits: &[Limit], run: &RunId, open: &OpenStep, started: &RunStarted) -> Option<Self> {
        let counting = limits.iter().filter(|limit| limit.covers(&open.step.step));
        let shares: Vec<Share> = counting
            .map(|limit| Share {
                limit: limit.clone(),
                key: limit.key(&started.owner, &open.step.request),
                said: None,
                until: None,
                line: None,
            })
            .collect();
        let now = Instant::now();
        let step = StepAddress { run: run.clone(), seq: open.step.seq };
        let who = Who::of(step, &open.step.step, started);
        let place = Self { who, shares, since: now, due: now, is_at_work: false, leaves: None };
        (!place.shares.is_empty()).then_some(place)
    }

    /// Which share it still lacks.
    fn lacks(&self, now: Instant) -> Option<usize> {
        self.shares.iter().position(|share| !share.is_ours(now))
    }

    /// What it waits for, in words.
    pub fn words(&self) -> String {
        let waits = self.shares.iter().find(|share| share.line.is_some());
        match waits.or_else(|| self.shares.last()) {
            Some(share) => share.words(),
            None => String::new(),
        }
    }
}

impl Share {
    fn words(&self) -> String {
        let Limit { name, per, at_once, per_minute, .. } = &self.limit;
        let on = match (per.as_deref(), &*self.key) {
            (_, "") => String::new(),
            (Some(PER_OWNER), key) => format!(" for {key}"),
            (_, key) => format!(" on {key}"),
        };
        let turn = format!("its turn at \"{name}\"{on}");
        let Some(line) = &self.line else { return format!("{turn}; its keeper has not answered") };
        let rules = [
            at_once.map(|most| format!("{most} at once")),
            per_minute.map(|most| format!("{most} a minute")),
        ];
        let rules: Vec<String> = rules.into_iter().flatten().collect();
        let place = format!("{} of {}", ordinal(line.position), line.of);
        let mut words = format!("{turn}: {place}, {}", rules.join(", "));
        if line.settling {
            words += "; a new keeper hears first who is at work";
        }
        if !line.at_work.is_empty() {
            words += &format!("; at work: {}", line.at_work.join(", "));
        }
        if line.more > 0 {
            words += &format!(" and {} more", line.more);
        }
        words
    }
}

fn ordinal(number: u32) -> String {
    const WORDS: [&str; 10] = [
        "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth",
        "tenth",
    ];
    let word = usize::try_from(number).ok().and_then(|number| WORDS.get(number.checked_sub(1)?));
    word.map_or_else(|| format!("number {number}"), |word| (*word).to_owned())
}

impl Owner {
    /// Whether a step may be sent now. If not, its turn is waited for.
    pub(super) fn has_turn(&mut self, run: &RunId, seq: Seq) -> bool {
        let site = self.env.site.now();
        if site.limits.is_empty() {
            return true;
        }
        let now = Instant::now();
        let Some(live) = self.runs.get_mut(run) else { return true };
        let folded = live.run.folded();
        let (Some(open), Some(started)) = (folded.steps.get(&seq), &folded.started) else {
            return true;
        };
        let Some(attempt) = live.attempts.get_mut(&seq) else { return true };
        if open.step.route != Route::Worker {
            return true;
        }
        let is_new = attempt.place.is_none();
        if is_new {
            attempt.place = Place::new(&site.limits, run, open, started).map(Box::new);
        }
        let Some(place) = &mut attempt.place else { return true };
        place.leaves = None;
        if place.is_at_work || place.lacks(now).is_none() {
            place.since = now;
            place.is_at_work = true;
            return true;
        }
        // Whoever wants it tried anew while it waits has given its place in the line back.
        if is_new || attempt.phase != Phase::Limit {
            attempt.phase = Phase::Limit;
            self.dirty.insert(run.clone());
            self.rest(run, seq);
            self.tend(run, seq);
        }
        false
    }

    /// Says again what each step wants whose time has come.
    pub(super) fn tend_places(&mut self, now: Instant) {
        while let Some((when, run, seq)) = self.gate.due.pop_first() {
            if when > now {
                self.gate.due.insert((when, run, seq));
                return;
            }
            self.tend(&run, seq);
        }
    }

    /// Says what a step wants: to keep what it has, and its turn at what it lacks first.
    fn tend(&mut self, run: &RunId, seq: Seq) {
        let now = Instant::now();
        if self.tend_leaving(run, seq) {
            return;
        }
        let Some(live) = self.runs.get_mut(run) else { return };
        let folded = live.run.folded();
        let Some(attempt) = live.attempts.get_mut(&seq) else { return };
        let Some(place) = &mut attempt.place else { return };
        if place.leaves.is_some_and(|leaves| leaves <= now) {
            return self.leave(run, seq);
        }
        let lacks = place.lacks(now).unwrap_or(place.shares.len());
        let wants = match (place.is_at_work, folded.steps.get(&seq)) {
            // Until what ends the step is in the log, its worker may be at it.
            (true, _) => PlaceWanted::Stay,
            (false, None) => return,
            (false, Some(open)) => PlaceWanted::Turn {
                priority: folded.priority(),
                undo: open.step.undo,
                waited_ms: u64::try_from(place.since.elapsed().as_millis()).unwrap_or(u64::MAX),
            },
        };
        let (mut asks, mut again) = (Vec::new(), RENEW);
        for (number, share) in place.shares.iter_mut().enumerate() {
            if number > lacks && !place.is_at_work {
                break;
            }
            let ask = self.gate.ask(&place.who, &share.limit.name, &share.key, wants);
            share.said = Some((ask.number, now));
            if let (0, Some(line)) = (number, &share.line) {
                again = RENEW.max(Duration::from_millis(line.again_ms));
            }
            asks.push(ask);
        }
        let before = std::mem::replace(&mut place.due, now + again);
        self.gate.due.remove(&(before, run.clone(), seq));
        self.gate.due.insert((now + again, run.clone(), seq));
        self.say(asks);
    }

    /// Tells the keepers.
    pub(super) fn say(&self, asks: Vec<PlaceAsk>) {
        for ask in asks {
            let to = keeper(&ask.limit, &ask.key, self.env.partitions);
            self.send(Outgoing::Place { to, ask });
        }
    }

    /// A keeper says where a step stands.
    pub(super) fn placed(&mut self, reply: &PlaceReply) {
        let (run, seq, now) = (&reply.step.run, reply.step.seq, Instant::now());
        let live = self.runs.get_mut(run);
        let attempt = live.and_then(|live| live.attempts.get_mut(&seq));
        let Some((place, phase)) = attempt.and_then(|attempt| {
            let (phase, has_given_up) = (attempt.phase, attempt.give_up.is_some());
            Some((attempt.place.as_mut()?, (phase, has_given_up)))
        }) else {
            return self.unwanted(reply);
        };
        let is_meant = |share: &&mut Share| {
            let said = share.said.is_some_and(|(number, _)| number == reply.number);
            said && share.limit.name == reply.limit && share.key == reply.key
        };
        let Some(share) = place.shares.iter_mut().find(is_meant) else { return };
        let has_news = share.line != reply.line;
        let was_ours = share.is_ours(now);
        share.line.clone_from(&reply.line);
        share.until = match (&reply.line, share.said) {
            (None, Some((_, said))) => Some(said + LEASE - MARGIN),
            _ => None,
        };
        let is_new = reply.line.is_none() && !was_ours;
        let (is_late, lacks) = (share.until.is_some_and(|until| until <= now), place.lacks(now));
        if has_news {
            self.dirty.insert(run.clone());
        }
        match (phase, lacks) {
            ((Phase::Limit, true), _) => self.leave(run, seq),
            ((Phase::Limit, false), None) => self.attempt(run, seq),
            // The next one's turn, or once more what came too late to be believed.
            ((Phase::Limit, false), Some(_)) if is_new || is_late => {
                self.tend(run, seq);
            }
            _ => {}
        }
    }

    /// Nobody here wants this place any more, unless it is kept for a worker that was told to stop.
    fn unwanted(&mut self, reply: &PlaceReply) {
        let PlaceReply { limit, key, step, .. } = reply;
        let Some(live) = self.runs.get(&step.run) else { return };
        let Some(started) = &live.run.folded().started else { return };
        if self.gate.leaving.contains_key(step) {
            return;
        }
        let who = Who::of(step.clone(), "", started);
        let ask = self.gate.ask(&who, limit, key, PlaceWanted::Leave);
        self.say(vec![ask]);
    }

    /// A worker answers to an attempt of the owner before: while it is at the step, the step has
    /// what others wait for. Where no worker can be, somebody else says so.
    pub(super) fn heard_late(&mut self, address: &StepAddress, reply: &StepReply) {
        let (run, seq) = (&address.run, address.seq);
        let Some((attempt, _)) = self.open_step(run, seq) else { return };
        let (StepReply::Heartbeat { .. }, Phase::Limit, true) =
            (reply, attempt.phase, attempt.loose)
        else {
            return;
        };
        let Some(place) = &mut attempt.place else { return };
        place.is_at_work = true;
        let gives_up = attempt.give_up.is_some();
        self.tend(run, seq);
        if !gives_up {
            self.attempt(run, seq);
        }
    }

    /// The fields of a command that a run gives to an entity: it is wanted as much as the run's own.
    pub(super) fn wanted(&self, run: &RunId, request: &Value) -> Map<String, Value> {
        let mut fields = request.as_object().cloned().unwrap_or_default();
        let live = self.runs.get(run);
        let priority = live.map(|live| live.run.folded().priority()).unwrap_or_default();
        if !priority.is_usual() {
            fields.insert(PRIORITY.to_owned(), priority.word().into());
        }
        fields
    }

    /// The attempt has ended: others get its place.
    pub(super) fn leave(&mut self, run: &RunId, seq: Seq) {
        let live = self.runs.get_mut(run);
        let attempt = live.and_then(|live| live.attempts.get_mut(&seq));
        if let Some(place) = attempt.and_then(|attempt| attempt.place.take()) {
            self.give_back(&place);
        }
    }

    pub(super) fn give_back(&mut self, place: &Place) {
        let StepAddress { run, seq } = &place.who.step;
        self.gate.due.remove(&(place.due, run.clone(), *seq));
        let asks = self.gate.ask_all(place, PlaceWanted::Leave);
        self.say(asks);
    }

    /// The attempt has failed. If a worker that fell silent may still be at it, its place is kept
    /// for as long as one that was told to stop is waited for.
    pub(super) fn leave_soon(&mut self, run: &RunId, seq: Seq) {
        let leaves = Instant::now() + self.env.tuning.grace;
        let Some((attempt, _)) = self.open_step(run, seq) else { return };
        match &mut attempt.place {
            Some(place) if attempt.loose && place.is_at_work => {
                place.leaves.get_or_insert(leaves);
            }
            Some(_) => self.leave(run, seq),
            None => {}
        }
    }
}
