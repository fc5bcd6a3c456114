//! The options of `stead drift`.

use clap::{Args, Subcommand};

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
    #[command(after_help = "Example:\n  stead drift list --all")]
    List {
        /// What is ignored, too.
        #[arg(long)]
        all: bool,
    },
    /// Show one finding of the last scan, and what was decided about it.
    #[command(after_help = "Example:\n  stead drift show proxmox/machine/10432")]
    Show {
        /// Which, as the list names it.
        resource: String,
    },
    /// Put our mark on a machine or a dataset that was found without it: that of the run which made
    /// it, or of the platform, if no run did.
    #[command(after_help = "Example:\n  stead drift adopt truenas/dataset/tank/coder-home/john \
        --why 'back from the replica'")]
    Adopt(Decide),
    /// Have the entity that needs it put right what is missing or changed.
    #[command(after_help = "Example:\n  stead drift repair proxmox/machine/10432 --why 'the node \
        burnt down'")]
    Repair(Decide),
    /// List a finding no more until it changes. What was to be destroyed stays.
    #[command(after_help = "Example:\n  stead drift ignore proxmox/machine/10432 --why 'the \
        backup appliance'")]
    Ignore(Decide),
    /// Take away what carries our mark and no run wants, or what was adopted. User data goes after
    /// the site's grace period.
    #[command(after_help = "Example:\n  stead drift destroy coder/workspace/john/dev --why 'left \
        behind in May' --dry-run")]
    Destroy(Decide),
}

/// What is decided about a finding.
#[derive(Debug, Args)]
pub struct Decide {
    /// Which, as the list names it.
    pub resource: String,
    /// Why; it is written into the history.
    #[arg(long, value_name = "TEXT")]
    pub why: String,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// The command's id: sent twice, a command of the same id acts once.
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,
}
