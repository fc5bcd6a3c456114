//! Sees open steps through: sends them, notices silence, waits, tries again, gives up.
//!
//! How often a step was tried is counted here and nowhere else: failure does not grow history.

use std::time::Duration;

use serde_json::Value;
use stead_core::fold::OpenStep;
use stead_core::retry::{STUCK_PAUSE, pause};
use stead_schemas::dispatch::{
    Caller, EntityCommand, Route, StepAddress, StepCancel, StepReply, StepRequest,
};
use stead_schemas::event::{Event, Seq, StepCancelled, StepFailed, TimerFired};
use stead_schemas::failure::{Class, Failure, Kind};
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::proof::Proof;
use stead_schemas::public::{StepProgress, StepRetrying};
use stead_schemas::time::spoken;
use stead_schemas::trace::TraceParent;
use tokio::time::Instant;
use uuid::Uuid;

use super::counting::{count_attempt, count_silence, count_step};
use super::gate::Place;
use super::patience::Spent;
use super::proofs::ticket;
use super::{Owner, patience};
use crate::metric;
use crate::ports::Outgoing;
use crate::trace;

/// What is being done about one open step.
pub(super) struct Attempt {
    /// How many attempts have been made by this owner.
    pub number: u32,
    /// How many of them since somebody last wanted it tried as if for the first time.
    pub tried: u32,
    /// How often the step was sent, also where nobody listened.
    pub sendings: u32,
    /// What the worker that it was sent to must show; nothing where no worker was asked.
    pub proof: Option<Proof>,
    pub phase: Phase,
    /// The trouble of the last attempt that failed.
    pub last: Option<Failure>,
    /// How far the worker says it is.
    pub progress: Option<String>,
    pub give_up: Option<GiveUp>,
    /// Whether a worker has begun with it, in this or an earlier attempt.
    pub begun: bool,
    /// When the attempt was sent, or its worker came to it; where it has failed, when that was.
    pub sent: Option<Instant>,
    /// It took too long and was told to stop.
    pub overdue: bool,
    /// Whether a worker may still be at an attempt that nobody waits for: one that fell silent,
    /// or one of the owner before.
    pub loose: bool,
    /// Whether it stands in the list of those that nobody hears.
    pub is_unheard: bool,
    pub wake: Option<Instant>,
    /// Its place among those that the site limits.
    pub place: Option<Box<Place>>,
    /// For how long it was tried.
    pub spent: Spent,
}

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Sent; last heard of then.
    Sent { heard: Instant },
    /// A worker has it and does others first; last heard of then.
    Queued { heard: Instant },
    /// Waits before the next attempt.
    Pausing,
    /// Nobody listens where it is sent.
    NoListener,
    /// It waits for its turn.
    Limit,
    /// Somebody outside will report.
    Outside,
    /// An undo that a person has to look at.
    Stuck,
    /// The run is paused.
    Held,
    /// How it ended is known and on its way into the log. Nothing more is done or heard.
    Over,
}

/// Why nobody will wait for a step any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GiveUp {
    TimedOut,
    Cancelled,
    Failed,
}

impl Owner {
    /// Begins to work on a step that has just been scheduled, or read back.
    pub(super) fn first_attempt(&mut self, run: &RunId, seq: Seq) {
        self.begin_attempts(run, seq, Spent::default(), false);
    }

    /// Works on a step that was read back; a worker may be at it for the owner before.
    pub(super) fn another_attempt(&mut self, run: &RunId, seq: Seq) {
        let now = self.env.ports.clock.now();
        let live = self.runs.get(run);
        let Some(open) = live.and_then(|live| live.run.folded().steps.get(&seq)) else { return };
        let (spent, loose) = (Spent::before(open, now), open.step.route.is_worker());
        self.begin_attempts(run, seq, spent, loose);
    }

    fn begin_attempts(&mut self, run: &RunId, seq: Seq, spent: Spent, loose: bool) {
        let attempt = Attempt {
            number: 0,
            sendings: 0,
            proof: None,
            tried: 0,
            phase: Phase::Held,
            last: None,
            progress: None,
            give_up: None,
            begun: false,
            sent: None,
            overdue: false,
            loose,
            is_unheard: false,
            wake: None,
            place: None,
            spent,
        };
        let Some(live) = self.runs.get_mut(run) else { return };
        live.attempts.insert(seq, attempt);
        let open = live.run.folded().steps.get(&seq);
        if open.is_some_and(|open| open.cancelled) {
            // It was open when a cancel came: for the owner before, or before it could be sent.
            self.give_up(run, seq, GiveUp::Cancelled);
        } else {
            self.attempt(run, seq);
        }
    }

    /// Forgets what was being done about a step that is settled.
    pub(super) fn settled(&mut self, run: &RunId, seq: Seq) {
        self.leave(run, seq);
        let attempt = self.runs.get_mut(run).and_then(|live| live.take_attempt(seq));
        if let Some(when) = attempt.and_then(|attempt| attempt.wake) {
            self.wakes.remove(&(when, run.clone(), seq));
        }
    }

    /// Makes the next attempt, unless the run is paused or nobody waits for the step any more.
    pub(super) fn attempt(&mut self, run: &RunId, seq: Seq) {
        let epoch = self.epoch;
        // Once it is in the log what is asked for now, it is asked for.
        if self.runs.get(run).is_some_and(|live| live.is_being_edited(seq)) {
            return;
        }
        let held = self.runs.get(run).is_some_and(|live| live.is_paused());
        let Some((attempt, _)) = self.open_step(run, seq) else { return };
        if attempt.give_up.is_some() {
            return;
        }
        if held {
            attempt.phase = Phase::Held;
            return;
        }
        attempt.lap(None);
        if self.awaits_strays(run, seq) || !self.has_turn(run, seq) {
            return;
        }
        let Some((attempt, open)) = self.open_step(run, seq) else { return };
        let (outside, now) = (open.step.route == Route::Outside, Instant::now());
        attempt.number += u32::from(!outside);
        attempt.tried += u32::from(!outside);
        attempt.sendings += 1;
        attempt.progress = None;
        attempt.overdue = false;
        attempt.sent = Some(now);
        attempt.phase = if outside { Phase::Outside } else { Phase::Sent { heard: now } };
        let proof = Proof::new(Uuid::new_v4().simple().to_string());
        attempt.proof = open.step.route.is_worker().then(|| proof.clone());
        let tell_start = open.step.policy.schedule_to_start_ms > 0 && !attempt.begun;
        let (attempt, step) = (ticket(epoch, attempt.sendings), open.step.clone());
        let address = StepAddress { run: run.clone(), seq };
        match step.route {
            Route::Outside => {}
            Route::Worker => self.send(Outgoing::Step(StepRequest {
                attempt,
                partition: self.partition,
                epoch: self.epoch,
                step: step.step,
                request: step.request,
                proof,
                tell_start,
                trace: trace::is_on().then(|| TraceParent::of_step(&address)),
                address,
            })),
            Route::Entity { kind, owner, name } => {
                let to = EntityKey::of(&kind, &owner, &name).partition(self.env.partitions);
                let verb = step.step.split_once('.').map_or(&*step.step, |(_, verb)| verb);
                let fields = self.wanted(run, &step.request);
                let (id, verb) = (format!("{run}:{seq}"), verb.to_owned());
                let by = Caller::Run(address.clone());
                let command = EntityCommand { kind, owner, name, verb, fields, id, by };
                let home = self.partition;
                self.send(Outgoing::Command { to, command, from: address, home, attempt });
            }
        }
        self.look_again(run, seq);
    }

    /// A worker (or an entity) says something about an attempt.
    pub(super) fn answered(
        &mut self,
        address: &StepAddress,
        asked: u32,
        proof: Option<&Proof>,
        reply: StepReply,
    ) {
        let (run, seq) = (&address.run, address.seq);
        self.has_stopped(address, proof, &reply);
        if !self.is_meant(address, asked, proof, &reply) {
            return;
        }
        let Some((attempt, _)) = self.open_step(run, seq) else { return };
        attempt.begun |= !matches!(reply, StepReply::Queued);
        self.heard(address);
        match reply {
            StepReply::Queued => self.queued(run, seq),
            StepReply::Heartbeat { progress } => self.heartbeat(run, seq, progress),
            StepReply::Done(answer) => self.done(run, seq, answer),
            StepReply::Failed(failure) => self.attempt_failed(run, seq, failure),
        }
    }

    fn done(&mut self, run: &RunId, seq: Seq, answer: Value) {
        let Some((attempt, _)) = self.open_step(run, seq) else { return };
        let done = attempt.completed(seq, answer);
        self.conclude(run, seq, Event::StepCompleted(done));
    }

    fn queued(&mut self, run: &RunId, seq: Seq) {
        let Some((attempt, _)) = self.open_step(run, seq) else { return };
        if let Phase::Sent { .. } | Phase::Queued { .. } = attempt.phase {
            attempt.phase = Phase::Queued { heard: Instant::now() };
            attempt.sent = Some(Instant::now());
        }
    }

    pub(super) fn heartbeat(&mut self, run: &RunId, seq: Seq, progress: Option<String>) {
        let Some((attempt, open)) = self.open_step(run, seq) else { return };
        match attempt.phase {
            Phase::Sent { .. } => attempt.phase = Phase::Sent { heard: Instant::now() },
            // It has begun only now.
            Phase::Queued { .. } => {
                attempt.sent = Some(Instant::now());
                attempt.phase = Phase::Sent { heard: Instant::now() };
            }
            Phase::Pausing
            | Phase::NoListener
            | Phase::Limit
            | Phase::Outside
            | Phase::Stuck
            | Phase::Held
            | Phase::Over => {}
        }
        if open.step.detached {
            // An entity says this when it has accepted the command.
            let done = attempt.completed(seq, serde_json::json!({}));
            return self.conclude(run, seq, Event::StepCompleted(done));
        }
        let Some(words) = progress.filter(|words| attempt.progress.as_ref() != Some(words)) else {
            return;
        };
        attempt.progress = Some(words.clone());
        let (run, step) = (run.clone(), open.step.step.clone());
        let at = self.env.ports.clock.now();
        let body = StepProgress { run: run.clone(), at, seq, step, words };
        self.publish_live(&run, "step-progress", &body);
    }

    fn attempt_failed(&mut self, run: &RunId, seq: Seq, failure: Failure) {
        let chance = self.chance();
        let Some((attempt, open)) = self.open_step(run, seq) else { return };
        let (step, undo, policy) = (open.step.step.clone(), open.step.undo, open.step.policy);
        // It failed because it was told to stop.
        let failure = match (attempt.overdue, &attempt.last) {
            (true, Some(overdue)) => overdue.clone(),
            _ => failure.at(&step),
        };
        tracing::info!(%run, step, attempt = attempt.number, %failure, "an attempt came to nothing");
        count_attempt(&step, failure.class);
        let lasting = failure.class.kind() == Kind::Lasting;
        let (number, tried, give_up) = (attempt.number, attempt.tried, attempt.give_up);
        attempt.lap(Some(Instant::now()));
        attempt.last = Some(failure.clone());
        if lasting && !undo && policy.pause_on_lasting && give_up.is_none() {
            return self.pause_for(run, seq);
        }
        if let Some(why) = give_up.or((lasting && !undo).then_some(GiveUp::Failed)) {
            return self.answered_no(run, seq, why);
        }
        let rest = if lasting { STUCK_PAUSE } else { pause(&policy, failure.class, tried, chance) };
        if !undo && attempt.is_used_up(&policy, rest) {
            return self.pause_for(run, seq);
        }
        attempt.phase = if lasting { Phase::Stuck } else { Phase::Pausing };
        self.leave_soon(run, seq);
        self.dirty.insert(run.clone());
        let body = StepRetrying {
            run: run.clone(),
            at: self.env.ports.clock.now(),
            seq,
            step,
            attempt: number,
            failure,
            pause_ms: u64::try_from(rest.as_millis()).unwrap_or(u64::MAX),
        };
        self.publish_live(run, "step-retrying", &body);
        self.wake_in(run, seq, rest);
    }

    /// The time has come to look at a step or a timer again.
    pub(super) fn woken(&mut self, run: &RunId, seq: Seq) {
        let now = self.env.ports.clock.now();
        let Some(live) = self.runs.get_mut(run) else { return };
        let paused = live.is_paused();
        if let Some(timer) = live.run.folded().timers.get(&seq) {
            // A paused run watches its timers again when it is resumed.
            let due = timer.timer.due;
            if now < due {
                let timer = timer.timer.clone();
                self.watch_timer(run, &timer);
            } else if !paused {
                metric::TIMER_LATE_SECONDS.took(now.since(due), []);
                self.take(run, Event::TimerFired(TimerFired { seq }));
            }
            return;
        }
        let Some((attempt, open)) = self.open_step(run, seq) else { return };
        attempt.wake = None;
        if let Some(why) = attempt.give_up {
            // Whoever is at it has been told, and has had his time.
            attempt.loose = false;
            return self.settle(run, seq, why);
        }
        let left = patience::time_left(open, attempt, now);
        if !paused && left.is_some_and(|left| left.is_zero()) {
            return self.give_up(run, seq, GiveUp::TimedOut);
        }
        match attempt.phase {
            Phase::Sent { heard } | Phase::Queued { heard } => self.look_after(run, seq, heard),
            Phase::Pausing | Phase::Stuck => self.attempt(run, seq),
            Phase::Outside | Phase::NoListener | Phase::Limit => self.rest(run, seq),
            Phase::Held | Phase::Over => {}
        }
    }

    /// An attempt is under way: waits on, stops it if it takes too long, or takes its worker for
    /// dead.
    fn look_after(&mut self, run: &RunId, seq: Seq, heard: Instant) {
        let (usual, grace) = (self.env.tuning.silence, self.env.tuning.grace);
        let Some((attempt, open)) = self.open_step(run, seq) else { return };
        if attempt.overdue {
            // The grace is over, too: what its worker still says is of no interest.
            attempt.loose = true;
            let overdue = patience::attempt_took_too_long(open);
            return self.attempt_failed(run, seq, overdue);
        }
        if patience::attempt_left(open, attempt).is_some_and(|left| left.is_zero()) {
            attempt.overdue = true;
            attempt.last = Some(patience::attempt_took_too_long(open));
            let sendings = attempt.sendings;
            self.stop_workers(run, seq, sendings);
            return self.wake_in(run, seq, grace);
        }
        let silence = patience::silence(open, usual);
        if heard.elapsed() < silence {
            return self.wake_in(run, seq, silence - heard.elapsed());
        }
        // An entity says nothing until it is done; asking again is how one looks.
        if !open.step.route.is_worker() {
            attempt.sent = None;
            return self.attempt(run, seq);
        }
        count_silence(&open.step.step);
        let words = format!("the worker fell silent for {}", spoken(silence));
        let failure = Failure::new(Class::Ambiguous, words).at(&open.step.step);
        attempt.last = Some(failure);
        attempt.loose = true;
        attempt.lap(None);
        if !open.step.undo && attempt.is_used_up(&open.step.policy, Duration::ZERO) {
            return self.pause_for(run, seq);
        }
        self.attempt(run, seq);
    }

    /// Nobody will wait for this step any more. A worker that is at it is told, and given a
    /// little time to say how far it came.
    pub(super) fn give_up(&mut self, run: &RunId, seq: Seq, why: GiveUp) {
        let Some((attempt, open)) = self.open_step(run, seq) else { return };
        let at_work = matches!(attempt.phase, Phase::Sent { .. } | Phase::Queued { .. })
            && open.step.route.is_worker();
        if !at_work && !attempt.loose {
            return self.settle(run, seq, why);
        }
        self.stop_work(run, seq, why);
    }

    /// The attempt has come to nothing and there will be no other. What is undone next must not
    /// be done afterwards, by a worker that is at an attempt which nobody waits for.
    fn answered_no(&mut self, run: &RunId, seq: Seq, why: GiveUp) {
        let Some((attempt, _)) = self.open_step(run, seq) else { return };
        match (attempt.loose, attempt.give_up) {
            (false, _) => self.settle(run, seq, why),
            (true, None) => self.stop_work(run, seq, why),
            // They have been told, and are given their time.
            (true, Some(_)) => {}
        }
    }

    fn stop_work(&mut self, run: &RunId, seq: Seq, why: GiveUp) {
        let grace = self.env.tuning.grace;
        let Some((attempt, _)) = self.open_step(run, seq) else { return };
        attempt.give_up = Some(why);
        let sendings = attempt.sendings;
        self.stop_workers(run, seq, sendings);
        self.wake_in(run, seq, grace);
    }

    /// Tells whichever worker may be at a step to stop, and not to begin with what was sent for it
    /// so far.
    pub(super) fn stop_workers(&self, run: &RunId, seq: Seq, sendings: u32) {
        let attempt = if sendings == 0 { 0 } else { ticket(self.epoch, sendings) };
        let address = StepAddress { run: run.clone(), seq };
        self.send(Outgoing::CancelStep(StepCancel { address, attempt }));
    }

    fn settle(&mut self, run: &RunId, seq: Seq, why: GiveUp) {
        match why {
            GiveUp::Cancelled => {
                self.conclude(run, seq, Event::StepCancelled(StepCancelled { seq }));
            }
            GiveUp::TimedOut => self.settle_timed_out(run, seq),
            GiveUp::Failed => self.settle_failed(run, seq),
        }
    }

    fn settle_failed(&mut self, run: &RunId, seq: Seq) {
        let Some((attempt, _)) = self.open_step(run, seq) else { return };
        if let Some(failure) = attempt.last.clone() {
            let failed = StepFailed { seq, failure, attempts: attempt.number };
            self.conclude(run, seq, Event::StepFailed(failed));
        }
    }

    fn settle_timed_out(&mut self, run: &RunId, seq: Seq) {
        let now = self.env.ports.clock.now();
        let Some((attempt, open)) = self.open_step(run, seq) else { return };
        let failure = patience::timed_out(open, attempt, now);
        let failed = StepFailed { seq, failure, attempts: attempt.number };
        self.conclude(run, seq, Event::StepFailed(failed));
    }

    /// The step is over. An append that is under way may keep the fact waiting; another attempt
    /// meanwhile would be one that nobody knows of.
    fn conclude(&mut self, run: &RunId, seq: Seq, fact: Event) {
        let now = self.env.ports.clock.now();
        if let Some((attempt, open)) = self.open_step(run, seq) {
            attempt.phase = Phase::Over;
            count_step(open, &fact, now);
            self.note_stray(run, seq);
            self.leave(run, seq);
            self.take(run, fact);
        }
    }

    pub(super) fn open_step(&mut self, run: &RunId, seq: Seq) -> Option<(&mut Attempt, &OpenStep)> {
        let live = self.runs.get_mut(run)?;
        let open = live.run.folded().steps.get(&seq)?;
        let attempt = live.attempts.get_mut(&seq)?;
        (attempt.phase != Phase::Over).then_some((attempt, open))
    }
}
