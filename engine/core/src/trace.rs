//! The spans of a history: one for the run, one for each command, one for each step. They follow
//! from what is recorded, so that whoever reads the same history finds the same spans.
//!
//! A span is known once what it is about has ended. Attempts are not here, since no history keeps
//! them: workers tell of those.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use alloc::{format, vec};

use stead_schemas::dispatch::{Caller, StepAddress};
use stead_schemas::event::{CommandAccepted, CommandCompleted, Event, Outcome, Seq, StepScheduled};
use stead_schemas::failure::Failure;
use stead_schemas::ids::RunId;
use stead_schemas::time::Timestamp;
use stead_schemas::trace::{About, Part, Role, Span, SpanId, TraceId, TraceParent};
use stead_schemas::transition::Transition;

/// What is open of one run.
#[derive(Clone, Debug, Default)]
pub struct Tracing {
    begun: Option<(String, Timestamp)>,
    /// The commands that are under way, the oldest first.
    commands: Vec<Command>,
    steps: BTreeMap<Seq, Step>,
}

#[derive(Clone, Debug)]
struct Command {
    id: String,
    name: String,
    at: Timestamp,
    asked_by: Option<TraceParent>,
}

#[derive(Clone, Debug)]
struct Step {
    name: String,
    at: Timestamp,
    parent: SpanId,
    undo: bool,
}

/// How something ended.
#[derive(Default)]
struct End {
    about: Vec<(&'static str, About)>,
    error: Option<String>,
}

impl Tracing {
    /// Takes in what a history says next, and returns the spans of all that has ended with it.
    pub fn take(&mut self, transition: &Transition) -> Vec<Span> {
        let (run, at) = (&transition.run, transition.at);
        let spans = transition.events.iter().flat_map(|event| self.event(run, at, event));
        spans.collect()
    }

    fn event(&mut self, run: &RunId, at: Timestamp, event: &Event) -> Vec<Span> {
        match event {
            Event::RunStarted(started) => {
                self.begun = Some((started.workflow.clone(), at));
                Vec::new()
            }
            Event::CommandAccepted(command) => {
                self.commands.push(accepted(run, command, at));
                Vec::new()
            }
            Event::CommandCompleted(command) => self.command_ends(run, at, command),
            Event::StepScheduled(step) => {
                self.steps.insert(step.seq, self.scheduled(run, step, at));
                Vec::new()
            }
            Event::StepCompleted(step) => {
                self.step_ends(run, at, step.seq, End::default().attempts(step.attempts))
            }
            Event::StepFailed(step) => {
                let end = End::failed(&step.failure).attempts(step.attempts);
                self.step_ends(run, at, step.seq, end)
            }
            Event::StepCancelled(step) => {
                self.step_ends(run, at, step.seq, End::badly("cancelled", "the step was cancelled"))
            }
            Event::StepDropped(step) => {
                let words = "the workflow went on without it";
                self.step_ends(run, at, step.seq, End::default().says("stead.end", words))
            }
            Event::StepSkipped(step) => {
                let words = "its answer was given by hand";
                self.step_ends(run, at, step.seq, End::default().says("stead.end", words))
            }
            Event::UndoAbandoned(step) => {
                let end = End::badly("abandoned", "what it would have taken back stays");
                self.step_ends(run, at, step.seq, end)
            }
            Event::RunCompleted(_) => self.run_ends(run, at, End::default()),
            Event::RunFailed(failed) => self.run_ends(run, at, End::failed(&failed.failure)),
            Event::RunTerminated(ended) => self.terminated(run, at, &ended.why),
            Event::StepRetried(_)
            | Event::StepEdited(_)
            | Event::TimerStarted(_)
            | Event::TimerFired(_)
            | Event::TimerDropped(_)
            | Event::CancelRequested(_)
            | Event::RunPaused(_)
            | Event::RunResumed(_)
            | Event::SignalReceived(_)
            | Event::ChangeMarked(_)
            | Event::TerminateRequested(_)
            | Event::ContinuedAsNew(_)
            | Event::Noted(_) => Vec::new(),
        }
    }

    /// A step is beneath the command that is carried out, which is the oldest one; beneath the run
    /// where there is none.
    fn scheduled(&self, run: &RunId, step: &StepScheduled, at: Timestamp) -> Step {
        let parent = match self.commands.first() {
            Some(command) => SpanId::of_command(run, &command.id),
            None => SpanId::of_run(run),
        };
        Step { name: step.step.clone(), at, parent, undo: step.undo }
    }

    fn step_ends(&mut self, run: &RunId, at: Timestamp, seq: Seq, end: End) -> Vec<Span> {
        let Some(step) = self.steps.remove(&seq) else { return Vec::new() };
        let address = StepAddress { run: run.clone(), seq };
        let end = end.says("stead.step", seq);
        let end = if step.undo { end.says("stead.undo", "true") } else { end };
        let mut span = span(SpanId::of_step(&address), run, step.name, (step.at, at), end);
        (span.parent, span.role) = (Some(step.parent), Role::Client);
        vec![span]
    }

    fn command_ends(&mut self, run: &RunId, at: Timestamp, ended: &CommandCompleted) -> Vec<Span> {
        let Some(place) = self.commands.iter().position(|command| command.id == ended.id) else {
            return Vec::new();
        };
        let end = match &ended.outcome {
            Outcome::Done(_) => End::default(),
            Outcome::Failed(failure) => End::failed(failure),
        };
        vec![self.commands.remove(place).span(run, at, end)]
    }

    /// Whatever was open ends with the run.
    fn terminated(&mut self, run: &RunId, at: Timestamp, why: &str) -> Vec<Span> {
        let end = || End::badly("terminated", why);
        let open: Vec<Seq> = self.steps.keys().copied().collect();
        let mut spans: Vec<Span> =
            open.into_iter().flat_map(|seq| self.step_ends(run, at, seq, end())).collect();
        let commands = core::mem::take(&mut self.commands);
        spans.extend(commands.into_iter().map(|command| command.span(run, at, end())));
        spans.extend(self.run_ends(run, at, end()));
        spans
    }

    fn run_ends(&mut self, run: &RunId, at: Timestamp, end: End) -> Vec<Span> {
        let begun = self.begun.take();
        let span = |(workflow, begun)| span(SpanId::of_run(run), run, workflow, (begun, at), end);
        begun.map(span).into_iter().collect()
    }
}

impl Command {
    fn span(self, run: &RunId, at: Timestamp, end: End) -> Span {
        let id = SpanId::of_command(run, &self.id);
        let end = end.says("stead.command", self.id);
        let mut span = span(id, run, self.name, (self.at, at), end);
        (span.parent, span.role, span.asked_by) =
            (Some(SpanId::of_run(run)), Role::Server, self.asked_by);
        span
    }
}

fn accepted(run: &RunId, command: &CommandAccepted, at: Timestamp) -> Command {
    let asked_by = match &command.by {
        Caller::Run(step) => Some(TraceParent::of_step(step)),
        Caller::Inbox { .. }
        | Caller::Api
        | Caller::User(_)
        | Caller::Command { .. }
        | Caller::Engine => None,
    };
    let name = format!("{}.{}", run.kind(), command.verb);
    Command { id: command.id.clone(), name, at, asked_by }
}

fn span(
    id: SpanId,
    run: &RunId,
    name: String,
    (begun, ended): (Timestamp, Timestamp),
    end: End,
) -> Span {
    let mut about = vec![("stead.run", run.as_str().into())];
    about.extend(end.about);
    Span {
        trace: TraceId::of(run),
        id,
        parent: None,
        asked_by: None,
        by: Part::Engine,
        role: Role::Internal,
        name,
        begun_ns: nanos(begun),
        ended_ns: nanos(ended).max(nanos(begun)),
        about,
        error: end.error,
    }
}

/// What was before 1970 was then.
fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(0).saturating_mul(1_000_000)
}

impl End {
    fn badly(class: &str, words: &str) -> Self {
        Self { about: vec![("error.type", class.into())], error: Some(words.to_string()) }
    }

    fn failed(failure: &Failure) -> Self {
        Self::badly(failure.class.word(), &failure.to_string())
    }

    fn says(mut self, what: &'static str, words: impl Into<About>) -> Self {
        self.about.push((what, words.into()));
        self
    }

    fn attempts(self, attempts: u32) -> Self {
        self.says("stead.attempts", attempts)
    }
}
