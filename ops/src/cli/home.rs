//! The options of `stead home`.

use clap::{Args, Subcommand};

/// What may be asked of homes.
#[derive(Debug, Args)]
pub struct Home {
    /// Whose home; $USER if nothing is said.
    #[arg(long, global = true, env = "STEAD_OWNER", value_name = "OWNER")]
    pub owner: Option<String>,
    #[command(subcommand)]
    pub verb: Verb,
}

/// One verb.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the homes of all owners.
    #[command(after_help = "Example:\n  stead home list --json")]
    List,
    /// Show the owner's home: where it is, who uses it, which snapshots were asked for.
    #[command(after_help = "Example:\n  stead home show --owner john")]
    Show,
    /// Keep the home as it is now, in a snapshot.
    #[command(after_help = "Example:\n  stead home snapshot before-upgrade --owner john")]
    Snapshot {
        /// What it is called; by the time, if nothing is said.
        snapshot: Option<String>,
        /// The command's id: sent twice, a command of the same id acts once.
        #[arg(long, value_name = "ID")]
        id: Option<String>,
    },
}
