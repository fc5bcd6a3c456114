//! How long steps usually take: the median of the latest operations of the same verb and template.

use std::collections::BTreeMap;
use std::time::Duration;

use stead_schemas::event::{Event, Outcome};
use stead_schemas::transition::Transition;

use super::operations::{End, Operation, StepSpan, operations};
use super::words::{counted, span};
use super::{Moment, moments};

/// How many operations are looked at, the latest first.
pub const LATEST: usize = 30;
/// Fewer than this many say nothing about what is usual.
const LEAST: usize = 3;
/// How much slower than usual is worth a word…
const SLOW: f64 = 1.5;
/// …if it is at least this much.
const SLOW_MIN: Duration = Duration::from_millis(100);

/// How long the steps of one verb usually take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usual {
    /// How many operations it was learnt from.
    pub operations: usize,
    steps: BTreeMap<String, Duration>,
}

/// A step beside what is usual.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Whether it took much longer.
    pub is_slow: bool,
    /// For people: `usual 1.2 s`, `3.1x the usual 1.2 s`.
    pub words: String,
}

/// The verb and the template of an operation: what makes two of them comparable.
pub fn kind(history: &[Moment], operation: &Operation) -> (String, String) {
    let mut template = String::new();
    for moment in history {
        if let Event::CommandAccepted(command) = &moment.event {
            let named = command.payload.pointer("/template/name").and_then(|name| name.as_str());
            if let Some(named) = named {
                named.clone_into(&mut template);
            }
            if command.id == operation.id {
                break;
            }
        }
    }
    (operation.verb.clone(), template)
}

impl Usual {
    /// What is usual for operations of this kind, in these histories, latest first.
    pub fn of<'a>(
        kind_of: &(String, String),
        histories: impl Iterator<Item = &'a [Transition]>,
    ) -> Self {
        let mut found: Vec<Operation> = Vec::new();
        for history in histories {
            let moments = moments(history);
            let same = operations(&moments).into_iter().rev().filter(|operation| {
                matches!(operation.outcome, Some(Outcome::Done(_)))
                    && kind(&moments, operation) == *kind_of
            });
            found.extend(same.take(LATEST - found.len()));
            if found.len() == LATEST {
                break;
            }
        }
        Self::learnt(&found)
    }

    fn learnt(found: &[Operation]) -> Self {
        let mut took: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
        for operation in found {
            for (name, span) in spans(operation) {
                took.entry(name).or_default().push(span);
            }
        }
        let medians = took.into_iter().filter(|(_, took)| took.len() >= LEAST);
        let steps = medians.map(|(name, took)| (name, median(took))).collect();
        Self { operations: found.len(), steps }
    }

    /// How long a step of this name usually takes, if that is known.
    pub fn of_step(&self, name: &str) -> Option<Duration> {
        self.steps.get(name).copied()
    }

    /// How long a step usually takes, and how much longer this one took, if that is worth a word.
    pub fn beside(&self, name: &str, took: Duration) -> Option<Compared> {
        let usual = self.of_step(name)?;
        let times = took.as_secs_f64() / usual.as_secs_f64().max(0.001);
        let is_slow = times >= SLOW && took.saturating_sub(usual) >= SLOW_MIN;
        let words = match is_slow {
            true => format!("{times:.1}x the usual {}", span(usual)),
            false => format!("usual {}", span(usual)),
        };
        Some(Compared { is_slow, words })
    }

    /// What it was learnt from, for people.
    pub fn legend(&self) -> String {
        match self.operations {
            0..LEAST => "too few others of this kind to say what is usual".to_owned(),
            number => {
                format!("usual: the median of the latest {}", counted(number as u64, "other"))
            }
        }
    }
}

/// The steps of an operation that are done. The same step twice counts together.
fn spans(operation: &Operation) -> BTreeMap<String, Duration> {
    let mut spans: BTreeMap<String, Duration> = BTreeMap::new();
    let done = operation.steps.iter().filter(|step| step.end == End::Done);
    for StepSpan { name, from, until, .. } in done {
        let took = until.map_or(Duration::ZERO, |until| until.since(*from));
        *spans.entry(name.clone()).or_default() += took;
    }
    spans
}

fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    let middle = took.len() / 2;
    match took.len() % 2 {
        0 => (took[middle - 1] + took[middle]) / 2,
        _ => took[middle],
    }
}
