//! The `stead` binary: engine, workers and lab to run, and verbs for the people who use them.
//!
//! `cli.rs` names every verb; each has a file of its own. `assemble.rs` puts engines and workers
//! together out of the rooms below.

use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;

mod assemble;
mod audit;
mod bundle;
mod cli;
mod commands;
mod config;
mod exit;
mod output;
mod processes;
mod reload;
mod serving;
mod signals;
mod story;
mod traces;

/// What `ops/build.rs` makes the name of a build with; here it is tried.
#[cfg(test)]
#[path = "../build/sources.rs"]
mod sources;

/// What an engine takes is made on one thread and given back on another, in small pieces: the C
/// library's allocator spends a third more of the engine's time on that, and keeps what is free.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    // reqwest and async-nats are built without a choice of their own; this is it, for both.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        output::warn("another cryptography provider was installed before ours");
    }
    output::start_logging(&cli.global);
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(commands::run(cli));
            // What is left are connections; nothing that is in the log depends on them.
            runtime.shutdown_timeout(std::time::Duration::from_millis(200));
            code
        }
        Err(error) => {
            output::complain(&format!("cannot start: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Says what is wrong with the command line, or shows the help that was asked for.
fn not_understood(error: &clap::Error) -> ExitCode {
    let is_for_machines = std::env::args_os().any(|word| word == "--json");
    if !(error.use_stderr() && is_for_machines) {
        error.exit();
    }
    let words = error.render().to_string();
    let words = words.strip_prefix("error: ").unwrap_or(&words).trim_end().to_owned();
    let ended = exit::Ended::Usage(words);
    output::complain_json(&ended.as_json());
    ended.code()
}
