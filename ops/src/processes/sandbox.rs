//! A whole platform in a temporary folder: nats-server, lab, engine and worker, each a process
//! of its own, on free ports of 127.0.0.1. It touches nothing that runs already.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::select_all;
use serde::Deserialize;
use serde_json::{Map, json};
use stead_lab::{Addresses, Credentials, LabClient};
use stead_nats::SteadClient;
use stead_schemas::command::probe::KIND as PROBE;
use stead_schemas::dispatch::CommandReply;
use stead_schemas::owner::Owner;
use stead_schemas::step::vmids::PLATFORM;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::{Instant, sleep, timeout};

use super::broker::Broker;
use super::{Order, Process};
use crate::assemble;
use crate::config::NatsConfig;
use crate::exit::{Ended, with_causes};

/// Ours that decides.
const ENGINE: &str = "engine";
/// Ours that carries out steps.
const WORKER: &str = "worker";
/// How long each part of a platform may take to be up.
const UP_WITHIN: Duration = Duration::from_secs(30);
/// How often we look whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What kind of platform is wanted.
pub struct Wanted<'a> {
    /// The nats-server to run.
    pub nats_server: &'a Path,
    /// How many of it, each with a copy of everything: one, or a cluster of three.
    pub servers: usize,
    /// How many partitions the log has.
    pub partitions: u16,
    /// Whether the lab's vendors take as long as real ones.
    pub realistic: bool,
    /// The systems whose steps the worker carries out; all of them if none is named.
    pub systems: &'static [&'static str],
    /// What the processes log: `info`.
    pub log: &'static str,
}

/// A platform of one's own.
pub struct Sandbox {
    folder: TempDir,
    processes: Vec<Process>,
    place: Option<Place>,
    /// How many engines were started beside another one.
    indexes: usize,
}

/// Where everything is, once it is up.
#[derive(Clone, Debug)]
pub struct Place {
    /// The broker; its servers, if it is a cluster.
    pub url: String,
    /// The processes of its servers.
    pub brokers: Vec<u32>,
    /// The lab's control address.
    pub lab: String,
    /// The site's configuration.
    pub site: PathBuf,
    /// How workers log in to the lab's Vault.
    pub login: Credentials,
}

/// What the lab says of itself when it opens.
#[derive(Deserialize)]
struct Opened {
    addresses: Addresses,
    environment: Environment,
}

#[derive(Deserialize)]
struct Environment {
    #[serde(rename = "STEAD_VAULT_ROLE_ID")]
    role_id: String,
    #[serde(rename = "STEAD_VAULT_SECRET_ID")]
    secret_id: String,
}

impl Sandbox {
    /// An empty folder, whose name begins like this.
    pub fn new(prefix: &str) -> Result<Self, Ended> {
        let folder = tempfile::Builder::new().prefix(prefix).tempdir();
        let folder = folder.map_err(|error| {
            Ended::Failed(format!("cannot make a temporary folder: {error}; is TMPDIR right?"))
        })?;
        Ok(Self { folder, processes: Vec::new(), place: None, indexes: 0 })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Sets the platform up and waits until a probe has gone all the way through it.
    pub async fn start(&mut self, wanted: &Wanted<'_>) -> Result<SteadClient, Ended> {
        let brokers = Broker::start(wanted.nats_server, self.folder(), wanted.servers).await?;
        let urls: Vec<String> = brokers.iter().map(|broker| broker.url.clone()).collect();
        let (url, pids) = (urls.join(","), brokers.iter().map(|broker| broker.pid).collect());
        self.processes.extend(brokers.into_iter().map(|broker| broker.keeper));
        let (lab, login) = self.start_lab(wanted).await?;
        let site = self.write_site(wanted, &url, &lab).await?;
        self.place = Some(Place { url, brokers: pids, lab, site, login });
        self.start_ours(ENGINE, wanted)?;
        self.start_ours(WORKER, wanted)?;
        let client = self.or_broken(self.until_up()).await?;
        self.or_broken(probe(&client)).await?;
        Ok(client)
    }

    /// Where everything is.
    pub fn place(&self) -> Result<&Place, Ended> {
        self.place.as_ref().ok_or_else(|| Ended::Failed("the platform is not up".to_owned()))
    }

    /// Kills the engine without a warning and starts another one in its place.
    pub async fn kill_engine(&mut self, wanted: &Wanted<'_>) -> Result<(), Ended> {
        let running = self.processes.iter().position(|process| process.name == ENGINE);
        if let Some(running) = running {
            self.processes.remove(running).kill().await;
        }
        self.start_ours(ENGINE, wanted)
    }

    /// Starts an engine beside the one that runs, with an index of its own.
    pub fn start_second_engine(&mut self, wanted: &Wanted<'_>) -> Result<(), Ended> {
        self.indexes += 1;
        let index = self.folder().join(format!("index-{}", self.indexes));
        self.start_with(ENGINE, wanted, vec![("STEAD_ENGINE_INDEX", index.display().to_string())])
    }

    /// Tells the engine that was started first to stop, as SIGTERM does, and waits until it has ended.
    pub async fn stop_first_engine(&mut self) {
        let first = self.processes.iter().position(|process| process.name == ENGINE);
        if let Some(first) = first {
            self.processes.remove(first).stop().await;
        }
    }

    /// A new connection.
    pub async fn connect(&self) -> Result<SteadClient, Ended> {
        let url = self.place()?.url.clone();
        assemble::client(&NatsConfig { url, ..NatsConfig::default() }).await
    }

    /// The number of one of our processes: `engine`, `worker`, `lab`.
    pub fn pid(&self, name: &str) -> Option<u32> {
        self.processes.iter().find(|process| process.name == name).map(|process| process.pid)
    }

    /// Resolves when a process has ended that should not have.
    pub async fn broken(&self) -> Ended {
        if self.processes.is_empty() {
            return std::future::pending().await;
        }
        select_all(self.processes.iter().map(|process| process.broken().boxed())).await.0
    }

    /// What comes of `work`, unless a process ends meanwhile.
    pub async fn or_broken<T>(
        &self,
        work: impl Future<Output = Result<T, Ended>>,
    ) -> Result<T, Ended> {
        tokio::select! {
            done = work => done,
            broken = self.broken() => Err(broken),
        }
    }

    /// Ends everything, the latest first, and takes the folder away.
    pub async fn close(mut self) {
        self.stop().await;
        if let Err(error) = self.folder.close() {
            tracing::debug!(%error, "the temporary folder could not be taken away");
        }
    }

    /// Ends everything and keeps the folder with the logs.
    pub async fn close_and_keep(mut self) -> PathBuf {
        self.stop().await;
        self.folder.keep()
    }

    async fn stop(&mut self) {
        while let Some(process) = self.processes.pop() {
            process.stop().await;
        }
    }

    async fn start_lab(&mut self, wanted: &Wanted<'_>) -> Result<(String, Credentials), Ended> {
        let latency = if wanted.realistic { "realistic" } else { "zero" };
        let arguments = ["lab", "--json", "--control", "0", "--latency", latency];
        let arguments = logging(wanted, &arguments);
        let (environment, logs) = (Vec::new(), self.folder());
        let order = Order { name: "lab", arguments, environment, logs };
        let (lab, out) = Process::start_heard(&order)?;
        self.processes.push(lab);
        let said = async {
            let line = timeout(UP_WITHIN, BufReader::new(out).lines().next_line()).await;
            match line {
                Ok(Ok(Some(line))) => Ok(line),
                // It has ended, and whoever watches it says how.
                Ok(_) => std::future::pending().await,
                Err(_) => Err(too_long("the lab is open")),
            }
        };
        let said = self.or_broken(said).await?;
        let opened: Opened = serde_json::from_str(&said).map_err(|error| {
            Ended::Failed(format!("the lab says something that cannot be read: {error}"))
        })?;
        let Environment { role_id, secret_id } = opened.environment;
        let login = Credentials { vault_role_id: role_id, vault_secret_id: secret_id };
        Ok((opened.addresses.control_url, login))
    }

    async fn write_site(
        &self,
        wanted: &Wanted<'_>,
        url: &str,
        lab: &str,
    ) -> Result<PathBuf, Ended> {
        let asked = LabClient::new(lab).site_toml().await;
        let text = asked.map_err(|error| Ended::Failed(with_causes(&error)))?;
        let text = text.replace("[truenas]\n", "[truenas]\ngrace_seconds = 0\n");
        let (partitions, index) = (wanted.partitions, self.folder().join("index"));
        let head = format!(
            "[nats]\nurl = \"{url}\"\n\n[engine]\npartitions = {partitions}\n\
             replicas = {}\nindex = {index:?}\n\n",
            wanted.servers
        );
        let file = self.folder().join("site.toml");
        std::fs::write(&file, head + &text)
            .map_err(|error| Ended::Failed(format!("cannot write {}: {error}", file.display())))?;
        Ok(file)
    }

    fn start_ours(&mut self, name: &'static str, wanted: &Wanted<'_>) -> Result<(), Ended> {
        self.start_with(name, wanted, Vec::new())
    }

    fn start_with(
        &mut self,
        name: &'static str,
        wanted: &Wanted<'_>,
        more: Vec<(&'static str, String)>,
    ) -> Result<(), Ended> {
        let mut arguments = logging(wanted, &[name, "--config"]);
        arguments.push(self.place()?.site.clone().into());
        if name == WORKER && !wanted.systems.is_empty() {
            arguments.extend(["--systems".into(), wanted.systems.join(",").into()]);
        }
        let login = self.place.iter().map(|place| &place.login).flat_map(|login| {
            [
                ("STEAD_VAULT_ROLE_ID", login.vault_role_id.clone()),
                ("STEAD_VAULT_SECRET_ID", login.vault_secret_id.clone()),
            ]
        });
        let environment = login.chain(more).collect();
        let process = Process::start(&Order { name, arguments, environment, logs: self.folder() })?;
        self.processes.push(process);
        Ok(())
    }

    /// Waits until an engine has set the platform up and owns all of it.
    async fn until_up(&self) -> Result<SteadClient, Ended> {
        let client = soon("an engine is up", async || self.connect().await.ok()).await?;
        soon("an engine owns every partition", async || client.list_all().await.ok()).await?;
        Ok(client)
    }
}

fn logging(wanted: &Wanted<'_>, arguments: &[&str]) -> Vec<OsString> {
    ["--log", wanted.log].iter().chain(arguments).map(Into::into).collect()
}

/// Sends one probe through, which needs the service interface, the engine and the worker.
async fn probe(client: &SteadClient) -> Result<(), Ended> {
    let owner = Owner::new(PLATFORM)
        .map_err(|error| Ended::Failed(format!("our own name is refused: {error}")))?;
    let fields = Map::from_iter([("name".to_owned(), json!("is-it-up"))]);
    let run = match client.command(&owner, PROBE, "start", &fields).await? {
        CommandReply::Accepted(accepted) => accepted.run,
        CommandReply::Refused(refusal) => return Err(Ended::Refused(refusal)),
        CommandReply::Unavailable { words } => return Err(Ended::Unavailable(words)),
    };
    let is_over = async || client.view(&run).await.ok()??.outcome;
    soon("a probe is through", is_over).await.map(drop)
}

/// Looks again and again, until there is something to see.
pub async fn soon<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T, Ended> {
    let deadline = Instant::now() + UP_WITHIN;
    loop {
        if let Some(seen) = look().await {
            return Ok(seen);
        }
        if Instant::now() >= deadline {
            return Err(too_long(what));
        }
        sleep(LOOK_EVERY).await;
    }
}

fn too_long(what: &str) -> Ended {
    let seconds = UP_WITHIN.as_secs();
    Ended::Failed(format!("it takes more than {seconds} s until {what}"))
}
