//! The verbs of `stead template`.

use clap::{Args, Subcommand};

use super::fields::Command;

/// Templates of Coder's that are made of a repository.
#[derive(Debug, Args)]
pub struct Template {
    #[command(subcommand)]
    pub verb: Verb,
    /// Whose repository it is (default: your own user name).
    #[arg(long, global = true, env = "STEAD_OWNER", value_name = "OWNER")]
    pub owner: Option<String>,
}

/// What may be asked of a template.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List templates, and which version each has.
    #[command(after_help = "Example:\n  stead template list --owner platform")]
    List {
        /// Those that were forgotten, too.
        #[arg(long)]
        all: bool,
    },
    /// Show what a template is made of, which version is active, and what one can go back to.
    #[command(after_help = "Example:\n  stead template show stead-machine --owner platform")]
    Show {
        /// Its name.
        name: String,
    },
    /// Make a version of what the branch ends with, or of a commit, and let workspaces be made of it.
    #[command(after_help = "Example:\n  stead template push stead-machine --wait\n  \
        stead template push stead-machine --commit 4f1c… --no-promote --wait")]
    Push {
        #[command(flatten)]
        command: Command,
        /// The whole hash of a commit (default: the branch's newest).
        #[arg(long, value_name = "HASH")]
        commit: Option<String>,
        /// Make the version, and leave the active one as it is.
        #[arg(long)]
        no_promote: bool,
    },
    /// Push what the branch ends with, unless that was tried before: what a webhook does.
    #[command(after_help = "Example:\n  stead template check stead-machine --wait\n  \
        stead schedule create look --cron '*/5 * * * *' --give template.check --to stead-machine")]
    Check(Command),
    /// Let workspaces be made of a version that was pushed.
    #[command(after_help = "Example:\n  stead template promote stead-machine --wait")]
    Promote {
        #[command(flatten)]
        command: Command,
        /// The version, by name (default: the one pushed last).
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
    },
    /// Let workspaces be made of the version before again.
    #[command(after_help = "Example:\n  stead template rollback stead-machine --wait")]
    Rollback(Command),
    /// End the deployment; Coder's template and its versions stay as they are. Take it out of
    /// the configuration first: the next look at its branch begins it anew.
    #[command(after_help = "Example:\n  stead template forget stead-machine")]
    Forget(Command),
}
