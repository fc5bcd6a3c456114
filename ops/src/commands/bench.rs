//! `stead bench`: how fast, and at what cost, on this machine. Each measurement has a platform of
//! its own: nats-server, engine, worker and lab, each a process, as they would run.

use stead_nats::SteadClient;

use crate::cli::Global;
use crate::cli::demo::{Bench, BenchVerb, Servers};
use crate::exit::Ended;
use crate::output;
use crate::processes::sandbox::{Sandbox, Wanted};
use crate::signals;

mod all;
mod finished;
mod handover;
mod live;
mod load;
mod replay;
mod report;
mod six_steps;
mod workspaces;

/// Carries the verb out.
pub async fn carry_out(global: &Global, options: &Bench) -> Result<(), Ended> {
    if cfg!(debug_assertions) {
        output::warn("this build is not optimised; `ops/bench` builds one that is");
    }
    match &options.verb {
        BenchVerb::SixSteps(load) => {
            alone(async |sandbox| six_steps::carry_out(sandbox, global, load).await).await
        }
        BenchVerb::Create(load) => {
            alone(async |sandbox| workspaces::carry_out(sandbox, global, load).await).await
        }
        BenchVerb::Live(load) => {
            alone(async |sandbox| live::carry_out(sandbox, global, load).await).await
        }
        BenchVerb::Handover(load) => {
            alone(async |sandbox| handover::carry_out(sandbox, global, load).await).await
        }
        BenchVerb::Finished(load) => {
            alone(async |sandbox| finished::carry_out(sandbox, global, load).await).await
        }
        BenchVerb::Replay(history) => replay::carry_out(global, history).await,
        BenchVerb::Report(sizes) => all::carry_out(global, sizes).await,
    }
}

/// Measures on a platform of its own, whose logs are kept if that fails.
async fn alone<T>(measure: impl AsyncFnOnce(&mut Sandbox) -> Result<T, Ended>) -> Result<T, Ended> {
    let mut stop = signals::stop()
        .map_err(|error| Ended::Failed(format!("cannot listen for signals: {error}")))?;
    let mut sandbox = Sandbox::new("stead-bench-")?;
    let measured = tokio::select! {
        measured = measure(&mut sandbox) => measured,
        () = signals::stopped(&mut stop) => Err(Ended::Interrupted),
    };
    match &measured {
        Ok(_) | Err(Ended::Interrupted | Ended::Usage(_)) => sandbox.close().await,
        Err(_) => {
            let kept = sandbox.close_and_keep().await;
            output::note(&format!("the logs are kept in {}", kept.display()));
        }
    }
    measured
}

async fn start(
    sandbox: &mut Sandbox,
    servers: &Servers,
    partitions: u16,
    systems: &'static [&'static str],
) -> Result<SteadClient, Ended> {
    sandbox.start(&wanted(servers, partitions, systems)).await
}

fn wanted<'a>(
    servers: &'a Servers,
    partitions: u16,
    systems: &'static [&'static str],
) -> Wanted<'a> {
    Wanted {
        nats_server: &servers.nats_server,
        servers: servers.replicas,
        partitions,
        realistic: false,
        systems,
        log: "warn",
    }
}
