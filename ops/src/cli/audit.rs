//! The options of `stead audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What may be asked of the audit.
#[derive(Debug, Subcommand)]
pub enum Audit {
    /// List who commanded what, from where, and what became of it.
    ///
    /// A command that was refused changed nothing and is in no history: the stream STEAD_REFUSALS keeps
    /// those of the last week, and only as many as find room there.
    #[command(after_help = "Examples:\n  \
        stead audit log --owner john --since 2026-11-01\n  \
        stead audit log --verb delete --by UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4")]
    Log(Log),
    /// Read the whole event log and the archive, and say where it is not as it was written.
    Verify,
    /// Print what people asked for, and how it ended or that it was refused, as JSON lines, going on
    /// where the last export ended. What was refused is kept for a week: export more often than that.
    #[command(after_help = "Example:\n  \
        stead audit export --position /var/lib/stead/audit.position >> audit.jsonl")]
    Export {
        /// Where to remember how far the export came; without it everything is printed.
        #[arg(long, value_name = "FILE")]
        position: Option<PathBuf>,
    },
}

/// Which commands.
#[derive(Debug, Args)]
pub struct Log {
    /// Only commands for what this owner has.
    #[arg(long, value_name = "OWNER")]
    pub owner: Option<String>,
    /// Only commands of whoever's key, address or own words contain this.
    #[arg(long, value_name = "TEXT")]
    pub by: Option<String>,
    /// Only commands to this entity or run: `dev`, `john/dev`, `workspace/dev`, or a run's id.
    #[arg(long, value_name = "ENTITY")]
    pub entity: Option<String>,
    /// Only commands of this verb.
    #[arg(long, value_name = "VERB")]
    pub verb: Option<String>,
    /// Only commands from then on: 2026-11-29, or 2026-11-29T21:40:00Z.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only commands before then.
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// The most commands to list; the newest ones are.
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    pub limit: usize,
    /// Also what workflows and engines asked for by themselves.
    #[arg(long)]
    pub all: bool,
}
