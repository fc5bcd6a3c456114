//! Reads a partition back: what lives is replayed and continued, what is over leaves a line in
//! the index and the digests of its commands.

use stead_schemas::ids::RunId;
use stead_schemas::transition::Transition;
use tokio::task::yield_now;

use super::bugs::caught;
use super::live::Live;
use super::parked::{Parked, taken_in, tell_if_parked};
use super::reading::{self, Found, Message};
use super::{Owner, Stopped};
use crate::ports::LogError;

/// How many runs are taken up before others on this thread get their turn: the leases must be
/// renewed meanwhile.
const RUNS_IN_A_ROW: usize = 32;

impl Owner {
    /// Reads the partition and takes up every run that lives.
    pub(super) async fn load(&mut self) -> Result<(), LogError> {
        let mut found = reading::start(&self.env, self.partition, self.log_epoch).await?;
        let mut taken_up: usize = 0;
        while let Some(found) = found.recv().await {
            if !self.may_act() {
                return Ok(());
            }
            match found {
                Found::Past(past) => {
                    let past = *past;
                    self.entities = past.entities;
                    self.tail.reads(past.last);
                    self.over = past.over;
                    self.lacks_lines = past.has_archive;
                    self.publish_untold(&past.untold).await;
                }
                Found::Living { run, history } => {
                    self.take_up(&run, history);
                    self.let_go_at_once(&run);
                    taken_up += 1;
                    if taken_up.is_multiple_of(RUNS_IN_A_ROW) {
                        self.flush_lines();
                        yield_now().await;
                    }
                }
                Found::End(Ok(())) => {
                    tracing::info!(
                        partition = %self.partition, epoch = self.epoch, runs = taken_up,
                        "owns the partition"
                    );
                    self.look_at_tail();
                    self.retire();
                    return Ok(());
                }
                Found::End(Err(error)) => return Err(error),
            }
        }
        tracing::error!(partition = %self.partition, "reading the partition ended with a bug of ours");
        self.stopped = Some(Stopped::Broken);
        Ok(())
    }

    /// Goes on where a history ends: open steps are sent again, those that a cancel has hit given
    /// up, timers watched.
    fn take_up(&mut self, run: &RunId, history: Vec<Message>) {
        let definition = self.env.definition(run.kind());
        let live = taken_in(definition, run, history, self.env.ports.clock.now());
        tell_if_parked(&live);
        self.dirty.insert(run.clone());
        let (mut steps, mut timers) = (Vec::new(), Vec::new());
        if live.parked.is_none() {
            steps.extend(live.run.folded().steps.keys().copied());
            timers.extend(live.run.folded().timers.values().map(|open| open.timer.clone()));
        }
        self.runs.insert(run.clone(), Box::new(live));
        for seq in steps {
            self.another_attempt(run, seq);
        }
        for timer in timers {
            self.watch_timer(run, &timer);
        }
    }
}

/// Takes a history into a run. A run whose history this build cannot follow is parked, and knows
/// why; whether that is told is for the caller: who only looks tells nobody.
pub(super) fn read_into(live: &mut Live, history: impl IntoIterator<Item = Message>) {
    for message in history {
        let prev = std::mem::replace(&mut live.prev, message.link);
        live.last_seq = message.seq;
        if live.parked.is_none() {
            live.parked = match message.transition {
                Ok(transition) => follow(live, &transition, &prev).err(),
                Err(words) => Some(Parked { cause: "unreadable", words }),
            };
        }
    }
}

fn follow(live: &mut Live, transition: &Transition, prev: &str) -> Result<(), Parked> {
    if transition.prev != prev {
        let words = format!("transition {} does not follow the one before it", transition.n);
        return Err(Parked { cause: "unreadable", words });
    }
    live.updated = transition.at;
    live.note_read(transition);
    live.note_settled(transition);
    let replayed = match caught(|| live.run.replay(transition)) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(divergence)) => Err(Parked { cause: "diverged", words: divergence.to_string() }),
        Err(words) => Err(Parked { cause: "panicked", words }),
    };
    live.forget_strays_of_the_past();
    replayed
}
