//! Tells a run's events one after the other, a line each: when, what kind of thing, what.

use std::collections::BTreeMap;
use std::time::Duration;

use stead_schemas::dispatch::Route;
use stead_schemas::event::{
    ByHand, CommandAccepted, CommandCompleted, Event, Outcome, RunTerminated, Seq, StepCompleted,
    StepFailed, StepScheduled, TimerStarted,
};
use stead_schemas::failure::Failure;
use stead_schemas::time::Timestamp;

use super::Moment;
use super::words::{self, counted, glued};

/// Where the text of a line begins: `      +1.2 s  asked    `.
const INDENT: usize = 12 + 2 + 9;

/// Tells a story. It remembers what was begun, to say what a later event ends and how long it
/// took.
pub struct Teller {
    width: usize,
    began: Option<Timestamp>,
    open: BTreeMap<Seq, Open>,
    commands: BTreeMap<String, (String, Timestamp)>,
    /// Why the latest command failed, if it did.
    told: Option<Failure>,
}

/// A step or timer that was begun.
struct Open {
    what: String,
    is_undo: bool,
    since: Timestamp,
}

/// What a line says.
struct Said {
    word: &'static str,
    text: String,
}

/// A span that stays on one line.
fn span(span: Duration) -> String {
    glued(&words::span(span))
}

fn said(word: &'static str, text: impl Into<String>) -> Said {
    Said { word, text: text.into() }
}

/// Something that somebody did to the run.
fn by_hand(word: &'static str, what: &str, order: &ByHand) -> Said {
    let what = if what.is_empty() { String::new() } else { format!("{what}, ") };
    said(word, format!("{what}{}: {}", words::caller(&order.by), order.why))
}

fn left_behind(run: &RunTerminated) -> String {
    let left: Vec<&str> = run.left.iter().map(|left| left.step.as_str()).collect();
    match left.is_empty() {
        true => "the run was terminated".to_owned(),
        false => format!("the run was terminated and leaves to be undone: {}", left.join(", ")),
    }
}

impl Teller {
    /// A teller whose lines have at most `width` characters.
    pub fn new(width: usize) -> Self {
        let (open, commands) = (BTreeMap::new(), BTreeMap::new());
        Self { width, began: None, open, commands, told: None }
    }

    /// The line of this event.
    pub fn tell(&mut self, moment: &Moment) -> String {
        let said = self.say(&moment.event, moment.at);
        self.line(moment.at, said.word, &said.text)
    }

    /// A line of its own, in the shape of the others.
    pub fn line(&mut self, at: Timestamp, word: &str, text: &str) -> String {
        let began = *self.began.get_or_insert(at);
        let offset = format!("+{}", words::span(at.since(began)));
        words::hanging(&format!("{offset:>12}  {word:<9}"), text, self.width, INDENT)
    }

    /// What the step or timer of this number is.
    pub fn step(&self, seq: Seq) -> &str {
        self.open.get(&seq).map_or("a step", |open| open.what.as_str())
    }

    fn say(&mut self, event: &Event, at: Timestamp) -> Said {
        match event {
            Event::RunStarted(run) => said(
                "begun",
                format!("{} {}/{}, by {}", run.workflow, run.owner, run.name, run.build),
            ),
            Event::CommandAccepted(command) => self.accepted(command, at),
            Event::CommandCompleted(command) => self.completed(command, at),
            Event::StepScheduled(step) => self.scheduled(step, at),
            Event::StepCompleted(step) => self.done(step, at),
            Event::StepFailed(step) => self.failed(step, at),
            Event::StepCancelled(step) => {
                let (what, _, took) = self.close(step.seq, at);
                said("stopped", format!("{what}, after {took}"))
            }
            Event::StepDropped(step) => {
                let (what, _, took) = self.close(step.seq, at);
                said("dropped", format!("{what}, after {took}"))
            }
            Event::StepRetried(step) => by_hand("tried now", self.step(step.seq), &step.order),
            Event::StepEdited(step) => {
                by_hand("edited", &format!("{} {}", self.step(step.seq), step.request), &step.order)
            }
            Event::StepSkipped(step) => {
                let (what, ..) = self.close(step.seq, at);
                by_hand("skipped", &format!("{what}, taken for {}", step.answer), &step.order)
            }
            Event::UndoAbandoned(step) => {
                let (what, ..) = self.close(step.seq, at);
                by_hand("abandoned", &what, &step.order)
            }
            Event::TimerStarted(timer) => self.timer(timer, at),
            Event::TimerFired(timer) => said("woken", self.close(timer.seq, at).0),
            Event::TimerDropped(timer) => said("no timer", self.close(timer.seq, at).0),
            Event::CancelRequested(cancel) => {
                said("cancel", format!("{}: {}", words::caller(&cancel.by), cancel.why))
            }
            Event::RunPaused(paused) => by_hand("paused", "", &paused.order),
            Event::RunResumed(resumed) => by_hand("resumed", "", &resumed.order),
            Event::SignalReceived(received) => {
                let signal = &received.signal;
                by_hand("signal", &format!("{} {}", signal.name, signal.payload), &received.order)
            }
            Event::ChangeMarked(mark) => {
                said("changed", format!("from here on with {}", mark.name))
            }
            Event::TerminateRequested(request) => by_hand("terminate", "", &request.order),
            Event::RunTerminated(run) => said("over", left_behind(run)),
            Event::RunCompleted(_) => said("over", "the run is over, all well"),
            Event::RunFailed(run) if self.told.as_ref() == Some(&run.failure) => {
                said("over", "the run failed, by that")
            }
            Event::RunFailed(run) => said("over", format!("the run failed: {}", run.failure)),
            Event::Noted(noted) => said("note", &noted.words),
            Event::ContinuedAsNew(_) => said("anew", "the run goes on with what it carries"),
        }
    }

    fn accepted(&mut self, command: &CommandAccepted, at: Timestamp) -> Said {
        self.commands.insert(command.id.clone(), (command.verb.clone(), at));
        let id = match &command.reply {
            // The id of another run's command says nothing that its address does not.
            Some(_) => String::new(),
            None => format!(" [{}]", command.id),
        };
        said("asked", format!("{}, {}{id}", command.verb, words::caller(&command.by)))
    }

    fn completed(&mut self, command: &CommandCompleted, at: Timestamp) -> Said {
        let (verb, since) = self.commands.remove(&command.id).unwrap_or_else(|| {
            // It was asked before this story begins.
            (format!("command {}", command.id), at)
        });
        let took = span(at.since(since));
        self.told = match &command.outcome {
            Outcome::Done(_) => None,
            Outcome::Failed(failure) => Some(failure.clone()),
        };
        match &command.outcome {
            Outcome::Done(_) => said("answered", format!("{verb} is done, after {took}")),
            Outcome::Failed(failure) => {
                said("answered", format!("{verb} failed, after {took}: {failure}"))
            }
        }
    }

    fn scheduled(&mut self, step: &StepScheduled, at: Timestamp) -> Said {
        let what = format!("{} {}", step.seq, step.step);
        let text = match &step.route {
            Route::Worker => what.clone(),
            Route::Entity { kind, owner, name } => format!("{what}, of {kind} {owner}/{name}"),
            Route::Outside => {
                let within = span(Duration::from_millis(step.within_ms));
                format!("{what}: a report from outside is waited for, at most {within}")
            }
        };
        self.open.insert(step.seq, Open { what, is_undo: step.undo, since: at });
        said(if step.undo { "undo" } else { "step" }, text)
    }

    fn done(&mut self, step: &StepCompleted, at: Timestamp) -> Said {
        let (what, is_undo, took) = self.close(step.seq, at);
        let word = if is_undo { "undone" } else { "done" };
        let attempts = match step.attempts {
            0 | 1 => String::new(),
            attempts => format!(", at attempt {attempts}"),
        };
        said(word, format!("{what} in {took}{attempts}"))
    }

    fn failed(&mut self, step: &StepFailed, at: Timestamp) -> Said {
        let (what, _, took) = self.close(step.seq, at);
        let attempts = glued(&counted(u64::from(step.attempts), "attempt"));
        // The line has named the step already.
        let known = what.split_once(' ').map(|(_, name)| name);
        let why = words::failure(&step.failure, known);
        said("failed", format!("{what}, after {attempts} in {took}: {why}"))
    }

    fn timer(&mut self, timer: &TimerStarted, at: Timestamp) -> Said {
        let what = format!("{} {}", timer.seq, timer.reason);
        self.open.insert(timer.seq, Open { what: what.clone(), is_undo: false, since: at });
        let after = span(Duration::from_millis(timer.after_ms));
        said("timer", format!("{what}, for {after}"))
    }

    /// What ends here, whether it takes something back, and how long it took.
    fn close(&mut self, seq: Seq, at: Timestamp) -> (String, bool, String) {
        match self.open.remove(&seq) {
            Some(open) => (open.what, open.is_undo, span(at.since(open.since))),
            // It began before this story does.
            None => (format!("{seq} (begun earlier)"), false, "some time".to_owned()),
        }
    }
}
