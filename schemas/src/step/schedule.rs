//! What a schedule asks of entities: the commands it gives, and of itself, its own plan.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Step;
use crate::command::schedule::{CommandToGive, KIND};
use crate::dispatch::Route;
use crate::owner::Owner;
use crate::time::Timestamp;

/// The kind of the entity that plans for others than schedules.
pub const CALENDAR: &str = "calendar";

/// A command that somebody wrote down to be given later. Its name, fields and addressee are
/// known only then.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Give {
    fields: Map<String, Value>,
    #[serde(skip)]
    name: String,
    #[serde(skip)]
    route: Route,
}

impl Give {
    /// This command, to an entity of this owner.
    #[must_use]
    pub fn to(owner: &Owner, command: &CommandToGive) -> Self {
        let CommandToGive { kind, name, verb, fields } = command.clone();
        let step = format!("{kind}.{verb}");
        let route = Route::Entity { kind, owner: owner.clone(), name };
        Self { fields, name: step, route }
    }
}

impl Step for Give {
    const NAME: &'static str = "schedule.give";
    type Answer = Value;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn route(&self) -> Route {
        self.route.clone()
    }
}

/// Which firings are due and which come next: asked by a schedule of its own door. The answer is
/// a fact of its history: builds may know other rules for the same time zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanFirings {
    /// When.
    pub cron: String,
    /// Whose clock on the wall.
    pub time_zone: String,
    /// Firings up to here have been dealt with.
    pub after: Timestamp,
    /// Firings up to here are due.
    pub now: Timestamp,
    #[serde(skip)]
    route: Route,
}

impl PlanFirings {
    /// Asks the schedule of this name.
    #[must_use]
    pub fn new(owner: &Owner, name: &str, cron: &str, time_zone: &str) -> Self {
        let (kind, owner, name) = (KIND.to_string(), owner.clone(), name.to_string());
        Self {
            cron: cron.to_string(),
            time_zone: time_zone.to_string(),
            after: Timestamp::default(),
            now: Timestamp::default(),
            route: Route::Entity { kind, owner, name },
        }
    }

    /// Asks the owner's calendar.
    #[must_use]
    pub fn of_calendar(owner: &Owner, cron: &str, time_zone: &str) -> Self {
        let (kind, name) = (CALENDAR.to_string(), "owner".to_string());
        let route = Route::Entity { kind, owner: owner.clone(), name };
        Self { route, ..Self::new(owner, "", cron, time_zone) }
    }

    /// From where to where.
    #[must_use]
    pub fn between(mut self, after: Timestamp, now: Timestamp) -> Self {
        (self.after, self.now) = (after, now);
        self
    }
}

/// The answer to [`PlanFirings`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// How many due firings are not among `due`, because they are too many; older ones.
    pub missed: u32,
    /// The first one of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Timestamp>,
    /// What is due, oldest first.
    pub due: Vec<Timestamp>,
    /// What comes next: at least one, if there is one, and what follows within a day.
    pub next: Vec<Timestamp>,
}

impl Step for PlanFirings {
    const NAME: &'static str = "schedule.plan";
    type Answer = Plan;

    fn route(&self) -> Route {
        self.route.clone()
    }
}
