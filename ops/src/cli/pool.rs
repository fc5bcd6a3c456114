//! The verbs of `stead pool`.

use clap::{Args, Subcommand};

use super::fields::Command;

/// Pools of spare machines, which creates take instead of cloning one.
#[derive(Debug, Args)]
pub struct Pool {
    #[command(subcommand)]
    pub verb: Verb,
}

/// What may be asked of a pool.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the pools: how many machines each keeps ready, and how many it has.
    #[command(after_help = "Example:\n  stead pool list --json")]
    List,
    /// Show a pool: its spare machines, and why one was not made.
    #[command(after_help = "Example:\n  stead pool show debian")]
    Show {
        /// Its name.
        name: String,
    },
    /// Change how many machines a pool keeps ready, until you change it again.
    #[command(after_help = "Examples:\n  stead pool resize debian --ready 5 --wait\n  \
        stead pool resize debian   # as the configuration has it")]
    Resize {
        #[command(flatten)]
        command: Command,
        /// How many (default: as the configuration has it).
        #[arg(long, value_name = "NUMBER")]
        ready: Option<String>,
    },
    /// Take all spare machines of a pool away, and make no more until it is resized.
    #[command(after_help = "Example:\n  stead pool drain debian --dry-run")]
    Drain(Command),
}
