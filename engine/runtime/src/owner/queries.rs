//! Answers questions about runs. Nothing here changes anything.

use std::rc::Rc;

use futures_util::FutureExt;
use stead_core::definition::Definition;
use stead_core::fold::Folded;
use stead_schemas::event::{Event, Outcome};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::RunId;
use stead_schemas::public::{CommandView, RunState, RunSummary, RunView};

use super::live::Live;
use super::reading::Message;
use super::waiting::{self, waiting};
use super::{Finished, Owner, parked};
use crate::archive;
use crate::env::Env;
use crate::inbound::{QueryReply, encoded};
use crate::ports::{LogError, Outgoing, ReplyTo};

/// The most lines of living runs that are put into the index in one go.
const LINES_IN_A_ROW: usize = 500;

impl Owner {
    /// Shows one run; one that is over is read back from the log or the archive for it.
    pub(super) fn query(&mut self, run: &RunId, to: ReplyTo) {
        if let Some(live) = self.runs.get(run) {
            let reply: QueryReply = Some(view(live));
            return self.send(Outgoing::Reply { to, bytes: encoded(&reply) });
        }
        // Neither the log nor the archive need be searched for what never was.
        if run.life() > self.entities.latest(&run.key()) {
            let reply: QueryReply = None;
            return self.send(Outgoing::Reply { to, bytes: encoded(&reply) });
        }
        let (env, run) = (Rc::clone(&self.env), run.clone());
        let job = async move {
            let reply: QueryReply = read_back(&env, &run).await.ok().flatten();
            Finished::Reply { to, bytes: encoded(&reply) }
        };
        self.jobs.push(job.boxed_local());
    }

    /// Puts some of what has changed into the index. After a start that is every run that lives,
    /// and others on this thread have leases to renew.
    pub(super) fn flush_some(&mut self) {
        if !self.refilling.is_empty() {
            return;
        }
        let some: Vec<RunId> = self.dirty.iter().take(LINES_IN_A_ROW).cloned().collect();
        let mut lines = std::mem::take(&mut self.ended);
        for run in some {
            self.dirty.remove(&run);
            lines.extend(self.runs.get(&run).map(|live| line(live)));
        }
        if !lines.is_empty() {
            self.env.ports.index.put(self.partition, lines);
        }
    }

    /// Puts the lines of runs that have left the memory into the index.
    pub(super) fn flush_lines(&mut self) {
        if !self.ended.is_empty() {
            self.env.ports.index.put(self.partition, std::mem::take(&mut self.ended));
        }
    }

    /// Puts all that has changed into the index. If that had been lost, the next list refills it.
    pub(super) fn flush_index(&mut self) {
        if !self.refilling.is_empty() {
            return;
        }
        let mut lines = std::mem::take(&mut self.ended);
        let dirty = std::mem::take(&mut self.dirty);
        lines.extend(dirty.iter().filter_map(|run| self.runs.get(run)).map(|live| line(live)));
        if !lines.is_empty() {
            self.env.ports.index.put(self.partition, lines);
        }
    }
}

async fn read_back(env: &Env, run: &RunId) -> Result<Option<RunView>, LogError> {
    let recorded = archive::history_of(&env.ports, env.partitions, run).await?.messages;
    let definition = env.definition(run.kind());
    let messages = || recorded.iter().map(Message::read).collect::<Vec<_>>();
    let mut live = parked::taken_in(definition, run, messages(), env.ports.clock.now());
    // Whatever this build would have decided, how it ended stands.
    let definition = definition.copied().unwrap_or(Definition::MISSING);
    if live.parked.is_some()
        && let Ok(run) = parked::as_it_stands(definition, run, &messages())
        && run.folded().ended.is_some()
    {
        (live.run, live.parked) = (run, None);
    }
    Ok((!recorded.is_empty()).then(|| view(&live)))
}

/// The line of one run in lists. A run that is over has no phase there: it would have to be
/// replayed for it.
pub(super) fn line(live: &Live) -> RunSummary {
    let mut line = summary(live);
    if live.run.folded().ended.is_some() {
        line.phase.clear();
    }
    line
}

fn summary(live: &Live) -> RunSummary {
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
        waiting: waiting(live).first().map(waiting::line).unwrap_or_default(),
        started: folded.started_at,
        updated: live.updated,
        transitions: live.run.transitions(),
    }
}

/// A run whose first transition cannot be read is shown, too.
fn unstarted(run: &RunId) -> (String, stead_schemas::owner::Owner, String) {
    let nobody = stead_schemas::owner::Owner::new("unknown");
    let nobody = nobody.unwrap_or_else(|_| unreachable!("a short plain word"));
    (run.kind().to_owned(), nobody, "unreadable".to_owned())
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
        left: folded.left.clone(),
        warnings: warnings(live),
    }
}

/// A history this long should have begun anew: replaying it begins to be felt.
const LONG_HISTORY: u64 = 4_096;
/// A history this long is somebody's mistake. Nothing happens to the run for it.
const TOO_LONG_HISTORY: u64 = 16_384;

fn warnings(live: &Live) -> Vec<String> {
    let transitions = live.run.transitions_to_replay();
    let advice = "the workflow should begin anew at a quiet point";
    let words = match transitions {
        0..LONG_HISTORY => return Vec::new(),
        LONG_HISTORY..TOO_LONG_HISTORY => {
            format!("{transitions} transitions have to be replayed, which is many; {advice}")
        }
        _ => format!(
            "{transitions} transitions have to be replayed, which is far too many; {advice}"
        ),
    };
    vec![words]
}

const fn state(folded: &Folded) -> RunState {
    match &folded.ended {
        None if folded.paused.is_some() => RunState::Paused,
        None => RunState::Running,
        Some(Event::RunFailed(_)) => RunState::Failed,
        Some(Event::RunTerminated(_)) => RunState::Terminated,
        Some(_) => RunState::Completed,
    }
}

fn outcome(folded: &Folded) -> Option<Outcome> {
    match folded.ended.as_ref()? {
        Event::RunCompleted(completed) => Some(Outcome::Done(completed.result.clone())),
        Event::RunFailed(failed) => Some(Outcome::Failed(failed.failure.clone())),
        Event::RunTerminated(terminated) => {
            let words = format!("it was terminated: {}", terminated.why);
            Some(Outcome::Failed(Failure::new(Class::Cancelled, words)))
        }
        _ => None,
    }
}
