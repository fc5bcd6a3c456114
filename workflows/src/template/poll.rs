//! When the branch is looked at by itself: webhooks get lost. The times are in the site's configuration, which
//! each push and each look brings, and the engines when it changes.

use alloc::collections::VecDeque;
use alloc::format;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use stead_core::context::Context;
use stead_schemas::command::template::TemplateOrder;
use stead_schemas::failure::Failure;
use stead_schemas::step::schedule::{Plan, PlanFirings};
use stead_schemas::time::Timestamp;

use super::operations;
use super::state::Template;
use crate::schedule::calendar::{LOOK_AGAIN, plan_again_at};

/// How long it may take to be told what a cron expression means.
const PLAN_WITHIN: Duration = Duration::from_secs(10 * 60);

/// See the module's head.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Polls {
    /// How it is looked.
    order: Option<TemplateOrder>,
    /// The next times, in their order.
    times: VecDeque<Timestamp>,
    /// When these are to be found out.
    plan_at: Option<Timestamp>,
}

impl Polls {
    pub fn is_none(&self) -> bool {
        self.order.is_none()
    }

    /// Looks as this order does from now on, at the times that it names; not at all if there is none.
    pub fn follow(&mut self, order: Option<&TemplateOrder>, now: Timestamp) {
        let cron = |order: &TemplateOrder| order.deployment.poll.clone();
        let order = order.filter(|order| order.deployment.poll.is_some());
        if order.and_then(cron) != self.order.as_ref().and_then(cron) {
            *self = Self { plan_at: order.map(|_| now), ..Self::default() };
        }
        self.order = order.map(|order| TemplateOrder {
            commit: None,
            only_push: false,
            version: None,
            ..order.clone()
        });
    }

    /// What comes next, and what that is.
    pub fn next(&self) -> Option<(Timestamp, &'static str)> {
        let plan = self.plan_at.map(|at| (at, "when the branch is to be looked at next"));
        let look = self.times.front().map(|at| (*at, "the next look at the branch"));
        plan.into_iter().chain(look).min_by_key(|(at, _)| *at)
    }

    fn planned(&mut self, now: Timestamp, planned: Result<Plan, Failure>) {
        let Ok(plan) = planned else {
            self.plan_at = Some(now.after(LOOK_AGAIN));
            return;
        };
        self.times = plan.next.into();
        self.plan_at = self.times.front().and_then(|first| plan_again_at(*first, now));
    }

    /// Of those that have passed one look stands for all.
    fn looked(&mut self, now: Timestamp) {
        self.times.retain(|time| *time > now);
        if self.times.is_empty() && self.order.is_some() {
            self.plan_at.get_or_insert(now);
        }
    }
}

/// What was due is due no more: looks at the branch, or finds out when that is to be done.
pub(super) async fn go_on(cx: &Context, template: &mut Template) {
    let Some(order) = template.polls.order.clone() else { return };
    if template.polls.plan_at.is_some_and(|at| at <= cx.now()) {
        let planned = cx.operation(plan(cx, &order)).await;
        if let Err(failure) = &planned {
            let words = format!("it is not known when the branch is looked at next: {failure}");
            cx.note("poll-not-planned", words, failure);
        }
        return template.polls.planned(cx.now(), planned);
    }
    if let Err(failure) = operations::check(cx, template, &order).await {
        let words = format!("a look at the branch came to nothing: {failure}");
        cx.note("poll-failed", words, &failure);
    }
    template.polls.looked(cx.now());
}

async fn plan(cx: &Context, order: &TemplateOrder) -> Result<Plan, Failure> {
    let cron = order.deployment.poll.as_deref().unwrap_or_default();
    let ask = PlanFirings::of_calendar(&cx.owner(), cron, "UTC");
    cx.step(ask.between(cx.now(), cx.now())).within(PLAN_WITHIN).await
}
