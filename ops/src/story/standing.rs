//! Where a run stood after one of its transitions: what its workflow knew and showed, what was
//! outstanding, and what the vendors held for it as far as histories show.

use serde::Serialize;
use serde_json::Value;
use stead_core::definition::Definition;
use stead_core::fold::Folded;
use stead_core::ledger::Ledger;
use stead_core::run::Run;
use stead_schemas::event::{Event, LeftBehind, Outcome, Seq};
use stead_schemas::ids::RunId;
use stead_schemas::ledger::Held;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;
use stead_workflows::WORKFLOWS;

use super::again::{self, Otherwise};
use super::table::sheet;
use super::words::{cut, hanging, moment, outcome, span};

/// How much of a request, an answer or a view stands on the screen.
const SHOWN_MAX: usize = 400;

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// The run.
    pub run: RunId,
    /// What it is called: `john/dev`.
    pub name: String,
    /// The transition after which it stood so.
    pub n: u64,
    /// How many transitions its history has.
    pub of: u64,
    /// When that was.
    pub at: Timestamp,
    /// When the run began.
    pub began: Timestamp,
    /// The workflow's word for where it stood.
    pub phase: String,
    /// What the workflow showed of itself.
    pub view: Value,
    /// Why this build cannot say what the workflow showed, if it cannot.
    pub unknown: Option<String>,
    /// The commands, oldest first.
    pub commands: Vec<Asked>,
    /// What steps had come to since it last began anew.
    pub known: Vec<Known>,
    /// The steps and timers that were outstanding.
    pub open: Vec<Outstanding>,
    /// Why it did not go on, while it was paused.
    pub paused: Option<String>,
    /// How the run had ended, if it had.
    pub over: Option<String>,
    /// What vendors held.
    pub held: Vec<Held>,
    /// What had been given up.
    pub left: Vec<LeftBehind>,
}

/// A command, and how it had ended by then.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Asked {
    /// Its id.
    pub id: String,
    /// What was asked.
    pub verb: String,
    /// How it had ended; nothing while it went on.
    pub outcome: Option<Outcome>,
}

/// What a step had come to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Known {
    /// The step's number.
    pub seq: Seq,
    /// Its name.
    pub step: String,
    /// `done`, `failed`, `stopped`, `skipped`.
    pub end: &'static str,
    /// Its answer, or why it failed.
    pub answer: Value,
}

/// A step or timer that was outstanding.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outstanding {
    /// Its number.
    pub seq: Seq,
    /// The step, or what a timer was for.
    pub what: String,
    /// `step`, `undo` or `timer`.
    pub kind: &'static str,
    /// Since when.
    pub since: Timestamp,
    /// When a timer was due.
    pub due: Option<Timestamp>,
    /// What the step was asked.
    pub request: Value,
}

/// Where the run stood after transition `until`. What `related` histories show up to the same time
/// counts for the vendors.
pub fn standing(history: &[Transition], until: u64, related: &[Vec<Transition>]) -> Standing {
    let seen: Vec<Transition> = history.iter().take_while(|t| t.n <= until).cloned().collect();
    let folded = folded(&seen);
    let last = seen.last();
    let at = last.map_or(Timestamp::default(), |last| last.at);
    let run = history.first().map(|first| first.run.clone());
    let (phase, view, unknown) = shown(&seen);
    let mut held = held(&seen);
    for other in related {
        let before: Vec<Transition> = other.iter().filter(|t| t.at <= at).cloned().collect();
        held.extend(self::held(&before));
    }
    let name = folded.started.as_ref().map(|run| format!("{}/{}", run.owner, run.name));
    let paused = folded.paused.as_ref();
    Standing {
        run: run.unwrap_or_else(|| unreachable!("a history has a first transition")),
        name: name.unwrap_or_default(),
        n: last.map_or(0, |last| last.n),
        of: history.last().map_or(0, |last| last.n),
        at,
        began: folded.started_at,
        phase,
        view,
        unknown,
        commands: commands(&folded),
        known: known(&seen),
        open: outstanding(&folded),
        paused: paused.map(|paused| paused.order.why.clone()),
        over: folded.ended.as_ref().map(|event| event.name().to_owned()),
        held,
        left: folded.left.clone(),
    }
}

/// What follows from the events alone; what is not legal is left out.
fn folded(seen: &[Transition]) -> Folded {
    let mut folded = Folded::default();
    for transition in seen {
        for event in &transition.events {
            folded.apply(event, transition.at).ok();
        }
    }
    folded
}

/// What this build's workflow shows after these transitions, or why that is not known.
fn shown(seen: &[Transition]) -> (String, Value, Option<String>) {
    let Some(first) = seen.first() else { return (String::new(), Value::Null, None) };
    let kind = first.run.kind();
    let Some(definition) = WORKFLOWS.iter().find(|known| known.kind == kind) else {
        return (String::new(), Value::Null, Some(format!("there is no workflow `{kind}`")));
    };
    shown_by(*definition, seen)
}

/// What a workflow shows after these transitions, and why that is not known exactly, if it is not.
pub fn shown_by(definition: Definition, seen: &[Transition]) -> (String, Value, Option<String>) {
    let Some(first) = seen.first() else { return (String::new(), Value::Null, None) };
    let mut run = Run::new(definition, first.run.clone());
    let otherwise = again::replay(&mut run, seen).err().map(|otherwise| match otherwise {
        Otherwise::Decides { n, .. } => {
            format!("this build decides otherwise at transition {n}")
        }
        Otherwise::Panics { .. } => format!("this build cannot replay it: {otherwise}"),
    });
    (run.phase(), view(&run), otherwise)
}

fn view(run: &Run) -> Value {
    run.view().map_or(Value::Null, |view| view.clone())
}

fn commands(folded: &Folded) -> Vec<Asked> {
    let known = folded.commands.iter().map(|known| Asked {
        id: known.command.id.clone(),
        verb: known.command.verb.clone(),
        outcome: known.outcome.clone(),
    });
    known.collect()
}

fn outstanding(folded: &Folded) -> Vec<Outstanding> {
    let steps = folded.steps.values().map(|open| Outstanding {
        seq: open.step.seq,
        what: open.step.step.clone(),
        kind: if open.step.undo { "undo" } else { "step" },
        since: open.since,
        due: None,
        request: open.step.request.clone(),
    });
    let timers = folded.timers.values().map(|open| Outstanding {
        seq: open.timer.seq,
        what: open.timer.reason.clone(),
        kind: "timer",
        since: open.since,
        due: Some(open.timer.due),
        request: Value::Null,
    });
    steps.chain(timers).collect()
}

/// What steps came to since the run last began anew.
fn known(seen: &[Transition]) -> Vec<Known> {
    let mut names = std::collections::BTreeMap::new();
    let mut known = Vec::new();
    for event in seen.iter().flat_map(|transition| &transition.events) {
        let (seq, end, answer) = match event {
            Event::StepScheduled(step) => {
                names.insert(step.seq, step.step.clone());
                continue;
            }
            Event::ContinuedAsNew(_) => {
                known.clear();
                continue;
            }
            Event::StepCompleted(done) => (done.seq, "done", done.answer.clone()),
            Event::StepSkipped(skipped) => (skipped.seq, "skipped", skipped.answer.clone()),
            Event::StepFailed(failed) => {
                let why = Value::String(failed.failure.to_string());
                (failed.seq, "failed", why)
            }
            Event::StepCancelled(step) => (step.seq, "stopped", Value::Null),
            Event::StepDropped(step) => (step.seq, "dropped", Value::Null),
            Event::UndoAbandoned(step) => (step.seq, "abandoned", Value::Null),
            _ => continue,
        };
        let step = names.get(&seq).cloned().unwrap_or_default();
        known.push(Known { seq, step, end, answer });
    }
    known
}

impl Standing {
    /// The same for people, in lines of at most `width` characters.
    pub fn told(&self, width: usize) -> String {
        let room = width.saturating_sub(13);
        let lines = |lines: Vec<String>| {
            let hung = lines.iter().map(|line| hanging("", line, room, 2));
            hung.collect::<Vec<_>>().join("\n")
        };
        let since = span(self.at.since(self.began));
        sheet(&[
            ("run", lines(vec![format!("{}, {}", self.run, self.name)])),
            ("after", lines(vec![format!("transition {} of {}", self.n, self.of)])),
            ("at", lines(vec![format!("{}, {since} after it began", moment(self.at))])),
            ("stood", lines(self.stood())),
            ("showed", lines(facts(&self.view))),
            ("asked", lines(self.commands.iter().map(Asked::told).collect())),
            ("knew", lines(self.known.iter().map(Known::told).collect())),
            ("outstanding", lines(self.outstanding())),
            ("vendors", lines(self.held.iter().map(told).collect())),
            ("left behind", lines(self.left.iter().map(left).collect())),
        ])
    }

    fn stood(&self) -> Vec<String> {
        let phase = if self.phase.is_empty() { "-" } else { &self.phase };
        let mut stood = vec![phase.to_owned()];
        stood.extend(self.paused.iter().map(|why| format!("paused: {why}")));
        stood.extend(self.over.iter().map(|over| format!("over: {over}")));
        stood.extend(self.unknown.iter().map(|why| format!("not known exactly: {why}")));
        stood
    }

    fn outstanding(&self) -> Vec<String> {
        let open = self.open.iter().map(|open| open.told(self.at));
        let open: Vec<String> = open.collect();
        if open.is_empty() { vec!["nothing".to_owned()] } else { open }
    }
}

/// What a workflow showed, a fact a line.
pub fn facts(view: &Value) -> Vec<String> {
    let Some(facts) = view.as_object() else { return Vec::new() };
    let facts = facts.iter().filter(|(_, value)| !value.is_null());
    facts.map(|(name, value)| format!("{name}: {}", brief(value))).collect()
}

/// A value, as much of it as one reads.
pub fn brief(value: &Value) -> String {
    cut(&whole(value), SHOWN_MAX)
}

/// A value, all of it.
pub fn whole(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

fn left(left: &LeftBehind) -> String {
    format!("{} ({}) {}", left.step, left.why, brief(&left.request))
}

impl Asked {
    /// In words.
    pub fn told(&self) -> String {
        let end = self.outcome.as_ref().map_or("going on".to_owned(), outcome);
        format!("{}: {end} [{}]", self.verb, self.id)
    }
}

impl Known {
    /// In words.
    pub fn told(&self) -> String {
        self.told_as(brief)
    }

    /// In words, with the answer as `shown` has it.
    pub fn told_as(&self, shown: impl Fn(&Value) -> String) -> String {
        let answer = match &self.answer {
            Value::Null => String::new(),
            Value::Object(fields) if fields.is_empty() => String::new(),
            answer => format!(": {}", shown(answer)),
        };
        format!("{} {} {}{answer}", self.seq, self.step, self.end)
    }
}

impl Outstanding {
    /// In words, at this time.
    pub fn told(&self, now: Timestamp) -> String {
        let since = span(now.since(self.since));
        match self.due {
            Some(due) => format!("{} {}, due in {}", self.seq, self.what, span(due.since(now))),
            None => format!(
                "{} {} {}, for {since}: {}",
                self.seq,
                self.kind,
                self.what,
                brief(&self.request)
            ),
        }
    }
}

/// What a run holds outside after these transitions, as the ledger has it.
pub fn held(history: &[Transition]) -> Vec<Held> {
    let ledger = history.first().map(|first| Ledger::of(&first.run, history));
    ledger.map_or(Vec::new(), |ledger| ledger.held().to_vec())
}

/// Something that is held, in words.
pub fn told(held: &Held) -> String {
    let why = if held.why.is_empty() { String::new() } else { format!(": {}", held.why) };
    format!("{}: {}, {}{why}", held.resource.path(), held.standing.word(), held.step)
}
