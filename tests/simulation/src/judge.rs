//! Judges every append at the moment it is kept: is it the next of its history, does it follow,
//! is it legal, would this build decide the same, was what it claims really heard.

use std::collections::BTreeMap;
use std::time::Duration;

use stead_core::definition::Definition;
use stead_core::run::Run;
use stead_runtime::ports::Append;
use stead_schemas::dispatch::{Caller, Route, StepAddress};
use stead_schemas::event::Event;
use stead_schemas::failure::Class;
use stead_schemas::ids::RunId;
use stead_schemas::step::Step;
use stead_schemas::step::entity::CancelCommand;
use stead_schemas::transition::{Transition, link};
use tokio::time::Instant;

use crate::by_hand::{Decisions, why_of};
use crate::cancels::{Cancels, are_meant};
use crate::crew::crew_of;
use crate::pages::PAGES;
use crate::world::State;

/// What an answer was, as far as the log tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Said {
    /// The step is done.
    Done,
    /// It is not.
    Failed,
}

/// See the module's head.
#[derive(Default)]
pub struct Judge {
    /// Every history, replayed as far as it goes.
    pub histories: BTreeMap<RunId, History>,
    /// What people have decided by hand.
    pub decisions: Decisions,
    /// What was cancelled.
    cancels: Cancels,
}

/// One history, replayed.
pub struct History {
    /// The run, beside any engine.
    pub run: Run,
    link: String,
    /// The epoch of the log, and the sequence in it, of its last message.
    place: (u32, u64),
    /// When it was last resumed: its timers stood still before.
    resumed: Option<Instant>,
}

/// A timer fires so soon once it is due, where nothing is in its way. A clock that jumps must not make
/// it later, nor an engine that takes over.
const LATE_MAX: Duration = Duration::from_secs(20);

/// The rule of whoever is cancelled.
const CANCELLED_BY_SOMEBODY: &str = "only what somebody has cancelled ends as cancelled";

/// A rule and how it was broken.
type Broken = (&'static str, String);

impl Judge {
    /// Judges an append that was kept.
    pub fn kept(&mut self, state: &mut State, engine: usize, append: &Append, seq: u64) {
        if let Err((rule, words)) = self.check(state, engine, append, seq) {
            state.broken(rule, words);
        }
    }

    fn check(
        &mut self,
        state: &mut State,
        engine: usize,
        append: &Append,
        seq: u64,
    ) -> Result<(), Broken> {
        let transition = Transition::decode(&append.bytes)
            .map_err(|error| ("every message can be read", error.to_string()))?;
        let name = state.machines[engine].name.clone();
        let events: Vec<String> = transition.events.iter().map(shown).collect();
        let (run, n) = (&append.run, transition.n);
        state.tell(format_args!("{name} appends {run} {n}: {}", events.join(", ")));
        let definition = *definition(run).ok_or(("a run has a workflow", run.to_string()))?;
        let history = self.histories.entry(run.clone()).or_insert_with(|| History {
            run: Run::new(definition, run.clone()),
            link: String::new(),
            place: (append.epoch, 0),
            resumed: None,
        });
        // In a new epoch the sequences are others; the digests tell whether it follows.
        let (epoch, seq_before) = history.place;
        if epoch == append.epoch && seq_before != append.expected {
            let words = format!("{run} {n} expects {} and follows {seq_before}", append.expected);
            return Err(("an append is compare-and-set", words));
        }
        if history.link != transition.prev {
            return Err((
                "each message carries the digest of the one before",
                format!("{run} {n}"),
            ));
        }
        for event in &transition.events {
            heard(state, engine, history, &transition, event)?;
            if let Event::RunResumed(_) = event {
                history.resumed = Some(Instant::now());
            }
        }
        self.decisions.note(&history.run, &transition);
        let cancelled = self.cancels.judge(&history.run, &transition);
        let cancelled = cancelled.map_err(|words| (CANCELLED_BY_SOMEBODY, words))?;
        state.outside.cancelled.extend(cancelled.into_iter().map(|step| (step, seq)));
        let is_over = |event: &Event| matches!(event, Event::RunCompleted(_) | Event::RunFailed(_));
        let has_ended = transition.events.iter().any(is_over);
        let replayed = history.run.replay(&transition);
        replayed.map_err(|error| ("a history replays", format!("{run}: {error}")))?;
        history.link = link(&append.bytes);
        history.place = (append.epoch, seq);
        if has_ended {
            self.ends_after_its_crew(run)?;
        }
        let meant = are_meant(&self.histories, &transition);
        meant.map_err(|words| (CANCELLED_BY_SOMEBODY, words))?;
        note(state, &transition)
    }

    /// A crew is called back with the operation that sent for it, and that is over before its house.
    fn ends_after_its_crew(&self, run: &RunId) -> Result<(), Broken> {
        let started = self.histories.get(run).and_then(|it| it.run.folded().started.as_ref());
        let Some(crew) = started.filter(|it| it.workflow == "house").map(crew_of) else {
            return Ok(());
        };
        let digs = |(id, history): &(&RunId, &History)| {
            id.key() == crew && history.run.folded().ended.is_none()
        };
        self.histories.iter().find(digs).map_or(Ok(()), |(id, _)| {
            Err(("what ends with its parent is over before it", format!("{id} and {run}")))
        })
    }

    /// Replays everything that is in the log anew, as an engine would that begins today.
    ///
    /// # Errors
    /// With the rule that was broken.
    pub fn replay_all(&self, state: &State) -> Result<(), Broken> {
        let mut anew: BTreeMap<RunId, Run> = BTreeMap::new();
        for partition in 0..state.log.partitions() {
            for message in state.log.whole(stead_schemas::ids::Partition(partition)) {
                let definition =
                    *definition(&message.run).ok_or(("a run has a workflow", String::new()))?;
                let run = anew
                    .entry(message.run.clone())
                    .or_insert_with(|| Run::new(definition, message.run.clone()));
                let transition = Transition::decode(&message.bytes)
                    .map_err(|error| ("every message can be read", error.to_string()))?;
                run.replay(&transition)
                    .map_err(|error| ("a history replays", error.to_string()))?;
            }
        }
        for (id, history) in &self.histories {
            let listed = self.decisions.are_listed(id, history.run.folded());
            listed.map_err(|words| ("what was abandoned is listed", words))?;
            let same = anew.get(id).is_some_and(|run| {
                run.folded() == history.run.folded() && run.phase() == history.run.phase()
            });
            if !same {
                return Err(("a replay ends where the run is", id.to_string()));
            }
        }
        Ok(())
    }
}

fn definition(run: &RunId) -> Option<&'static Definition> {
    let key = run.key();
    PAGES.iter().find(|definition| definition.kind == key.kind())
}

/// Whether a fact was really heard by the engine that wrote it down.
fn heard(
    state: &State,
    engine: usize,
    history: &History,
    transition: &Transition,
    event: &Event,
) -> Result<(), Broken> {
    let run = &history.run;
    match event {
        Event::StepCompleted(done) => answered(state, engine, run, done.seq, Said::Done),
        Event::StepFailed(failed) if failed.failure.class != Class::TimedOut => {
            answered(state, engine, run, failed.seq, Said::Failed)
        }
        Event::TimerFired(fired) => {
            let Some(open) = run.folded().timers.get(&fired.seq) else { return Ok(()) };
            let due_ms = open.timer.due.as_millis();
            on_time(state, engine, transition, due_ms)?;
            not_late(state, engine, history, due_ms)
        }
        _ => Ok(()),
    }
}

fn answered(state: &State, engine: usize, run: &Run, seq: u32, said: Said) -> Result<(), Broken> {
    let Some(open) = run.folded().steps.get(&seq) else { return Ok(()) };
    // A detached command is done once it is taken in, which is no answer of its own.
    if open.step.route == Route::Outside || open.step.detached {
        return Ok(());
    }
    let address = StepAddress { run: run.id().clone(), seq };
    if state.network.heard.contains(&(engine, address.clone(), said)) {
        return Ok(());
    }
    let words = format!("{}:{seq}: {said:?} was not heard", address.run);
    Err(("only an answer to the attempt under way counts", words))
}

fn on_time(
    state: &State,
    engine: usize,
    transition: &Transition,
    due_ms: i64,
) -> Result<(), Broken> {
    let machine = &state.machines[engine];
    let early = |clock: &str, shown: i64| {
        let words = format!("{}: due {due_ms}, and {clock} shows {shown}", transition.run);
        Err(("a timer does not fire early", words))
    };
    if machine.clock.latest() < due_ms {
        return early("the engine's clock", machine.clock.latest());
    }
    if !machine.clock.has_jumped() && transition.at.as_millis() < due_ms {
        return early("the transition", transition.at.as_millis());
    }
    let honest = state.machines.iter().all(|machine| machine.clock.is_honest());
    if honest && state.honest_now().as_millis() < due_ms {
        return early("an honest clock", state.honest_now().as_millis());
    }
    Ok(())
}

/// While the world is unkind, an engine that fires it may not be there.
fn not_late(state: &State, engine: usize, history: &History, due_ms: i64) -> Result<(), Broken> {
    let Some(kind) = state.kind_since else { return Ok(()) };
    let shown = state.machines[engine].clock.shows(state.honest_now().as_millis());
    let overdue = Duration::from_millis(u64::try_from(shown - due_ms).unwrap_or(0));
    let goes_on = history.resumed.map_or(Duration::MAX, |resumed| resumed.elapsed());
    let late = overdue.min(kind.elapsed()).min(goes_on);
    if late > LATE_MAX {
        let words =
            format!("{}: due {due_ms}, and its engine's clock shows {shown}", history.run.id());
        return Err(("a timer does not fire late", words));
    }
    Ok(())
}

/// Keeps what a transition says, for those who are told.
fn note(state: &mut State, transition: &Transition) -> Result<(), Broken> {
    let run = &transition.run;
    state.log.lengths.insert(run.clone(), transition.n);
    for event in &transition.events {
        let word = match event {
            Event::StepScheduled(step) => format!("step {}", step.seq),
            Event::CommandAccepted(command) => format!("command {}", command.id),
            Event::CancelRequested(cancel) => format!("cancel {}", cancel.why),
            Event::StepCompleted(done) => format!("report {}", done.answer["report"]),
            _ => String::new(),
        };
        let said = state.log.said.entry(run.clone()).or_default();
        said.insert(word);
        said.extend(why_of(event).map(|why| format!("order {why}")));
        state.counts.add(counted(event));
        state.outside.note(run, event);
        state.log.note_request(run, event);
        match event {
            Event::CommandAccepted(command) => {
                let id = (run.key(), command.id.clone());
                if let Some(before) = state.log.accepted.insert(id, run.clone()) {
                    let words = format!("{} by {before} and by {run}", command.id);
                    return Err(("a command is taken in once", words));
                }
            }
            Event::CommandCompleted(completed) => {
                state.log.completed.insert(completed.id.clone());
            }
            _ => {}
        }
    }
    Ok(())
}

fn counted(event: &Event) -> &'static str {
    match event {
        Event::RunStarted(_) => "runs",
        Event::RunCompleted(_) => "runs completed",
        Event::RunFailed(_) => "runs failed",
        Event::CancelRequested(_) => "cancels",
        Event::TimerFired(_) => "timers fired",
        Event::ContinuedAsNew(_) => "runs begun anew",
        Event::RunTerminated(_) => "runs terminated",
        Event::StepSkipped(_) => "steps skipped",
        Event::StepEdited(_) => "steps edited",
        Event::UndoAbandoned(_) => "undos abandoned",
        Event::SignalReceived(_) => "signals",
        Event::StepDropped(_) => "steps dropped",
        Event::ChangeMarked(_) => "changes marked",
        Event::RunPaused(paused) if paused.order.by == Caller::Engine => "runs paused by an engine",
        Event::StepScheduled(step) if step.step == CancelCommand::NAME => "commands called back",
        Event::StepScheduled(step) if step.undo => "undo steps",
        _ => "other events",
    }
}

fn shown(event: &Event) -> String {
    match event {
        Event::StepScheduled(step) => format!("step-scheduled {} {}", step.seq, step.step),
        Event::StepCompleted(done) => {
            format!("step-completed {} (attempt {})", done.seq, done.attempts)
        }
        Event::StepFailed(failed) => {
            format!("step-failed {} (attempt {}): {}", failed.seq, failed.attempts, failed.failure)
        }
        Event::StepCancelled(step) => format!("step-cancelled {}", step.seq),
        Event::TimerStarted(timer) => format!("timer-started {} {} ms", timer.seq, timer.after_ms),
        Event::TimerFired(timer) => format!("timer-fired {}", timer.seq),
        Event::CommandAccepted(command) => {
            format!("command-accepted {} {}", command.id, command.verb)
        }
        Event::CommandCompleted(command) => format!("command-completed {}", command.id),
        other => other.name().to_owned(),
    }
}
