//! What a schedule knows of itself: what holds, what is planned, what waits, what was.
//!
//! What it makes of firings that are due is in `firing.rs`.

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use stead_core::context::Context;
use stead_schemas::command::schedule::{Counts, Firing, Schedule, ScheduleView, UpdateSchedule};
use stead_schemas::failure::Failure;
use stead_schemas::step::schedule::{Plan, PlanFirings};
use stead_schemas::time::Timestamp;

use super::calendar::{Calendar, plan_again_at};
use super::firing::{PAUSED, STILL, room, since, unaccounted};
use super::news::{Alarm, Open};

/// How many firings are left out one by one while a command is carried out. After that the
/// schedule sleeps until the command is done, so that one that never ends does not grow its
/// history.
pub(super) const SKIPS_MAX: u32 = 10;
/// How many of the next firings are shown.
const NEXT_SHOWN: usize = 5;

/// See the module's head.
#[derive(Serialize, Deserialize)]
pub(super) struct State {
    pub schedule: Schedule,
    pub paused: bool,
    pub trouble: Option<String>,
    /// Firings up to here have been dealt with.
    pub handled: Timestamp,
    /// When the plan was made; nothing where one is needed.
    pub planned: Option<Timestamp>,
    /// The firings to come, as far as they are planned.
    pub plan: VecDeque<Timestamp>,
    /// Whether the plan is the end: nothing comes after it.
    pub is_last_plan: bool,
    pub waiting: VecDeque<Firing>,
    /// Latest first.
    pub last: VecDeque<Firing>,
    pub counts: Counts,
    pub skips_in_row: u32,
    /// Firings up to here met a command that was still carried out while the schedule slept.
    pub busy_until: Option<Timestamp>,
    /// Firings up to here came while the schedule was paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<Timestamp>,
}

impl State {
    pub fn new(schedule: Schedule, now: Timestamp) -> Self {
        Self {
            schedule,
            paused: false,
            trouble: None,
            handled: now,
            planned: None,
            plan: VecDeque::new(),
            is_last_plan: false,
            waiting: VecDeque::new(),
            last: VecDeque::new(),
            counts: Counts::default(),
            skips_in_row: 0,
            busy_until: None,
            paused_until: None,
        }
    }

    /// Does everything that can be done now.
    pub fn go_on(&mut self, cx: &Context, open: &mut Open) {
        self.give_waiting(cx, open);
        if self.paused || open.is_planning() {
            return;
        }
        let now = cx.now();
        if !self.must_plan(now) {
            self.deal_with_due(cx, open);
        }
        if self.must_plan(now) || (self.plan.is_empty() && !self.is_last_plan) {
            let Schedule { cron, time_zone, .. } = &self.schedule;
            let ask = PlanFirings::new(&cx.owner(), &cx.name(), cron, time_zone);
            open.plan(cx, ask.between(self.handled, now));
        }
    }

    /// Whether firings may be due of which the plan knows nothing, or the plan is too old.
    fn must_plan(&self, now: Timestamp) -> bool {
        let Some(planned) = self.planned else { return true };
        let (Some(first), Some(last)) = (self.plan.front(), self.plan.back()) else {
            return false;
        };
        let is_over = *last <= now && planned < now && !self.is_last_plan;
        is_over || plan_again_at(*first, planned).is_some_and(|at| at <= now)
    }

    /// Takes a plan that was asked for.
    pub fn planned(&mut self, cx: &Context, plan: Result<Plan, Failure>) {
        match plan {
            Ok(plan) => {
                self.planned = Some(cx.now());
                self.is_last_plan = plan.next.is_empty();
                self.count_untold(cx, &plan);
                self.plan = plan.due.into_iter().chain(plan.next).collect();
            }
            Err(failure) => {
                self.paused = true;
                let words = format!("it is paused, since it could not be planned: {failure}");
                cx.note("schedule-paused", words.clone(), &());
                self.trouble = Some(words);
            }
        }
    }

    /// When to look again; not while there is nothing to look for.
    pub fn alarm(&self, open: &Open) -> Option<Alarm> {
        let sleeps = self.skips_in_row >= SKIPS_MAX && open.running().count() >= room(self);
        if self.paused || open.is_planning() || sleeps {
            return None;
        }
        let first = *self.plan.front()?;
        let again = self.planned.and_then(|planned| plan_again_at(first, planned));
        let at = again.unwrap_or(first);
        Some(Alarm { at, reason: format!("the firing of {first}") })
    }

    /// Changes what is named.
    pub fn update(&mut self, cx: &Context, open: &mut Open, change: UpdateSchedule) {
        let schedule = &mut self.schedule;
        let moves = change.cron.is_some() || change.time_zone.is_some();
        take(&mut schedule.cron, change.cron);
        take(&mut schedule.time_zone, change.time_zone);
        take(&mut schedule.command, change.command);
        take(&mut schedule.overlap, change.overlap);
        take(&mut schedule.catch_up, change.catch_up);
        take(&mut schedule.catch_up_within_seconds, change.catch_up_within_seconds);
        schedule.note = change.note.or_else(|| schedule.note.take());
        if moves {
            self.plan_anew(cx, open);
        }
    }

    /// Fires no more; what waits is left out.
    pub fn pause(&mut self, cx: &Context) {
        self.paused = true;
        for firing in core::mem::take(&mut self.waiting) {
            self.skip(cx, &firing, "the schedule was paused while it waited");
        }
    }

    /// Fires again. What would have fired meanwhile was not to fire, and is said to be left out.
    pub fn resume(&mut self, cx: &Context, open: &mut Open) {
        if self.paused {
            (self.paused, self.trouble) = (false, None);
            if cx.changed("pauses-are-told") {
                self.paused_until = Some(cx.now());
                self.forget_plan(open);
            } else {
                self.plan_anew(cx, open);
            }
        }
    }

    fn plan_anew(&mut self, cx: &Context, open: &mut Open) {
        self.handled = cx.now();
        self.paused_until = None;
        self.forget_plan(open);
    }

    fn forget_plan(&mut self, open: &mut Open) {
        self.planned = None;
        self.plan.clear();
        open.void_plan();
    }

    /// Shows where it stands. What is written nowhere may be computed by this build's calendar.
    pub fn show(&self, cx: &Context, open: &Open) {
        let view = ScheduleView {
            schedule: self.schedule.clone(),
            paused: self.paused,
            trouble: self.trouble.clone(),
            next: self.next_shown(cx.now()),
            running: open.running().cloned().collect(),
            waiting: self.waiting.iter().cloned().collect(),
            last: self.last.iter().cloned().collect(),
            counts: self.counts,
        };
        cx.show(if self.paused { "paused" } else { "active" }, &view);
    }

    fn next_shown(&self, now: Timestamp) -> Vec<Timestamp> {
        let calendar = Calendar::read(&self.schedule.cron, &self.schedule.time_zone);
        let Ok(calendar) = calendar else { return Vec::new() };
        if self.paused {
            return Vec::new();
        }
        let planned: Vec<Timestamp> =
            self.plan.iter().copied().filter(|firing| *firing > now).take(NEXT_SHOWN).collect();
        let after = planned.last().copied().unwrap_or(now);
        planned.into_iter().chain(calendar.after(after)).take(NEXT_SHOWN).collect()
    }

    fn count_untold(&mut self, cx: &Context, plan: &Plan) {
        if plan.missed > 0 {
            let at = plan.due.first().copied().unwrap_or(cx.now());
            let from = since(cx, plan.first);
            let firing = Firing { firings: plan.missed, from, ..unaccounted(at) };
            match (self.paused_until, self.busy_until) {
                (Some(_), _) => {
                    self.skip(cx, &firing, PAUSED);
                    // They are told once, even if it is paused again before the others are.
                    self.handled = Timestamp::from_millis(at.as_millis() - 1);
                }
                (None, Some(_)) => self.skip(cx, &firing, STILL),
                (None, None) => self.miss(cx, firing),
            }
        }
    }
}

fn take<T>(place: &mut T, change: Option<T>) {
    if let Some(change) = change {
        *place = change;
    }
}
