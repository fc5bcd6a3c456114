//! Why a run went wrong: the first cause, what followed from it, what was taken back, what is
//! left, and where the same happened before.
//!
//! A pure function of histories (`trouble.rs` finds what went wrong in one operation, `unheard.rs`
//! what nobody told of, `chain.rs` what came of it): what no history says is named as not known, and nothing is guessed.

use std::collections::BTreeMap;

use serde::Serialize;
use stead_schemas::event::{Outcome, Seq};
use stead_schemas::ids::RunId;
use stead_schemas::public::RunView;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;

use super::operations::{Operation, operations};
use super::standing;
use super::words::{counted, moment, span};
use super::{Moment, moments};

mod chain;
mod told;
mod trouble;
mod unheard;

/// How many runs with the same trouble are named.
const SIMILAR_MAX: usize = 5;

/// What is known of an incident.
pub struct Case<'a> {
    /// The run's history.
    pub history: &'a [Transition],
    /// Histories of entities that it asked for something.
    pub related: &'a [Vec<Transition>],
    /// Other runs of the same kind, latest first.
    pub alike: &'a [Vec<Transition>],
    /// What runs show, where that is known.
    pub views: &'a BTreeMap<RunId, RunView>,
    /// Where the history was altered, if it was.
    pub broken: Option<&'a str>,
    /// Where this build decides otherwise, or panics, if it does.
    pub diverges: Option<&'a str>,
}

/// See the module's head.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The run.
    pub run: RunId,
    /// What it is called: `john/dev`.
    pub name: String,
    /// Where its history was altered: nothing that is said here is certain then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// What became of what was asked: `create failed after 4.3 s`.
    pub verdict: String,
    /// What went wrong first; nothing if nothing did.
    pub cause: Option<Link>,
    /// What followed, in order.
    pub chain: Vec<Link>,
    /// What was taken back.
    pub undone: Vec<String>,
    /// What was given up, or is still to be taken back.
    pub left: Vec<String>,
    /// What the run still holds at the vendors', as far as its history shows.
    pub held: Vec<String>,
    /// Runs that met the same before.
    pub similar: Vec<Similar>,
    /// What the histories do not say.
    pub not_known: Vec<String>,
}

/// Something that happened, and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Link {
    /// In whose history.
    pub run: RunId,
    /// In which transition.
    pub n: u64,
    /// When.
    pub at: Timestamp,
    /// The step, where it was one: its number and its name.
    pub step: Option<(Seq, String)>,
    /// What kind of thing it was.
    pub kind: Kind,
    /// What happened, in words.
    pub words: String,
}

/// What kinds of things go wrong, and come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A build decides otherwise than the history says, or panics.
    Divergence,
    /// A step failed.
    StepFailed,
    /// A step waits, and does not get on.
    Waits,
    /// A step was done, but not at the first attempt.
    Attempts,
    /// Another engine took the partition over while something was under way.
    OwnerChanged,
    /// Nobody told of something; it was found all the same.
    Unheard,
    /// Somebody stopped it.
    Stopped,
    /// It was paused.
    Paused,
    /// What was begun is taken back.
    TakenBack,
    /// The command, or the run, ended.
    Ended,
}

/// A run that met the same.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Similar {
    /// The run.
    pub run: RunId,
    /// What it is called.
    pub name: String,
    /// When.
    pub at: Timestamp,
    /// In which words.
    pub words: String,
}

/// A history, taken apart.
struct Read {
    run: RunId,
    name: String,
    moments: Vec<Moment>,
    operations: Vec<Operation>,
    engines: Vec<(u64, Timestamp, String)>,
}

impl Read {
    fn of(history: &[Transition]) -> Option<Self> {
        let run = history.first()?.run.clone();
        let moments = moments(history);
        let operations = operations(&moments);
        let engines = history.iter().map(|t| (t.n, t.at, t.engine.clone())).collect();
        Some(Self { run, name: name(&moments), operations, moments, engines })
    }

    fn last(&self) -> Timestamp {
        self.moments.last().map_or(Timestamp::default(), |moment| moment.at)
    }
}

fn name(moments: &[Moment]) -> String {
    let named = moments.iter().find_map(|moment| match &moment.event {
        stead_schemas::event::Event::RunStarted(run) => Some(format!("{}/{}", run.owner, run.name)),
        _ => None,
    });
    named.unwrap_or_default()
}

/// Explains a run. Nothing comes of a history without a transition.
pub fn explain(case: &Case<'_>) -> Option<Explanation> {
    let read = Read::of(case.history)?;
    let related: Vec<Read> = case.related.iter().filter_map(|other| Read::of(other)).collect();
    let finder = trouble::Finder { related: &related, views: case.views };
    let (operation, troubles) = finder.worst(&read);
    let mut links: Vec<Link> = Vec::new();
    links.extend(case.diverges.map(|words| diverged(&read, words)));
    links.extend(troubles);
    let cause = if links.is_empty() { None } else { Some(links.remove(0)) };
    if let (Some(cause), Some(operation)) = (&cause, operation) {
        links.extend(chain::after(&read, operation, cause));
        links.sort_by_key(|link| link.at);
        links.dedup();
    }
    let untold = operation.map_or(Vec::new(), |operation| finder.untold(&read, operation));
    let similar = cause.as_ref().map_or(Vec::new(), |cause| similar(case, cause, &links));
    Some(Explanation {
        run: read.run.clone(),
        name: read.name.clone(),
        broken: case.broken.map(str::to_owned),
        verdict: match (operation, case.diverges, &cause) {
            (None, Some(_), _) => "this build does not go on as the history says".to_owned(),
            (None, None, Some(_)) => "it does not go on where its history ends".to_owned(),
            _ => verdict(&read, operation),
        },
        undone: operation.map_or(Vec::new(), chain::undone),
        left: chain::left(&read, operation),
        held: standing::held(case.history).iter().map(standing::told).collect(),
        not_known: trouble::not_known(cause.as_ref(), [&read].into_iter().chain(&related), &untold),
        chain: links,
        similar,
        cause,
    })
}

fn verdict(read: &Read, operation: Option<&Operation>) -> String {
    let Some(operation) = operation else {
        let transitions = counted(read.engines.len() as u64, "transition");
        let open = read.open().map_or(String::new(), |open| format!("; {} goes on", open.verb));
        return format!("nothing went wrong in {transitions}{open}");
    };
    let until = operation.until.unwrap_or_else(|| read.last());
    let took = span(until.since(operation.from));
    match &operation.outcome {
        Some(Outcome::Done(_)) => format!("{} was done after {took}, not all well", operation.verb),
        Some(Outcome::Failed(failure)) => {
            format!("{} failed after {took}: {failure}", operation.verb)
        }
        None => {
            let asked = moment(operation.from);
            format!("{}, asked at {asked}, is not over where the history ends", operation.verb)
        }
    }
}

fn diverged(read: &Read, words: &str) -> Link {
    let number = words
        .split_whitespace()
        .find_map(|word| word.trim_end_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().ok());
    let n = number.unwrap_or(0);
    let at = read.engines.iter().find(|(of, ..)| *of == n).map_or(read.last(), |(_, at, _)| *at);
    let words = words.replace('\n', " ").replace("  ", " ");
    let words = words.split_once(": ").map_or(words.as_str(), |(_, words)| words).to_owned();
    Link { run: read.run.clone(), n, at, step: None, kind: Kind::Divergence, words }
}

/// Runs of the same kind with the same kind of trouble at the same step. Where that was met beneath,
/// by an entity that this one asked, the histories of those that the others asked are not at hand, and
/// their own step tells.
fn similar(case: &Case<'_>, cause: &Link, chain: &[Link]) -> Vec<Similar> {
    let finder = trouble::Finder { related: &[], views: case.views };
    let Some(first) = case.history.first() else { return Vec::new() };
    let began = first.at;
    let is_own = |link: &&Link| link.run == first.run && link.step.is_some();
    let own = chain.iter().find(is_own).filter(|_| cause.run != first.run);
    let met = case.alike.iter().filter_map(|other| {
        let other = Read::of(other)?;
        let (_, troubles) = finder.met(&other);
        let is_met = |link: &Link| {
            is_same(link, cause)
                || own.is_some_and(|own| is_same(link, own) && says_same(link, own))
        };
        let same = troubles.into_iter().find(is_met)?;
        let earlier = same.at <= began.max(cause.at);
        earlier.then_some(Similar {
            run: other.run,
            name: other.name,
            at: same.at,
            words: same.words,
        })
    });
    met.take(SIMILAR_MAX).collect()
}

fn is_same(one: &Link, other: &Link) -> bool {
    let step = |link: &Link| link.step.as_ref().map(|(_, name)| name.clone());
    one.kind == other.kind && step(one) == step(other)
}

/// Whether two failures are told in the same words, but for the vendor's, which name what is whose.
fn says_same(one: &Link, other: &Link) -> bool {
    let own = |link: &Link| link.words.split(" (the vendor said").next().map(str::to_owned);
    one.kind != Kind::StepFailed || own(one) == own(other)
}
