//! The options of `stead notify`.

use clap::Subcommand;

/// What may be asked about notices.
#[derive(Debug, Subcommand)]
pub enum Notify {
    /// Show each way by which people are told: what waits, what went wrong.
    #[command(after_help = "Example:\n  stead notify list --json")]
    List,
    /// Tell everybody that this is a test, and say who was not reached.
    #[command(after_help = "Example:\n  stead notify test")]
    Test,
}
