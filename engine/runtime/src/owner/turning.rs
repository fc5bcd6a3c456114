//! Begins a new epoch of the partition's log, so that what is over leaves it.
//!
//! A draft is made beside the owner, which goes on. When it is near enough the owner holds back
//! its appends, waits for those under way, has the draft completed, sees that it has every run
//! that lives at its last message, and closes the old epoch: that one compare-and-set decides.
//! Before it nothing has happened, and a draft that fails is given up; after it the new epoch is
//! in force, whoever owns the partition. Then the owner goes on in it with all that it has in
//! memory.

use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use stead_schemas::dispatch::{TurnEpoch, TurnReply};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::publish::MAYBE_UNTOLD;
use super::{Finished, Owner, Stopped};
use crate::archive::{Draft, Turner};
use crate::env::ARCHIVE_AFTER;
use crate::inbound::encoded;
use crate::metric;
use crate::ports::{AppendError, LogError, Outgoing, ReplyTo};

/// Where a turn came to nothing the owner does not try by itself for so long.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(600);

/// How far the turn of an epoch is.
#[derive(Default)]
pub(super) struct Turning {
    stage: Stage,
    /// Why the last one failed, for whoever asks.
    failed: Option<String>,
    /// Why the last one found nothing to do.
    nothing: Option<String>,
    /// Until when the owner does not try by itself.
    rests_until: Option<Instant>,
}

#[derive(Default)]
enum Stage {
    /// Nothing is under way.
    #[default]
    Idle,
    /// A draft is made; the owner goes on.
    Drafting,
    /// The owner holds its appends back until those under way have ended.
    Settling(Draft),
    /// The draft is completed, or the old epoch closed.
    Closing,
}

/// A task that ends with whoever waits for it.
struct Aborting(AbortHandle);

impl Drop for Aborting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Turning {
    /// Whether no append may begin.
    pub const fn holds_back(&self) -> bool {
        matches!(self.stage, Stage::Settling(_) | Stage::Closing)
    }

    const fn is_under_way(&self) -> bool {
        !matches!(self.stage, Stage::Idle)
    }

    const fn words(&self) -> &'static str {
        match self.stage {
            Stage::Idle => "nothing is under way",
            Stage::Drafting => "what is over goes into the archive, what lives is copied",
            Stage::Settling(_) | Stage::Closing => "the old epoch is being closed",
        }
    }
}

impl Owner {
    /// Somebody wants the epoch turned, and asks again until it is.
    pub(super) fn asked_to_turn(&mut self, asked: TurnEpoch, to: ReplyTo) {
        let mut reply = TurnReply { epoch: self.log_epoch, ..TurnReply::default() };
        if asked.from == self.log_epoch {
            if asked.anew && !self.turning.is_under_way() {
                self.turning = Turning::default();
            }
            (reply.failed, reply.nothing) =
                (self.turning.failed.take(), self.turning.nothing.take());
            if !self.turning.is_under_way() && self.over == 0 {
                reply.nothing = Some("no run in it is over".to_owned());
            }
            if reply.failed.is_none() && reply.nothing.is_none() {
                self.begin_turning();
                reply.under_way = Some(self.turning.words().to_owned());
            }
        }
        self.send(Outgoing::Reply { to, bytes: encoded(&reply) });
    }

    /// Begins a turn if enough of the log is over.
    pub(super) fn turn_if_due(&mut self) {
        let rests = self.turning.rests_until.is_some_and(|until| Instant::now() < until);
        if !rests && self.over >= self.env.tuning.archive_after.max(1) {
            self.begin_turning();
        }
    }

    /// How much is over in the log, of what makes a new epoch due. Where that is left to people, it is
    /// compared with what is usual.
    pub(super) fn share_over(&self) -> f64 {
        let due = match self.env.tuning.archive_after {
            u64::MAX => u64::from(ARCHIVE_AFTER),
            after => after.max(1),
        };
        self.over as f64 / due as f64
    }

    fn begin_turning(&mut self) {
        if self.turning.is_under_way() {
            return;
        }
        let (partition, epoch) = (self.partition, self.log_epoch);
        tracing::info!(%partition, epoch, over = self.over, "begins a new epoch of the log");
        let (turner, until) = (self.turner(), self.tail.known());
        let task = self.env.ports.aside.spawn(async move { turner.draft(until).await });
        self.turning.stage = Stage::Drafting;
        let aborting = Aborting(task.abort_handle());
        let job = async move {
            let _ends_with_the_owner = aborting;
            let draft = task.await.unwrap_or_else(|error| Err(LogError(error.to_string())));
            Finished::Drafted(draft)
        };
        self.jobs.push(job.boxed_local());
    }

    /// The draft is near enough: no append may begin any more.
    pub(super) fn drafted(&mut self, draft: Result<Option<Draft>, LogError>) {
        match draft {
            Ok(Some(draft)) => {
                self.turning.stage = Stage::Settling(draft);
                self.go_on_turning();
            }
            Ok(None) => {
                let words = "what is over in it ended only just now; ask again in some seconds";
                self.turning = Turning {
                    nothing: Some(words.to_owned()),
                    rests_until: Some(Instant::now() + TRY_AGAIN_AFTER),
                    ..Turning::default()
                };
            }
            Err(error) => self.not_turned(&error.0),
        }
    }

    /// Once nothing is under way, the draft is completed.
    pub(super) fn go_on_turning(&mut self) {
        let Some(last) = self.tail.end() else { return };
        match std::mem::take(&mut self.turning.stage) {
            Stage::Settling(draft) => {
                self.turning.stage = Stage::Closing;
                let turner = self.turner();
                let job = async move { Finished::Completed(turner.complete(draft, last).await) };
                self.jobs.push(job.boxed_local());
            }
            other => self.turning.stage = other,
        }
    }

    /// The draft is complete. It is put in force if it has every run where it stands.
    pub(super) fn completed(&mut self, draft: Result<Draft, LogError>) {
        let draft = match draft {
            Ok(draft) => draft,
            Err(error) => return self.not_turned(&error.0),
        };
        let ends = self.runs.iter().map(|(run, live)| (run, live.last_seq));
        let missing = ends.chain(self.idle.ends()).find(|(run, last)| {
            let copied = draft.places.get(*run).map_or(0, |(old, _)| *old);
            copied != *last
        });
        if let Some((run, _)) = missing {
            let words = format!("the copy of {run} does not end where the run stands");
            return self.not_turned(&words);
        }
        let turner = self.turner();
        let job = async move {
            let result = turner.close(&draft).await;
            Finished::Closed(draft, result)
        };
        self.jobs.push(job.boxed_local());
    }

    /// The old epoch is closed, unless somebody else wrote to it.
    pub(super) fn closed(&mut self, draft: Draft, result: Result<(), AppendError>) {
        match result {
            Ok(()) => self.begin_epoch(draft),
            Err(AppendError::Conflict) => self.stopped = Some(Stopped::Fenced),
            Err(AppendError::Lasting(words)) => self.not_turned(&words),
        }
    }

    fn begin_epoch(&mut self, draft: Draft) {
        let (partition, epoch) = (self.partition, draft.opened.epoch);
        tracing::info!(%partition, epoch, from = self.log_epoch, "a new epoch of the log is in force");
        metric::EPOCHS_TURNED.count([]);
        self.log_epoch = epoch;
        self.tail = self.tail.turned(draft.last);
        for (run, live) in &mut self.runs {
            live.last_seq = draft.places.get(run).map_or(0, |(_, new)| *new);
        }
        self.idle.moved(&draft);
        self.over = self.over.saturating_sub(draft.archived);
        self.turning = Turning::default();
        self.retire();
        self.go_on_with_all();
    }

    fn not_turned(&mut self, words: &str) {
        tracing::warn!(partition = %self.partition, words, "the epoch of the log stays");
        metric::EPOCHS_NOT_TURNED.count([]);
        let rests_until = Some(Instant::now() + TRY_AGAIN_AFTER);
        self.turning =
            Turning { failed: Some(words.to_owned()), rests_until, ..Turning::default() };
        self.go_on_with_all();
    }

    /// What was held back may go on.
    fn go_on_with_all(&mut self) {
        let waiting = self.runs.iter().filter(|(_, live)| !live.queue.is_empty());
        let mut waiting: Vec<_> = waiting.map(|(run, _)| run.clone()).collect();
        // The same order wherever the same happens again.
        waiting.sort_unstable();
        waiting.iter().for_each(|run| self.advance(run));
    }

    /// Deletes what older epochs are left; if that fails, whoever comes next does it.
    pub(super) fn retire(&mut self) {
        let (env, partition) = (Rc::clone(&self.env), self.partition);
        let job = async move {
            if let Err(error) = env.ports.epochs.retire(partition).await {
                tracing::warn!(%partition, %error, "older epochs of the log are left");
            }
            Finished::Retired
        };
        self.jobs.push(job.boxed_local());
    }

    fn turner(&self) -> Turner {
        let all_was_told = self.last_kept.elapsed() > MAYBE_UNTOLD;
        Turner {
            ports: self.env.ports.clone(),
            engine: self.env.engine.clone(),
            partition: self.partition,
            epoch: self.log_epoch,
            recent: (!all_was_told).then_some(MAYBE_UNTOLD),
        }
    }
}
