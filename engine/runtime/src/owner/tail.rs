//! Sees whether somebody else has written to the partition since it was read.
//!
//! Compare-and-set guards each history, and its loser stops. But an owner before, or one that
//! still believes to be the owner, may have written to a history that this one does not touch:
//! nobody would carry that out. Therefore messages are counted, too.

use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;

use super::{Finished, Owner, Stopped};

/// How often the end of the log is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How far the log goes, as far as this owner knows.
pub(super) struct Tail {
    /// The last message that was there when the partition was read.
    read: u64,
    /// How many messages this owner has written since.
    ours: u64,
    /// How many more may be there already.
    under_way: u64,
}

impl Tail {
    /// Nothing but the claim is known.
    pub const fn new(claim: u64) -> Self {
        Self { read: claim, ours: 0, under_way: 0 }
    }

    /// A message was read.
    pub fn reads(&mut self, seq: u64) {
        self.read = seq.max(self.read);
    }

    /// An append begins.
    pub const fn begins(&mut self) {
        self.under_way += 1;
    }

    /// An append has ended; `kept` says whether it is in the log.
    pub const fn ends(&mut self, kept: bool) {
        self.under_way -= 1;
        self.ours += kept as u64;
    }

    /// Whether appends are under way.
    pub const fn is_busy(&self) -> bool {
        self.under_way > 0
    }

    const fn knows(&self, last: u64) -> bool {
        last <= self.read + self.ours + self.under_way
    }
}

impl Owner {
    /// Looks at the end of the log, after a while.
    pub(super) fn look_at_tail(&mut self) {
        let (env, partition) = (Rc::clone(&self.env), self.partition);
        let job = async move {
            tokio::time::sleep(LOOK_EVERY).await;
            let last = env.ports.log.last(partition).await.ok();
            Finished::Look { last }
        };
        self.jobs.push(job.boxed_local());
    }

    /// The log goes at least this far. What is not known has to be read.
    pub(super) fn compare_tail(&mut self, last: u64) {
        if !self.tail.knows(last) {
            tracing::warn!(partition = %self.partition, last, "somebody else writes to the partition");
            self.stopped.get_or_insert(Stopped::Fenced);
        }
    }
}
