//! Runs that wait for long leave the memory: a stub stays, and they come back by replay as soon
//! as something concerns them.
//!
//! A run is let go only while nothing is done about it: it waits for a timer that is not due for
//! long, or for a command. A stub knows where its history ends. When a timer comes due, or a
//! command, an order, a report or a question for it comes, the history is read beside the
//! engine's thread; what concerns the run waits here meanwhile, in order. A history that does not
//! end where its stub says was written by somebody else.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use stead_core::run::Run;
use stead_schemas::event::Seq;
use stead_schemas::ids::{RunId, Tag};
use stead_schemas::time::Timestamp;
use tokio::time::{Instant, sleep};

use super::live::Live;
use super::parked::tell_if_parked;
use super::reading::Message;
use super::shown::{Shown, shown};
use super::waiting::main_wait;
use super::{Finished, Owner, Stopped, load, queries};
use crate::archive::Draft;
use crate::inbound::Inbound;
use crate::metric::place_of;
use crate::ports::LogError;

/// How many histories are read at once. What comes due all at the same time waits its turn.
const READ_AT_ONCE: usize = 64;
/// How long until one that could not be read is asked for again; where many cannot, longer, so that
/// no more are asked for than could be read.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(250);
/// How often one looks for runs that can be let go, at most and at least.
const LOOK_EVERY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// The runs that are not in memory, and what has come for them.
pub(super) struct Idle {
    stubs: HashMap<RunId, Stub>,
    /// How many of them are of each kind and phase.
    phases: BTreeMap<(String, String), u32>,
    /// What some of them show and is counted.
    shown: HashMap<RunId, Shown>,
    /// What has come for runs that are being read, or wait for that.
    calls: HashMap<RunId, Vec<Call>>,
    /// Who waits to be read.
    line: VecDeque<RunId>,
    /// How many are being read.
    reading: usize,
    /// How many could not be read, and are to be asked for again.
    resting: u32,
    /// When to look again for runs that can be let go.
    next_look: Instant,
}

/// What stays of a run.
struct Stub {
    /// The sequence of the last message of its history.
    last_seq: u64,
    /// A digest of that message.
    last: Tag,
    /// How many transitions have to be replayed when it comes back.
    length: u32,
    /// What it waits for, as its place in [`crate::metric::REASONS`].
    reason: u8,
    /// Since when it waits for that, if not for the next command alone.
    since: Option<Timestamp>,
}

/// Why a run is wanted.
pub(super) enum Call {
    /// Something came for it.
    Message(Box<Inbound>),
    /// A timer may have come due.
    Timer(Seq),
}

impl Idle {
    /// Nobody yet.
    pub fn new() -> Self {
        Self {
            stubs: HashMap::new(),
            phases: BTreeMap::new(),
            shown: HashMap::new(),
            calls: HashMap::new(),
            line: VecDeque::new(),
            reading: 0,
            resting: 0,
            next_look: Instant::now(),
        }
    }

    /// Whether the run lives and is not in memory.
    pub fn has(&self, run: &RunId) -> bool {
        self.stubs.contains_key(run)
    }

    /// Every run that is not in memory, and where its history ends.
    pub fn ends(&self) -> impl Iterator<Item = (&RunId, u64)> {
        self.stubs.iter().map(|(run, stub)| (run, stub.last_seq))
    }

    /// The histories have been copied into a new epoch of the log.
    pub fn moved(&mut self, draft: &Draft) {
        for (run, stub) in &mut self.stubs {
            stub.last_seq = draft.places.get(run).map_or(0, |(_, new)| *new);
        }
    }

    /// How many there are of each kind and phase.
    pub fn phases(&self) -> &BTreeMap<(String, String), u32> {
        &self.phases
    }

    /// What some of them show and is counted.
    pub fn shown(&self) -> impl Iterator<Item = &Shown> {
        self.shown.values()
    }

    /// How many transitions have to be replayed of each.
    pub fn lengths(&self) -> impl Iterator<Item = (&RunId, u64)> {
        self.stubs.iter().map(|(run, stub)| (run, stub.length.into()))
    }

    /// For each, what it waits for, as its place in [`crate::metric::REASONS`], and since when.
    pub fn waits(&self) -> impl Iterator<Item = (usize, Option<Timestamp>)> {
        self.stubs.values().map(|stub| (stub.reason.into(), stub.since))
    }
}

impl Owner {
    /// The run that a message is for, if it must be in memory for that. A question is answered
    /// from the log; answers of workers are for runs with open steps, which stay.
    fn concerned(&self, message: &Inbound) -> Option<RunId> {
        match message {
            Inbound::Command(command, _) | Inbound::Rehearse(command, _) => {
                let key = command.key();
                Some(key.run(self.entities.latest(&key)))
            }
            Inbound::Outcome(query, _) => Some(query.run.clone()),
            Inbound::Order(order, _) => Some(order.run.clone()),
            Inbound::Outside(answer, _) => Some(answer.run.clone()),
            Inbound::Query(..)
            | Inbound::List(..)
            | Inbound::Turn(..)
            | Inbound::Answer { .. }
            | Inbound::NoListener { .. }
            | Inbound::Place(_)
            | Inbound::Placed(_)
            | Inbound::Limits(_) => None,
        }
    }

    /// Keeps a message until its run is back in memory; gives it back if that is not needed.
    pub(super) fn unless_idle(&mut self, message: Inbound) -> Option<Inbound> {
        if self.idle.stubs.is_empty() {
            return Some(message);
        }
        match self.concerned(&message).filter(|run| self.idle.has(run)) {
            Some(run) => {
                self.call_back(run, Call::Message(Box::new(message)));
                None
            }
            None => Some(message),
        }
    }

    /// Something concerns a run that is not in memory.
    pub(super) fn call_back(&mut self, run: RunId, call: Call) {
        let calls = self.idle.calls.entry(run.clone()).or_default();
        calls.push(call);
        if calls.len() == 1 {
            self.idle.line.push_back(run);
            self.read_some();
        }
    }

    fn read_some(&mut self) {
        while self.idle.reading < READ_AT_ONCE {
            let Some(run) = self.idle.line.pop_front() else { break };
            self.idle.reading += 1;
            self.read_history(run);
        }
    }

    /// One that could not be read asks for a place again after a rest. Meanwhile it has none: others
    /// may be read.
    fn read_later(&mut self, run: RunId) {
        let places = u32::try_from(READ_AT_ONCE).unwrap_or(u32::MAX);
        let rest = READ_AGAIN_AFTER * (1 + self.idle.resting / places);
        self.idle.resting += 1;
        let job = async move {
            sleep(rest).await;
            Finished::MayRead { run }
        };
        self.jobs.push(job.boxed_local());
    }

    /// One that could not be read has had its rest.
    pub(super) fn may_read(&mut self, run: RunId) {
        self.idle.resting -= 1;
        self.idle.line.push_back(run);
        self.read_some();
    }

    fn read_history(&self, run: RunId) {
        let read = self.history_aside(run.clone());
        let job = async move { Finished::CameBack { run, history: read.await } };
        self.jobs.push(job.boxed_local());
    }

    /// Reads a run's history from the log, beside the owner's own thread.
    pub(super) fn history_aside(
        &self,
        run: RunId,
    ) -> impl Future<Output = Result<Vec<Message>, LogError>> + use<> {
        let log = Arc::clone(&self.env.ports.log);
        let read = self.env.ports.aside.spawn(async move {
            let recorded = log.read_run(&run).await?;
            Ok(recorded.iter().map(Message::read).collect())
        });
        async move { read.await.unwrap_or_else(|error| Err(LogError(error.to_string()))) }
    }

    /// A history has been read: the run goes on, and what has come for it is looked at.
    pub(super) fn came_back(&mut self, run: RunId, history: Result<Vec<Message>, LogError>) {
        self.idle.reading -= 1;
        let history = match history {
            Ok(history) => history,
            Err(error) => {
                tracing::warn!(%run, %error, "cannot read the history yet");
                self.read_later(run);
                return self.read_some();
            }
        };
        let Some(stub) = self.idle.stubs.remove(&run) else { return };
        let ends_so = history.last().is_some_and(|last| stub.last == Tag::of(&[&last.link]));
        let (Some(definition), true) = (self.env.definition(run.kind()), ends_so) else {
            tracing::warn!(%run, "the history does not end where this owner left it");
            self.stopped.get_or_insert(Stopped::Fenced);
            return;
        };
        let mut live = Live::new(Run::new(*definition, run.clone()), self.env.ports.clock.now());
        load::read_into(&mut live, history);
        tell_if_parked(&live);
        // It may have been copied into another epoch since it was read.
        live.last_seq = stub.last_seq;
        self.idle.shown.remove(&run);
        if let Some(count) = self.idle.phases.get_mut(&kind_and_phase(&live)) {
            *count -= 1;
        }
        self.runs.insert(run.clone(), Box::new(live));
        for call in self.idle.calls.remove(&run).unwrap_or_default() {
            match call {
                Call::Message(message) => self.message(*message),
                Call::Timer(seq) => self.woken(&run, seq),
            }
        }
        self.read_some();
    }

    /// Lets go of the runs that have waited for long enough, if it is time to look.
    pub(super) fn let_go_of_some(&mut self) {
        let (after, at) = (self.env.tuning.idle_after, Instant::now());
        if at < self.idle.next_look || after == Duration::MAX || !self.refilling.is_empty() {
            return;
        }
        self.idle.next_look = at + after.clamp(LOOK_EVERY.0, LOOK_EVERY.1);
        let now = self.env.ports.clock.now();
        let (dirty, runs) = (&self.dirty, self.runs.iter());
        let idle = runs.filter(|(run, live)| {
            !dirty.contains(*run) && !self.waiters.has(run) && is_idle(live, now, after)
        });
        let idle: Vec<RunId> = idle.map(|(run, _)| run.clone()).collect();
        for run in &idle {
            self.let_go(run);
        }
        if self.runs.len() < self.runs.capacity() / 4 {
            self.runs.shrink_to_fit();
        }
    }

    /// The same for one that has just been read back with the partition: it need not stay until
    /// somebody looks.
    pub(super) fn let_go_at_once(&mut self, run: &RunId) {
        let (after, now) = (self.env.tuning.idle_after, self.env.ports.clock.now());
        let Some(live) = self.runs.get(run).filter(|live| is_idle(live, now, after)) else {
            return;
        };
        self.ended.push(queries::line(live));
        self.dirty.remove(run);
        self.let_go(run);
    }

    fn let_go(&mut self, run: &RunId) {
        let Some(live) = self.runs.remove(run) else { return };
        let (reason, since) = main_wait(&live);
        let reason = u8::try_from(place_of(reason)).unwrap_or(u8::MAX);
        let length = u32::try_from(live.run.transitions_to_replay()).unwrap_or(u32::MAX);
        let last = Tag::of(&[&live.prev]);
        let stub = Stub { last_seq: live.last_seq, last, length, reason, since };
        *self.idle.phases.entry(kind_and_phase(&live)).or_default() += 1;
        self.idle.shown.extend(shown(&live).map(|shown| (run.clone(), shown)));
        self.idle.stubs.insert(run.clone(), stub);
    }
}

fn kind_and_phase(live: &Live) -> (String, String) {
    (live.run.id().kind().to_owned(), live.run.phase())
}

/// Whether all that a run does is wait, for that long already and for that long to come.
fn is_idle(live: &Live, now: Timestamp, after: Duration) -> bool {
    let folded = live.run.folded();
    let is_busy = live.writing.is_some()
        || !live.queue.is_empty()
        || !live.attempts.is_empty()
        || !live.askers.is_empty()
        || !live.cancels.is_empty()
        || !folded.steps.is_empty();
    let is_over = folded.started.is_none() || folded.ended.is_some();
    let is_due = |due: Timestamp| due.since(now) <= after;
    !is_busy
        && !live.needs_a_person()
        && !is_over
        && now.since(live.updated) >= after
        && !folded.timers.values().any(|open| is_due(open.timer.due))
}
