//! Commands to a schedule, and what it shows of itself.
//!
//! The structs named `…Schedule` are what a client sends; `Schedule` is what holds: everything
//! chosen, everything with its default.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::time::Timestamp;

/// The kind of the entity.
pub const KIND: &str = "schedule";
/// The longest name, in characters.
pub const NAME_MAX: usize = 64;
/// The longest note, in characters.
pub const NOTE_MAX: usize = 1000;
/// The shortest and the longest age at which a missed firing may still be caught up, in seconds.
pub const WITHIN_SECONDS: (u32, u32) = (60, 31 * 24 * 60 * 60);
/// That age where nothing is said: a day.
pub const WITHIN_SECONDS_DEFAULT: u32 = 24 * 60 * 60;

/// `schedule.create`: gives a command again and again, at the times that a cron expression says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSchedule {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The schedule's name, unique among its owner's.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9_-]{0,62}[a-z0-9])?$"))]
    pub name: String,
    /// When: minute, hour, day of month, month, day of week, as in `30 2 * * mon-fri`.
    #[schemars(length(min = 1, max = 256))]
    pub cron: String,
    /// Whose clock on the wall, as the IANA names it: `Europe/Berlin`; UTC if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// What is given at each firing.
    pub command: CommandToGive,
    /// What to do while the command of a firing before is still carried out; skip if nothing is
    /// said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,
    /// Which firings to catch up that no engine was there for; last if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<CatchUp>,
    /// How old a missed firing may be to be caught up; a day if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 2_678_400))]
    pub catch_up_within_seconds: Option<u32>,
    /// What it is for, for whoever wonders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub note: Option<String>,
}

/// `schedule.update`: changes what is named, keeps the rest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateSchedule {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The schedule's name.
    pub name: String,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub cron: Option<String>,
    /// Whose clock on the wall.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// What is given at each firing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandToGive>,
    /// What to do while the command of a firing before is still carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,
    /// Which firings to catch up that no engine was there for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<CatchUp>,
    /// How old a missed firing may be to be caught up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 2_678_400))]
    pub catch_up_within_seconds: Option<u32>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1000))]
    pub note: Option<String>,
}

/// `schedule.pause`, `schedule.resume`, `schedule.trigger`, `schedule.delete`: nothing to say but
/// which one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NameSchedule {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The schedule's name.
    pub name: String,
}

/// A command that a schedule gives, to an entity of its own owner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandToGive {
    /// The kind of entity: `workspace`.
    pub kind: String,
    /// Its name: `dev`.
    pub name: String,
    /// What is asked: `start`.
    pub verb: String,
    /// What else the command says.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

/// What to do with a firing while the command of one before is still carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// Leave it out.
    #[default]
    Skip,
    /// Let one wait until the command before is done; leave out what comes meanwhile.
    QueueOne,
    /// Cancel the command before; fire when it has been taken back.
    CancelRunning,
    /// Fire; several commands are then open at once.
    Allow,
}

impl Overlap {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Skip, Self::QueueOne, Self::CancelRunning, Self::Allow];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::QueueOne => "queue-one",
            Self::CancelRunning => "cancel-running",
            Self::Allow => "allow",
        }
    }
}

/// What to do with firings that no engine was there for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CatchUp {
    /// Nothing.
    Skip,
    /// Fire once, for the last of them.
    #[default]
    Last,
    /// Fire for each of them, one after the other.
    All,
}

impl CatchUp {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Skip, Self::Last, Self::All];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Last => "last",
            Self::All => "all",
        }
    }
}

/// What holds: a schedule with everything chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Schedule {
    /// When.
    pub cron: String,
    /// Whose clock on the wall.
    pub time_zone: String,
    /// What is given at each firing.
    pub command: CommandToGive,
    /// What to do while the command of a firing before is still carried out.
    pub overlap: Overlap,
    /// Which firings to catch up that no engine was there for.
    pub catch_up: CatchUp,
    /// How old a missed firing may be to be caught up.
    pub catch_up_within_seconds: u32,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Why something fired, or should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Its time had come.
    Time,
    /// Its time had been missed.
    CaughtUp,
    /// Somebody asked for it.
    Trigger,
}

/// What became of a firing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fired {
    /// It waits until the command before is done.
    Waiting,
    /// Its command is being carried out.
    Running,
    /// Its command was carried out.
    Done,
    /// Its command was refused or could not be carried out.
    Failed,
    /// It was left out, because the command before was still being carried out, or the schedule was
    /// paused.
    Skipped,
    /// No engine was there, and it was not caught up.
    Missed,
}

impl Fired {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
            Self::Missed => "missed",
        }
    }
}

/// One firing, or several in a row with the same end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Firing {
    /// Its time; the last one's of several.
    pub at: Timestamp,
    /// The first one's time of several, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Why it fired, or should have.
    pub cause: Cause,
    /// What became of it.
    pub outcome: Fired,
    /// How many it stands for.
    pub firings: u32,
    /// In words, where there is more to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub words: Option<String>,
    /// The id of the command that was given; always the same for the same firing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// When it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<Timestamp>,
}

/// How many firings there were, in the schedule's whole life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Commands given.
    pub fired: u64,
    /// Of these, for firings whose time had been missed.
    pub caught_up: u64,
    /// Of these, because somebody asked.
    pub triggered: u64,
    /// Of these, refused or not carried out.
    pub failed: u64,
    /// Left out, because the command before was still being carried out, or the schedule was paused.
    pub skipped: u64,
    /// Left out, because no engine was there.
    pub missed: u64,
}

/// What a schedule shows of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScheduleView {
    /// What holds.
    pub schedule: Schedule,
    /// Whether it is paused.
    pub paused: bool,
    /// What went wrong with the schedule itself, where something did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// The next firings.
    pub next: Vec<Timestamp>,
    /// Firings whose commands are being carried out.
    pub running: Vec<Firing>,
    /// Firings that wait until a command before is done.
    pub waiting: Vec<Firing>,
    /// The last firings, latest first.
    pub last: Vec<Firing>,
    /// How many there were.
    pub counts: Counts,
}
