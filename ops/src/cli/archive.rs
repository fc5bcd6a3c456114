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
    /// Have histories expire that are older than `audit.keep_days`: they are gone for good, and a
    /// signed tombstone stays. It needs the key of an engine, and `audit.key`.
    ///
    /// A segment expires as a whole or stays: it stays as long as an entity in it has a run in the
    /// log or holds something outside.
    #[command(after_help = "Examples:\n  \
        stead archive expire --dry-run\n  \
        stead archive expire --why 'kept for three years, as agreed'")]
    Expire(Expire),
}

/// What expires, and why.
#[derive(Debug, Args)]
pub struct Expire {
    /// Of which partitions.
    #[command(flatten)]
    pub which: Which,
    /// Only say what would expire.
    #[arg(long)]
    pub dry_run: bool,
    /// Why, for the record.
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    pub why: Option<String>,
    /// So many days this clock is ahead of the one that wrote the archive: tests cannot wait.
    #[arg(long, hide = true, value_name = "DAYS", default_value_t = 0)]
    pub clock_ahead_days: u32,
}

/// Of which partitions.
#[derive(Debug, Args)]
pub struct Which {
    /// Only this partition.
    #[arg(long, value_name = "NUMBER")]
    pub partition: Option<u16>,
}
