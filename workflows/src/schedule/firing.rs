//! What becomes of firings whose time has come: each is given, waits, or is left out, and each
//! leaves a note in the history.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use serde_json::{Value, json};
use stead_core::context::Context;
use stead_schemas::command::schedule::{CatchUp, Cause, Fired, Firing, Overlap};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::entity::CancelCommand;
use stead_schemas::step::schedule::Give;
use stead_schemas::time::Timestamp;

use super::news::Open;
use super::state::{SKIPS_MAX, State};

/// A firing that comes no later than this is on time: longer than one engine takes to take over
/// from another.
const ON_TIME: Duration = Duration::from_secs(15);
/// How many commands one schedule may have open.
const OPEN_MAX: usize = 16;
/// How many firings may wait.
const WAITING_MAX: usize = 100;
/// How many of the last firings are remembered.
const LAST_KEPT: usize = 10;
/// Why a firing is left out that came while the schedule was paused.
pub(super) const PAUSED: &str = "the schedule was paused";
/// Why a firing is left out, mostly.
pub(super) const STILL: &str = "the command of the firing before was still being carried out";

impl State {
    /// Deals with every planned firing that is due.
    pub(super) fn deal_with_due(&mut self, cx: &Context, open: &mut Open) {
        let now = cx.now();
        let mut due = Vec::new();
        while let Some(firing) = self.plan.front().copied().filter(|firing| *firing <= now) {
            self.plan.pop_front();
            self.handled = firing;
            due.push(firing);
        }
        let (paused_until, busy_until) = (self.paused_until.take(), self.busy_until.take());
        let due = self.skip_until(cx, &due, paused_until, PAUSED);
        let due = self.skip_until(cx, due, busy_until, STILL);
        let late = due.iter().take_while(|firing| now.since(**firing) > ON_TIME).count();
        self.catch_up(cx, &due[..late]);
        self.give_waiting(cx, open);
        for firing in &due[late..] {
            self.fire(cx, open, unaccounted(*firing));
        }
    }

    /// Leaves out what came up to then; returns the others.
    fn skip_until<'a>(
        &mut self,
        cx: &Context,
        due: &'a [Timestamp],
        until: Option<Timestamp>,
        words: &str,
    ) -> &'a [Timestamp] {
        let (skipped, due) = due.split_at(due.partition_point(|firing| Some(*firing) <= until));
        if let Some(together) = together(cx, skipped) {
            self.skip(cx, &together, words);
        }
        due
    }

    /// Lets those wait that the policy wants caught up, and gives the others up.
    fn catch_up(&mut self, cx: &Context, late: &[Timestamp]) {
        let within = Duration::from_secs(u64::from(self.schedule.catch_up_within_seconds));
        let now = cx.now();
        let fresh = late.iter().filter(|firing| now.since(**firing) <= within).count();
        let wanted = match self.schedule.catch_up {
            CatchUp::Skip => 0,
            CatchUp::Last => fresh.min(1),
            CatchUp::All => fresh,
        };
        let wanted = wanted.min(WAITING_MAX.saturating_sub(self.waiting.len()));
        let (missed, wanted) = late.split_at(late.len() - wanted);
        if let Some(together) = together(cx, missed) {
            self.miss(cx, together);
        }
        let caught = wanted.iter().map(|at| Firing { cause: Cause::CaughtUp, ..unaccounted(*at) });
        self.waiting.extend(caught);
    }

    /// Fires now, because somebody asks.
    pub(super) fn trigger(&mut self, cx: &Context, open: &mut Open) -> Result<Value, Failure> {
        let firing = Firing { cause: Cause::Trigger, ..unaccounted(cx.now()) };
        let firing = self.fire(cx, open, firing);
        match firing.outcome {
            Fired::Skipped => Err(Failure::new(Class::Refused, firing.words.unwrap_or_default())),
            outcome => Ok(json!({ "outcome": outcome, "command": firing.command })),
        }
    }

    /// Gives a firing's command, if the policy lets it.
    fn fire(&mut self, cx: &Context, open: &mut Open, firing: Firing) -> Firing {
        if self.waiting.is_empty() && open.running().count() < room(self) {
            return self.give(cx, open, firing);
        }
        let is_own = |waiting: &Firing| waiting.cause != Cause::CaughtUp;
        let before = self.waiting.iter().position(is_own);
        match (self.schedule.overlap, before) {
            (Overlap::Skip, _) => self.left_out(cx, firing, STILL),
            (Overlap::Allow, _) => {
                let words = format!("{OPEN_MAX} commands of this schedule are open");
                self.left_out(cx, firing, &words)
            }
            (Overlap::QueueOne, Some(_)) => self.left_out(cx, firing, "one waits already"),
            (Overlap::QueueOne, None) => self.wait(cx, firing),
            (Overlap::CancelRunning, before) => {
                if let Some(before) = before.and_then(|at| self.waiting.remove(at)) {
                    self.left_out(cx, before, "the next one came before its turn did");
                }
                self.interrupt(cx, open);
                self.wait(cx, firing)
            }
        }
    }

    fn interrupt(&self, cx: &Context, open: &mut Open) {
        let Some(command) = open.running().find_map(|firing| firing.command.clone()) else {
            return;
        };
        let (kind, name) = (self.schedule.command.kind.clone(), self.schedule.command.name.clone());
        open.interrupt(cx, CancelCommand { kind, owner: cx.owner(), name, command });
    }

    /// Gives what waits, as far as there is room.
    pub(super) fn give_waiting(&mut self, cx: &Context, open: &mut Open) {
        while open.running().count() < room(self) {
            let Some(firing) = self.waiting.pop_front() else { return };
            self.give(cx, open, firing);
        }
    }

    fn give(&mut self, cx: &Context, open: &mut Open, firing: Firing) -> Firing {
        let firing = Firing { outcome: Fired::Running, given: Some(cx.now()), ..firing };
        let firing = open.give(cx, firing, Give::to(&cx.owner(), &self.schedule.command));
        let what = match firing.cause {
            Cause::Time => "firing-given",
            Cause::CaughtUp => "firing-caught-up",
            Cause::Trigger => "firing-triggered",
        };
        self.counts.fired += 1;
        self.counts.caught_up += u64::from(firing.cause == Cause::CaughtUp);
        self.counts.triggered += u64::from(firing.cause == Cause::Trigger);
        let command = &self.schedule.command;
        let words = format!("{}.{} to {}", command.kind, command.verb, command.name);
        cx.note(what, format!("the firing of {} gave {words}", firing.at), &firing);
        self.remember(cx, firing.clone());
        firing
    }

    /// The command of a firing has ended.
    pub(super) fn ended(&mut self, cx: &Context, firing: &Firing, result: Result<Value, Failure>) {
        let known = self.last.iter_mut().find(|known| known.command == firing.command);
        let (outcome, words) = match result {
            Ok(_) => (Fired::Done, None),
            Err(failure) => (Fired::Failed, Some(failure.to_string())),
        };
        self.counts.failed += u64::from(outcome == Fired::Failed);
        if let Some(known) = known {
            (known.outcome, known.words) = (outcome, words);
        }
        if self.skips_in_row >= SKIPS_MAX {
            self.busy_until = Some(cx.now());
        }
        self.skips_in_row = 0;
    }

    fn wait(&mut self, cx: &Context, firing: Firing) -> Firing {
        let firing = Firing { outcome: Fired::Waiting, ..firing };
        let words = format!("the firing of {} waits: {STILL}", firing.at);
        cx.note("firing-waits", words, &firing);
        self.waiting.push_back(firing.clone());
        firing
    }

    fn left_out(&mut self, cx: &Context, firing: Firing, words: &str) -> Firing {
        self.skip(cx, &firing, words);
        self.skips_in_row += 1;
        Firing { outcome: Fired::Skipped, words: Some(words.to_string()), ..firing }
    }

    /// Notes that a firing, or several, came in the way of one before.
    pub(super) fn skip(&mut self, cx: &Context, firing: &Firing, words: &str) {
        self.counts.skipped += u64::from(firing.firings);
        let words = Some(words.to_string());
        let firing = Firing { outcome: Fired::Skipped, words, ..firing.clone() };
        self.leave_out(cx, "firing-skipped", firing);
    }

    /// Notes that nobody was there for a firing, or several.
    pub(super) fn miss(&mut self, cx: &Context, firing: Firing) {
        self.counts.missed += u64::from(firing.firings);
        let words = Some("no engine was there in time".to_string());
        self.leave_out(cx, "firing-missed", Firing { outcome: Fired::Missed, words, ..firing });
    }

    fn leave_out(&mut self, cx: &Context, what: &str, firing: Firing) {
        let words = firing.words.clone().unwrap_or_default();
        cx.note(what, format!("{} left out: {words}", spoken(&firing)), &firing);
        self.remember(cx, firing);
    }

    /// Remembers a firing. Those that were left out in a row for the same reason are one.
    fn remember(&mut self, cx: &Context, mut firing: Firing) {
        let is_left_out = matches!(firing.outcome, Fired::Skipped | Fired::Missed);
        let same = |before: &&Firing| {
            is_left_out && before.outcome == firing.outcome && before.words == firing.words
        };
        if let Some(before) = self.last.front().filter(same) {
            let first = before.from.or((before.firings == 1).then_some(before.at));
            firing.from = since(cx, first);
            firing.firings += before.firings;
            self.last.pop_front();
        }
        self.last.push_front(firing);
        self.last.truncate(LAST_KEPT);
    }
}

/// How many commands the schedule may have open.
pub(super) fn room(state: &State) -> usize {
    match state.schedule.overlap {
        Overlap::Allow => OPEN_MAX,
        Overlap::Skip | Overlap::QueueOne | Overlap::CancelRunning => 1,
    }
}

/// A firing of which nothing has become yet.
pub(super) const fn unaccounted(at: Timestamp) -> Firing {
    Firing {
        at,
        from: None,
        cause: Cause::Time,
        outcome: Fired::Waiting,
        firings: 1,
        words: None,
        command: None,
        given: None,
    }
}

/// Several firings with the same end; nothing if there is none.
fn together(cx: &Context, firings: &[Timestamp]) -> Option<Firing> {
    let (first, last) = (firings.first()?, firings.last()?);
    let from = since(cx, (firings.len() > 1).then_some(*first));
    let firings = u32::try_from(firings.len()).unwrap_or(u32::MAX);
    Some(Firing { firings, from, ..unaccounted(*last) })
}

/// Since when firings were left out, as far as it is known.
pub(super) fn since(cx: &Context, first: Option<Timestamp>) -> Option<Timestamp> {
    first.filter(|_| cx.changed("firings-say-since-when"))
}

fn spoken(firing: &Firing) -> String {
    match (firing.firings, firing.from) {
        (1, _) => format!("the firing of {} was", firing.at),
        (many, Some(from)) => format!("{many} firings from {from} up to {} were", firing.at),
        (many, None) => format!("{many} firings up to that of {} were", firing.at),
    }
}
