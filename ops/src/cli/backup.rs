//! The options of `stead backup`.

use std::path::PathBuf;

use clap::Subcommand;

/// What may be done about backups.
#[derive(Debug, Subcommand)]
pub enum Backup {
    /// Write all that is true into a new folder: the event log, the archive, the settings, and
    /// commands that wait. May be made while everything runs.
    #[command(after_help = "Example:\n  stead backup create /backup/stead-2026-11-29")]
    Create {
        /// The folder; it must not be there yet, and appears when the backup is whole.
        folder: PathBuf,
    },
    /// Read a whole backup and check that it is as it was written. Needs no server.
    #[command(after_help = "Example:\n  stead backup verify /backup/stead-2026-11-29")]
    Verify {
        /// The folder of the backup.
        folder: PathBuf,
    },
    /// Put a backup onto a server that has no platform. Start engines afterwards.
    #[command(
        after_help = "Example:\n  stead backup restore /backup/stead-2026-11-29 --replicas 3"
    )]
    Restore {
        /// The folder of the backup.
        folder: PathBuf,
        /// How many servers keep each message from then on (default: as many as before).
        #[arg(long, value_name = "NUMBER")]
        replicas: Option<usize>,
    },
}
