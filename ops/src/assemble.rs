//! Puts engines and workers together out of the rooms below.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use stead_index::EmbeddedIndex;
use stead_nats::door::{Catalogue, PublicVerb, run_api, run_inbox, run_pools, run_watch};
use stead_nats::{
    ConnectSettings, Connection, Login, NatsArchive, NatsBus, NatsInboxes, NatsLeases, NatsLog,
    Platform, PlatformError, PlatformSettings, SteadClient, connect, open_platform,
};
use stead_runtime::checkup::Checker;
use stead_runtime::env::{CurrentSite, Env, Tuning};
use stead_runtime::exchange::Exchangeable;
use stead_runtime::harness::{Harness, HarnessTuning};
use stead_runtime::ports::{Ports, SystemClock};
use stead_runtime::worker::AnyWorker;
use stead_runtime::{metric, thread, vital};
use stead_schemas::command::COMMANDS;
use stead_schemas::site::Site;
use stead_workers::forgejo::webhook::{Deployments, Webhooks};
use stead_workers::guest::SeedServer;
use stead_workers::{SYSTEMS, Workers};
use stead_workflows::WORKFLOWS;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::config::{EngineConfig, NatsConfig};
use crate::exit::Ended;
use crate::serving::Health;
use crate::serving::health::{WatchedLeases, WatchedLog};

/// How often one looks whether an engine has set the platform up.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// This build, as it is written into every run: the version, and a digest of the sources that
/// `ops/build.rs` makes.
pub const BUILD: &str = concat!("stead ", env!("STEAD_VERSION"));

/// The build that this process says it is: tests let one binary stand for two.
fn build() -> String {
    std::env::var("STEAD_BUILD").unwrap_or_else(|_| BUILD.to_owned())
}

/// Connects to the broker.
pub async fn connection(nats: &NatsConfig, name: &str) -> Result<Connection, Ended> {
    let mut settings = ConnectSettings::new(&nats.url, name);
    settings.tls_ca.clone_from(&nats.tls_ca);
    settings.js_prefix.clone_from(&nats.js_prefix);
    settings.callers_are_proved = nats.callers_are_proved;
    settings.keys = nats.keys.open().await?;
    settings.says = std::env::var("USER").ok().map(|user| format!("{BUILD} of {user}"));
    settings.login = match (&nats.nkey, &nats.credentials, &nats.user, &nats.password) {
        (Some(seed), _, _, _) => Login::Key(seed.expose().to_owned()),
        (None, Some(file), _, _) => Login::Credentials(file.clone()),
        (None, None, Some(user), Some(password)) => {
            Login::Password { user: user.clone(), password: password.expose().to_owned() }
        }
        _ => Login::None,
    };
    Ok(connect(&settings).await?)
}

/// Connects, as one who uses a platform that an engine has set up.
pub async fn client(nats: &NatsConfig) -> Result<SteadClient, Ended> {
    let connection = connection(nats, "stead-cli").await?;
    let settings = PlatformSettings { partitions: None, replicas: 1 };
    Ok(SteadClient::new(&open_platform(&connection, settings).await?))
}

/// A running engine.
pub struct RunningEngine {
    name: String,
    /// Says that the engine's thread has ended in good order; says nothing if it panicked.
    over: oneshot::Receiver<()>,
    doors: Vec<JoinHandle<()>>,
    site: CurrentSite,
    connection: Connection,
    client: SteadClient,
}

impl RunningEngine {
    /// The platform, as the engine is connected to it.
    pub fn client(&self) -> SteadClient {
        self.client.clone()
    }

    /// What it is called in leases and in what it writes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it completes orders with, which may be replaced while it runs.
    pub fn site(&self) -> CurrentSite {
        self.site.clone()
    }

    /// Waits until it has ended, which it does after its `stop` has turned true.
    ///
    /// # Errors
    /// As soon as a part of it panics: what is left is no engine, and whoever supervises the process
    /// starts it again.
    pub async fn ended(self) -> Result<(), Ended> {
        let ended = unless_broken(all_of_it(self.over, self.doors), vital::broken()).await;
        self.connection.flush().await;
        ended
    }
}

async fn all_of_it(over: oneshot::Receiver<()>, doors: Vec<JoinHandle<()>>) -> Result<(), Ended> {
    let thread = async { over.await.map_err(|_| broken("the engine")) };
    let doors = async { try_join_all(doors).await.map_err(|_| broken("a door of the engine")) };
    tokio::try_join!(thread, doors).map(drop)
}

/// Waits for the end of a part, or for the panic of a task that nobody waits for.
///
/// # Errors
/// If such a task panics, or the part ends so.
pub async fn unless_broken(
    ended: impl Future<Output = Result<(), Ended>>,
    panicked: impl Future<Output = &'static str>,
) -> Result<(), Ended> {
    tokio::select! {
        biased;
        ended = ended => ended,
        what = panicked => Err(broken(what)),
    }
}

/// A part of a process has panicked, and said so.
pub fn broken(what: &str) -> Ended {
    Ended::Failed(format!("{what} ended with a bug of ours; what it said is above"))
}

/// Starts an engine on a thread of its own: runs are not shared, so nothing is locked.
pub async fn start_engine(
    nats: &NatsConfig,
    config: &EngineConfig,
    site: Site,
    tuning: Tuning,
    health: &Health,
    stop: watch::Receiver<bool>,
) -> Result<RunningEngine, Ended> {
    let connection = connection(nats, "stead-engine").await?;
    let settings =
        PlatformSettings { partitions: Some(config.partitions), replicas: config.replicas };
    let platform = open_platform(&connection, settings).await?;
    let health = health.has_engine(&connection);
    let (log, leases) = (NatsLog::new(&platform), NatsLeases::new(&platform).of_build(build()));
    let kinds = WORKFLOWS.iter().map(|workflow| (workflow.kind, workflow.verbs));
    metric::begin_engine(kinds, SYSTEMS.into_iter());
    let index = EmbeddedIndex::open(config.index.clone());
    let name = index.name(format!("engine-{}", Uuid::now_v7().simple()));
    let ports = Ports {
        log: Arc::new(WatchedLog { log, health: Arc::clone(&health) }),
        epochs: Arc::new(NatsLog::new(&platform)),
        archive: Arc::new(NatsArchive::new(&platform).expiring(config.audit.keep_days.is_some())),
        bus: Arc::new(NatsBus::start(&connection)),
        inboxes: Arc::new(NatsInboxes::new(&connection)),
        leases: Arc::new(WatchedLeases { leases, health }),
        index: Arc::new(index),
        clock: Arc::new(SystemClock),
        aside: Handle::current(),
    };
    let partitions = platform.partitions;
    let site = CurrentSite::from(site);
    let for_engine = site.clone();
    let engine = name.clone();
    let env = Env {
        engine,
        build: build(),
        partitions,
        definitions: WORKFLOWS,
        site: for_engine,
        ports,
        tuning,
    };
    let over = thread::start(env, stop.clone())
        .map_err(|error| Ended::Failed(format!("cannot start a thread: {error}")))?;
    let doors = open_doors(&connection, &platform, &site, &stop);
    let client = SteadClient::new(&platform);
    Ok(RunningEngine { name, over, doors, site, connection, client })
}

/// Opens the doors by which commands come in: the durable inbox, the service interface, what
/// looks for what people should know, and what tells pools what they are to be.
fn open_doors(
    connection: &Connection,
    platform: &Platform,
    site: &CurrentSite,
    stop: &watch::Receiver<bool>,
) -> Vec<JoinHandle<()>> {
    let catalogue = Arc::new(catalogue());
    let (connection, platform) = (connection.clone(), platform.clone());
    let inbox = {
        let (connection, platform) = (connection.clone(), platform.clone());
        let (catalogue, stop) = (Arc::clone(&catalogue), stop.clone());
        async move { run_inbox(&connection, &platform, catalogue, stop).await }
    };
    let watch = {
        let (platform, site, stop) = (platform.clone(), site.clone(), stop.clone());
        async move { run_watch(&platform, site, stop).await }
    };
    let pools = {
        let (platform, site, stop) = (platform.clone(), site.clone(), stop.clone());
        async move { run_pools(&platform, site, stop).await }
    };
    let stop = stop.clone();
    let api = async move {
        let version = env!("CARGO_PKG_VERSION");
        if let Err(error) = run_api(&connection, &platform, catalogue, version, stop).await {
            tracing::error!(%error, "commands come in by the inbox only");
        }
    };
    vec![tokio::spawn(inbox), tokio::spawn(api), tokio::spawn(watch), tokio::spawn(pools)]
}

/// What the public may ask for.
fn catalogue() -> Catalogue {
    let verbs = COMMANDS.iter().map(|command| PublicVerb {
        kind: command.kind.to_owned(),
        verb: command.verb.to_owned(),
        about: command.about.to_owned(),
        schema: serde_json::Value::from((command.schema)()).to_string(),
    });
    Catalogue { verbs: verbs.collect() }
}

/// Running workers.
pub struct RunningWorkers {
    harness: JoinHandle<()>,
    stop: watch::Receiver<bool>,
    seeds: Option<SeedServer>,
    exchange: Vec<Arc<Exchangeable>>,
    connection: Connection,
}

impl RunningWorkers {
    /// What stands for each worker, and can be exchanged while it works.
    pub fn exchange(&self) -> Vec<Arc<Exchangeable>> {
        self.exchange.clone()
    }

    /// Where guests fetch their seed, if these workers serve it.
    pub fn seed_url(&self) -> Option<String> {
        self.seeds.as_ref().map(SeedServer::url)
    }

    /// Waits until they have ended, which they do after their `stop` has turned true.
    ///
    /// # Errors
    /// If what hands the steps to them panics, or ends though nobody has told it to; or if a task
    /// panics that nobody waits for.
    pub async fn ended(self) -> Result<(), Ended> {
        let Self { harness, stop, seeds, connection, .. } = self;
        let ended = async {
            match harness.await {
                Ok(()) if *stop.borrow() => Ok(()),
                _ => Err(broken("what hands steps to the workers")),
            }
        };
        let ended = unless_broken(ended, vital::broken()).await;
        connection.flush().await;
        if let Some(seeds) = seeds {
            seeds.shutdown().await;
        }
        ended
    }
}

/// The platform, once an engine has set it up: whoever starts everything at once need not care
/// for the order.
async fn set_up(
    connection: &Connection,
    mut stop: watch::Receiver<bool>,
) -> Result<Platform, Ended> {
    let settings = PlatformSettings { partitions: None, replicas: 1 };
    let mut is_told = false;
    loop {
        match open_platform(connection, settings).await {
            Err(PlatformError::NotSetUp) if !*stop.borrow() => {}
            opened => return Ok(opened?),
        }
        if !is_told {
            crate::output::note("waiting for an engine to set the platform up");
            is_told = true;
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = crate::signals::stopped(&mut stop) => {}
        }
    }
}

/// Opens the door for webhooks, if the site has one.
pub async fn open_webhooks(
    nats: &NatsConfig,
    workers: &Workers,
    deployments: Deployments,
    health: &Health,
    stop: watch::Receiver<bool>,
) -> Result<Option<Webhooks>, Ended> {
    if !workers.has_webhooks() {
        return Ok(None);
    }
    let connection = connection(nats, "stead-webhook").await?;
    let client = SteadClient::new(&set_up(&connection, stop).await?);
    let door = workers.take_webhooks(deployments, Arc::new(client)).await;
    let door = door.map_err(|error| Ended::Failed(crate::exit::with_causes(&error)))?;
    health.has("the door for webhooks", &connection);
    Ok(door)
}

/// Starts the workers of these systems; of all if none is named.
pub async fn start_workers(
    nats: &NatsConfig,
    workers: &Workers,
    systems: &[String],
    tuning: HarnessTuning,
    health: &Health,
    stop: watch::Receiver<bool>,
) -> Result<RunningWorkers, Ended> {
    let connection = connection(nats, "stead-worker").await?;
    let names: Vec<&str> = match systems {
        [] => SYSTEMS.to_vec(),
        named => named.iter().map(String::as_str).collect(),
    };
    // Whatever a worker does, it asks Vault how to be let in.
    let calls: BTreeSet<&str> = names.iter().copied().chain(["vault"]).collect();
    metric::begin_worker(calls.into_iter());
    let chosen =
        workers.only(names.iter().copied()).map_err(|error| Ended::Usage(error.to_string()))?;
    let exchange: Vec<_> =
        chosen.into_iter().map(|worker| Arc::new(Exchangeable::new(worker))).collect();
    let chosen: Vec<Arc<dyn AnyWorker>> =
        exchange.iter().map(|one| Arc::clone(one) as Arc<dyn AnyWorker>).collect();
    let seeds = if names.contains(&"guest") {
        let client = SteadClient::new(&set_up(&connection, stop.clone()).await?);
        let seeds = workers.serve_seeds(Arc::new(client)).await;
        Some(seeds.map_err(|error| Ended::Failed(crate::exit::with_causes(&error)))?)
    } else {
        None
    };
    let (inbound, replies) = stead_nats::worker_link::WorkerLink::start(&connection, &names)
        .await
        .map_err(|error| Ended::Unavailable(error.to_string()))?;
    health.has("the workers", &connection);
    let checker = Checker::new(&chosen, build());
    stead_nats::checkup::serve_checkups(&connection, &names, checker)
        .await
        .map_err(|error| Ended::Unavailable(error.to_string()))?;
    let harness = Harness::new(chosen, replies, tuning);
    let harness = tokio::spawn(harness.run(inbound, stop.clone()));
    Ok(RunningWorkers { harness, stop, seeds, exchange, connection })
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::{all_of_it, unless_broken};

    #[tokio::test]
    async fn a_part_that_panics_ends_all_of_it_at_once() {
        let (_running, over) = oneshot::channel();
        let open = || tokio::spawn(std::future::pending());
        let broken = tokio::spawn(async { panic!("it breaks") });
        let ended = all_of_it(over, vec![open(), broken]).await;
        assert!(ended.unwrap_err().to_string().contains("a door of the engine ended"));

        let (thread, over) = oneshot::channel();
        drop(thread);
        let ended = all_of_it(over, vec![open()]).await;
        assert!(ended.unwrap_err().to_string().contains("the engine ended"));
    }

    #[tokio::test]
    async fn a_task_that_nobody_waits_for_ends_all_of_it_when_it_panics() {
        let panicked = std::future::ready("the outbox");
        let ended = unless_broken(std::future::pending(), panicked).await;
        assert!(ended.unwrap_err().to_string().contains("the outbox ended with a bug of ours"));
        let ended = unless_broken(std::future::ready(Ok(())), std::future::pending()).await;
        ended.expect("a good end");
    }

    #[tokio::test]
    async fn what_was_told_to_stop_has_ended_when_all_of_it_has() {
        let (thread, over) = oneshot::channel();
        thread.send(()).expect("somebody waits");
        all_of_it(over, vec![tokio::spawn(async {})]).await.expect("a good end");
    }
}
