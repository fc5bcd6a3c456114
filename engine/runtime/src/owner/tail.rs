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
use crate::env::LEASE;

/// How often the end of the log is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// From when on a look shows all that owners before have written: what one that does not know yet that
/// its lease is over has begun to append is in the log by then, unless it was frozen in the midst of it.
const ALONE_AFTER: Duration = Duration::from_secs(9);
const _: () = assert!(ALONE_AFTER.as_millis() >= 3 * LEASE.as_millis());

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
    /// Where the log ended when owners before could not write to it any more.
    alone: Option<u64>,
}

impl Tail {
    /// Nothing but the last message is known.
    pub fn new(last: u64) -> Self {
        let (ahead, since) = (BTreeMap::new(), Instant::now());
        Self { known: last, ahead, under_way: 0, since, alone: None }
    }

    /// Whether all that owners before have written is known.
    pub fn is_alone(&self) -> bool {
        self.alone.is_some_and(|end| self.known >= end)
    }

    /// Where the log ended when it was asked so.
    pub fn looked(&mut self, asked: Instant, end: u64) {
        if asked.saturating_duration_since(self.since) >= ALONE_AFTER {
            self.alone.get_or_insert(end);
        }
    }

    /// The same in a new epoch of the log, whose last message is this.
    pub fn turned(&self, last: u64) -> Self {
        let alone = self.is_alone().then_some(last);
        Self { since: self.since, alone, ..Self::new(last) }
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
            let asked = Instant::now();
            let last = env.ports.log.last(partition, epoch).await.ok();
            Finished::Look { epoch, asked, last }
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

#[cfg(test)]
mod tests {
    use stead_schemas::ids::{EntityKey, RunId};
    use stead_schemas::owner::Owner;

    use super::{ALONE_AFTER, Duration, Instant, Tail};

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

    #[tokio::test(start_paused = true)]
    async fn owners_before_are_done_once_a_late_look_is_known() {
        let (mut tail, began) = (Tail::new(7), Instant::now());
        tail.looked(began + ALONE_AFTER - Duration::from_millis(1), 7);
        assert!(!tail.is_alone(), "one of them may still append");
        tail.looked(began + ALONE_AFTER, 9);
        assert!(!tail.is_alone(), "two messages are not known");
        tail.reads(9);
        assert!(tail.is_alone() && tail.turned(3).is_alone());
        assert!(!of_three().turned(3).is_alone());
    }
}
