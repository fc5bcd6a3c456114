//! A history, told as text that can be read aloud.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use stead_schemas::event::{Event, Outcome, Seq};
use stead_schemas::failure::{Failure, Kind};
use stead_schemas::transition::Transition;

/// The words that lines begin with have at most so many letters.
const WORD_WIDTH: usize = 7;

/// A line: its first word, what it is about, and how that went.
struct Line {
    word: &'static str,
    about: String,
    how: Option<String>,
}

impl Line {
    fn new(word: &'static str, about: impl Into<String>) -> Option<Self> {
        Some(Self { word, about: about.into(), how: None })
    }
}

/// What has been said so far that later lines refer to.
#[derive(Default)]
struct Teller<'a> {
    kind: &'a str,
    verbs: BTreeMap<&'a str, &'a str>,
    steps: BTreeMap<Seq, (&'static str, &'a str)>,
    timers: BTreeMap<Seq, &'a str>,
}

/// Tells a history, one line after the other, in columns.
pub(crate) fn tell(history: &[Transition]) -> String {
    let mut teller = Teller::default();
    let events = history.iter().flat_map(|transition| &transition.events);
    let lines: Vec<Line> = events.filter_map(|event| teller.line(event)).collect();
    let names = lines.iter().filter(|line| line.how.is_some());
    let width = names.map(|line| line.about.len()).max().unwrap_or(0);
    lines.iter().map(|line| columns(line, width) + "\n").collect()
}

/// The same story without what only pleases the eye.
pub(crate) fn bare(story: &str) -> Vec<String> {
    let lines = story.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    lines.filter(|line| !line.is_empty()).collect()
}

fn columns(line: &Line, width: usize) -> String {
    let Line { word, about, how } = line;
    match how {
        Some(how) => format!("{word:WORD_WIDTH$}  {about:width$}  {how}"),
        None => format!("{word:WORD_WIDTH$}  {about}"),
    }
}

impl<'a> Teller<'a> {
    fn line(&mut self, event: &'a Event) -> Option<Line> {
        match event {
            Event::RunStarted(started) => {
                self.kind = &started.workflow;
                None
            }
            Event::CommandAccepted(command) => {
                self.verbs.insert(&command.id, &command.verb);
                Line::new("command", self.command(&command.id))
            }
            Event::CommandCompleted(completed) => match &completed.outcome {
                Outcome::Done(_) => Line::new("done", self.command(&completed.id)),
                Outcome::Failed(failure) => Line::new("failed", failure.to_string()),
            },
            Event::StepScheduled(step) => {
                let word = if step.undo { "undo" } else { "step" };
                self.steps.insert(step.seq, (word, &step.step));
                None
            }
            Event::StepCompleted(done) => self.step(done.seq, "done".to_string()),
            Event::StepFailed(failed) => self.step(failed.seq, failed_how(&failed.failure)),
            Event::StepCancelled(step) => self.step(step.seq, "cancelled".to_string()),
            Event::StepDropped(step) => self.step(step.seq, "dropped".to_string()),
            Event::StepSkipped(step) => self.step(step.seq, "skipped".to_string()),
            Event::UndoAbandoned(step) => self.step(step.seq, "abandoned".to_string()),
            Event::StepRetried(step) => self.step(step.seq, "tried now".to_string()),
            Event::StepEdited(step) => self.step(step.seq, "edited".to_string()),
            Event::RunPaused(paused) => Line::new("paused", paused.order.why.clone()),
            Event::RunResumed(resumed) => Line::new("resumed", resumed.order.why.clone()),
            Event::SignalReceived(received) => Line::new("signal", received.signal.name.clone()),
            Event::Noted(noted) => Line::new("note", noted.words.clone()),
            Event::ChangeMarked(mark) => Line::new("changed", mark.name.clone()),
            Event::TerminateRequested(request) => Line::new("terminate", request.order.why.clone()),
            Event::RunTerminated(_) => Line::new("over", "terminated"),
            Event::TimerStarted(timer) => {
                self.timers.insert(timer.seq, &timer.reason);
                None
            }
            Event::TimerFired(fired) => {
                Line::new("timer", self.timers.get(&fired.seq).copied().unwrap_or_default())
            }
            Event::TimerDropped(_) => None,
            Event::CancelRequested(cancel) => Line::new("cancel", cancel.why.clone()),
            Event::RunCompleted(_) => Line::new("over", "completed"),
            Event::RunFailed(_) => Line::new("over", "failed"),
            Event::ContinuedAsNew(_) => Line::new("anew", "with what it carries over"),
        }
    }

    fn command(&self, id: &str) -> String {
        format!("{}.{}", self.kind, self.verbs.get(id).copied().unwrap_or("?"))
    }

    fn step(&self, seq: Seq, how: String) -> Option<Line> {
        let (word, step) = self.steps.get(&seq)?;
        Some(Line { word, about: step.to_string(), how: Some(how) })
    }
}

fn failed_how(failure: &Failure) -> String {
    let kind = match failure.class.kind() {
        Kind::Passing => "passing",
        Kind::Lasting => "lasting",
        Kind::Unknown => "unknown",
    };
    format!("failed {kind}: {}", failure.words)
}
