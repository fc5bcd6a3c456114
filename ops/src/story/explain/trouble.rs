//! What went wrong in an operation, first things first; and in the operations of other entities
//! that it waited for.

use std::collections::BTreeMap;

use stead_schemas::dispatch::{Route, StepAddress};
use stead_schemas::event::{ByHand, Event, Outcome, Seq, StepCompleted};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::public::{RunView, Waiting};
use stead_schemas::time::Timestamp;

use super::unheard::unheard;
use super::{Kind, Link, Read};
use crate::story::Moment;
use crate::story::operations::{End, Operation, StepSpan};
use crate::story::words::{awaited, caller, counted, moment as said, span};

/// A pause between two transitions in which another engine came that is worth a word.
const SILENCE_MIN_MS: u128 = 100;

/// Finds troubles.
pub(super) struct Finder<'a> {
    /// The histories of entities that are asked for something.
    pub related: &'a [Read],
    /// What runs show.
    pub views: &'a BTreeMap<RunId, RunView>,
}

impl Finder<'_> {
    /// The operation that matters most, and its troubles: the one that is being carried out, if
    /// nobody tells how it gets on; else as in `met`. Nothing but what holds up the whole run, if
    /// that is all that is open.
    pub fn worst<'r>(&self, read: &'r Read) -> (Option<&'r Operation>, Vec<Link>) {
        let stands = self.stands(read);
        match read.open() {
            None if !stands.is_empty() => (None, stands),
            Some(open) if !self.views.contains_key(&read.run) => {
                (Some(open), self.troubles(read, open))
            }
            _ => self.met(read),
        }
    }

    /// The latest operation that failed or does not get on, or else the latest that had to get over
    /// something; and its troubles.
    pub fn met<'r>(&self, read: &'r Read) -> (Option<&'r Operation>, Vec<Link>) {
        let with = |operation: &'r Operation| (operation, self.troubles(read, operation));
        let all: Vec<_> = read.operations.iter().rev().map(with).collect();
        let bad = |(operation, troubles): &(&Operation, Vec<Link>)| match operation.outcome {
            Some(Outcome::Failed(_)) => true,
            None => !troubles.is_empty(),
            Some(Outcome::Done(_)) => false,
        };
        let place = all.iter().position(bad);
        let place = place.or_else(|| all.iter().position(|(_, troubles)| !troubles.is_empty()));
        match place.and_then(|place| all.into_iter().nth(place)) {
            Some((operation, troubles)) => (Some(operation), troubles),
            None => (None, Vec::new()),
        }
    }

    /// What went wrong in an operation. The first is the cause of its failure, where it failed.
    fn troubles(&self, read: &Read, operation: &Operation) -> Vec<Link> {
        let mut links = Vec::new();
        let until = operation.until.unwrap_or_else(|| read.last());
        let within = |at: Timestamp| operation.from <= at && at <= until;
        for moment in read.moments.iter().filter(|moment| within(moment.at)) {
            links.extend(self.of_moment(read, operation, moment));
        }
        links.extend(owner_changes(read, operation, until));
        links.extend(self.waits(read, operation));
        if read.is_open(operation) {
            links.extend(self.stands(read));
        }
        links.extend(unheard(read, operation));
        links.sort_by_key(|link| link.at);
        if let Some(place) = decisive(&links, operation) {
            let cause = links.remove(place);
            let beneath = self.beneath(read, &cause);
            links.insert(0, cause);
            links.splice(0..0, beneath);
        }
        // What holds up an entity is met by every step that waits for it.
        let mut told = Vec::new();
        links.retain(|link| {
            let is_new = !told.contains(link);
            told.push(link.clone());
            is_new
        });
        links
    }

    fn of_moment(&self, read: &Read, operation: &Operation, moment: &Moment) -> Option<Link> {
        let link = |step: Option<&StepSpan>, kind: Kind, words: String| Link {
            run: read.run.clone(),
            n: moment.n,
            at: moment.at,
            step: step.map(|step| (step.seq, step.name.clone())),
            kind,
            words,
        };
        let step = |seq: Seq| operation.steps.iter().find(|step| step.seq == seq);
        match &moment.event {
            Event::StepFailed(failed) => {
                let step = step(failed.seq).filter(|step| !step.is_undo)?;
                Some(link(Some(step), Kind::StepFailed, failure(&failed.failure, failed.attempts)))
            }
            Event::StepCompleted(done) if done.attempts > 1 || done.met.is_some() => {
                let step = step(done.seq)?;
                let took = span(moment.at.since(step.from));
                Some(link(Some(step), Kind::Attempts, not_at_once(done, &took)))
            }
            Event::CancelRequested(cancel) => {
                let words = format!("it was cancelled, {}: {}", caller(&cancel.by), cancel.why);
                Some(link(None, Kind::Stopped, words))
            }
            Event::TerminateRequested(request) => {
                Some(link(None, Kind::Stopped, by_hand("terminated", &request.order)))
            }
            Event::RunPaused(paused) => {
                let step = paused.seq.and_then(step);
                Some(link(step, Kind::Paused, by_hand("paused", &paused.order)))
            }
            _ => None,
        }
    }

    /// Steps that are open where the history ends, if it is known that they do not get on.
    fn waits(&self, read: &Read, operation: &Operation) -> Vec<Link> {
        let open = operation.steps.iter().filter(|step| step.end == End::Open);
        let view = self.views.get(&read.run);
        let waits = open.filter_map(|step| {
            let waiting = view?.waiting.iter().find(|waiting| waiting.seq == step.seq)?;
            let beneath = match self.carried_out_by(read, step.seq) {
                Some((of, operation)) => self.troubles(of, operation),
                // It has not taken the command in, which may be because it takes none.
                None => self.asked(read, step.seq).map_or(Vec::new(), |of| self.stands(of)),
            };
            let stands = stands(waiting) || !beneath.is_empty();
            stands.then(|| [beneath, vec![wait(read, step, waiting)]].concat())
        });
        waits.flatten().collect()
    }

    /// What holds up a run as a whole, if anything does: a build that cannot go on with it, a log
    /// that does not take what it decided, a person who is asked.
    fn stands(&self, read: &Read) -> Vec<Link> {
        let waiting = self.views.get(&read.run).into_iter().flat_map(|view| &view.waiting);
        let whole = waiting.filter(|waiting| {
            waiting.seq == 0 && matches!(waiting.reason.as_str(), "human" | "log")
        });
        let links = whole.map(|waiting| Link {
            run: read.run.clone(),
            n: read.moments.last().map_or(0, |last| last.n),
            at: waiting.since,
            step: None,
            kind: Kind::Waits,
            words: format!(
                "it does not go on since {}: {}: {}",
                said(waiting.since),
                waiting.reason,
                waiting.words
            ),
        });
        links.collect()
    }

    /// The runs of which nobody tells what they wait for, of this one and those that carry out its
    /// open steps.
    pub fn untold(&self, read: &Read, operation: &Operation) -> Vec<RunId> {
        if !read.is_open(operation) {
            return Vec::new();
        }
        if !self.views.contains_key(&read.run) {
            return vec![read.run.clone()];
        }
        let open = operation.steps.iter().filter(|step| step.end == End::Open);
        let below = open.filter_map(|step| self.carried_out_by(read, step.seq));
        below.flat_map(|(of, operation)| self.untold(of, operation)).collect()
    }

    /// The latest life of the entity that a step asks for something.
    fn asked(&self, read: &Read, seq: Seq) -> Option<&Read> {
        let key = read.moments.iter().find_map(|moment| match &moment.event {
            Event::StepScheduled(step) if step.seq == seq => match &step.route {
                Route::Entity { kind, owner, name } => Some(EntityKey::of(kind, owner, name)),
                Route::Worker | Route::Outside => None,
            },
            _ => None,
        })?;
        self.related.iter().rev().find(|other| other.run.key() == key)
    }

    /// What went wrong in the operation of another entity that a failed step asked for.
    fn beneath(&self, read: &Read, cause: &Link) -> Vec<Link> {
        let Some((seq, _)) = &cause.step else { return Vec::new() };
        let below = self.carried_out_by(read, *seq);
        below.map_or(Vec::new(), |(of, operation)| self.troubles(of, operation))
    }

    /// The operation that carried a step of this run out.
    fn carried_out_by(&self, read: &Read, seq: Seq) -> Option<(&Read, &Operation)> {
        let asks = StepAddress { run: read.run.clone(), seq };
        self.related.iter().find_map(|of| {
            let found = of.operations.iter().find(|one| one.reply.as_ref() == Some(&asks))?;
            Some((of, found))
        })
    }
}

/// Which of these made the operation fail: a failure of the same words, or somebody who stopped
/// it. What stood in the way before was got over.
fn decisive(links: &[Link], operation: &Operation) -> Option<usize> {
    let first = (!links.is_empty()).then_some(0);
    let Some(Outcome::Failed(failure)) = &operation.outcome else { return first };
    let stopped = |link: &Link| link.kind == Kind::Stopped && failure.class == Class::Cancelled;
    let failed = |link: &Link| {
        let step = link.step.as_ref().map(|(_, name)| name.as_str());
        let same = failure.step.is_none() || failure.step.as_deref() == step;
        link.kind == Kind::StepFailed && same && link.words.contains(&failure.words)
    };
    let found = links.iter().position(|link| stopped(link) || failed(link));
    found.or(first)
}

/// Whether somebody should act, or something is in the way.
fn stands(waiting: &Waiting) -> bool {
    match waiting.reason.as_str() {
        // What met trouble is being tried again in this very moment.
        "running" | "queued" => waiting.attempts > 1,
        reason => !matches!(reason, "entity" | "timer" | "limit"),
    }
}

fn wait(read: &Read, step: &StepSpan, waiting: &Waiting) -> Link {
    let since = said(waiting.since);
    let attempts = match waiting.attempts {
        0 | 1 => String::new(),
        attempts => format!(", {}", counted(u64::from(attempts), "attempt")),
    };
    let reason = match waiting.reason.as_str() {
        "outside" => format!("outside, as {}", awaited(&step.name)),
        reason => reason.to_owned(),
    };
    let because = match waiting.words.as_str() {
        "" => reason,
        words => format!("{reason}: {words}"),
    };
    let undo = if step.is_undo { "what would take it back waits" } else { "it waits" };
    Link {
        run: read.run.clone(),
        n: read.scheduled(step.seq),
        at: step.from,
        step: Some((step.seq, step.name.clone())),
        kind: Kind::Waits,
        words: format!("{undo} since {since}{attempts}: {because}"),
    }
}

impl Read {
    /// The command that is being carried out: the first that is not answered.
    pub(super) fn open(&self) -> Option<&Operation> {
        self.operations.iter().find(|operation| self.is_open(operation))
    }

    /// Whether a command is not answered, and the run may still do so.
    pub(super) fn is_open(&self, operation: &Operation) -> bool {
        let is_over = self.moments.iter().any(|moment| moment.event.is_last());
        !operation.id.is_empty() && operation.outcome.is_none() && !is_over
    }

    /// The transition that scheduled a step.
    fn scheduled(&self, seq: Seq) -> u64 {
        let asked = self
            .moments
            .iter()
            .find(|moment| matches!(&moment.event, Event::StepScheduled(step) if step.seq == seq));
        asked.map_or(0, |moment| moment.n)
    }

    /// The end of a step that was done.
    fn completed(&self, seq: Seq) -> Option<&StepCompleted> {
        self.moments.iter().find_map(|moment| match &moment.event {
            Event::StepCompleted(done) if done.seq == seq => Some(done),
            _ => None,
        })
    }
}

/// That a step was done, and what stood in the way before.
fn not_at_once(done: &StepCompleted, took: &str) -> String {
    let last = match done.attempts {
        0 | 1 => String::new(),
        attempts => format!(" at the last of {},", counted(u64::from(attempts), "attempt")),
    };
    let met = match done.met.clone() {
        Some(met) => format!("; before that: {}", Failure { step: None, ..met }),
        None => String::new(),
    };
    format!("it was done only{last} after {took}{met}")
}

fn failure(failure: &Failure, attempts: u32) -> String {
    let attempts = match attempts {
        0 | 1 => String::new(),
        attempts => format!("after {} ", counted(u64::from(attempts), "attempt")),
    };
    let mut bare = failure.clone();
    bare.step = None;
    format!("it failed {attempts}({}): {bare}", class(failure.class))
}

/// What a class of trouble means.
const fn class(class: Class) -> &'static str {
    match class {
        Class::Retry => "nothing happened",
        Class::Ambiguous => "nobody knows whether it happened",
        Class::Wait => "busy or locked",
        Class::VendorDown => "the vendor does not answer",
        Class::Conflict => "something that is not ours is in the way",
        Class::Permanent => "it will not pass",
        Class::Auth => "not let in",
        Class::TimedOut => "the time allowed was over",
        Class::Cancelled => "somebody stopped it",
        Class::Refused => "refused",
    }
}

fn by_hand(what: &str, order: &ByHand) -> String {
    format!("it was {what}, {}: {}", caller(&order.by), order.why)
}

/// Other engines that went on with an operation.
fn owner_changes(read: &Read, operation: &Operation, until: Timestamp) -> Vec<Link> {
    let pairs = read.engines.windows(2);
    let changes = pairs.filter_map(|pair| {
        let [(_, before, old), (n, at, new)] = pair else { return None };
        let within = operation.from <= *before && *at <= until;
        let silent = at.since(*before);
        (within && old != new && silent.as_millis() >= SILENCE_MIN_MS).then(|| Link {
            run: read.run.clone(),
            n: *n,
            at: *before,
            step: None,
            kind: Kind::OwnerChanged,
            words: format!(
                "{old} wrote nothing more; {new} owned the partition when the next transition was \
                 written, {} later",
                span(silent)
            ),
        })
    });
    changes.collect()
}

/// What a cause leaves open, and what nobody tells of runs that are under way. The cause lies in one of
/// these histories.
pub(super) fn not_known<'r>(
    cause: Option<&Link>,
    reads: impl Iterator<Item = &'r Read>,
    untold: &[RunId],
) -> Vec<String> {
    let waits = untold.iter().map(|run| {
        format!(
            "what {run} waits for: a history does not say it, and no engine's word is at hand, \
             which does"
        )
    });
    waits.chain(left_open(cause, reads).map(str::to_owned)).collect()
}

fn left_open<'r>(
    cause: Option<&Link>,
    mut reads: impl Iterator<Item = &'r Read>,
) -> Option<&'static str> {
    let cause = cause?;
    Some(match cause.kind {
        Kind::Attempts => {
            let read = reads.find(|read| read.run == cause.run)?;
            earlier_attempts(read.completed(cause.step.as_ref()?.0)?)?
        }
        Kind::OwnerChanged => {
            "why that engine stopped writing: it may have been ended, frozen or cut off; its own \
             log says"
        }
        Kind::Unheard => {
            "why no webhook came: whoever sends them keeps a list of them and of what was answered"
        }
        _ => return None,
    })
}

/// What is not known of the attempts at a step that was done in the end.
const fn earlier_attempts(done: &StepCompleted) -> Option<&'static str> {
    match (&done.met, done.attempts) {
        (Some(_), 0..=2) => None,
        (Some(_), _) => Some(
            "what the attempts before that met: a history keeps the last of it; the workers' logs \
             have the rest",
        ),
        (None, _) => Some(
            "what the earlier attempts met: a history keeps how many there were, not why each \
             failed; the workers' logs do",
        ),
    }
}
