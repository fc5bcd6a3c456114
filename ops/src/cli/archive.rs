//! The options of `stead archive`.

use clap::{Args, Subcommand};

/// What may be done about the archive.
#[derive(Debug, Subcommand)]
pub enum Archive {
    /// Begin a new epoch of the event log now: runs that are over go into the archive, the others
    /// go on. Their partition stands still for a moment only.
    #[command(after_help = "Example:\n  stead archive now --partition 3")]
    Now(Which),
    /// List what is in the archive.
    List(Which),
    /// Read the whole archive and check it: checksums, and the chain of each history.
    Verify(Which),
}

/// Of which partitions.
#[derive(Debug, Args)]
pub struct Which {
    /// Only this partition.
    #[arg(long, value_name = "NUMBER")]
    pub partition: Option<u16>,
}
