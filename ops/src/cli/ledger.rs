//! The options of `stead ledger`.

use clap::{Args, Subcommand, ValueEnum};
use stead_schemas::ledger::Standing;

/// What may be asked of the ledger.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Example:\n  stead ledger --state left\n  stead ledger show proxmox/machine/10432"
)]
pub struct Ledger {
    #[command(subcommand)]
    pub verb: Option<Verb>,
    #[command(flatten)]
    pub list: List,
}

/// One verb; without one, what is held is listed.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show one resource: for whom it is, how sure that is, and which step had to do with it last.
    #[command(after_help = "Example:\n  stead ledger show truenas/dataset/tank/coder-home/john")]
    Show {
        /// Which, as the list names it.
        resource: String,
        #[command(flatten)]
        place: Place,
    },
}

/// Where it is looked.
#[derive(Debug, Args)]
pub struct Place {
    /// Only in the log, not in the archive: quicker, but what old runs left behind is not seen.
    #[arg(long)]
    pub no_archive: bool,
}

/// Which resources.
#[derive(Debug, Args)]
pub struct List {
    /// Only of this system: coder, kubernetes, proxmox, s3, truenas, vault.
    #[arg(long, value_name = "SYSTEM")]
    pub system: Option<String>,
    /// Only this owner's.
    #[arg(long, value_name = "OWNER")]
    pub owner: Option<String>,
    /// Only those that stand so.
    #[arg(long, value_name = "STATE")]
    pub state: Option<State>,
    /// At most so many.
    #[arg(long, value_name = "NUMBER", default_value_t = 500)]
    pub limit: usize,
    /// Only those behind this one, which an earlier list ended with.
    #[arg(long, value_name = "RESOURCE")]
    pub after: Option<String>,
    #[command(flatten)]
    pub place: Place,
}

/// How a resource stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum State {
    /// It is there and wanted.
    Wanted,
    /// A step was asked to make or remove it, and it is not known what became of that.
    Unknown,
    /// It is being taken away.
    Debt,
    /// It was given up, or its run is over: nobody will take it away.
    Left,
}

impl State {
    /// The same, in the word of the ledger.
    pub const fn standing(self) -> Standing {
        match self {
            Self::Wanted => Standing::Wanted,
            Self::Unknown => Standing::Unknown,
            Self::Debt => Standing::Debt,
            Self::Left => Standing::Left,
        }
    }
}
