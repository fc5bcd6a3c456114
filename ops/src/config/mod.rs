//! The site's configuration: one TOML file, overridden by the environment, secrets only as
//! references. It is read whole: every fault is found, and named with its place.
//!
//! `reader.rs` reads single values; this page says which ones there are.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde_json::json;
use stead_runtime::env::ARCHIVE_AFTER;
use stead_schemas::site::{Allowance, CoderSite, ForgejoSite, NasSite, Site};
use stead_workers::WorkersConfig;

mod audit;
mod authentik;
mod backups;
mod deployments;
mod encryption;
mod fault;
mod guest;
mod incident;
mod limits;
mod mcp;
mod notify;
mod pools;
mod proxmox;
mod reader;
mod s3;
mod templates;
mod truenas;
mod vault;

pub use audit::AuditConfig;
pub use encryption::{Encryption, Wrapping};
pub use fault::ConfigError;
pub use incident::IncidentConfig;
use reader::Reader;

/// Where the configuration is looked for if nothing is said.
pub const DEFAULT_FILE: &str = "stead.toml";

/// A whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The broker.
    pub nats: NatsConfig,
    /// The engine.
    pub engine: EngineConfig,
    /// What orders are completed with.
    pub site: Site,
    /// Where the outside systems are.
    pub workers: WorkersConfig,
    /// Where workers serve metrics, if they do.
    pub metrics: Option<SocketAddr>,
    /// How many steps of one system a worker process carries out at once.
    pub at_once: u32,
    /// Where traces are sent, if they are.
    pub traces: Option<Url>,
    /// What to log, where neither the command line nor the environment says it.
    pub log_level: Option<String>,
}

/// How to reach the broker.
#[derive(Clone, Debug, Default)]
pub struct NatsConfig {
    /// `nats://127.0.0.1:4222`.
    pub url: String,
    /// A user name, where the server wants one.
    pub user: Option<String>,
    /// That user's password.
    pub password: Option<stead_workers::SecretText>,
    /// A credentials file, where the server wants one.
    pub credentials: Option<PathBuf>,
    /// The seed of a key, where the server knows users by keys.
    pub nkey: Option<stead_workers::SecretText>,
    /// What the subjects of the JetStream API begin with, for those outside the streams' account.
    pub js_prefix: Option<String>,
    /// Whether everybody who gives commands comes from another account of the server.
    pub callers_are_proved: bool,
    /// The authority that signed the server's certificate.
    pub tls_ca: Option<PathBuf>,
    /// The keys to what is sealed on the servers' disks.
    pub keys: Encryption,
    /// Where the servers serve their monitoring, for whoever looks how they are set.
    pub monitors: Vec<String>,
}

/// How an engine runs.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// How many partitions the log has; fixed once the platform is set up.
    pub partitions: u16,
    /// How many servers keep each message: 1, or 3 in a cluster (or 5).
    pub replicas: usize,
    /// Where the rebuildable index lies.
    pub index: PathBuf,
    /// Where metrics are served, if they are.
    pub metrics: Option<SocketAddr>,
    /// With this many transitions of runs that are over in a partition's log they go into the
    /// archive; nothing if that is left to people.
    pub archive_after: Option<u64>,
    /// How long histories are kept, and who has them expire.
    pub audit: AuditConfig,
}

/// As many steps of one system as a vendor bears from each worker process, until a site knows better.
const AT_ONCE: u32 = 64;

/// Reads the configuration from a file.
///
/// # Errors
/// If the file cannot be read, or with every fault in it.
pub fn read_file(path: &Path) -> Result<Config, ConfigError> {
    read_text(path, &text_of(path)?)
}

/// The text of a configuration file.
///
/// # Errors
/// If it cannot be read.
pub fn text_of(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })
}

/// Reads the configuration from the text of a file, and from the environment.
///
/// # Errors
/// With every fault in it.
pub fn read_text(path: &Path, text: &str) -> Result<Config, ConfigError> {
    read(text, &path.display().to_string(), &|name| std::env::var(name).ok())
}

/// Reads the configuration from a text; `env` is the environment.
///
/// # Errors
/// With every fault in it.
pub fn read(
    text: &str,
    place: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    let mut reader = Reader::new(text, env);
    let nats = nats(&mut reader);
    let engine = engine(&mut reader);
    let nas = backups::nas(&mut reader);
    let site = site(&mut reader, nas.sites);
    let workers = workers(&mut reader, &site, &nas.addresses);
    let mut section = reader.section("workers");
    let metrics = section.optional_address("metrics");
    let at_once = section.number_or("at_once", AT_ONCE, 1..=10_000);
    let traces = traces(&mut reader);
    // No process of ours needs it, and its faults are found with all the others.
    incident::read(&mut reader);
    let log_level = log_level(&mut reader);
    let faults = reader.finish();
    match workers {
        Some(workers) if faults.is_empty() => {
            Ok(Config { nats, engine, site, workers, metrics, at_once, traces, log_level })
        }
        _ => Err(ConfigError::Faulty { place: place.to_owned(), faults }),
    }
}

/// What somebody needs who only looks: no login to a vendor.
pub struct Seen {
    /// The broker.
    pub nats: NatsConfig,
    /// The engine.
    pub engine: EngineConfig,
    /// What orders are completed with; nothing if that is not said, or has faults.
    pub site: Option<Site>,
    /// Where that lies which stands around an incident.
    pub incident: IncidentConfig,
}

/// Reads what somebody needs who only looks. Where there is no file, the broker is all there is.
///
/// # Errors
/// If it does not say how to reach the broker.
pub fn read_to_look(path: &Path) -> Result<Seen, ConfigError> {
    let nats = read_nats(path)?;
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let env = |name: &str| std::env::var(name).ok();
    let mut reader = Reader::new(&text, &env);
    let nas = backups::nas(&mut reader);
    let (engine, site) = (engine(&mut reader), site(&mut reader, nas.sites));
    let incident = incident::read(&mut reader);
    let site = reader.faults_so_far().is_empty().then_some(site);
    Ok(Seen { nats, engine, site, incident })
}

/// What orders are completed with, as such a text says it; nothing if it has faults.
pub fn site_of(text: &str) -> Option<Site> {
    let env = |name: &str| std::env::var(name).ok();
    let mut reader = Reader::new(text, &env);
    let nas = backups::nas(&mut reader);
    let site = site(&mut reader, nas.sites);
    reader.faults_so_far().is_empty().then_some(site)
}

/// Reads how to reach the broker; the rest of the file may hold what it wants.
///
/// # Errors
/// If the file is there and cannot be read, or with the faults of this section.
pub fn read_nats(path: &Path) -> Result<NatsConfig, ConfigError> {
    read_part(path, nats)
}

/// Reads how long histories are kept, and whose signature counts where they are not.
///
/// # Errors
/// As [`read_nats`].
pub fn read_audit(path: &Path) -> Result<AuditConfig, ConfigError> {
    read_part(path, audit::read)
}

/// Reads what keys are wrapped with, if they are.
///
/// # Errors
/// As [`read_nats`].
pub fn read_wrapping(path: &Path) -> Result<Option<Wrapping>, ConfigError> {
    read_part(path, encryption::wrapping)
}

fn read_part<T>(path: &Path, part: impl FnOnce(&mut Reader<'_>) -> T) -> Result<T, ConfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        // Only where nobody named a file may there be none: whoever mistypes a name must not end
        // up on another platform.
        Err(error) if error.kind() == ErrorKind::NotFound && path == Path::new(DEFAULT_FILE) => {
            String::new()
        }
        Err(source) => return Err(ConfigError::Unreadable { path: path.to_owned(), source }),
    };
    let env = |name: &str| std::env::var(name).ok();
    let mut reader = Reader::new(&text, &env);
    let part = part(&mut reader);
    let faults = reader.faults_so_far();
    if faults.is_empty() {
        return Ok(part);
    }
    Err(ConfigError::Faulty { place: path.display().to_string(), faults })
}

fn nats(reader: &mut Reader<'_>) -> NatsConfig {
    let keys = encryption::read(reader);
    let mut section = reader.section("nats");
    let callers = section.text_or("callers", "unproved");
    if !["proved", "unproved"].contains(&&*callers) {
        section.fault("callers", "is `proved` or `unproved`");
    }
    NatsConfig {
        keys,
        callers_are_proved: callers == "proved",
        url: section.text_or("url", "nats://127.0.0.1:4222"),
        user: section.optional_text("user"),
        password: section.optional_secret("password"),
        credentials: section.optional_text("credentials").map(PathBuf::from),
        nkey: section.optional_secret("nkey"),
        js_prefix: section.optional_text("js_prefix"),
        tls_ca: section.optional_text("tls_ca").map(PathBuf::from),
        monitors: names(section.optional_text("monitor")),
    }
}

fn engine(reader: &mut Reader<'_>) -> EngineConfig {
    let audit = audit::read(reader);
    let mut section = reader.section("engine");
    let partitions = section.number_or("partitions", 8, 1..=1024);
    let replicas = section.number_or("replicas", 1, 1..=5);
    if replicas.is_multiple_of(2) {
        let words = format!(
            "is 1, 3 or 5: {replicas} servers outlive the death of no more of them than {} do",
            replicas - 1
        );
        section.fault("replicas", &words);
    }
    EngineConfig {
        partitions: u16::try_from(partitions).unwrap_or(8),
        replicas: usize::try_from(replicas).unwrap_or(1),
        index: PathBuf::from(section.text_or("index", "stead-index")),
        metrics: section.optional_address("metrics"),
        archive_after: Some(section.number_or("archive_after", ARCHIVE_AFTER, 0..=u32::MAX))
            .filter(|after| *after > 0)
            .map(u64::from),
        audit,
    }
}

/// A collector of OpenTelemetry's, where whoever writes the file wants one.
fn traces(reader: &mut Reader<'_>) -> Option<Url> {
    let mut section = reader.section("traces");
    let text = section.optional_text("endpoint")?;
    let url = Url::parse(&text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    let Some(url) = url else {
        section.fault("endpoint", "is a collector's address, such as http://127.0.0.1:4318");
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        let words = "is an address and nothing more: let a collector beside us hold the login";
        section.fault("endpoint", words);
        return None;
    }
    Some(url)
}

fn log_level(reader: &mut Reader<'_>) -> Option<String> {
    let mut section = reader.section("logging");
    let level = section.optional_text("level")?;
    if ["error", "warn", "info", "debug"].contains(&level.as_str()) {
        return Some(level);
    }
    section.fault("level", "is one of error, warn, info, debug");
    None
}

fn site(reader: &mut Reader<'_>, nas: Vec<NasSite>) -> Site {
    let proxmox = proxmox::site(reader);
    let truenas = truenas::site(reader, &proxmox);
    let mut section = reader.section("coder");
    let coder = CoderSite {
        organization: section.text_or("organization", "default"),
        secret: section.vault_reference("secret"),
    };
    let (allowance, limits) = (allowance(reader), limits::read(reader));
    let (s3, forgejo) = (s3::site(reader), forgejo_site(reader));
    let authentik = authentik::site(reader);
    let deployments = deployments::read(reader);
    let (kubernetes, mcp_servers) = (mcp::site(reader), mcp::servers(reader));
    let (templates, notify) = (templates::read(reader), notify::read(reader));
    let pools = pools::read(reader, &templates);
    let has_kubernetes = kubernetes.is_some();
    let known = backups::Known { nas: &nas, truenas: &truenas, has_kubernetes };
    let backups = backups::read(reader, &known);
    Site {
        templates,
        proxmox,
        truenas,
        coder,
        allowance,
        limits,
        s3,
        forgejo,
        authentik,
        deployments,
        kubernetes,
        mcp_servers,
        notify,
        pools,
        nas,
        backups,
    }
}

/// Several names have commas between.
fn names(text: Option<String>) -> Vec<String> {
    let names = text.iter().flat_map(|text| text.split(',')).map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// How much one owner may have; 0 is no limit.
fn allowance(reader: &mut Reader<'_>) -> Allowance {
    let mut section = reader.section("allowance");
    let mut limit = |key| Some(section.number_or(key, 0, 0..=u32::MAX)).filter(|most| *most > 0);
    Allowance {
        workspaces: limit("workspaces"),
        cpu_cores: limit("cpu_cores"),
        memory_gb: limit("memory_gb"),
    }
}

/// Where CI works; a site need not have any.
fn forgejo_site(reader: &mut Reader<'_>) -> Option<ForgejoSite> {
    if !reader.has_section("forgejo", "address") {
        return None;
    }
    let mut section = reader.section("forgejo");
    let credentials = section.vault_reference("credentials");
    if credentials.contains('#') {
        section.fault("credentials", "names a folder in Vault, which has no version");
    }
    Some(ForgejoSite { secret: section.vault_reference("secret"), credentials })
}

/// Where Vault is, and who we are to it.
fn vault_of(reader: &mut Reader<'_>) -> serde_json::Value {
    let mut section = reader.section("vault");
    let (address, mount) = (section.text("address"), section.text_or("mount", "secret"));
    json!({ "address": address, "mount": mount, "login": vault::login(&mut section) })
}

fn workers(
    reader: &mut Reader<'_>,
    site: &Site,
    other_nas: &BTreeMap<String, String>,
) -> Option<WorkersConfig> {
    let vault = vault_of(reader);
    let mut address = |name| json!({ "address": reader.section(name).text("address") });
    let (proxmox, mut truenas, coder) = (address("proxmox"), address("truenas"), address("coder"));
    truenas["others"] = json!(other_nas);
    let has_forgejo = reader.has_section("forgejo", "address");
    let forgejo = has_forgejo.then(|| {
        let mut section = reader.section("forgejo");
        let listen = section.optional_address("webhook_listen");
        // It is no secret where the key lies, and harmless where nobody listens.
        let secret = section.optional_vault_reference("webhook_secret");
        if listen.is_some() && secret.is_none() {
            section.fault("webhook_secret", "is missing: a door without a key takes anything");
        }
        let webhook = listen.map(|listen| json!({ "listen": listen, "secret": secret }));
        json!({ "address": section.text("address"), "webhook": webhook })
    });
    let authentik = authentik::worker(reader);
    let kubernetes = mcp::worker(reader);
    let has_s3 = reader.has_section("s3", "address");
    let buckets = has_s3.then(|| reader.section("s3").optional_text("credentials")).flatten();
    let has_mail = reader.has_section("mail", "address");
    let mail = has_mail.then(|| reader.section("mail").text("address"));
    let guest = guest::worker(reader, site, buckets);
    let s3 = s3::worker(reader);
    Some(WorkersConfig {
        vault: part(reader, "vault", vault)?,
        proxmox: part(reader, "proxmox", proxmox)?,
        truenas: part(reader, "truenas", truenas)?,
        coder: part(reader, "coder", coder)?,
        forgejo: optional_part(reader, "forgejo", forgejo)?,
        authentik: optional_part(reader, "authentik", authentik)?,
        kubernetes: optional_part(reader, "kubernetes", kubernetes)?,
        s3: optional_part(reader, "s3", s3)?,
        notify: part(reader, "mail", json!({ "address": mail }))?,
        guest: part(reader, "guest", guest)?,
    })
}

/// Hands a section to the worker that knows what it means.
fn part<T: serde::de::DeserializeOwned>(
    reader: &mut Reader<'_>,
    section: &'static str,
    value: serde_json::Value,
) -> Option<T> {
    if reader.has_faults_in(section) {
        return None;
    }
    match serde_json::from_value(value) {
        Ok(part) => Some(part),
        Err(error) => {
            reader.section(section).fault("address", &error.to_string());
            None
        }
    }
}

/// The same for a section that a site need not have.
fn optional_part<T: serde::de::DeserializeOwned>(
    reader: &mut Reader<'_>,
    section: &'static str,
    value: Option<serde_json::Value>,
) -> Option<Option<T>> {
    match value {
        Some(value) => part(reader, section, value).map(Some),
        None => Some(None),
    }
}

#[cfg(test)]
mod tests;
