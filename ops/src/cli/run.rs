//! The options of `stead run` and `stead replay`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use stead_schemas::public::RunState;

/// What may be asked about runs.
#[derive(Debug, Subcommand)]
pub enum Run {
    /// List runs of every kind: those that live, unless more is asked for.
    #[command(after_help = "Example:\n  stead run list --kind workspace --state failed")]
    List(List),
    /// Show a run: where it stands, what it waits for, what became of each command.
    #[command(after_help = "Example:\n  stead run show john/dev")]
    Show(Which),
    /// Tell what a run does, from its beginning, until it is over.
    #[command(after_help = "Example:\n  stead run watch john/dev")]
    Watch(Which),
    /// Print a run's history as it is written in the log; with --json each transition as it is
    /// stored, which `stead replay --file` reads.
    #[command(after_help = "Example:\n  stead run history john/dev --json > dev.jsonl")]
    History(Which),
    /// Draw a waterfall of a run's steps, a command at a time.
    #[command(after_help = "Example:\n  stead run timeline john/dev")]
    Timeline(Which),
    /// Stop what a run is doing and take it back. First says what that will be.
    #[command(
        after_help = "Example:\n  stead run cancel john/dev --why 'wrong template' --dry-run"
    )]
    Cancel {
        #[command(flatten)]
        which: Which,
        /// Why; it is written into the history.
        #[arg(long, value_name = "TEXT")]
        why: String,
        /// Only say what would be taken back.
        #[arg(long)]
        dry_run: bool,
    },
}

/// Which runs.
#[derive(Debug, Args)]
pub struct List {
    /// Only this owner's.
    #[arg(long, value_name = "OWNER")]
    pub owner: Option<String>,
    /// Only of this kind: workspace, home, vmids, probe.
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,
    /// Only those in this state.
    #[arg(long, value_name = "STATE")]
    pub state: Option<State>,
    /// Those that are over, too.
    #[arg(long, conflicts_with = "state")]
    pub all: bool,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum State {
    /// It lives.
    Running,
    /// It is over, all well.
    Completed,
    /// It is over, and went wrong.
    Failed,
}

impl State {
    /// The same, in the word of the log.
    pub const fn of_run(self) -> RunState {
        match self {
            Self::Running => RunState::Running,
            Self::Completed => RunState::Completed,
            Self::Failed => RunState::Failed,
        }
    }
}

/// Which run.
#[derive(Debug, Args)]
pub struct Which {
    /// A run's id, or `owner/name` for the latest workspace of that name.
    pub run: String,
}

/// Which history is replayed.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stead run history john/dev --json > dev.jsonl\n  \
    stead replay --file dev.jsonl")]
pub struct Replay {
    /// A run's id, or `owner/name` for the latest workspace of that name.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub run: Option<String>,
    /// A history in a file, as `stead run history --json` prints it; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}
