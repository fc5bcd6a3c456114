//! `stead engine`, `stead worker`, `stead up`: processes that run until they are told to stop.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stead_lab::{Lab, LabOptions, LabPorts, Latency, Provisioner};
use stead_runtime::env::Tuning;
use stead_runtime::exchange::Exchangeable;
use stead_runtime::harness::HarnessTuning;
use stead_runtime::metric::By;
use stead_schemas::site::Deployment;
use stead_workers::Workers;
use stead_workers::forgejo::webhook::{Deployments, Webhooks};
use tokio::task::JoinHandle;

use super::archive::Undertaker;
use super::drift;
use crate::assemble::{RunningEngine, broken, open_webhooks, start_engine, start_workers};
use crate::cli::lab::CONTROL_PORT;
use crate::cli::{Global, Up, Worker};
use crate::config::{Config, Encryption, EngineConfig, read, read_file};
use crate::exit::{Ended, with_causes};
use crate::output;
use crate::reload::{Duty, Reload};
use crate::serving::{Health, serve};
use crate::signals;
use crate::traces::Traces;

pub async fn engine(global: &Global) -> Result<(), Ended> {
    let mut reload = Reload::listen(&global.config, Duty::Engine)?;
    let config = read_config(&global.config)?;
    let health = Arc::new(Health::default());
    serve(&config.engine.metrics.into_iter().collect::<Vec<_>>(), By::Engine, health.clone())
        .await?;
    Undertaker::check(&config.engine.audit)?;
    let config = with_keys(config).await?;
    let (stop, tuning) = (stop()?, tuning(&config.engine));
    let traces = Traces::begin(config.traces)?;
    let running =
        start_engine(&config.nats, &config.engine, config.site, tuning, &health, stop).await?;
    output::note(&format!("the engine is up, on {}", config.nats.url));
    let site = running.site();
    let beside = beside(&running, &config.engine)?;
    let ended = unless_ended(with(beside, running.ended()), &mut reload, |config| {
        site.replace(config.site);
        Ok(())
    });
    traces.until(ended).await
}

pub async fn worker(global: &Global, options: &Worker) -> Result<(), Ended> {
    let mut reload = Reload::listen(&global.config, Duty::Worker)?;
    let config = read_config(&global.config)?;
    let has = |system: &str| {
        options.systems.is_empty() || options.systems.iter().any(|name| name == system)
    };
    if has("proxmox") && !has("guest") && config.workers.guest.public_url.is_none() {
        output::warn(
            "guests cannot be told where their seed is, and no machine can be made: set \
             guest.public_url",
        );
    }
    let workers = workers(&config)?;
    let health = Arc::new(Health::default());
    let metrics: Vec<SocketAddr> = options.metrics.or(config.metrics).into_iter().collect();
    serve(&metrics, By::Worker, health.clone()).await?;
    let config = with_keys(config).await?;
    let (tuning, stop) = (harness_tuning(&config), stop()?);
    let traces = Traces::begin(config.traces)?;
    let running =
        start_workers(&config.nats, &workers, &options.systems, tuning, &health, stop).await?;
    output::note(&format!("the workers are up, on {}", config.nats.url));
    if let Some(seeds) = running.seed_url() {
        output::note(&format!("guests fetch their seed from {seeds}"));
    }
    let exchange = running.exchange();
    let ended =
        unless_ended(running.ended(), &mut reload, |config| moved(&workers, &exchange, &config));
    traces.until(ended).await
}

/// What an engine does beside deciding for runs.
fn beside(engine: &RunningEngine, config: &EngineConfig) -> Result<JoinHandle<()>, Ended> {
    let counting = drift::count(engine.client(), count_every());
    let undertaker = Undertaker::of(engine, &config.audit)?;
    Ok(tokio::spawn(async move {
        let expiring = async {
            if let Some(undertaker) = undertaker {
                undertaker.work().await;
            }
        };
        tokio::join!(counting, expiring);
    }))
}

/// Waits until it has ended. What is beside it goes with it, and ends before only by a panic.
async fn with(
    mut beside: JoinHandle<()>,
    ended: impl Future<Output = Result<(), Ended>>,
) -> Result<(), Ended> {
    tokio::select! {
        ended = ended => {
            beside.abort();
            ended
        }
        _ = &mut beside => Err(broken("what an engine does beside deciding")),
    }
}

/// Takes over what changes until it has ended.
pub async fn unless_ended(
    ended: impl Future<Output = Result<(), Ended>>,
    reload: &mut Reload,
    take_over: impl Fn(Config) -> Result<(), Ended>,
) -> Result<(), Ended> {
    tokio::pin!(ended);
    loop {
        tokio::select! {
            ended = &mut ended => return ended,
            config = reload.next() => {
                let level = config.log_level.clone();
                let logs_as_it_says = || {
                    level.map_or(Ok(()), |level| output::set_log_level(&level).map_err(Ended::Failed))
                };
                match take_over(config).and_then(|()| logs_as_it_says()) {
                    Ok(()) => reload.took_over(),
                    Err(error) => output::complain(&format!("goes on as it was: {error}")),
                }
            }
        }
    }
}

/// Gives the steps that come from now on to workers with other addresses.
fn moved(workers: &Workers, exchange: &[Arc<Exchangeable>], config: &Config) -> Result<(), Ended> {
    let moved = workers.moved(&config.workers);
    let moved = moved.map_err(|error| Ended::Failed(with_causes(&error)))?;
    for worker in moved.all() {
        for place in exchange {
            place.exchange(Arc::clone(&worker));
        }
    }
    Ok(())
}

/// Reads the configuration of a process that runs, and logs as it says.
fn read_config(file: &Path) -> Result<Config, Ended> {
    let config = read_file(file)?;
    if let Some(level) = &config.log_level {
        output::set_log_level(level).map_err(Ended::Failed)?;
    }
    Ok(config)
}

/// The same with the keys to what is sealed. Whoever waits for them can still be told to stop, as
/// nothing has begun.
pub async fn with_keys(mut config: Config) -> Result<Config, Ended> {
    config.nats.keys = Encryption::Open(config.nats.keys.open().await?);
    Ok(config)
}

pub async fn up(global: &Global, options: &Up) -> Result<(), Ended> {
    let lab = if options.lab { Some(start_lab().await?) } else { None };
    let mut reload = Reload::listen(&global.config, Duty::Both)?;
    let config = match &lab {
        Some(lab) => lab_config(lab)?,
        None => read_config(&global.config)?,
    };
    let health = Arc::new(Health::default());
    let metrics: BTreeSet<SocketAddr> =
        config.engine.metrics.into_iter().chain(config.metrics).collect();
    serve(&metrics.into_iter().collect::<Vec<_>>(), By::Both, health.clone()).await?;
    Undertaker::check(&config.engine.audit)?;
    let config = with_keys(config).await?;
    let stop = stop()?;
    let workers = workers(&config)?;
    let traces = Traces::begin(config.traces.clone())?;
    let engine = start_engine(
        &config.nats,
        &config.engine,
        config.site.clone(),
        tuning(&config.engine),
        &health,
        stop.clone(),
    )
    .await?;
    let deployments = Deployments::from(config.site.deployments.clone());
    let door =
        open_webhooks(&config.nats, &workers, deployments.clone(), &health, stop.clone()).await?;
    let tuning = harness_tuning(&config);
    let running = start_workers(&config.nats, &workers, &[], tuning, &health, stop).await?;
    if let Some(door) = &door {
        output::note(&format!("webhooks come in at {}", door.url()));
    }
    output::note(&format!("engine and workers are up, on {}", config.nats.url));
    if let Some(lab) = &lab {
        let control = &lab.addresses().control_url;
        introduce_webhooks(lab, door.as_ref(), &config.site.deployments);
        introduce_builds(lab)?;
        output::note(&format!("the lab is up; `stead lab inventory --lab {control}` shows it"));
    }
    let (site, exchange, is_lab) = (engine.site(), running.exchange(), lab.is_some());
    let beside = beside(&engine, &config.engine)?;
    let ended = async {
        let (workers, engine) = (running.ended(), engine.ended());
        let ended = tokio::try_join!(workers, engine);
        if let Some(door) = door {
            door.shutdown().await;
        }
        ended.map(drop)
    };
    let ended = unless_ended(with(beside, ended), &mut reload, |config| {
        if is_lab {
            return Err(Ended::Usage("the lab is the configuration".to_owned()));
        }
        moved(&workers, &exchange, &config)?;
        deployments.replace(config.site.deployments.clone());
        site.replace(config.site);
        Ok(())
    });
    traces.until(ended).await
}

/// Has the lab's Forgejo tell of pushes to every repository that something is made of.
fn introduce_webhooks(lab: &Lab, door: Option<&Webhooks>, deployments: &[Deployment]) {
    let Some(door) = door else { return };
    let repositories: BTreeSet<&str> =
        deployments.iter().map(|deployment| deployment.repository.as_str()).collect();
    for repository in repositories {
        lab.hook(repository, &door.url(), true);
    }
}

/// Has builds in the lab's Coder hand over to this program, as the template does that is shipped.
fn introduce_builds(lab: &Lab) -> Result<(), Ended> {
    let program = std::env::current_exe()
        .map_err(|error| Ended::Failed(format!("cannot find this program: {error}")))?;
    let environment = vec![
        // As here: the lab is the configuration, and the environment says where the broker is. A file
        // that lies about may be a real site's.
        ("STEAD_CONFIG".to_owned(), "/dev/null".to_owned()),
        ("STEAD_LOG".to_owned(), "error".to_owned()),
    ];
    lab.provision_with(Provisioner { program, environment });
    Ok(())
}

pub fn stop() -> Result<tokio::sync::watch::Receiver<bool>, Ended> {
    signals::stop().map_err(|error| Ended::Failed(format!("cannot listen for signals: {error}")))
}

pub fn workers(config: &Config) -> Result<Workers, Ended> {
    Workers::new(config.workers.clone()).map_err(|error| Ended::Failed(with_causes(&error)))
}

/// A lab where `stead lab inventory` looks for one, or if that place is taken, anywhere.
async fn start_lab() -> Result<Lab, Ended> {
    let at = |control| {
        let bind = LabPorts { control, ..LabPorts::default() };
        LabOptions { latency: Latency::Realistic, bind, ..LabOptions::default() }
    };
    let lab = match Lab::start(at(CONTROL_PORT)).await {
        Ok(lab) => Ok(lab),
        Err(_) => Lab::start(at(0)).await,
    };
    lab.map_err(|error| Ended::Failed(with_causes(&error)))
}

/// The configuration of a site that is the lab.
pub fn lab_config(lab: &Lab) -> Result<Config, Ended> {
    let credentials = lab.credentials();
    let env = |name: &str| match name {
        "STEAD_VAULT_ROLE_ID" => Some(credentials.vault_role_id.clone()),
        "STEAD_VAULT_SECRET_ID" => Some(credentials.vault_secret_id.clone()),
        "STEAD_TRUENAS_GRACE_SECONDS" => std::env::var(name).ok().or(Some("0".to_owned())),
        "STEAD_FORGEJO_WEBHOOK_LISTEN" => {
            std::env::var(name).ok().or(Some("127.0.0.1:0".to_owned()))
        }
        "STEAD_ENGINE_PARTITIONS" => std::env::var(name).ok().or(Some("2".to_owned())),
        _ => std::env::var(name).ok(),
    };
    Ok(read(&lab.site_toml(), "the lab", &env)?)
}

/// How patient the engine is; tests make it less so.
pub fn tuning(config: &EngineConfig) -> Tuning {
    let mut tuning = Tuning::default();
    tuning.archive_after = config.archive_after.unwrap_or(tuning.archive_after);
    if let Some(millis) = millis("STEAD_STEP_SILENCE_MS") {
        tuning.silence = millis;
    }
    tuning
}

/// How often one looks whether there was another scan for drift.
fn count_every() -> Duration {
    millis("STEAD_DRIFT_COUNT_MS").unwrap_or(Duration::from_secs(60))
}

fn harness_tuning(config: &Config) -> HarnessTuning {
    let default = HarnessTuning::default();
    let at_once = usize::try_from(config.at_once).unwrap_or(default.at_once);
    let mut tuning = HarnessTuning { at_once, ..default };
    if let Some(millis) = millis("STEAD_STEP_SILENCE_MS") {
        tuning.heartbeat = millis / 3;
    }
    tuning
}

fn millis(variable: &str) -> Option<Duration> {
    std::env::var(variable).ok()?.parse().ok().map(Duration::from_millis)
}
