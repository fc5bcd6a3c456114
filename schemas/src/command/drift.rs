//! Commands about drift.

use alloc::format;
use alloc::string::String;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::owner::Owner;

/// The kind of the entity.
pub const KIND: &str = "drift";
/// The name of the site's one scan.
pub const NAME: &str = "site";
/// The name of the one that holds what was decided about findings.
pub const DECISIONS: &str = "decisions";
/// The longest reason.
pub const WHY_MAX: usize = 500;

/// `drift.scan`: looks at what is really there, system by system. Belongs to the platform itself:
/// its owner is `stead`, its name `site`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ScanDrift {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// Always `site`.
    pub name: String,
}

/// `drift.adopt`, `drift.repair`, `drift.ignore` and `drift.destroy`: what is to be done about a
/// finding. Belongs to the platform itself: its owner is `stead`, its name `decisions`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideDrift {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// Always `decisions`.
    pub name: String,
    /// Why.
    #[schemars(length(min = 1, max = 500))]
    pub why: String,
    /// What was found.
    pub found: Found,
}

/// What is wrong with a resource.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Drift {
    /// The ledger wants it and it is not there.
    Missing,
    /// It is there, and carries another mark than ours, or may hold another amount.
    Changed,
    /// It carries no mark of ours, and stands where only ours should.
    Stranger,
    /// It carries a mark of ours, and no run wants it.
    Orphan,
}

impl Drift {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Changed => "changed",
            Self::Stranger => "stranger",
            Self::Orphan => "orphan",
        }
    }
}

/// A finding, as a decision names it. One that has changed since is another finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// What is wrong.
    pub drift: Drift,
    /// In which system: `proxmox`.
    pub system: String,
    /// What it is: `machine`.
    pub kind: String,
    /// Its name there: `10432`.
    pub id: String,
    /// The mark that it carries; nothing if it is not there, or carries none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// How much it may hold, if that is not as it should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    /// What the ledger says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,
}

/// Whose something is, as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Holder {
    /// The kind of entity.
    pub kind: String,
    /// Whose that is.
    pub owner: Owner,
    /// Its name.
    pub name: String,
    /// The mark that its run made the thing with.
    pub marker: String,
    /// How much the thing is to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
}

impl Found {
    /// How people name it: `proxmox/machine/10432`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}/{}", self.system, self.kind, self.id)
    }

    /// The system and kind: `proxmox/machine`.
    #[must_use]
    pub fn what(&self) -> String {
        format!("{}/{}", self.system, self.kind)
    }
}
