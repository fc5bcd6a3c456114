//! The verbs, one file each.

use std::process::ExitCode;

use crate::cli::{Cli, Verb};
use crate::exit::Ended;
use crate::output;

mod archive;
mod audit;
mod backup;
mod bench;
mod bucket;
mod completions;
mod config;
mod copies;
mod demo;
mod diff;
mod doctor;
mod drift;
mod entities;
mod explain;
mod from_coder;
mod give;
mod home;
mod incident;
mod keep;
mod lab;
mod ledger;
mod limits;
mod mcp;
mod nats;
mod notify;
mod owner;
mod pool;
pub mod replay;
mod run;
mod schedule;
mod serve;
mod source;
mod template;
mod token;
mod webhook;
mod workspace;

/// Carries a verb out and says how it ended.
pub async fn run(cli: Cli) -> ExitCode {
    let is_for_machines = cli.global.json;
    match carry_out(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(ended) => {
            match is_for_machines {
                true => output::complain_json(&ended.as_json()),
                false => output::complain(&ended.to_string()),
            }
            ended.code()
        }
    }
}

async fn carry_out(cli: Cli) -> Result<(), Ended> {
    let global = &cli.global;
    match cli.verb {
        Verb::Up(up) => serve::up(global, &up).await,
        Verb::Engine => serve::engine(global).await,
        Verb::Worker(worker) => serve::worker(global, &worker).await,
        Verb::Webhook(options) => webhook::carry_out(global, &options).await,
        Verb::Workspace(options) => workspace::carry_out(global, &options).await,
        Verb::Home(options) => home::carry_out(global, &options).await,
        Verb::Bucket(options) => bucket::carry_out(global, &options).await,
        Verb::Copies(options) => copies::carry_out(global, &options).await,
        Verb::Pool(options) => pool::carry_out(global, &options).await,
        Verb::Schedule(options) => schedule::carry_out(global, &options).await,
        Verb::Template(options) => template::carry_out(global, &options).await,
        Verb::Mcp(options) => mcp::carry_out(global, &options).await,
        Verb::Notify(verb) => notify::carry_out(global, &verb).await,
        Verb::Owner(verb) => owner::carry_out(global, &verb).await,
        Verb::Token(options) => token::carry_out(global, &options).await,
        Verb::Run(verb) => run::carry_out(global, &verb).await,
        Verb::Ledger(options) => ledger::carry_out(global, &options).await,
        Verb::Limits => limits::carry_out(global).await,
        Verb::Drift(verb) => drift::carry_out(global, &verb).await,
        Verb::Diff(options) => diff::carry_out(global, &options).await,
        Verb::Incident(verb) => incident::carry_out(global, &verb).await,
        Verb::Timeline(options) => run::timeline::carry_out(global, &options).await,
        Verb::Replay(options) => replay::carry_out(global, &options).await,
        Verb::Archive(verb) => archive::carry_out(global, &verb).await,
        Verb::Audit(verb) => audit::carry_out(global, &verb).await,
        Verb::Backup(verb) => backup::carry_out(global, &verb).await,
        Verb::Lab(options) => lab::carry_out(global, &options).await,
        Verb::Doctor(options) => doctor::carry_out(global, &options).await,
        Verb::Nats(verb) => nats::carry_out(global, &verb),
        Verb::Config(verb) => config::carry_out(global, &verb).await,
        Verb::Explain(options) => explain::carry_out(global, &options),
        Verb::Demo(options) => demo::carry_out(global, &options).await,
        Verb::Bench(options) => bench::carry_out(global, &options).await,
        Verb::Keep(options) => keep::carry_out(&options).await,
        Verb::Completions(options) => completions::carry_out(&options),
    }
}
