//! What people are told of, and how they are reached: the site's `[[notify]]`.

use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What somebody may want to be told of.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// A run is paused, or waits for a person.
    Paused,
    /// Something cannot be taken back without a person.
    UndoStuck,
    /// A vendor does not answer, or nobody works for it.
    VendorDown,
    /// A token could not be made anew.
    Token,
    /// A backup was not made, or not proved.
    Backup,
    /// A template was not deployed.
    Template,
    /// A workspace is dormant soon, or deleted because it is.
    Dormant,
    /// A workspace's time is over soon.
    Expiry,
    /// An owner is disabled, active again, or called otherwise.
    Owner,
    /// Somebody wants to see whether he is reached. Everybody is told.
    Test,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Paused,
        Self::UndoStuck,
        Self::VendorDown,
        Self::Token,
        Self::Backup,
        Self::Template,
        Self::Dormant,
        Self::Expiry,
        Self::Owner,
        Self::Test,
    ];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Paused => "paused",
            Self::UndoStuck => "undo-stuck",
            Self::VendorDown => "vendor-down",
            Self::Token => "token",
            Self::Backup => "backup",
            Self::Template => "template",
            Self::Dormant => "dormant",
            Self::Expiry => "expiry",
            Self::Owner => "owner",
            Self::Test => "test",
        }
    }

    /// What is said of one thing, as a heading.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Paused => "waits for a person",
            Self::UndoStuck => "cannot be taken back",
            Self::VendorDown => "does not answer",
            Self::Token => "token at risk",
            Self::Backup => "no backup",
            Self::Template => "not deployed",
            Self::Dormant => "nobody uses it",
            Self::Expiry => "its time is over soon",
            Self::Owner => "what Authentik says of owners",
            Self::Test => "a test",
        }
    }
}

/// How somebody is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// By e-mail.
    Mail {
        /// Whom.
        to: Vec<String>,
        /// Who says so.
        from: String,
        /// Where user and password for the mail server lie, where it wants them.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        login: Option<String>,
    },
    /// By a call that is signed.
    Webhook {
        /// Where to.
        url: String,
        /// Where the secret lies that signs it.
        secret: String,
    },
}

/// One way by which somebody is told: a `[[notify]]` of the site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// Its name: `operators`.
    pub name: String,
    /// What is told by it.
    pub topics: Vec<Topic>,
    /// How.
    pub by: By,
    /// Of the same thing nobody is told again before so many minutes are over.
    pub every_minutes: u32,
}

impl Route {
    /// Whether this is told by it.
    #[must_use]
    pub fn tells(&self, topic: Topic) -> bool {
        topic == Topic::Test || self.topics.contains(&topic)
    }
}
