//! Answers questions about runs. Nothing here changes anything.

use std::rc::Rc;

use futures_util::FutureExt;
use stead_core::fold::{Folded, OpenStep};
use stead_core::run::Run;
use stead_schemas::dispatch::Route;
use stead_schemas::event::{Event, Outcome};
use stead_schemas::ids::RunId;
use stead_schemas::public::{CommandView, RunState, RunSummary, RunView, Waiting};
use stead_schemas::time::spoken;

use super::attempts::{Attempt, Phase};
use super::live::Live;
use super::{Finished, Owner, load};
use crate::env::Env;
use crate::inbound::{QueryReply, encoded};
use crate::ports::{LogError, Outgoing, ReplyTo};

impl Owner {
    /// Shows one run; one that is over is read back from the log for it.
    pub(super) fn query(&mut self, run: &RunId, to: ReplyTo) {
        if let Some(live) = self.runs.get(run) {
            let reply: QueryReply = Some(view(live));
            return self.send(Outgoing::Reply { to, bytes: encoded(&reply) });
        }
        let (env, run) = (Rc::clone(&self.env), run.clone());
        let job = async move {
            let reply: QueryReply = read_back(&env, &run).await.ok().flatten();
            Finished::Reply { to, bytes: encoded(&reply) }
        };
        self.jobs.push(job.boxed_local());
    }

    /// Lists all runs of the partition, from the index. One that has been lost is filled again
    /// from the log first, once for all who ask meanwhile.
    pub(super) fn list(&mut self, to: ReplyTo) {
        if !self.refilling.is_empty() {
            return self.refilling.push(to);
        }
        self.flush_index();
        if let Some(lines) = self.env.ports.index.list(self.partition) {
            return self.send(Outgoing::Reply { to, bytes: encoded(&lines) });
        }
        let (env, partition) = (Rc::clone(&self.env), self.partition);
        let job = async move {
            let lines = load::summaries(&env, partition).await.ok();
            Finished::Refill { lines }
        };
        self.refilling.push(to);
        self.jobs.push(job.boxed_local());
    }

    /// The lost index has been read back from the log. What has changed since goes on top.
    pub(super) fn refilled(&mut self, lines: Option<Vec<RunSummary>>) {
        let askers = std::mem::take(&mut self.refilling);
        let Some(lines) = lines else { return };
        self.env.ports.index.clear(self.partition);
        self.env.ports.index.put(self.partition, lines);
        self.dirty.extend(self.runs.keys().cloned());
        self.flush_index();
        let lines = self.env.ports.index.list(self.partition).unwrap_or_default();
        for to in askers {
            self.send(Outgoing::Reply { to, bytes: encoded(&lines) });
        }
    }

    /// Puts what has changed into the index. If that had been lost, the next list refills it.
    pub(super) fn flush_index(&mut self) {
        if !self.refilling.is_empty() {
            return;
        }
        let mut lines = std::mem::take(&mut self.ended);
        let dirty = std::mem::take(&mut self.dirty);
        lines.extend(dirty.iter().filter_map(|run| self.runs.get(run)).map(summary));
        if !lines.is_empty() {
            self.env.ports.index.put(self.partition, lines);
        }
    }
}

async fn read_back(env: &Env, run: &RunId) -> Result<Option<RunView>, LogError> {
    let recorded = env.ports.log.read_run(run).await?;
    let Some(definition) = env.definition(run.key().kind()) else { return Ok(None) };
    let mut live = Live::new(Run::new(*definition, run.clone()), env.ports.clock.now());
    for message in &recorded {
        load::take(&mut live, message);
    }
    Ok((!recorded.is_empty()).then(|| view(&live)))
}

/// The line of one run.
pub(super) fn summary(live: &Live) -> RunSummary {
    let folded = live.run.folded();
    let (kind, owner, name) = match &folded.started {
        Some(started) => (started.workflow.clone(), started.owner.clone(), started.name.clone()),
        None => unstarted(live.run.id()),
    };
    RunSummary {
        run: live.run.id().clone(),
        kind,
        owner,
        name,
        state: state(folded),
        phase: live.run.phase(),
        waiting: waiting(live).first().map(waiting_line).unwrap_or_default(),
        started: folded.started_at,
        updated: live.updated,
        transitions: live.run.transitions(),
    }
}

/// A run whose first transition cannot be read is shown, too.
fn unstarted(run: &RunId) -> (String, stead_schemas::owner::Owner, String) {
    let nobody = stead_schemas::owner::Owner::new("unknown");
    let nobody = nobody.unwrap_or_else(|_| unreachable!("a short plain word"));
    (run.key().kind().to_owned(), nobody, "unreadable".to_owned())
}

fn view(live: &Live) -> RunView {
    let folded = live.run.folded();
    RunView {
        summary: summary(live),
        view: live.run.view().map(|view| view.clone()).unwrap_or_default(),
        waiting: waiting(live),
        commands: folded
            .commands
            .iter()
            .map(|known| CommandView {
                id: known.command.id.clone(),
                verb: known.command.verb.clone(),
                outcome: known.outcome.clone(),
            })
            .collect(),
        outcome: outcome(folded),
    }
}

const fn state(folded: &Folded) -> RunState {
    match &folded.ended {
        None => RunState::Running,
        Some(Event::RunFailed(_)) => RunState::Failed,
        Some(_) => RunState::Completed,
    }
}

fn outcome(folded: &Folded) -> Option<Outcome> {
    match folded.ended.as_ref()? {
        Event::RunCompleted(completed) => Some(Outcome::Done(completed.result.clone())),
        Event::RunFailed(failed) => Some(Outcome::Failed(failed.failure.clone())),
        _ => None,
    }
}

fn waiting(live: &Live) -> Vec<Waiting> {
    let folded = live.run.folded();
    let mut all: Vec<Waiting> = live.parked.iter().map(|words| parked(live, words)).collect();
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

fn waiting_step(open: &OpenStep, attempt: Option<&Attempt>) -> Waiting {
    let (reason, words) = why(open, attempt);
    Waiting {
        seq: open.step.seq,
        what: open.step.step.clone(),
        reason: reason.to_owned(),
        words,
        since: open.since,
        attempts: attempt.map_or(0, |attempt| attempt.number),
    }
}

fn why(open: &OpenStep, attempt: Option<&Attempt>) -> (&'static str, String) {
    let Some(attempt) = attempt else { return ("running", String::new()) };
    let trouble = attempt.last.as_ref().map(ToString::to_string).unwrap_or_default();
    match attempt.phase {
        Phase::Stuck => ("human", trouble),
        Phase::NoListener => ("no-worker", trouble),
        Phase::Pausing => ("retrying", trouble),
        Phase::Outside => {
            let within = spoken(std::time::Duration::from_millis(open.step.within_ms));
            ("outside", format!("a report from outside, for at most {within}"))
        }
        Phase::Sent { .. } if matches!(open.step.route, Route::Entity { .. }) => {
            ("entity", trouble)
        }
        Phase::Sent { .. } => ("running", attempt.progress.clone().unwrap_or(trouble)),
    }
}

fn waiting_line(waiting: &Waiting) -> String {
    match waiting.words.as_str() {
        "" => format!("{} ({})", waiting.what, waiting.reason),
        words => format!("{} ({}): {words}", waiting.what, waiting.reason),
    }
}
