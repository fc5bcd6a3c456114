//! The options of `stead run` and `stead replay`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};
use stead_schemas::public::RunState;
use stead_workflows::WORKFLOWS;

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
    /// Draw a waterfall of a run's steps, a command at a time, and say which of them took longer
    /// than they usually do.
    #[command(after_help = "Example:\n  stead run timeline john/dev\n  \
        stead run timeline john/dev --svg dev.svg")]
    Timeline(Timeline),
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
    /// Say what a run waits for, since when, and who must act.
    #[command(after_help = "Example:\n  stead run why john/dev")]
    Why(Which),
    /// Let a run begin no attempt and fire no timer until it is resumed. What is being carried
    /// out goes on to its end.
    #[command(after_help = "Example:\n  stead run pause john/dev --why 'pve1 is being rebuilt'")]
    Pause(Reasoned),
    /// Let a paused run go on. What waited is tried as if for the first time.
    #[command(after_help = "Example:\n  stead run resume john/dev --why 'pve1 is back'")]
    Resume(Reasoned),
    /// Try now what waits for its next attempt; a paused run is resumed.
    #[command(after_help = "Example:\n  stead run retry john/dev --why 'Vault is unsealed'")]
    Retry(Stepped),
    /// Give a step's answer by hand, instead of having the step carried out.
    #[command(after_help = "Example:\n  stead run skip john/dev --step 4 --answer '{}' \
        --why 'done by hand'")]
    Skip(Skipped),
    /// Change what is asked of a step that is not done, and try it now.
    #[command(after_help = "Example:\n  stead run edit john/dev --step 4 --set node=pve2 \
        --why 'pve1 is full'")]
    Edit(Edited),
    /// Give up an undo that cannot succeed; what it would have taken back is listed.
    #[command(after_help = "Example:\n  stead run abandon john/dev --step 9 \
        --why 'pve1 burnt down' --dry-run")]
    Abandon(Abandoned),
    /// Send a workflow a message that it waits for.
    #[command(after_help = "Example:\n  stead run signal john/dev approved --payload true \
        --why 'asked in the office'")]
    Signal(Signal),
    /// End a run as it is, with nothing taken back. First says what it leaves behind.
    #[command(
        after_help = "Example:\n  stead run terminate john/dev --why 'the lab is gone' --dry-run"
    )]
    Terminate(Terminated),
}

/// An order to a run, that needs nothing but a reason and perhaps a step.
#[derive(Debug)]
pub enum Order<'a> {
    /// Begin nothing more.
    Pause(&'a str),
    /// Go on.
    Resume(&'a str),
    /// Try now.
    Retry(&'a Stepped),
    /// Give an undo up.
    Abandon(&'a Stepped),
    /// Give a step's answer.
    Skip(&'a Skipped),
    /// Change a step's request.
    Edit(&'a Edited),
    /// Send a message.
    Signal(&'a Signal),
}

impl Run {
    /// The order to a run that this verb is, if it is one.
    pub fn order(&self) -> Option<(&Which, Order<'_>)> {
        Some(match self {
            Self::Pause(asked) => (&asked.which, Order::Pause(&asked.why)),
            Self::Resume(asked) => (&asked.which, Order::Resume(&asked.why)),
            Self::Retry(asked) => (&asked.which, Order::Retry(asked)),
            Self::Abandon(asked) => (&asked.stepped.which, Order::Abandon(&asked.stepped)),
            Self::Skip(asked) => (&asked.which, Order::Skip(asked)),
            Self::Edit(asked) => (&asked.which, Order::Edit(asked)),
            Self::Signal(asked) => (&asked.which, Order::Signal(asked)),
            Self::List(_)
            | Self::Show(_)
            | Self::Why(_)
            | Self::Watch(_)
            | Self::History(_)
            | Self::Timeline(_)
            | Self::Cancel { .. }
            | Self::Terminate(_) => return None,
        })
    }
}

/// An order with no more than a reason.
#[derive(Debug, Args)]
pub struct Reasoned {
    #[command(flatten)]
    pub which: Which,
    /// Why; it is written into the history.
    #[arg(long, value_name = "TEXT")]
    pub why: String,
}

/// An order about a step.
#[derive(Debug, Args)]
pub struct Stepped {
    #[command(flatten)]
    pub which: Which,
    /// The step's number, as `stead run why` and the history have it.
    #[arg(long, value_name = "NUMBER")]
    pub step: Option<u32>,
    /// Why; it is written into the history.
    #[arg(long, value_name = "TEXT")]
    pub why: String,
}

/// `stead run abandon`.
#[derive(Debug, Args)]
pub struct Abandoned {
    #[command(flatten)]
    pub stepped: Stepped,
    /// Only say what would stay behind.
    #[arg(long)]
    pub dry_run: bool,
}

/// `stead run skip`.
#[derive(Debug, Args)]
pub struct Skipped {
    #[command(flatten)]
    pub which: Which,
    /// The step's number, as `stead run why` and the history have it.
    #[arg(long, value_name = "NUMBER")]
    pub step: u32,
    /// What the workflow is to take for the step's answer.
    #[arg(long, value_name = "JSON")]
    pub answer: String,
    /// Why; it is written into the history.
    #[arg(long, value_name = "TEXT")]
    pub why: String,
}

/// `stead run edit`.
#[derive(Debug, Args)]
pub struct Edited {
    #[command(flatten)]
    pub which: Which,
    /// The step's number, as `stead run why` and the history have it.
    #[arg(long, value_name = "NUMBER")]
    pub step: u32,
    /// A field of the step's request that changes; the value is JSON, or a text.
    #[arg(long, value_name = "FIELD=VALUE", required = true)]
    pub set: Vec<String>,
    /// Why; it is written into the history.
    #[arg(long, value_name = "TEXT")]
    pub why: String,
}

/// `stead run signal`.
#[derive(Debug, Args)]
pub struct Signal {
    #[command(flatten)]
    pub which: Which,
    /// What the message is called.
    pub signal: String,
    /// What it says.
    #[arg(long, value_name = "JSON", default_value = "null")]
    pub payload: String,
    /// Why; it is written into the history.
    #[arg(long, value_name = "TEXT")]
    pub why: String,
}

/// `stead run terminate`.
#[derive(Debug, Args)]
pub struct Terminated {
    #[command(flatten)]
    pub which: Which,
    /// Why; it is written into the history.
    #[arg(long, value_name = "TEXT")]
    pub why: String,
    /// Only say what would stay behind.
    #[arg(long)]
    pub dry_run: bool,
}

/// Which runs.
#[derive(Debug, Args)]
pub struct List {
    /// Only this owner's.
    #[arg(long, value_name = "OWNER")]
    pub owner: Option<String>,
    /// Only of this kind.
    #[arg(long, value_name = "KIND",
        value_parser = PossibleValuesParser::new(WORKFLOWS.iter().map(|known| known.kind)))]
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
    /// It lives, and waits to be resumed.
    Paused,
    /// It was ended by hand.
    Terminated,
}

impl State {
    /// The same, in the word of the log.
    pub const fn of_run(self) -> RunState {
        match self {
            Self::Running => RunState::Running,
            Self::Completed => RunState::Completed,
            Self::Failed => RunState::Failed,
            Self::Paused => RunState::Paused,
            Self::Terminated => RunState::Terminated,
        }
    }
}

/// Which run.
#[derive(Debug, Args)]
pub struct Which {
    /// A run's id, or `owner/name` for the latest workspace of that name.
    pub run: String,
}

/// What is drawn of a run.
#[derive(Debug, Args)]
pub struct Timeline {
    #[command(flatten)]
    pub which: Which,
    /// Draw it as a picture, too, into this file.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
    /// Do not look at other runs for how long the steps usually take.
    #[arg(long)]
    pub alone: bool,
}

/// Which history is replayed.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  stead run history john/dev --json > dev.jsonl\n  \
    stead replay --file dev.jsonl\n  stead replay john/dev --to 7\n  \
    stead replay incident.stead.tar.gz --step-through\n  stead replay --all --golden histories")]
pub struct Replay {
    /// A run's id, `owner/name` for the latest workspace of that name, or a file: a history, or the
    /// bundle of an incident (FILE#RUN for one of several runs in it).
    #[arg(required_unless_present_any = ["file", "all"], conflicts_with_all = ["file", "all"])]
    pub run: Option<String>,
    /// Every run that lives, and every history that is kept for ever: would this build go on with
    /// all of them?
    #[arg(long, conflicts_with = "file")]
    pub all: bool,
    /// With --all, the histories in this folder, too: its files that end in .jsonl.
    #[arg(long, value_name = "FOLDER", requires = "all")]
    pub golden: Option<PathBuf>,
    /// A history in a file, as `stead run history --json` prints it, or the bundle of an incident;
    /// `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub file: Option<String>,
    /// Show where the run stood at a moment: after the transition of this number, or at a time
    /// (2026-03-01T14:02:00Z, 14:02, or -5m before the history's end).
    #[arg(long, value_name = "N|TIME", allow_hyphen_values = true, conflicts_with = "all")]
    pub to: Option<String>,
    /// Go through the history in the terminal, a transition at a time.
    #[arg(long, conflicts_with_all = ["all", "to", "against"])]
    pub step_through: bool,
    /// Let another build of Stead decide, too: the path of its binary.
    #[arg(long, value_name = "BUILD", conflicts_with_all = ["all", "to"])]
    pub against: Option<PathBuf>,
}
