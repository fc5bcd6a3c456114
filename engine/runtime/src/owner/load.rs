//! Reads a partition back: what lives is replayed and continued, what is over leaves a line in
//! the index and the ids of its commands.

use std::collections::HashMap;

use futures_util::StreamExt;
use stead_core::run::Run;
use stead_schemas::event::{CommandAccepted, CommandCompleted, Event};
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::public::RunSummary;
use stead_schemas::transition::{Transition, link};

use super::live::{Entity, Known, Live};
use super::publish::Recent;
use super::{Owner, queries};
use crate::env::Env;
use crate::ports::{LogError, Recorded};

/// How many lines go into the index at once.
const LINES_AT_ONCE: usize = 1_000;

impl Owner {
    /// Reads the partition and takes up every run that lives.
    pub(super) async fn load(&mut self) -> Result<(), LogError> {
        let index = self.env.ports.index.clone();
        index.clear(self.partition);
        let mut messages = self.env.ports.log.read_partition(self.partition).await?;
        let mut recent = Recent::default();
        while let Some(message) = messages.next().await {
            let message = message?;
            self.tail.reads(message.seq);
            let run = message.run.clone();
            if !self.runs.contains_key(&run) && !self.make_room(&run) {
                continue;
            }
            let Some(live) = self.runs.get_mut(&run) else { continue };
            let transition = take(live, &message);
            let started = live.run.folded().started.clone();
            if let (Some(started), Some(transition)) = (started, transition) {
                for event in &transition.events {
                    self.note(&run, event);
                }
                recent.push(&started, transition);
            }
            if self.runs.get(&run).is_some_and(|live| live.run.folded().ended.is_some()) {
                self.end(&run);
            }
            if self.ended.len() >= LINES_AT_ONCE {
                self.flush_index();
            }
        }
        // Reading takes time, and a process may be frozen in the middle of it.
        if self.may_act() {
            self.publish_untold(recent);
            self.take_up();
            self.look_at_tail();
        }
        Ok(())
    }

    /// Makes room for a run of whose kind there is a workflow.
    fn make_room(&mut self, run: &RunId) -> bool {
        let Some(definition) = self.env.definition(run.key().kind()) else {
            tracing::warn!(%run, "this build has no workflow of this kind; the run is left alone");
            return false;
        };
        let live = Live::new(Run::new(*definition, run.clone()), self.env.ports.clock.now());
        self.runs.insert(run.clone(), live);
        let entity: &mut Entity = self.entities.entry(run.key()).or_default();
        entity.life = entity.life.max(run.life());
        entity.living = Some(run.clone());
        true
    }

    fn note(&mut self, run: &RunId, event: &Event) {
        let entity = self.entities.entry(run.key()).or_default();
        match event {
            Event::CommandAccepted(CommandAccepted { id, digest, reply, .. }) => {
                if let Some(step) = reply {
                    entity.asked_by(step);
                }
                let known = Known { digest: digest.clone(), run: run.clone(), outcome: None };
                entity.commands.insert(id.clone(), known);
            }
            Event::CommandCompleted(CommandCompleted { id, outcome }) => {
                let asked = self.runs.get(run).and_then(|live| live.run.folded().command(id));
                let by_a_run = asked.is_some_and(|known| known.command.reply.is_some());
                if let (true, Some(known)) = (by_a_run, entity.commands.get_mut(id)) {
                    known.outcome = Some(outcome.clone());
                }
            }
            _ => {}
        }
    }

    /// Goes on where the log ends: open steps are sent again, timers watched.
    fn take_up(&mut self) {
        let mut living: Vec<RunId> = self.runs.keys().cloned().collect();
        living.sort_unstable();
        for run in living {
            let Some(live) = self.runs.get(&run) else { continue };
            if live.parked.is_some() {
                continue;
            }
            let steps: Vec<_> = live.run.folded().steps.keys().copied().collect();
            let timers: Vec<_> =
                live.run.folded().timers.values().map(|open| open.timer.clone()).collect();
            for seq in steps {
                self.another_attempt(&run, seq);
            }
            for timer in timers {
                self.watch_timer(&run, &timer);
            }
        }
        self.dirty.extend(self.runs.keys().cloned());
        self.flush_index();
        tracing::info!(
            partition = %self.partition, epoch = self.epoch, runs = self.runs.len(),
            "owns the partition"
        );
    }
}

/// Takes one message of a history into a run and returns the transition. A run whose history this
/// build cannot follow is parked, and says why; the others go on.
pub(super) fn take(live: &mut Live, message: &Recorded) -> Option<Transition> {
    let prev = std::mem::replace(&mut live.prev, link(&message.bytes));
    live.last_seq = message.seq;
    if live.parked.is_some() {
        return None;
    }
    let transition = match Transition::decode(&message.bytes) {
        Ok(transition) => transition,
        Err(error) => return park(live, error.to_string()),
    };
    if transition.prev != prev {
        let words = format!("transition {} does not follow the one before it", transition.n);
        return park(live, words);
    }
    live.updated = transition.at;
    match live.run.replay(&transition) {
        Ok(()) => Some(transition),
        Err(divergence) => park(live, divergence.to_string()),
    }
}

fn park(live: &mut Live, words: String) -> Option<Transition> {
    tracing::error!(run = %live.run.id(), %words, "the run is parked");
    metrics::counter!("stead_runs_parked_total").increment(1);
    live.parked = Some(words);
    None
}

/// The line of every run in a partition, from the log alone.
pub(super) async fn summaries(
    env: &Env,
    partition: Partition,
) -> Result<Vec<RunSummary>, LogError> {
    let mut messages = env.ports.log.read_partition(partition).await?;
    let mut living: HashMap<RunId, Live> = HashMap::new();
    let mut lines = Vec::new();
    while let Some(message) = messages.next().await {
        let message = message?;
        let Some(definition) = env.definition(message.run.key().kind()) else { continue };
        let live = living.entry(message.run.clone()).or_insert_with(|| {
            Live::new(Run::new(*definition, message.run.clone()), env.ports.clock.now())
        });
        take(live, &message);
        if live.run.folded().ended.is_some() {
            lines.extend(living.remove(&message.run).iter().map(queries::summary));
        }
    }
    lines.extend(living.values().map(queries::summary));
    Ok(lines)
}
