//! Limits of a site: how many steps of some kind are under way at once, how many begin in a
//! minute, for each node, storage or owner.
//!
//! Whoever wants to have such a step carried out asks the *keeper* of its key for a *place*, and
//! tells it again and again that it still wants or has it. The keeper is the owner of a partition,
//! which the key says. Nothing of this is kept: what is lost is asked again.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dispatch::StepAddress;
use crate::ids::{Partition, fnv1a};
use crate::owner::Owner;

/// What a limit is counted by if its steps are counted by whose run it is.
pub const PER_OWNER: &str = "owner";

/// One limit of a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// What people call it: `clones per node`.
    pub name: String,
    /// The steps that it counts: `proxmox.clone-vm`, or `proxmox.*` for all of a system.
    pub steps: Vec<String>,
    /// What it is counted by: a field of the steps' requests, or `owner`; all together if nothing
    /// is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<String>,
    /// How many may be under way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_once: Option<u32>,
    /// How many may begin in a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_minute: Option<u32>,
}

impl Limit {
    /// Whether it counts this step.
    #[must_use]
    pub fn covers(&self, step: &str) -> bool {
        self.steps.iter().any(|known| is_meant(known, step))
    }

    /// What a step of this owner is counted under.
    #[must_use]
    pub fn key(&self, owner: &Owner, request: &Value) -> String {
        match self.per.as_deref() {
            None => String::new(),
            Some(PER_OWNER) => owner.to_string(),
            Some(field) => field_of(request, field).map(plain).unwrap_or_default(),
        }
    }

    /// How many may begin at one moment, where they have to be a minute's share apart otherwise.
    #[must_use]
    pub fn burst(&self) -> u32 {
        self.at_once.unwrap_or(1)
    }
}

/// Whether a step is one of those that a name in a limit means.
#[must_use]
pub fn is_meant(known: &str, step: &str) -> bool {
    match known.strip_suffix('*') {
        Some(prefix) => prefix.ends_with('.') && step.starts_with(prefix),
        None => known == step,
    }
}

/// A field of a request, itself or one level below, as `node` stands in `machine`.
#[must_use]
pub fn field_of<'a>(request: &'a Value, field: &str) -> Option<&'a Value> {
    let fields = request.as_object()?;
    let below = || fields.values().find_map(|value| value.as_object()?.get(field));
    fields.get(field).or_else(below)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), ToString::to_string)
}

/// The partition whose owner keeps a key.
#[must_use]
pub fn keeper(limit: &str, key: &str, partitions: u16) -> Partition {
    let share = fnv1a(format!("{limit}\n{key}").as_bytes()) % u32::from(partitions.max(1));
    Partition(u16::try_from(share).unwrap_or(0))
}

/// How much something is wanted before other things, where they wait for the same.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Before the others.
    High,
    /// As usual.
    #[default]
    Normal,
    /// After the others.
    Low,
}

impl Priority {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// The word for it in commands.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// Whether it is as usual, which is not written down.
    #[must_use]
    pub fn is_usual(&self) -> bool {
        *self == Self::Normal
    }
}

/// Engine to keeper: about a place for one step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceAsk {
    /// The limit's name.
    pub limit: String,
    /// The key.
    pub key: String,
    /// For which step.
    pub step: StepAddress,
    /// What step it is: `proxmox.clone-vm`.
    pub what: String,
    /// Whose run it is.
    pub owner: Owner,
    /// The run's name.
    pub name: String,
    /// Counts what the step's owner has said, and goes on counting when another one takes over;
    /// the answer shows it again.
    pub number: u64,
    /// What it wants.
    pub wants: PlaceWanted,
}

/// See [`PlaceAsk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlaceWanted {
    /// A place, when its turn comes.
    Turn {
        /// The priority of its run.
        #[serde(default, skip_serializing_if = "Priority::is_usual")]
        priority: Priority,
        /// Whether it takes something back: then it goes before everything else.
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        undo: bool,
        /// How long it has waited, in milliseconds.
        waited_ms: u64,
    },
    /// To keep what it has: a worker is at it, whatever anybody says.
    Stay,
    /// Nothing more.
    Leave,
}

/// Keeper to engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceReply {
    /// The limit's name.
    pub limit: String,
    /// The key.
    pub key: String,
    /// For which step.
    pub step: StepAddress,
    /// The number of the last thing that the keeper had heard.
    pub number: u64,
    /// The line that it stands in; nothing if it has a place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<Line>,
}

/// What somebody who waits for a place is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// Which of them all it is, counted from 1.
    pub position: u32,
    /// How many wait.
    pub of: u32,
    /// Some of those that have a place, as `john/dev`.
    pub at_work: Vec<String>,
    /// How many more have one.
    pub more: u32,
    /// Whether the keeper is new, and gives nothing before it has heard of all that is under way.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub settling: bool,
    /// When to ask again, in milliseconds.
    pub again_ms: u64,
}

/// One limit, and what a keeper has of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitView {
    /// The limit.
    pub limit: Limit,
    /// Its keys, as far as anybody has or wants a place.
    pub keys: Vec<KeyView>,
}

/// One key of a limit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyView {
    /// The key.
    pub key: String,
    /// Whether its keeper is new, and gives nothing yet.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub settling: bool,
    /// Those that have a place, longest first.
    pub at_work: Vec<PlaceView>,
    /// Those that wait, in the order of their turns.
    pub waiting: Vec<PlaceView>,
}

/// One step that has or wants a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceView {
    /// Which step.
    pub step: StepAddress,
    /// What step it is.
    pub what: String,
    /// Whose run it is.
    pub owner: Owner,
    /// The run's name.
    pub name: String,
    /// How much it is wanted.
    #[serde(default, skip_serializing_if = "Priority::is_usual")]
    pub priority: Priority,
    /// Whether it takes something back.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub undo: bool,
    /// For how long, in milliseconds.
    pub for_ms: u64,
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use serde_json::json;

    use super::{Limit, keeper};
    use crate::owner::Owner;

    fn check(per: Option<&str>, key: &str) {
        let limit = Limit {
            name: "clones".into(),
            steps: ["proxmox.clone-vm".into(), "vault.*".into()].into(),
            per: per.map(Into::into),
            at_once: Some(2),
            per_minute: None,
        };
        let request = json!({ "machine": { "node": "pve2", "vmid": 7 }, "storage": "iscsi" });
        assert_eq!(limit.key(&Owner::new("john").unwrap(), &request), key);
        for (step, is_covered) in
            [("proxmox.clone-vm", true), ("proxmox.clone", false), ("vault.pin", true)]
        {
            assert_eq!(limit.covers(step), is_covered, "{step}");
        }
    }

    #[test]
    fn a_step_is_counted_under_what_its_request_says() {
        check(None, "");
        check(Some("owner"), "john");
        check(Some("storage"), "iscsi");
        check(Some("node"), "pve2");
        check(Some("vmid"), "7");
        check(Some("nothing"), "");
    }

    #[test]
    fn a_key_has_one_keeper() {
        let all: Vec<_> = (0..50_u8).map(|node| keeper("clones", &node.to_string(), 8)).collect();
        assert!((0..8).all(|partition| all.iter().any(|keeper| keeper.0 == partition)));
        assert_eq!(keeper("clones", "pve1", 0).0, 0);
    }
}
