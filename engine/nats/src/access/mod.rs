//! Who may do what on the bus: the accounts, users and permissions of a NATS server.
//!
//! There are two accounts. Engines and workers, which are trusted with the log or with a vendor,
//! are in `STEAD`, and so is who makes backups or restores one; everybody else is in `PEOPLE` and
//! reaches in by imports. That wall is needed:
//! within one account a client chooses the subject that it is answered on, JetStream answers there
//! with the server's own rights, and so whoever may ask anything may write anywhere. An import
//! replaces that subject by one of the server's. It also says who asked, which no client can
//! forge.
//!
//! `rights.rs` says what each kind of user may do, `server.rs` prints the configuration, `keys.rs`
//! makes keys.

mod keys;
mod rights;
mod server;

use stead_schemas::owner::Owner;

pub use keys::{KeyError, has_signed, is_public_key, new_seed, public_key, sign};
pub use server::{ServerSettings, accounts, server};

/// The account of engines and workers, in which the streams are.
pub const INSIDE: &str = "STEAD";
/// The account of everybody else.
pub const OUTSIDE: &str = "PEOPLE";
/// What the subjects of the JetStream API begin with for those who are outside.
pub const OUTSIDE_API: &str = "stead.js";

/// What a user is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// An engine: it alone writes the log.
    Engine,
    /// A worker of this system.
    Worker(String),
    /// Whoever makes backups, and so reads everything.
    Backup,
    /// Whoever puts a backup back where there is no platform. The log comes from its hands.
    Restorer,
    /// A person who looks after the platform: every owner's commands, and reading everything.
    Operator,
    /// Something that only looks: lists, single runs, and the events.
    Dashboard,
    /// The door for webhooks: has templates looked at, whoever's they are, and nothing else.
    Webhook,
    /// A provisioner of Coder's: does with workspaces what builds ask for, whoever's they are.
    Provisioner,
    /// The owner of workspaces: that owner's commands and events, and nothing else.
    Owner(Owner),
}

/// Who may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// What people call it; it stands in a comment.
    pub name: String,
    /// What it is.
    pub role: Role,
    /// The public half of its key: `U…`.
    pub key: String,
}

impl Role {
    /// Whether the user is in the account of the streams. The guests' door asks engines for
    /// answers, and therefore is not.
    #[must_use]
    pub fn is_inside(&self) -> bool {
        match self {
            Self::Engine | Self::Backup | Self::Restorer => true,
            Self::Worker(system) => system != rights::GUEST,
            Self::Operator
            | Self::Dashboard
            | Self::Webhook
            | Self::Provisioner
            | Self::Owner(_) => false,
        }
    }
}

/// What a user of this role does not work without, where the JetStream API is called `js_prefix`:
/// what it publishes, and what it listens to.
#[must_use]
pub fn needs(role: &Role, js_prefix: &str) -> (Vec<String>, Vec<String>) {
    rights::needs(role, js_prefix)
}

/// Where the answers to whoever holds this key arrive. Nobody else may listen there.
#[must_use]
pub fn inbox_prefix(key: &str) -> String {
    format!("_INBOX.{key}")
}
