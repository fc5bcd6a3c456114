//! Commands to a backup, and what it shows of itself.

use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::site::BackupSite;
use crate::time::Timestamp;

/// The kind of the entity.
pub const KIND: &str = "backup";
/// The longest name, in characters: names of copies begin with it, and Kubernetes has them short.
pub const NAME_MAX: usize = 20;
/// The most days for which a copy may be kept.
pub const KEEP_DAYS_MAX: u32 = 366;

/// `backup.run`: makes a copy now, whatever the time. Belongs to the platform itself: its owner is
/// `stead`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunBackup {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The backup's name.
    pub name: String,
}

/// What a backup is to be, as the configuration has it now, with where the logins lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupOrder {
    /// What the configuration says.
    pub backup: BackupSite,
    /// Where the login lies for what is copied.
    pub secret: String,
    /// Where the login lies for where it is copied to, if that is another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_secret: Option<String>,
}

/// A copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Taken {
    /// Its name at the vendor's.
    pub copy: String,
    /// When it was begun.
    pub begun: Timestamp,
    /// When it was proved to be there and whole; nothing if it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved: Option<Timestamp>,
    /// What the proof saw, or why there is none.
    pub words: String,
    /// How large it is, in bytes, where the vendor says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// How many copies there were, in the backup's whole life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Made and proved.
    pub proved: u64,
    /// Not made, or not proved.
    pub failed: u64,
    /// Removed, since their time was over.
    pub removed: u64,
}

/// What a backup shows of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BackupView {
    /// What holds; nothing until the configuration has said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupSite>,
    /// When the next copy is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Timestamp>,
    /// Since when a proved copy is owed, or from when on it will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed: Option<Timestamp>,
    /// The latest copy that was proved. It is kept, however old it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proved: Option<Taken>,
    /// The last copies, latest first.
    pub last: Vec<Taken>,
    /// How many there were.
    pub counts: Counts,
    /// Why there is no newer copy, or why old ones are still there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// When it is tried again before its time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub again_at: Option<Timestamp>,
}
