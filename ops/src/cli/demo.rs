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
}

/// The load of six-step runs.
#[derive(Debug, Args)]
pub struct SixSteps {
    /// The nats-server to run, 2.15.1 or later.
    #[arg(long, value_name = "PATH", env = "STEAD_NATS_SERVER")]
    pub nats_server: PathBuf,
    /// How many runs are under way at once.
    #[arg(long, default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub in_flight: u32,
    /// How many runs are measured; chosen for some ten seconds if nothing is said.
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
    /// The nats-server to run, 2.15.1 or later.
    #[arg(long, value_name = "PATH", env = "STEAD_NATS_SERVER")]
    pub nats_server: PathBuf,
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
