//! What an owner shows of its runs in metrics: how many there are and where they stand, why they
//! do not go on and for how long, and what is owed.
//!
//! The owners of one engine share a thread and a board on which each writes its partition; what
//! is shown is the sum. A partition that is given up is wiped off.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use stead_core::fold::OpenStep;
use stead_schemas::event::{CommandAccepted, CommandCompleted, Event, Outcome};
use stead_schemas::failure::Class;
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::step::system;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;
use tokio::time::Instant;

use super::Owner;
use super::idle::Idle;
use super::live::Live;
use super::shown::{Shown, hours, shown};
use super::waiting::{main_wait, reason};
use crate::metric::{self, REASONS, place_of, what};

thread_local! {
    static BOARD: RefCell<Board> = RefCell::default();
}

/// With so many partitions, summing all up each time that one has counted costs nothing.
const FEW: usize = 32;
/// With more that is done so often; each counts every few seconds.
const SHOWN_EVERY: Duration = Duration::from_secs(1);

/// What the owners on this thread have counted, and what was shown of it.
#[derive(Default)]
struct Board {
    partitions: BTreeMap<Partition, Census>,
    shown: Census,
    shown_at: Option<Instant>,
}

/// What is counted in one partition, or in all.
#[derive(Clone, Default)]
struct Census {
    /// By kind and phase.
    runs: BTreeMap<(String, String), u32>,
    /// The most transitions that one run has to replay, by kind.
    longest: BTreeMap<String, u64>,
    waiting: [Waits; REASONS.len()],
    /// By system and reason.
    steps: BTreeMap<(String, &'static str), u32>,
    undo: Waits,
    /// For how long the oldest append under way has not been acknowledged.
    untaken: Duration,
    parked: u32,
    /// In how many days the first token ends.
    token_days: Option<f64>,
    /// For how many hours the latest backup has owed a copy.
    overdue_hours: Option<f64>,
    /// By limit and state.
    places: BTreeMap<(String, &'static str), u32>,
    /// By pool and state.
    pools: BTreeMap<(String, &'static str), u32>,
    /// Messages of runs that are over.
    over: u64,
    /// The largest share of them in one partition, of what makes a new epoch due.
    share_over: f64,
}

/// How many wait, and the longest of them for how long.
#[derive(Clone, Copy, Default)]
struct Waits {
    count: u32,
    oldest: Duration,
}

impl Waits {
    fn add(&mut self, other: Self) {
        self.count += other.count;
        self.oldest = self.oldest.max(other.oldest);
    }

    fn one(since: Option<Timestamp>, now: Timestamp) -> Self {
        Self { count: 1, oldest: since.map_or(Duration::ZERO, |since| now.since(since)) }
    }
}

impl Census {
    fn take(&mut self, live: &Live, now: Timestamp) {
        let (reason, since) = main_wait(live);
        self.waiting[place_of(reason)].add(Waits::one(since, now));
        let kind = live.run.id().kind().to_owned();
        self.is_so_long(&kind, live.run.transitions_to_replay());
        *self.runs.entry((kind, live.run.phase())).or_default() += 1;
        self.parked += u32::from(live.parked.is_some());
        shown(live).iter().for_each(|shown| self.take_shown(shown, now));
        for (seq, open) in &live.run.folded().steps {
            let why = self::reason(open, live.attempts.get(seq));
            *self.steps.entry((system(&open.step.step).to_owned(), why)).or_default() += 1;
            if open.step.undo {
                self.undo.add(Waits::one(Some(open.since), now));
            }
        }
    }

    fn is_so_long(&mut self, kind: &str, transitions: u64) {
        match self.longest.get_mut(kind) {
            Some(longest) => *longest = transitions.max(*longest),
            None => drop(self.longest.insert(kind.to_owned(), transitions)),
        }
    }

    fn token_lives(&mut self, days: Option<f64>) {
        self.token_days = self.token_days.into_iter().chain(days).reduce(f64::min);
    }

    fn take_shown(&mut self, shown: &Shown, now: Timestamp) {
        match shown {
            Shown::TokenEnds(end) => self.token_lives(Some(hours(now, *end) / 24.0)),
            Shown::CopyOwed(owed) => self.copy_is_owed(Some(hours(*owed, now))),
            Shown::PoolKeeps { pool, ready, wanted } => {
                for (state, count) in [("ready", ready), ("wanted", wanted)] {
                    *self.pools.entry((pool.clone(), state)).or_default() += count;
                }
            }
        }
    }

    fn copy_is_owed(&mut self, hours: Option<f64>) {
        self.overdue_hours = self.overdue_hours.into_iter().chain(hours).reduce(f64::max);
    }

    /// Those that are not in memory do nothing but wait.
    fn take_idle(&mut self, idle: &Idle, now: Timestamp) {
        idle.shown().for_each(|shown| self.take_shown(shown, now));
        for (key, count) in idle.phases() {
            *self.runs.entry(key.clone()).or_default() += count;
        }
        idle.lengths().for_each(|(run, length)| self.is_so_long(run.kind(), length));
        for (place, since) in idle.waits() {
            self.waiting[place].add(Waits::one(since, now));
        }
    }

    fn add(&mut self, other: &Self) {
        for (key, count) in &other.runs {
            *self.runs.entry(key.clone()).or_default() += count;
        }
        for (kind, longest) in &other.longest {
            self.is_so_long(kind, *longest);
        }
        for (key, count) in &other.steps {
            *self.steps.entry(key.clone()).or_default() += count;
        }
        for (key, count) in &other.places {
            *self.places.entry(key.clone()).or_default() += count;
        }
        for (key, count) in &other.pools {
            *self.pools.entry(key.clone()).or_default() += count;
        }
        for (mine, theirs) in self.waiting.iter_mut().zip(other.waiting) {
            mine.add(theirs);
        }
        self.undo.add(other.undo);
        self.untaken = self.untaken.max(other.untaken);
        self.token_lives(other.token_days);
        self.copy_is_owed(other.overdue_hours);
        self.parked += other.parked;
        self.over += other.over;
        self.share_over = self.share_over.max(other.share_over);
    }

    /// Shows it. What was shown `before` and is not there any more is nought.
    fn show(&self, before: &Self) {
        for key in self.runs.keys().chain(before.runs.keys()) {
            let count = self.runs.get(key).copied().unwrap_or(0);
            metric::RUNS.set(f64::from(count), [&key.0, &key.1]);
        }
        for kind in self.longest.keys().chain(before.longest.keys()) {
            let longest = self.longest.get(kind).copied().unwrap_or(0);
            metric::HISTORY_LONGEST.set(longest as f64, [kind]);
        }
        for key in self.steps.keys().chain(before.steps.keys()) {
            let count = self.steps.get(key).copied().unwrap_or(0);
            metric::STEPS_OPEN.set(f64::from(count), [&key.0, key.1]);
        }
        for key in self.places.keys().chain(before.places.keys()) {
            let count = self.places.get(key).copied().unwrap_or(0);
            metric::PLACES.set(f64::from(count), [&key.0, key.1]);
        }
        for key in self.pools.keys().chain(before.pools.keys()) {
            let count = self.pools.get(key).copied().unwrap_or(0);
            metric::POOL_MACHINES.set(f64::from(count), [&key.0, key.1]);
        }
        for (reason, waits) in REASONS.into_iter().zip(self.waiting) {
            metric::RUNS_WAITING.set(f64::from(waits.count), [reason]);
            metric::RUNS_OLDEST_SECONDS.set(waits.oldest.as_secs_f64(), [reason]);
        }
        metric::UNDO_OPEN.set(f64::from(self.undo.count), []);
        metric::UNDO_OLDEST_SECONDS.set(self.undo.oldest.as_secs_f64(), []);
        metric::APPEND_OLDEST_SECONDS.set(self.untaken.as_secs_f64(), []);
        metric::RUNS_PARKED.set(f64::from(self.parked), []);
        metric::ARCHIVE_LAG.set(self.over as f64, []);
        metric::ARCHIVE_LAG_RATIO.set(self.share_over, []);
        metric::TOKEN_DAYS_LEFT.set(self.token_days.unwrap_or(f64::NAN), []);
        metric::BACKUP_OVERDUE_HOURS.set(self.overdue_hours.unwrap_or(f64::NAN), []);
    }
}

impl Board {
    fn write(&mut self, partition: Partition, census: Option<Census>) {
        let is_last = census.is_none();
        match census {
            Some(census) => drop(self.partitions.insert(partition, census)),
            None => drop(self.partitions.remove(&partition)),
        }
        if !is_last && self.partitions.len() > FEW && self.was_shown_just_now() {
            return;
        }
        let mut all = Census::default();
        self.partitions.values().for_each(|census| all.add(census));
        all.show(&self.shown);
        (self.shown, self.shown_at) = (all, Some(Instant::now()));
    }

    fn was_shown_just_now(&self) -> bool {
        self.shown_at.is_some_and(|shown_at| shown_at.elapsed() < SHOWN_EVERY)
    }
}

impl Owner {
    /// Shows in metrics what there is in this partition.
    pub(super) fn count_runs(&mut self) {
        let now = self.env.ports.clock.now();
        let places = self.count_places();
        let (over, share_over) = (self.over, self.share_over());
        let mut census = Census { over, share_over, places, ..Census::default() };
        for (run, live) in &mut self.runs {
            let was_untaken = live.untaken().is_some();
            census.untaken = census.untaken.max(live.note_untaken(now).unwrap_or_default());
            if was_untaken != live.untaken().is_some() {
                self.dirty.insert(run.clone());
            }
            census.take(live, now);
        }
        census.take_idle(&self.idle, now);
        BOARD.with_borrow_mut(|board| board.write(self.partition, Some(census)));
    }

    /// Counts a command that is over.
    pub(super) fn count_completed(&mut self, run: &RunId, completed: &CommandCompleted) {
        let now = self.env.ports.clock.now();
        let begun = self.runs.get_mut(run).and_then(|live| live.begun.remove(&completed.id));
        let Some(Begun { verb, at, template }) = begun else { return };
        let outcome = match completed.outcome {
            Outcome::Done(_) => "done",
            Outcome::Failed(_) => "failed",
        };
        let (key, took) = (run.key(), now.since(at));
        match &completed.outcome {
            Outcome::Done(_) => tracing::info!(%run, verb, ?took, "a command is done"),
            Outcome::Failed(failure) => {
                tracing::info!(%run, verb, ?took, %failure, "a command has failed");
            }
        }
        metric::COMMANDS.count([key.kind(), &verb, outcome]);
        metric::COMMAND_SECONDS.took(took, [key.kind(), &verb, outcome]);
        let site = self.env.site.now();
        let known = |name: &&String| site.templates.iter().any(|site| site.name == **name);
        if let (Some(template), "done") = (template.as_ref().filter(known), outcome) {
            metric::READY_SECONDS.took(took, [template]);
        }
    }

    /// Counts a refusal. What people may have made up is counted as unknown.
    pub(super) fn count_refused(&self, kind: &str, verb: &str) {
        let definition = self.env.definition(kind);
        let known = definition.and_then(|of| of.verbs.iter().find(|known| **known == verb));
        let kind = definition.map_or("unknown", |definition| definition.kind);
        metric::COMMANDS.count([kind, known.unwrap_or(&"unknown"), "refused"]);
    }
}

impl Drop for Owner {
    /// Whoever owns the partition next counts its runs; here there are none any more.
    fn drop(&mut self) {
        let wipe = |board: &RefCell<Board>| board.borrow_mut().write(self.partition, None);
        // The thread may be ending, and the board gone.
        BOARD.try_with(wipe).ok();
    }
}

/// A command that is under way.
pub(super) struct Begun {
    verb: String,
    at: Timestamp,
    /// What a workspace is made from, if that is what it is.
    template: Option<String>,
}

impl Live {
    /// Notes when commands began, as the log has it.
    pub(super) fn note_begun(&mut self, transition: &Transition) {
        for event in &transition.events {
            if let Event::CommandAccepted(accepted) = event {
                self.begun.insert(accepted.id.clone(), begun(accepted, transition.at));
            }
        }
    }

    /// The same of a transition that is read back: what it ended was counted, and its spans were
    /// told, by whoever wrote it.
    pub(super) fn note_read(&mut self, transition: &Transition) {
        self.note_begun(transition);
        drop(self.spans(transition));
        for event in &transition.events {
            if let Event::CommandCompleted(completed) = event {
                self.begun.remove(&completed.id);
            }
        }
    }
}

fn begun(accepted: &CommandAccepted, at: Timestamp) -> Begun {
    let template = (accepted.verb == "create").then(|| &accepted.payload["template"]["name"]);
    let template = template.and_then(|name| name.as_str()).map(str::to_owned);
    Begun { verb: accepted.verb.clone(), at, template }
}

/// Counts an attempt that came to nothing.
pub(super) fn count_attempt(step: &str, class: Class) {
    metric::ATTEMPTS.count([system(step), what(step), class.word()]);
}

/// Counts an attempt that nothing is heard of any more.
pub(super) fn count_silence(step: &str) {
    metric::ATTEMPTS.count([system(step), what(step), "silent"]);
}

/// Counts a step that is over.
pub(super) fn count_step(open: &OpenStep, fact: &Event, now: Timestamp) {
    let (system, step) = (system(&open.step.step), what(&open.step.step));
    let outcome = match fact {
        Event::StepCompleted(_) => "done",
        Event::StepFailed(_) => "failed",
        _ => "cancelled",
    };
    metric::STEP_SECONDS.took(now.since(open.since), [system, step, outcome]);
    if outcome == "done" {
        metric::ATTEMPTS.count([system, step, "done"]);
    }
}
