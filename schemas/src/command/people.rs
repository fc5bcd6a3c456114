//! Commands about the people who own things, and what is shown of them.

use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::owner::Owner;
use crate::site::AuthentikSite;
use crate::time::Timestamp;

pub use crate::step::people::{KIND, NAME};

/// `people.look`: asks Authentik now who may own workspaces. Belongs to the platform itself: its owner
/// is `stead`, its name `site`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LookAtPeople {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// Always `site`.
    pub name: String,
    /// Workspaces that are to be watched, too: those that were made before the site asked Authentik.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub workspaces: Vec<OwnedWorkspace>,
}

/// A workspace, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OwnedWorkspace {
    /// Whose.
    pub owner: Owner,
    /// Its name.
    pub workspace: String,
}

/// A command to people, complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeopleOrder<T> {
    /// What is asked.
    pub ask: T,
    /// What the site says of Authentik; nothing if it does not ask it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentik: Option<AuthentikSite>,
}

/// `people.confirm`: so many are really disabled; their workspaces are stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfirmPeople {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// Always `site`.
    pub name: String,
    /// Why; it stays in the history.
    #[schemars(length(min = 1, max = 1000))]
    pub why: String,
}

/// `people.forget`: whoever is called so from now on is somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForgetOwner {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// Always `site`.
    pub name: String,
    /// Who is forgotten. He may have no workspaces.
    pub owner: Owner,
    /// Why; it stays in the history.
    #[schemars(length(min = 1, max = 1000))]
    pub why: String,
}

/// Whether somebody may own workspaces that run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// He may.
    #[default]
    Active,
    /// He is disabled.
    Disabled,
    /// There is nobody of his subject, or none of his name.
    Unknown,
}

impl Standing {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
            Self::Unknown => "unknown",
        }
    }
}

/// What is shown of people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PeopleView {
    /// Owner by owner.
    pub owners: Vec<OwnerView>,
    /// When Authentik last said who they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<Timestamp>,
    /// Why it could not be asked last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// Who would be stopped, all at once, if somebody confirmed it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub doubted: Vec<Owner>,
}

/// What is shown of an owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OwnerView {
    /// Under which name everything of his stands.
    pub owner: Owner,
    /// Who he is, for ever; nothing before he was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What he is called by now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Whether his workspaces may run.
    pub standing: Standing,
    /// Since when.
    pub since: Timestamp,
    /// Their names.
    pub workspaces: Vec<String>,
}
