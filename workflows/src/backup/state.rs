//! What a backup knows: what it is to be, when the next copy is made, what came of the last ones.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::context::Context;
use stead_core::retry::doubled;
use stead_schemas::command::backup::{BackupOrder, BackupView, Counts, Taken};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::backup::{Old, Proof, Removed};
use stead_schemas::step::schedule::Plan;
use stead_schemas::time::Timestamp;

use crate::schedule::calendar::{LOOK_AGAIN, plan_again_at};

/// When a copy that came to nothing is tried again, before its time; each time twice as late.
const RETRY_FIRST: Duration = Duration::from_secs(15 * 60);
/// The longest pause between two tries.
const RETRY_MAX: Duration = Duration::from_secs(6 * 60 * 60);
/// How many of the last copies are shown.
const LAST_KEPT: usize = 10;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// See the module's head.
#[derive(Serialize, Deserialize)]
pub(super) struct Backup {
    pub order: BackupOrder,
    /// Times up to here have been dealt with.
    pub handled: Timestamp,
    /// The next copy's time; one that is past has been missed, and is caught up.
    next: Option<Timestamp>,
    /// When that is to be found out.
    plan_at: Option<Timestamp>,
    /// When a copy is tried again.
    again_at: Option<Timestamp>,
    /// The time of the first copy that is not there yet.
    owed: Option<Timestamp>,
    /// How many in a row came to nothing.
    pub failures: u32,
    trouble: Option<String>,
    proved: Option<Taken>,
    /// Latest first.
    pub last: VecDeque<Taken>,
    counts: Counts,
}

/// What there is to do when its time has come.
#[derive(Clone, Copy)]
pub(super) enum Due {
    /// Find out when the next copy is made.
    Plan,
    /// Make one.
    Copy,
}

impl Backup {
    pub fn new(order: BackupOrder, now: Timestamp) -> Self {
        Self {
            order,
            handled: now,
            next: None,
            plan_at: Some(now),
            again_at: None,
            owed: None,
            failures: 0,
            trouble: None,
            proved: None,
            last: VecDeque::new(),
            counts: Counts::default(),
        }
    }

    /// The configuration may say something else by now.
    pub fn becomes(&mut self, order: BackupOrder, now: Timestamp) {
        if order == self.order {
            return;
        }
        let (old, new) = (&self.order.backup, &order.backup);
        if (&old.cron, &old.time_zone) != (&new.cron, &new.time_zone) {
            (self.handled, self.next, self.plan_at) = (now, None, Some(now));
        }
        if old.of != new.of {
            // Nothing is proved of what it is made of now.
            self.proved = None;
        }
        // What failed may be what was changed.
        self.again_at = self.again_at.map(|_| now);
        self.order = order;
    }

    /// What comes next, when, and in words.
    pub fn next(&self) -> Option<(Timestamp, Due, &'static str)> {
        let copy = (self.next, Due::Copy, "the time of the next copy");
        let again = (self.again_at, Due::Copy, "before the copy is tried again that was not made");
        let plan = (self.plan_at, Due::Plan, "when the next copy is to be made");
        let known = [plan, copy, again].into_iter();
        let known = known.filter_map(|(at, due, words)| Some((at?, due, words)));
        known.min_by_key(|(at, _, _)| *at)
    }

    /// Takes a plan that was asked for, or asks again later.
    pub fn planned(&mut self, now: Timestamp, plan: Result<Plan, Failure>) {
        match plan {
            Ok(plan) => {
                // Of those that nobody was there for, one stands for all.
                self.next = plan.due.last().or(plan.next.first()).copied();
                self.plan_at = self.next.and_then(|next| plan_again_at(next, now));
            }
            Err(_) => self.plan_at = Some(now.after(LOOK_AGAIN)),
        }
    }

    /// A copy is begun: what was due is dealt with, and is owed until a copy is proved.
    pub fn begins(&mut self, now: Timestamp) {
        self.again_at = None;
        if let Some(due) = self.next.filter(|due| *due <= now) {
            self.owed.get_or_insert(due);
            (self.handled, self.next, self.plan_at) = (now, None, Some(now));
        }
    }

    /// There is a copy, and it is proved.
    pub fn has(&mut self, cx: &Context, taken: Taken, proof: &Proof) {
        let (words, bytes) = (proof.words.clone(), proof.bytes);
        let taken = Taken { proved: Some(cx.now()), words, bytes, ..taken };
        cx.note("copy-proved", format!("{} is there: {}", taken.copy, taken.words), &taken);
        self.counts.proved += 1;
        (self.failures, self.trouble, self.owed) = (0, None, None);
        self.proved = Some(taken.clone());
        self.remember(taken);
    }

    /// There is none that can be relied on.
    pub fn has_not(&mut self, cx: &Context, taken: Taken, failure: &Failure) {
        let (begun, words) = (taken.begun, failure.to_string());
        let taken = Taken { words, ..taken };
        cx.note("copy-failed", format!("{} cannot be relied on: {failure}", taken.copy), &taken);
        self.counts.failed += 1;
        self.remember(taken);
        // Somebody has stopped it, and knows.
        if failure.class == Class::Cancelled {
            return;
        }
        let pause = doubled(RETRY_FIRST, self.failures, RETRY_MAX);
        self.failures = self.failures.saturating_add(1);
        self.again_at = Some(cx.now().after(pause));
        self.owed.get_or_insert(begun);
        self.trouble = Some(failure.to_string());
    }

    /// Which copies have had their time. None has while no copy is known to be good: any of those that
    /// are there may be the last good one.
    pub fn old(&self, now: Timestamp) -> Option<Old> {
        let before = now.before(DAY * self.order.backup.keep_days);
        self.proved.as_ref().map(|taken| Old { before, but: taken.copy.clone() })
    }

    /// What became of them.
    pub fn removed(&mut self, cx: &Context, removed: Result<Removed, Failure>) {
        let words = match removed {
            Ok(removed) => {
                self.counts.removed += u64::from(removed.removed);
                removed.kept
            }
            Err(failure) => Some(failure.to_string()),
        };
        if let Some(words) = words {
            let words = format!("old copies are still there: {words}");
            cx.note("copies-not-removed", words.clone(), &());
            self.trouble.get_or_insert(words);
        }
    }

    fn remember(&mut self, taken: Taken) {
        self.last.push_front(taken);
        self.last.truncate(LAST_KEPT);
    }

    pub fn show(&self, cx: &Context) {
        let phase = match (&self.proved, self.failures) {
            (_, 1..) => "failing",
            (Some(_), 0) => "proved",
            (None, 0) => "new",
        };
        cx.show(phase, &self.view());
    }

    pub fn show_making(&self, cx: &Context) {
        cx.show("making", &self.view());
    }

    fn view(&self) -> BackupView {
        BackupView {
            backup: Some(self.order.backup.clone()),
            next: self.next,
            owed: self.owed.or(self.next),
            proved: self.proved.clone(),
            last: self.last.iter().cloned().collect(),
            counts: self.counts,
            trouble: self.trouble.clone(),
            again_at: self.again_at,
        }
    }
}
