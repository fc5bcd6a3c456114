//! The options of `stead home`.

use clap::{Args, Subcommand};
use stead_schemas::step::home::NAME;

use super::fields::Command;

/// What may be asked of homes.
#[derive(Debug, Args)]
pub struct Home {
    /// Whose home (default: $USER).
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
    /// Change how much the home may hold, for all workspaces of its owner.
    #[command(after_help = "Example:\n  stead home resize --quota-gb 120 --wait")]
    Resize {
        /// How much it may hold, in GiB.
        #[arg(long, value_name = "GIB")]
        quota_gb: String,
        #[command(flatten)]
        how: How,
    },
    /// List the home's snapshots, whoever took them: how old each is, and what it alone keeps.
    #[command(after_help = "Example:\n  stead home snapshots --owner john")]
    Snapshots,
    /// Delete a snapshot that was asked for. The home stays as it is.
    #[command(after_help = "Example:\n  stead home drop before-upgrade --wait")]
    Drop {
        /// Which snapshot.
        snapshot: String,
        #[command(flatten)]
        how: How,
    },
    /// Keep the home as it is now, in a snapshot.
    #[command(after_help = "Example:\n  stead home snapshot before-upgrade --owner john")]
    Snapshot {
        /// Its name (default: made from the time).
        snapshot: Option<String>,
        #[command(flatten)]
        how: How,
    },
}

/// How a command is given.
#[derive(Debug, Args)]
pub struct How {
    /// The command's id: sent twice, a command of the same id acts once.
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
    /// Follow the command until it has an outcome.
    #[arg(long)]
    pub wait: bool,
    /// Say what would happen, and let nothing happen.
    #[arg(long)]
    pub dry_run: bool,
}

impl How {
    /// The command, as every entity has it.
    pub fn command(&self) -> Command {
        let (id, wait, dry_run) = (self.id.clone(), self.wait, self.dry_run);
        Command { name: NAME.to_owned(), id, priority: None, wait, dry_run }
    }
}
