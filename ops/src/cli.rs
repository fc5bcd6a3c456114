//! Every verb and option, in one place.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand};
use stead_workers::SYSTEMS;

use crate::exit::EXIT_CODES;

pub mod archive;
pub mod audit;
pub mod backup;
pub mod bucket;
pub mod config;
pub mod copies;
pub mod demo;
pub mod doctor;
pub mod drift;
pub mod fields;
pub mod home;
pub mod incident;
pub mod lab;
pub mod ledger;
pub mod mcp;
pub mod nats;
pub mod notify;
pub mod owner;
pub mod pool;
pub mod run;
pub mod schedule;
pub mod template;
pub mod token;
pub mod workspace;

/// Durable workflows for development workspaces, on NATS JetStream.
#[derive(Debug, Parser)]
#[command(name = "stead", version = env!("STEAD_VERSION"), after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options that every verb takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Options of every verb")]
pub struct Global {
    /// The site's configuration.
    #[arg(long, global = true, env = "STEAD_CONFIG", default_value = crate::config::DEFAULT_FILE, value_name = "FILE")]
    pub config: PathBuf,
    /// Print results as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to log on standard error: error, warn, info, debug or a filter. STEAD_LOG overrides it.
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log: Option<String>,
    /// Log as JSON lines.
    #[arg(long, global = true, env = "STEAD_LOG_JSON")]
    pub log_json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run an engine and workers in this process, with the lab if asked for.
    Up(Up),
    /// Run an engine: it owns a share of all runs and decides for them.
    Engine,
    /// Run workers: they carry out the steps.
    Worker(Worker),
    /// Open the door by which Forgejo tells of pushes, so that templates are deployed at once.
    Webhook(Webhook),
    /// Make workspaces, change them, take them away.
    Workspace(workspace::Workspace),
    /// Look at homes, change how much one may hold, and keep it in snapshots.
    Home(home::Home),
    /// Make buckets, change them, take them away.
    Bucket(bucket::Bucket),
    /// Keep machines ready before anybody wants them.
    Pool(pool::Pool),
    /// Keep copies of what the platform runs on, each proved, and see how old the latest is.
    Copies(copies::Copies),
    /// Give commands again and again, at the times of a cron expression.
    Schedule(schedule::Schedule),
    /// Make Coder's templates of what is in a repository, and go back to the version before.
    Template(template::Template),
    /// Run MCP servers in Kubernetes, and go back to what ran before.
    Mcp(mcp::Mcp),
    /// See who is told of what goes wrong, and whether that arrives.
    #[command(subcommand)]
    Notify(notify::Notify),
    /// See who owns workspaces, and whether Authentik still knows him.
    #[command(subcommand)]
    Owner(owner::Owner),
    /// Keep the tokens that CI works with fresh, and see when they end.
    Token(token::Token),
    /// Look at runs, follow them, cancel what they do.
    #[command(subcommand)]
    Run(run::Run),
    /// List every resource outside that runs have made: for whom, since when, and how it stands.
    Ledger(ledger::Ledger),
    /// Show what the site limits: who is at work, and who waits, in the order of their turns.
    #[command(after_help = "Example:\n  stead limits --json")]
    Limits,
    /// Look at what is really there, and find what is not as the ledger has it.
    #[command(subcommand)]
    Drift(drift::Drift),
    /// Replay a history with this build, tell it as a story, and prove that it is whole.
    Replay(run::Replay),
    /// Draw a waterfall of a run's steps: the same as `stead run timeline`.
    Timeline(run::Timeline),
    /// Show where two runs part.
    Diff(incident::Diff),
    /// Say why a run went wrong, and pack what is known of it into one file.
    #[command(subcommand)]
    Incident(incident::Incident),
    /// Move runs that are over out of the event log, and look after the archive of them.
    #[command(subcommand)]
    Archive(archive::Archive),
    /// List who commanded what, and prove that the record of it is whole.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Make a backup of all that is true, check one, put one back.
    #[command(subcommand)]
    Backup(backup::Backup),
    /// Run the lab of simulated vendors, or break and mend a running one.
    Lab(lab::Lab),
    /// Look at everything that Stead needs, and say of each fault how to mend it.
    Doctor(doctor::Doctor),
    /// Check a configuration, or print one to begin with.
    #[command(subcommand)]
    Config(config::Config),
    /// Print a NATS server's configuration in which everybody may do what he must, and no more.
    #[command(subcommand)]
    Nats(nats::Nats),
    /// Say what an alert or a refusal means, and what to do.
    Explain(config::Explain),
    /// Set a platform up on this machine, with simulated vendors, and tell the whole story.
    Demo(demo::Demo),
    /// Measure how fast Stead is on this machine.
    Bench(demo::Bench),
    /// Run a program that ends when whoever started this ends.
    #[command(hide = true)]
    Keep(demo::Keep),
    /// Print what makes a shell complete stead's verbs and options.
    Completions(config::Completions),
}

#[derive(Debug, Args)]
pub struct Up {
    /// Run the lab, too, and work against it: no hardware is needed, nothing real is touched.
    #[arg(long)]
    pub lab: bool,
}

#[derive(Debug, Args)]
pub struct Worker {
    /// Only these systems, separated by commas.
    #[arg(long, value_delimiter = ',', value_name = "SYSTEM",
        value_parser = PossibleValuesParser::new(SYSTEMS))]
    pub systems: Vec<String>,
    /// Where to serve metrics, as 127.0.0.1:9465; the configuration says it otherwise.
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,
}

/// See [`Verb::Webhook`].
#[derive(Debug, Args)]
pub struct Webhook {
    /// Where to serve metrics and whether it is ready, as 127.0.0.1:9466; nowhere if nothing is said.
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<SocketAddr>,
}
