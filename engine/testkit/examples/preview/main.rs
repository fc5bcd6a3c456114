//! The guide's example: a workflow, its worker and an engine in one process.
//!
//! `cargo run -p stead-testkit --example preview` takes part in the platform at STEAD_NATS_URL,
//! or at nats://127.0.0.1:4222, and sets one up if there is none. GUIDE.md tells all of it.

#[cfg(test)]
mod running;
mod steps;
#[cfg(test)]
mod tests;
mod worker;
mod workflow;

use std::error::Error;
use std::io::Write;
use std::sync::Arc;

use stead_index::EmbeddedIndex;
use stead_nats::door::{Catalogue, PublicVerb, run_inbox};
use stead_nats::worker_link::WorkerLink;
use stead_nats::{
    ConnectSettings, NatsArchive, NatsBus, NatsInboxes, NatsLeases, NatsLog, PlatformSettings,
    connect, open_platform,
};
use stead_runtime::env::{Env, Tuning};
use stead_runtime::harness::{Harness, HarnessTuning};
use stead_runtime::ports::{Ports, SystemClock};
use stead_runtime::thread;
use stead_schemas::site::Site;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tracing_subscriber::filter::LevelFilter;

const PARTITIONS: u16 = 4;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_max_level(LevelFilter::WARN).init();
    let url = std::env::var("STEAD_NATS_URL").unwrap_or("nats://127.0.0.1:4222".to_owned());
    let connection = connect(&ConnectSettings::new(&url, "preview")).await?;
    let settings = PlatformSettings { partitions: Some(PARTITIONS), replicas: 1 };
    let platform = open_platform(&connection, settings).await?;
    let (stop, stopped) = watch::channel(false);
    let folder = tempfile::tempdir()?;

    // The door: what is published on stead.cmd.> reaches an engine.
    let catalogue = Arc::new(catalogue());
    let inbox = {
        let (connection, platform, stopped) =
            (connection.clone(), platform.clone(), stopped.clone());
        async move { run_inbox(&connection, &platform, catalogue, stopped).await }
    };
    let inbox = tokio::spawn(inbox);

    // The worker: steps of `sites` come in and are carried out.
    let (steps, replies) = WorkerLink::start(&connection, &["sites"]).await?;
    let workers = vec![Arc::new(worker::worker(worker::Server::default())) as Arc<_>];
    let harness = Harness::new(workers, replies, HarnessTuning::default());
    let harness = tokio::spawn(harness.run(steps, stopped.clone()));

    // The engine: owns partitions, decides, appends, sends steps.
    let env = Env {
        engine: format!("preview-{}", std::process::id()),
        build: "the guide".to_owned(),
        partitions: platform.partitions,
        definitions: &[workflow::PREVIEW],
        site: Site::default().into(),
        ports: Ports {
            log: Arc::new(NatsLog::new(&platform)),
            epochs: Arc::new(NatsLog::new(&platform)),
            archive: Arc::new(NatsArchive::new(&platform)),
            bus: Arc::new(NatsBus::start(&connection)),
            inboxes: Arc::new(NatsInboxes::new(&connection)),
            leases: Arc::new(NatsLeases::new(&platform)),
            index: Arc::new(EmbeddedIndex::open(folder.path().join("index"))),
            clock: Arc::new(SystemClock),
            aside: Handle::current(),
        },
        tuning: Tuning::default(),
    };
    tokio::spawn(async move {
        // Without a signal to wait for, only the end of the process is left.
        tokio::signal::ctrl_c().await.ok();
        stop.send_replace(true);
    });
    let over = thread::start(env, stopped)?;
    writeln!(std::io::stdout(), "commands are taken at {url}")?;
    over.await?;
    inbox.await?;
    harness.await?;
    Ok(())
}

/// What the public may ask for.
fn catalogue() -> Catalogue {
    let verbs = workflow::PREVIEW.verbs.iter().map(|verb| PublicVerb {
        kind: workflow::PREVIEW.kind.to_owned(),
        verb: (*verb).to_owned(),
        about: format!("{verb} a preview"),
        schema: "{}".to_owned(),
    });
    Catalogue { verbs: verbs.collect() }
}
