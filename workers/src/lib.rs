//! The workers: one folder for each outside system, always the same files. `mod.rs` is the
//! table of steps, `steps` tells what each does, `client.rs` speaks to the vendor and decides
//! once what every answer means.
//!
//! Nothing here keeps state: whatever a worker remembers (sessions, pinned secrets) can be lost
//! at any moment. Workers know neither workflows nor engines; the seed server alone speaks to
//! engines, through a port.

pub mod address;
pub mod authentik;
pub mod coder;
mod door;
pub mod forgejo;
pub mod guest;
mod http;
pub mod kubernetes;
mod listener;
mod measured;
mod named;
pub mod notify;
mod pace;
pub mod probe;
pub mod proxmox;
pub mod s3;
mod trouble;
pub mod truenas;
pub mod vault;

#[cfg(test)]
mod testing;

use std::net::SocketAddr;
use std::sync::Arc;

use serde::Deserialize;
use stead_runtime::ports::SystemClock;
use stead_runtime::worker::{AnyWorker, Engines, Inbox};

use forgejo::webhook::{self, Deployments, Webhooks};

pub use vault::{SecretText, Secrets};

/// Every system that something is done for. `guest` takes no steps: it is the seed server.
pub const SYSTEMS: [&str; 11] = [
    "authentik",
    "coder",
    "forgejo",
    "guest",
    "kubernetes",
    "notify",
    "probe",
    "proxmox",
    "s3",
    "truenas",
    "vault",
];

/// Where every outside system is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkersConfig {
    /// Where secrets lie.
    pub vault: vault::Config,
    /// Where machines are made.
    pub proxmox: proxmox::Config,
    /// Where homes are kept.
    pub truenas: truenas::Config,
    /// Where developers look.
    pub coder: coder::Config,
    /// Where CI works, if the site has a Forgejo.
    #[serde(default)]
    pub forgejo: Option<forgejo::Config>,
    /// Where it is known who may own workspaces, if the site has an Authentik.
    #[serde(default)]
    pub authentik: Option<authentik::Config>,
    /// Where MCP servers run, if the site has any.
    #[serde(default)]
    pub kubernetes: Option<kubernetes::Config>,
    /// Where buckets are, if the site has any.
    #[serde(default)]
    pub s3: Option<s3::Config>,
    /// How people are told of things.
    #[serde(default)]
    pub notify: notify::Config,
    /// Where guests fetch their seed.
    #[serde(default)]
    pub guest: guest::Config,
}

/// Why workers cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// TLS has no usable roots or no cryptography was installed.
    #[error("no HTTP client could be made for {system}")]
    Http {
        /// Whom it was to speak to.
        system: &'static str,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The seed server's address is taken, or not ours.
    #[error("the seed server cannot listen on {address}")]
    Listen {
        /// The address as configured.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The address of the door for webhooks is taken, or not ours.
    #[error("the door for webhooks cannot listen on {address}")]
    Door {
        /// The address as configured.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A name that is not in [`SYSTEMS`].
    #[error("there are no workers for `{name}`; there are for {}", SYSTEMS.join(", "))]
    UnknownSystem {
        /// The name as it was given.
        name: String,
    },
}

/// The workers of all systems, ready to be handed to a harness.
pub struct Workers {
    vault: Secrets,
    proxmox: proxmox::Client,
    truenas: truenas::Client,
    coder: coder::Client,
    forgejo: Option<forgejo::Client>,
    authentik: Option<authentik::Client>,
    kubernetes: Option<kubernetes::Client>,
    s3: Option<s3::Client>,
    notify: notify::Client,
    guest: guest::Config,
    seeds: guest::Seeds,
    webhook: Option<webhook::Config>,
}

impl Workers {
    /// Makes the clients. Nothing is connected yet: a vendor that is down delays its own steps
    /// only.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(config: WorkersConfig) -> Result<Self, StartError> {
        let vault = Secrets::new(config.vault.clone())?;
        let urls = guest::SeedUrls::new(&config.guest, vault.clone());
        let seeds = guest::Seeds::new(&config.guest, urls, &config.coder.address.to_string());
        let forgejo = forgejo_of(&config, &vault)?;
        Ok(Self {
            proxmox: proxmox::Client::new(&config.proxmox, vault.clone(), seeds.clone())?,
            truenas: truenas::Client::new(&config.truenas, vault.clone()),
            coder: coder::Client::new(&config.coder, vault.clone(), forgejo.clone())?,
            forgejo,
            authentik: authentik_of(&config, &vault)?,
            kubernetes: kubernetes_of(&config, &vault)?,
            s3: match &config.s3 {
                Some(config) => Some(s3::Client::new(config, vault.clone())?),
                None => None,
            },
            notify: notify::Client::new(&config.notify, vault.clone()),
            webhook: config.forgejo.and_then(|forgejo| forgejo.webhook),
            guest: config.guest,
            vault,
            seeds,
        })
    }

    /// The same workers with other addresses of Proxmox VE, TrueNAS, Coder, Kubernetes, S3 and mail. Vault and the
    /// guests' door stay as they are.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn moved(&self, config: &WorkersConfig) -> Result<Self, StartError> {
        let (vault, seeds) = (self.vault.clone(), self.seeds.clone());
        let forgejo = forgejo_of(config, &vault)?;
        Ok(Self {
            proxmox: proxmox::Client::new(&config.proxmox, vault.clone(), seeds.clone())?,
            truenas: truenas::Client::new(&config.truenas, vault.clone()),
            coder: coder::Client::new(&config.coder, vault.clone(), forgejo.clone())?,
            forgejo,
            authentik: authentik_of(config, &vault)?,
            kubernetes: kubernetes_of(config, &vault)?,
            s3: match &config.s3 {
                Some(config) => Some(s3::Client::new(config, vault.clone())?),
                None => None,
            },
            notify: notify::Client::new(&config.notify, vault.clone()),
            webhook: self.webhook.clone(),
            guest: self.guest.clone(),
            vault,
            seeds,
        })
    }

    /// The workers of every system.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<dyn AnyWorker>> {
        SYSTEMS.into_iter().filter_map(|system| self.of(system)).collect()
    }

    /// The workers of the systems named.
    ///
    /// # Errors
    /// If a name is not in [`SYSTEMS`].
    pub fn only<'a>(
        &self,
        systems: impl IntoIterator<Item = &'a str>,
    ) -> Result<Vec<Arc<dyn AnyWorker>>, StartError> {
        let mut workers = Vec::new();
        for name in systems {
            if !SYSTEMS.contains(&name) {
                return Err(StartError::UnknownSystem { name: name.to_owned() });
            }
            workers.extend(self.of(name));
        }
        Ok(workers)
    }

    /// Opens the seed server. From then on machines are told its address, unless the
    /// configuration names a public one.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn serve_seeds(
        &self,
        engines: Arc<dyn Engines>,
    ) -> Result<guest::SeedServer, StartError> {
        guest::SeedServer::start(&self.guest, self.seeds.clone(), engines).await
    }

    /// Whether the site has a door for webhooks.
    #[must_use]
    pub fn has_webhooks(&self) -> bool {
        self.webhook.is_some()
    }

    /// Opens the door for webhooks, if the site has one.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn take_webhooks(
        &self,
        deployments: Deployments,
        inbox: Arc<dyn Inbox>,
    ) -> Result<Option<Webhooks>, StartError> {
        let Some(config) = &self.webhook else { return Ok(None) };
        let (secrets, clock) = (self.vault.clone(), Arc::new(SystemClock));
        Webhooks::open(config, secrets, deployments, inbox, clock).await.map(Some)
    }

    /// The secrets that all of them share.
    #[must_use]
    pub fn secrets(&self) -> &Secrets {
        &self.vault
    }

    fn of(&self, system: &str) -> Option<Arc<dyn AnyWorker>> {
        match system {
            "authentik" => Some(Arc::new(authentik::worker(self.authentik.clone()?))),
            "coder" => Some(Arc::new(coder::worker(self.coder.clone()))),
            "forgejo" => Some(Arc::new(forgejo::worker(self.forgejo.clone()?))),
            "kubernetes" => Some(Arc::new(kubernetes::worker(self.kubernetes.clone()?))),
            "notify" => Some(Arc::new(notify::worker(self.notify.clone()))),
            "probe" => Some(Arc::new(probe::worker())),
            "proxmox" => Some(Arc::new(proxmox::worker(self.proxmox.clone()))),
            "s3" => Some(Arc::new(s3::worker(self.s3.clone()?))),
            "truenas" => Some(Arc::new(truenas::worker(self.truenas.clone()))),
            "vault" => Some(Arc::new(vault::worker(self.vault.clone()))),
            _ => None,
        }
    }
}

fn authentik_of(
    config: &WorkersConfig,
    vault: &Secrets,
) -> Result<Option<authentik::Client>, StartError> {
    let new = |config| authentik::Client::new(config, vault.clone());
    config.authentik.as_ref().map(new).transpose()
}

fn forgejo_of(
    config: &WorkersConfig,
    vault: &Secrets,
) -> Result<Option<forgejo::Client>, StartError> {
    let new = |config| forgejo::Client::new(config, vault.clone());
    config.forgejo.as_ref().map(new).transpose()
}

fn kubernetes_of(
    config: &WorkersConfig,
    vault: &Secrets,
) -> Result<Option<kubernetes::Client>, StartError> {
    let new = |config| kubernetes::Client::new(config, vault.clone());
    config.kubernetes.as_ref().map(new).transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use stead_schemas::step::known::STEPS;
    use stead_schemas::step::touch::is_known;

    use super::{SYSTEMS, StartError, Workers, WorkersConfig};
    use crate::testing::Stage;

    fn written() -> Value {
        json!({
            "vault": {
                "address": "https://vault.lan:8200",
                "login": { "by": "app-role", "role_id": "r", "secret_id": "s" },
            },
            "proxmox": { "address": "https://pve.lan:8006" },
            "truenas": { "address": "wss://nas.lan/api/current" },
            "coder": { "address": "https://coder.lan" },
        })
    }

    fn check(place: &str, value: &str, refused: &str) {
        let mut config = written();
        *config.pointer_mut(place).unwrap() = json!(value);
        let refusal = serde_json::from_value::<WorkersConfig>(config).unwrap_err().to_string();
        assert!(refusal.contains(refused), "{refusal}");
    }

    #[test]
    fn a_configuration_is_checked_when_it_is_read() {
        let config: WorkersConfig = serde_json::from_value(written()).unwrap();
        assert_eq!(config.vault.mount, "secret");
        assert_eq!(config.guest.secret, "vault:secret/data/stead/seed");
        check("/truenas/address", "ws://nas.lan/api/current", "revokes keys");
        check("/proxmox/address", "pve.lan", "is no address");
        let mut extra = written();
        extra["proxmox"]["secret"] = json!("x");
        assert!(serde_json::from_value::<WorkersConfig>(extra).is_err());
    }

    #[tokio::test]
    async fn workers_are_taken_by_name() {
        let stage = Stage::open().await;
        let all: Vec<_> = stage.workers.all().iter().map(|worker| worker.system()).collect();
        assert_eq!(
            all,
            [
                "authentik",
                "coder",
                "forgejo",
                "kubernetes",
                "notify",
                "probe",
                "proxmox",
                "s3",
                "truenas",
                "vault"
            ]
        );
        assert!(SYSTEMS.is_sorted());
        assert_eq!(stage.workers.only(["vault", "truenas"]).unwrap().len(), 2);
        assert!(stage.workers.only(["guest"]).unwrap().is_empty());
        let unknown = stage.workers.only(["gitea"]);
        assert!(matches!(unknown, Err(StartError::UnknownSystem { name }) if name == "gitea"));
    }

    #[tokio::test]
    async fn every_step_has_its_lines_in_the_tables_of_steps() {
        let Workers {
            vault,
            proxmox,
            truenas,
            coder,
            forgejo,
            authentik,
            kubernetes,
            s3,
            notify,
            ..
        } = Stage::open().await.workers;
        let steps = [
            crate::authentik::worker(authentik.expect("the stage has one"))
                .steps()
                .collect::<Vec<_>>(),
            crate::coder::worker(coder).steps().collect(),
            crate::forgejo::worker(forgejo.expect("the stage has one")).steps().collect(),
            crate::kubernetes::worker(kubernetes.expect("the stage has one")).steps().collect(),
            crate::notify::worker(notify).steps().collect(),
            crate::probe::worker().steps().collect(),
            crate::proxmox::worker(proxmox).steps().collect(),
            crate::s3::worker(s3.expect("the stage has one")).steps().collect(),
            crate::truenas::worker(truenas).steps().collect(),
            crate::vault::worker(vault).steps().collect(),
        ];
        let steps = steps.concat();
        let known: Vec<&str> = STEPS.iter().map(|(step, _)| *step).collect();
        assert_eq!(known, steps, "schemas/src/step/known.rs");
        for step in steps {
            assert!(is_known(step), "{step} is missing in schemas/src/step/touch.rs");
        }
    }

    #[tokio::test]
    async fn the_probe_does_nothing() {
        let stage = Stage::open().await;
        stage.ask(stead_schemas::step::probe::Noop { number: 1 }).await.unwrap();
        assert!(stage.lab.requests().is_empty());
    }
}
