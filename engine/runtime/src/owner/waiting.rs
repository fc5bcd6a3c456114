//! What a run waits for: every wait has a reason that says who must act, words, and an age.

use stead_core::fold::{OpenStep, Paused};
use stead_schemas::failure::Failure;
use stead_schemas::ids::Partition;
use stead_schemas::policy::limit;
use stead_schemas::public::Waiting;
use stead_schemas::time::spoken;

use super::Owner;
use super::attempts::{Attempt, Phase};
use super::live::Live;

/// Everything that a run waits for, most important first: a person, then steps, then timers.
pub(super) fn waiting(live: &Live) -> Vec<Waiting> {
    let folded = live.run.folded();
    let mut all: Vec<Waiting> = live.parked.iter().map(|words| parked(live, words)).collect();
    all.extend(folded.paused.as_ref().map(paused));
    all.extend(folded.steps.values().map(|open| {
        let seq = open.step.seq;
        waiting_step(open, live.attempts.get(&seq))
    }));
    all.extend(folded.timers.values().map(|open| Waiting {
        seq: open.timer.seq,
        what: "timer".to_owned(),
        reason: "timer".to_owned(),
        words: format!("{}, due {}", open.timer.reason, open.timer.due),
        since: open.since,
        attempts: 0,
    }));
    all
}

fn parked(live: &Live, words: &str) -> Waiting {
    Waiting {
        seq: 0,
        what: "the run".to_owned(),
        reason: "human".to_owned(),
        words: format!("it is parked: {words}"),
        since: live.updated,
        attempts: 0,
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
    }
}

/// Who must act so that a step goes on, in one word.
const fn reason(open: &OpenStep, attempt: Option<&Attempt>) -> &'static str {
    let Some(attempt) = attempt else { return "running" };
    match attempt.phase {
        Phase::Stuck => "human",
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
        Phase::Stuck | Phase::Held | Phase::NoListener | Phase::Pausing => trouble,
        Phase::Over => "its end is on its way into the log".to_owned(),
        Phase::Queued { .. } if open.step.route.is_worker() => {
            "a worker has it and does others first".to_owned()
        }
        Phase::Outside => {
            let so_far = attempt.progress.as_ref().map(|words| format!("; so far: {words}"));
            let (within, so_far) = (limited(open.step.within_ms), so_far.unwrap_or_default());
            format!("a report from outside{within}{so_far}")
        }
        Phase::Sent { .. } | Phase::Queued { .. } => attempt.progress.clone().unwrap_or(trouble),
    }
}

/// Every reason there is, as metrics have it, in the order in which somebody should care.
const REASONS: [&str; 11] = [
    "human",
    "paused",
    "no-worker",
    "retrying",
    "limit",
    "queued",
    "outside",
    "entity",
    "running",
    "timer",
    "command",
];

/// Why a run does not go on this moment, most important first; `command` if it only waits for
/// the next one.
fn main_reason(live: &Live) -> &'static str {
    let folded = live.run.folded();
    let steps = folded.steps.iter().map(|(seq, open)| reason(open, live.attempts.get(seq)));
    let stopped =
        [live.parked.is_some().then_some("human"), folded.paused.is_some().then_some("paused")];
    let rest = (!folded.timers.is_empty()).then_some("timer");
    let all = stopped.into_iter().flatten().chain(steps).chain(rest);
    all.min_by_key(|reason| REASONS.iter().position(|known| known == reason)).unwrap_or("command")
}

impl Owner {
    /// Shows in metrics how many runs wait for what.
    pub(super) fn count_waiting(&self) {
        let mut counts = [0_u32; REASONS.len()];
        for live in self.runs.values() {
            let reason = main_reason(live);
            let place = REASONS.iter().position(|known| *known == reason);
            counts[place.unwrap_or(0)] += 1;
        }
        let idle = self.idle.waiting();
        for (reason, idle) in [("timer", idle.0), ("command", idle.1)] {
            let place = REASONS.iter().position(|known| *known == reason);
            counts[place.unwrap_or(0)] += u32::try_from(idle).unwrap_or(u32::MAX);
        }
        show_waiting(self.partition, counts);
    }
}

impl Drop for Owner {
    /// Whoever owns the partition next counts its runs; here there are none any more.
    fn drop(&mut self) {
        show_waiting(self.partition, [0; REASONS.len()]);
        self.count_no_places();
    }
}

fn show_waiting(partition: Partition, counts: [u32; REASONS.len()]) {
    for (reason, count) in REASONS.into_iter().zip(counts) {
        let partition = partition.to_string();
        metrics::gauge!("stead_runs_waiting", "partition" => partition, "reason" => reason)
            .set(f64::from(count));
    }
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
