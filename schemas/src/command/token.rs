//! Commands to a token, and what it shows of itself.
//!
//! A token is one of Coder's that CI works with: made anew before it ends, given to a repository of
//! Forgejo's as a secret, and proved there by a run before the one before it is revoked.

use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::owner::Owner;
use crate::site::ForgejoSite;
use crate::time::Timestamp;

/// The kind of the entity.
pub const KIND: &str = "token";
/// How many days a token may live, and how many of them it is used.
pub const DAYS: (u32, u32) = (1, 365);
/// How long a token lives if nothing is said.
pub const LIFE_DAYS: u32 = 7;
/// How often it is made anew if nothing is said.
pub const EVERY_DAYS: u32 = 6;
/// The secret of Forgejo's that it becomes if nothing is said.
pub const SECRET: &str = "CODER_SESSION_TOKEN";
/// The workflow that proves it if nothing is said.
pub const WORKFLOW: &str = "prove-token.yml";
/// The branch that the workflow is taken from if nothing is said.
pub const BRANCH: &str = "main";

/// `token.create`: makes a token of Coder's for its owner, and gives it to a repository of theirs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateToken {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The token's name, unique among its owner's.
    #[schemars(regex(pattern = r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$"))]
    pub name: String,
    /// The repository, without its owner, who is the token's.
    pub repository: String,
    /// The name of the secret in the repository's workflows; `CODER_SESSION_TOKEN` if nothing is
    /// said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The file of the workflow that proves it; `prove-token.yml` if nothing is said. It takes the
    /// input `marker`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// The branch that the workflow is taken from; `main` if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// How many days each token lives; 7 if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 365))]
    pub life_days: Option<u32>,
    /// After how many days it is made anew; 6 if nothing is said. Less than it lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 364))]
    pub every_days: Option<u32>,
}

/// `token.configure`: changes how long tokens live and how often they are made, from the next one
/// on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigureToken {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The token's name.
    pub name: String,
    /// How many days each token lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 365))]
    pub life_days: Option<u32>,
    /// After how many days it is made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 364))]
    pub every_days: Option<u32>,
}

/// `token.rotate`, `token.delete`: makes it anew now; takes it away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NameToken {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The token's name.
    pub name: String,
}

/// A create that was accepted, complete.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenOrder {
    /// Whose token it is at Coder, by user name.
    pub user: String,
    /// The repository: `platform/templates`.
    pub repository: String,
    /// The secret's name.
    pub secret: String,
    /// The file of the workflow that proves it.
    pub workflow: String,
    /// The branch that the workflow is taken from.
    pub branch: String,
    /// How long each token lives and how often it is made anew.
    pub pace: Pace,
    /// Where the token lies in Vault: two places beneath this folder, in turns.
    pub credentials: String,
    /// Where our own token of Coder's lies.
    pub coder_secret: String,
    /// Where our own token of Forgejo's lies.
    pub forgejo_secret: String,
}

/// How long each token lives and how often it is made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pace {
    /// How many days each lives.
    pub life_days: u32,
    /// After how many days the next one is made.
    pub every_days: u32,
}

impl Pace {
    /// How long a token lives.
    #[must_use]
    pub fn life(self) -> Duration {
        days(self.life_days)
    }

    /// How long it is until the next one is made.
    #[must_use]
    pub fn every(self) -> Duration {
        days(self.every_days)
    }
}

fn days(days: u32) -> Duration {
    Duration::from_secs(u64::from(days) * 86_400)
}

/// Where a token stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenPhase {
    /// The first one is being made.
    Creating,
    /// It can be used.
    Ready,
    /// The next one is being made, given and proved.
    Rotating,
    /// The next one could not be had. The one that is there is used until it ends, and it is tried
    /// again.
    AtRisk,
    /// It is being taken away.
    Deleting,
    /// It is gone.
    Deleted,
    /// It could not be made; what was begun has been taken back.
    Failed,
}

impl TokenPhase {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Ready => "ready",
            Self::Rotating => "rotating",
            Self::AtRisk => "at-risk",
            Self::Deleting => "deleting",
            Self::Deleted => "deleted",
            Self::Failed => "failed",
        }
    }
}

/// What a run in Forgejo has shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Proof {
    /// When we heard of it.
    pub at: Timestamp,
    /// Whether it went well.
    pub ok: bool,
    /// Where a person reads its log.
    pub url: String,
}

/// What a token shows of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenView {
    /// Where it stands.
    pub phase: TokenPhase,
    /// The repository that it is given to.
    pub repository: String,
    /// The secret's name there.
    pub secret: String,
    /// How long each token lives and how often it is made anew.
    pub pace: Pace,
    /// How many there were, with this one.
    pub generation: u32,
    /// Where it lies in Vault, once it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<String>,
    /// When it ends, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When the next one is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rotation: Option<Timestamp>,
    /// When the one before it is revoked, while there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<Timestamp>,
    /// What the latest run has shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_proof: Option<Proof>,
    /// How many times in a row the next one could not be had.
    pub failures: u32,
    /// Why not, the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}

/// Which of a token's two places in Vault the one of this number lies in: however often one of them
/// is written, the other one keeps what is in use.
#[must_use]
pub const fn turn_of(number: u32) -> char {
    if number.is_multiple_of(2) { 'b' } else { 'a' }
}

/// The folder in Vault of an owner's token.
#[must_use]
pub fn credentials_of(site: &ForgejoSite, owner: &Owner, name: &str) -> String {
    // A subject token's spelling has a `%`, which a path of a URL reads as an escape.
    format!("{}/{}/{name}", site.credentials, owner.token().replace('%', "."))
}
