//! The verbs of `stead copies`. `stead backup` is about Stead's own log.

use clap::{Args, Subcommand};

use super::fields::Command;

/// Copies of what the platform runs on, made and proved as the configuration's [[backups]] say.
#[derive(Debug, Args)]
pub struct Copies {
    #[command(subcommand)]
    pub verb: Verb,
}

/// What may be asked of backups and their copies.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the backups: when the last copy was proved, and when the next one is made.
    #[command(after_help = "Example:\n  stead copies list --json")]
    List,
    /// Show a backup: its last copies, what each proof saw, and why there is no newer one.
    #[command(after_help = "Example:\n  stead copies show homes")]
    Show {
        /// Its name.
        name: String,
    },
    /// Make a copy now, prove it, and remove those that have had their time.
    #[command(after_help = "Example:\n  stead copies run homes --wait")]
    Run(Command),
}
