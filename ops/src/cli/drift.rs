//! The options of `stead drift`.

use clap::Subcommand;

/// What may be asked about drift.
#[derive(Debug, Subcommand)]
pub enum Drift {
    /// Look at what is really there, and list what is not as the ledger has it.
    #[command(after_help = "Example:\n  stead drift scan")]
    Scan {
        /// The command's id: sent twice, a command of the same id acts once.
        #[arg(long, value_name = "ID")]
        id: Option<String>,
    },
    /// List again what the last scan found.
    #[command(after_help = "Example:\n  stead drift list --json")]
    List,
    /// Show one finding of the last scan.
    #[command(after_help = "Example:\n  stead drift show proxmox/machine/10432")]
    Show {
        /// Which, as the list names it.
        resource: String,
    },
}
