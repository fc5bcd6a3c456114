//! Sees whether somebody else has written to the partition since it was read.
//!
//! Compare-and-set guards each history, and its loser stops. But an owner before, or one that
//! still believes to be the owner, may have written to a history that this one does not touch:
//! nobody would carry that out. And whoever comes after may have closed the epoch: what is written
//! behind that is void. Therefore every sequence is accounted for: an owner acts on nothing that
//! it has written before it knows each message up to there.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::FutureExt;
use stead_schemas::ids::RunId;
use tokio::time::Instant;

use super::{Finished, Owner, Stopped};

/// How often the end of the log is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// From when on a look shows all that owners before have written: what one that does not know yet that
/// its lease is over has begun to append is in the log by then.
const ALONE_AFTER: Duration = Duration::from_secs(9);

/// How far the log goes, as far as this owner knows.
pub(super) struct Tail {
    /// Every message up to here was read or written by this owner.
    known: u64,
    /// Messages that this owner has written further on: others lie before them.
    ahead: BTreeMap<u64, RunId>,
    /// How many more may be there already.
    under_way: u64,
    /// Since when the partition is owned.
    since: Instant,
    /// Whether the log was looked at when owners before could not write to it any more.
    alone: bool,
}

impl Tail {
    /// Nothing but the last message is known.
    pub fn new(last: u64) -> Self {
        let (ahead, since) = (BTreeMap::new(), Instant::now());
        Self { known: last, ahead, under_way: 0, since, alone: false }
    }

    /// Whether all that owners before have written is known.
    pub const fn is_alone(&self) -> bool {
        self.alone
    }

    /// A message was read.
    pub fn reads(&mut self, seq: u64) {
        self.known = seq.max(self.known);
    }

    /// An append begins.
    pub const fn begins(&mut self) {
        self.under_way += 1;
    }

    /// An append has ended, and nothing was written.
    pub const fn refused(&mut self) {
        self.under_way -= 1;
    }

    /// An append is in the log. Returns what may be acted on now, in order.
    pub fn kept(&mut self, run: RunId, seq: u64) -> Vec<(RunId, u64)> {
        self.under_way -= 1;
        self.ahead.insert(seq, run);
        let mut settled = Vec::new();
        while let Some(first) = self.ahead.first_entry() {
            if *first.key() != self.known + 1 {
                break;
            }
            self.known += 1;
            settled.push((first.remove(), self.known));
        }
        settled
    }

    /// Whether appends are under way.
    pub const fn is_busy(&self) -> bool {
        self.under_way > 0
    }

    /// The last message, if every one is known.
    pub fn end(&self) -> Option<u64> {
        (!self.is_busy() && self.ahead.is_empty()).then_some(self.known)
    }

    /// Every message up to here is known.
    pub const fn known(&self) -> u64 {
        self.known
    }

    /// Whether messages up to this one can all be ours. What nothing under way explains is
    /// somebody else's.
    fn knows(&self, last: u64) -> bool {
        let ours = self.ahead.len() as u64 + self.under_way;
        let explained = self.is_busy() || self.ahead.is_empty();
        explained && last <= self.known + ours
    }
}

impl Owner {
    /// Looks at the end of the log, after a while.
    pub(super) fn look_at_tail(&mut self) {
        let (env, partition, epoch) = (Rc::clone(&self.env), self.partition, self.log_epoch);
        let job = async move {
            tokio::time::sleep(LOOK_EVERY).await;
            let last = env.ports.log.last(partition, epoch).await.ok();
            Finished::Look { epoch, last }
        };
        self.jobs.push(job.boxed_local());
    }

    /// The log goes at least this far. What is not known has to be read.
    pub(super) fn compare_tail(&mut self, last: u64) {
        if !self.tail.knows(last) {
            tracing::warn!(partition = %self.partition, last, "somebody else writes to the partition");
            self.stopped.get_or_insert(Stopped::Fenced);
        } else if last > 0 && self.tail.since.elapsed() >= ALONE_AFTER {
            self.tail.alone = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use stead_schemas::ids::{EntityKey, RunId};
    use stead_schemas::owner::Owner;

    use super::Tail;

    fn run(life: u32) -> RunId {
        EntityKey::of("probe", &Owner::new("john").expect("a name"), "w").run(life)
    }

    fn of_three() -> Tail {
        let mut tail = Tail::new(7);
        (0..3).for_each(|_| tail.begins());
        tail
    }

    #[test]
    fn what_lies_behind_a_gap_is_not_acted_on_before_the_gap_is_known() {
        let mut tail = of_three();
        assert_eq!(tail.kept(run(2), 9), []);
        assert_eq!(tail.end(), None);
        assert_eq!(tail.kept(run(1), 8), [(run(1), 8), (run(2), 9)]);
        assert_eq!(tail.kept(run(3), 10), [(run(3), 10)]);
        assert_eq!(tail.end(), Some(10));
        assert!(tail.knows(10) && !tail.knows(11));
    }

    #[test]
    fn a_gap_that_nothing_under_way_explains_is_a_stranger_s() {
        let mut tail = of_three();
        assert_eq!(tail.kept(run(1), 9), []);
        assert!(tail.knows(9), "the gap may be ours");
        assert_eq!(tail.kept(run(2), 10), []);
        tail.refused();
        assert!(!tail.knows(9), "nothing is under way, and 8 is not ours");
        assert_eq!(tail.end(), None);
    }
}
