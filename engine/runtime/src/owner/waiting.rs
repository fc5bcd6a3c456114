//! What a run waits for: every wait has a reason that says who must act, words, and an age.

use stead_core::fold::{OpenStep, OpenTimer, Paused};
use stead_core::run::Awaited;
use stead_schemas::failure::Failure;
use stead_schemas::policy::limit;
use stead_schemas::public::Waiting;
use stead_schemas::time::{Timestamp, spoken};
use stead_schemas::transition::Transition;

use super::attempts::{Attempt, Phase};
use super::live::Live;
use super::parked::Parked;
use crate::metric::place_of;

/// Everything that a run waits for, most important first: the log, a person, then steps, then
/// signals, then timers.
pub(super) fn waiting(live: &Live) -> Vec<Waiting> {
    let folded = live.run.folded();
    let mut all: Vec<Waiting> = live.untaken().map(untaken).into_iter().collect();
    all.extend(live.parked.iter().map(|why| parked(live, why)));
    if folded.ended.is_some() {
        return all;
    }
    all.extend(folded.paused.as_ref().map(paused));
    all.extend(folded.steps.values().map(|open| {
        let seq = open.step.seq;
        waiting_step(open, live.attempts.get(&seq))
    }));
    all.extend(live.run.awaited().into_iter().map(signal));
    all.extend(folded.timers.values().map(timer));
    all
}

/// A person is asked for the whole run: no step of it waits for him.
fn timer(open: &OpenTimer) -> Waiting {
    let asks = open.timer.for_person;
    Waiting {
        seq: if asks { 0 } else { open.timer.seq },
        what: if asks { "the run" } else { "timer" }.to_owned(),
        reason: of_timer(open).to_owned(),
        words: format!("{}, due {}", open.timer.reason, open.timer.due),
        since: open.since,
        attempts: 0,
        cause: if asks { "command" } else { "" }.to_owned(),
    }
}

const fn of_timer(open: &OpenTimer) -> &'static str {
    if open.timer.for_person { "human" } else { "timer" }
}

fn untaken(transition: &Transition) -> Waiting {
    Waiting {
        seq: 0,
        what: "the run".to_owned(),
        reason: "log".to_owned(),
        words: format!("the log does not take its transition {}", transition.n),
        since: transition.at,
        attempts: 0,
        cause: String::new(),
    }
}

fn parked(live: &Live, parked: &Parked) -> Waiting {
    Waiting {
        seq: 0,
        what: "the run".to_owned(),
        reason: "human".to_owned(),
        words: format!("it is parked: {}", parked.words),
        since: live.updated,
        attempts: 0,
        cause: parked.cause.to_owned(),
    }
}

fn paused(paused: &Paused) -> Waiting {
    Waiting {
        seq: paused.seq.unwrap_or(0),
        what: "the run".to_owned(),
        reason: "paused".to_owned(),
        words: format!("it is paused: {}", paused.order.why),
        since: paused.since,
        attempts: 0,
        cause: String::new(),
    }
}

fn signal(awaited: Awaited) -> Waiting {
    Waiting {
        seq: 0,
        what: "signal".to_owned(),
        reason: "signal".to_owned(),
        words: awaited.name,
        since: awaited.since,
        attempts: 0,
        cause: String::new(),
    }
}

fn waiting_step(open: &OpenStep, attempt: Option<&Attempt>) -> Waiting {
    Waiting {
        seq: open.step.seq,
        what: open.step.step.clone(),
        reason: reason(open, attempt).to_owned(),
        words: words(open, attempt),
        since: open.since,
        attempts: attempt.map_or(0, |attempt| attempt.number),
        cause: String::new(),
    }
}

/// Who must act so that a step goes on, in one word.
pub(super) const fn reason(open: &OpenStep, attempt: Option<&Attempt>) -> &'static str {
    let Some(attempt) = attempt else { return "running" };
    match attempt.phase {
        Phase::Stuck => "human",
        Phase::Held if attempt.give_up.is_some() => "running",
        Phase::Held => "paused",
        Phase::NoListener => "no-worker",
        Phase::Limit => "limit",
        Phase::Pausing => "retrying",
        Phase::Outside => "outside",
        Phase::Over => "running",
        Phase::Sent { .. } | Phase::Queued { .. } if !open.step.route.is_worker() => "entity",
        Phase::Queued { .. } => "queued",
        Phase::Sent { .. } => "running",
    }
}

fn words(open: &OpenStep, attempt: Option<&Attempt>) -> String {
    let Some(attempt) = attempt else { return String::new() };
    // Whoever reads it sees beside it which step it is.
    let trouble = attempt.last.clone().map(|failure| Failure { step: None, ..failure }.to_string());
    let trouble = trouble.unwrap_or_default();
    match attempt.phase {
        Phase::Limit => attempt.place.as_ref().map(|place| place.words()).unwrap_or_default(),
        Phase::Pausing if trouble.is_empty() => {
            "a worker may still be at what is undone, and is given its time to stop".to_owned()
        }
        Phase::Held if attempt.give_up.is_some() => {
            "it is not tried any more; a worker may still be at it, and is given its time to stop"
                .to_owned()
        }
        Phase::Stuck | Phase::Held | Phase::NoListener | Phase::Pausing => trouble,
        Phase::Over => "its end is on its way into the log".to_owned(),
        Phase::Queued { .. } if open.step.route.is_worker() => {
            and_before("a worker has it and does others first", &trouble)
        }
        Phase::Outside => {
            let so_far = attempt.progress.as_ref().map(|words| format!("; so far: {words}"));
            let (within, so_far) = (limited(open.step.within_ms), so_far.unwrap_or_default());
            format!("a report from outside{within}{so_far}")
        }
        Phase::Sent { .. } | Phase::Queued { .. } => match &attempt.progress {
            Some(progress) => and_before(progress, &trouble),
            None => trouble,
        },
    }
}

/// How an attempt stands, and what the one before it met.
fn and_before(words: &str, trouble: &str) -> String {
    match trouble {
        "" => words.to_owned(),
        trouble => format!("{words}; the attempt before: {trouble}"),
    }
}

/// Why a run does not go on this moment, most important first, and since when; `command` if it
/// only waits for the next one.
pub(super) fn main_wait(live: &Live) -> (&'static str, Option<Timestamp>) {
    let folded = live.run.folded();
    let untaken = live.untaken().map(|transition| ("log", transition.at));
    let parked = live.parked.is_some().then_some(("human", live.updated));
    let paused = folded.paused.as_ref().map(|paused| ("paused", paused.since));
    let steps = folded.steps.iter();
    let steps = steps.map(|(seq, open)| (reason(open, live.attempts.get(seq)), open.since));
    let signals = live.run.awaited().into_iter().map(|awaited| ("signal", awaited.since));
    let timers = folded.timers.values().map(|open| (of_timer(open), open.since));
    let all = untaken.into_iter().chain(parked).chain(paused).chain(steps).chain(signals);
    let all = all.chain(timers);
    let first = all.min_by_key(|(reason, since)| (place_of(reason), *since));
    first.map_or(("command", None), |(reason, since)| (reason, Some(since)))
}

/// One line for a list.
pub(super) fn line(waiting: &Waiting) -> String {
    match waiting.words.as_str() {
        "" => format!("{} ({})", waiting.what, waiting.reason),
        words => format!("{} ({}): {words}", waiting.what, waiting.reason),
    }
}

fn limited(within_ms: u64) -> String {
    match limit(within_ms) {
        Some(within) => format!(", for at most {}", spoken(within)),
        None => String::new(),
    }
}
