//! The options of `stead demo`, `stead bench` and `stead keep`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Options of the demo.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  ops/demo --once")]
pub struct Demo {
    /// The nats-server to run, 2.15.1 or later.
    #[arg(long, value_name = "PATH", env = "STEAD_NATS_SERVER")]
    pub nats_server: PathBuf,
    /// End after the story, instead of staying up until Ctrl-C.
    #[arg(long)]
    pub once: bool,
    /// Simulated vendors that take no time at all.
    #[arg(long)]
    pub fast: bool,
}

/// Options of the benchmarks.
#[derive(Debug, Args)]
pub struct Bench {
    /// What is measured.
    #[command(subcommand)]
    pub verb: BenchVerb,
}

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum BenchVerb {
    /// Runs of six steps that do nothing, carried out by a worker in its own process.
    #[command(after_help = "Example:\n  ops/bench six-steps --in-flight 256 --json")]
    SixSteps(SixSteps),
    /// Workspaces made one after the other on the lab, without vendor latency.
    #[command(after_help = "Example:\n  ops/bench create --runs 20")]
    Create(CreateLoad),
    /// Runs that wait: what they take of memory, and how soon they go on after the engine is killed.
    #[command(after_help = "Example:\n  ops/bench live --runs 100000")]
    Live(LiveLoad),
    /// Engines that hand over: how soon another one answers for what a stopping one owned.
    #[command(after_help = "Example:\n  ops/bench handover --runs 10000 --times 10")]
    Handover(HandoverLoad),
    /// The rate of six-step runs with many finished runs in log and archive, against that with
    /// none.
    #[command(after_help = "Example:\n  ops/bench finished --runs 1000000")]
    Finished(FinishedLoad),
    /// The replay of one long history.
    #[command(after_help = "Example:\n  ops/bench replay --events 10000")]
    Replay(LongHistory),
    /// All of these but workspaces, one after the other, beside their targets.
    #[command(after_help = "Example:\n  ops/bench report --full --cluster --markdown")]
    Report(ReportSizes),
}

/// The servers of a measurement.
#[derive(Clone, Debug, Args)]
pub struct Servers {
    /// The nats-server to run, 2.15.1 or later.
    #[arg(long, value_name = "PATH", env = "STEAD_NATS_SERVER")]
    pub nats_server: PathBuf,
    /// How many servers keep a copy of everything: 1, or a cluster of 3.
    #[arg(long, value_name = "NUMBER", default_value = "1", value_parser = replicas)]
    pub replicas: usize,
}

fn replicas(word: &str) -> Result<usize, String> {
    match word {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("one server is measured, or three".to_owned()),
    }
}

/// The load of runs that wait.
#[derive(Clone, Debug, Args)]
pub struct LiveLoad {
    /// What it runs on.
    #[command(flatten)]
    pub servers: Servers,
    /// How many runs wait.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub runs: u32,
    /// How many steps each has made before it waits.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub steps: u32,
    /// How many partitions the log has.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub partitions: u16,
}

/// The load of engines that hand over.
#[derive(Clone, Debug, Args)]
pub struct HandoverLoad {
    /// What it runs on.
    #[command(flatten)]
    pub servers: Servers,
    /// How many runs wait meanwhile.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub runs: u32,
    /// How often one of the two engines is told to stop.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub times: u32,
    /// How many partitions the log has.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(2..=1024))]
    pub partitions: u16,
}

/// The load of runs that are over.
#[derive(Clone, Debug, Args)]
pub struct FinishedLoad {
    /// What it runs on.
    #[command(flatten)]
    pub servers: Servers,
    /// How many finished runs there are: nine of ten in the archive, the rest in the log.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub runs: u32,
    /// How many steps each of them has made.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub steps: u32,
    /// How often each of the two is measured, in turns.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub rounds: u32,
    /// How many runs are under way at once while it is measured.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub in_flight: u32,
    /// How many partitions the log has.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub partitions: u16,
}

/// A long history.
#[derive(Clone, Debug, Args)]
pub struct LongHistory {
    /// How many events it has.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    pub events: u32,
    /// Not needed: no server is started.
    #[arg(long, hide = true)]
    pub nats_server: Option<PathBuf>,
}

/// How much of everything is reported.
#[derive(Debug, Args)]
pub struct ReportSizes {
    /// What it runs on.
    #[command(flatten)]
    pub servers: Servers,
    /// How often each rate is measured; shown are the median and the range.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// How many runs live while the engine's memory is read.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub live: u32,
    /// How many runs live when the engine is killed.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub killed: u32,
    /// How many runs live while an engine hands over to another one.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub handed_over: u32,
    /// How many finished runs are put into log and archive.
    #[arg(long, default_value_t = 50_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub finished: u32,
    /// A million finished runs, for which the target is.
    #[arg(long, conflicts_with = "finished")]
    pub full: bool,
    /// Measure the rates on a cluster of three servers, too.
    #[arg(long)]
    pub cluster: bool,
    /// Print a table in Markdown.
    #[arg(long)]
    pub markdown: bool,
}

/// The load of six-step runs.
#[derive(Debug, Args)]
pub struct SixSteps {
    /// What it runs on.
    #[command(flatten)]
    pub servers: Servers,
    /// How many runs are under way at once.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub in_flight: u32,
    /// How many runs are measured (default: enough for some ten seconds).
    #[arg(long)]
    pub runs: Option<u32>,
    /// How many runs come first and are not measured.
    #[arg(long, value_name = "NUMBER")]
    pub warm_up: Option<u32>,
    /// How many partitions the log has.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub partitions: u16,
}

/// The load of creates.
#[derive(Debug, Args)]
pub struct CreateLoad {
    /// What it runs on.
    #[command(flatten)]
    pub servers: Servers,
    /// How many workspaces are made.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub runs: u32,
    /// How many partitions the log has.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub partitions: u16,
}

/// What is kept.
#[derive(Debug, Args)]
pub struct Keep {
    /// The command, behind `--`.
    #[arg(last = true, required = true)]
    pub command: Vec<OsString>,
}
