//! `stead config`: is a configuration good, and what does a good one look like?

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Value, json};
use stead_nats::seal::new_line;
use stead_runtime::env::ARCHIVE_AFTER;
use stead_schemas::site::{S3Site, Site};

use crate::cli::Global;
use crate::cli::config::Config as Verb;
use crate::config::{Config, Encryption, EngineConfig, read_file, read_wrapping};
use crate::exit::Ended;
use crate::output;
use crate::story::table::sheet;

/// With so many replicated streams on a server its makers warn.
const REPLICATED_MAX: usize = 1_000;
/// A complete configuration, to begin with.
const EXAMPLE: &str = include_str!("config/example.toml");

/// Carries the verb out.
pub async fn carry_out(global: &Global, verb: &Verb) -> Result<(), Ended> {
    match verb {
        Verb::Check { file } => check(global, file.as_deref().unwrap_or(&global.config)),
        Verb::Example => {
            output::line(EXAMPLE.trim_end());
            Ok(())
        }
        Verb::Key { name } => {
            let line = match read_wrapping(&global.config)? {
                Some(wrapping) => wrapping.new_line(name).await?,
                None => new_line(name).map_err(|error| Ended::Usage(error.to_string()))?,
            };
            output::line(&line);
            Ok(())
        }
    }
}

fn check(global: &Global, file: &Path) -> Result<(), Ended> {
    let config = read_file(file)?;
    if global.json {
        output::json(&as_json(&config));
    } else {
        output::line(&format!("OK: {} has no faults", file.display()));
        output::line(&summary(&config));
        for words in crowd(&config.engine).into_iter().chain(slow_start(&config.engine)) {
            output::line(&format!("\nWARNING: {words}"));
        }
    }
    Ok(())
}

/// What is allowed, and more than a cluster bears well: each replicated log is a group of servers that
/// elects its leader, and there are two of a partition while it begins a new epoch.
fn crowd(engine: &EngineConfig) -> Option<String> {
    let logs = usize::from(engine.partitions) * 2;
    (engine.replicas > 1 && logs >= REPLICATED_MAX).then(|| {
        format!(
            "{} partitions are up to {logs} replicated streams on each server, and {REPLICATED_MAX} are \
             more than a server elects leaders for in good time; take fewer partitions: as many as \
             engines will ever share the work are enough",
            engine.partitions
        )
    })
}

/// What is allowed, and lets a log grow until a server that was killed takes long to start: it keeps each
/// run of a log in its memory, and above a million of them in one it does not note where they are.
fn slow_start(engine: &EngineConfig) -> Option<String> {
    let most = u64::from(ARCHIVE_AFTER);
    let so = match engine.archive_after {
        None => "`archive_after` is 0, so that what is over stays in the log until somebody runs `stead \
                 archive now`"
            .to_owned(),
        Some(after) if after > most => format!("`archive_after` is {after}"),
        Some(_) => return None,
    };
    Some(format!(
        "{so}; with more than a million runs in one log a server that was killed reads all of it before \
         it serves it: {most} is as much as should wait"
    ))
}

/// What was read, without a secret: those that are references stay references.
fn as_json(config: &Config) -> Value {
    json!({
        "nats": { "url": shown_url(&config.nats.url), "login": login(config) },
        "encryption": { "keys": config.nats.keys.names() },
        "engine": {
            "partitions": config.engine.partitions,
            "replicas": config.engine.replicas,
            "index": config.engine.index,
            "metrics": config.engine.metrics,
        },
        "workers": { "metrics": config.metrics },
        "site": config.site,
    })
}

fn summary(config: &Config) -> String {
    let (engine, site) = (&config.engine, &config.site);
    let (proxmox, truenas) = (&site.proxmox, &site.truenas);
    let templates: Vec<&str> = site.templates.iter().map(|known| known.name.as_str()).collect();
    let at = |address: Option<SocketAddr>| {
        address.map_or("not served".to_owned(), |at| format!("http://{at}/metrics"))
    };
    let metrics = format!("engine {}, workers {}", at(engine.metrics), at(config.metrics));
    sheet(&[
        ("nats", format!("{}, {}", shown_url(&config.nats.url), login(config))),
        ("encryption", encryption(&config.nats.keys)),
        ("engine", format!("{} partitions, {} replicas", engine.partitions, engine.replicas)),
        ("index", engine.index.display().to_string()),
        ("metrics", metrics),
        (
            "proxmox",
            format!(
                "node {}, VMIDs {} to {}, login {}",
                proxmox.node, proxmox.vmid_first, proxmox.vmid_last, proxmox.secret
            ),
        ),
        (
            "truenas",
            format!(
                "homes in {}, mounted from {}, kept for {}, login {}",
                truenas.parent,
                truenas.nfs_server,
                crate::story::words::span(std::time::Duration::from_secs(truenas.grace_seconds)),
                truenas.secret
            ),
        ),
        ("coder", format!("organization {}, login {}", site.coder.organization, site.coder.secret)),
        ("mcp servers", mcp_servers(site)),
        ("s3", site.s3.as_ref().map_or("none".to_owned(), s3)),
        ("templates", templates.join(", ")),
    ])
}

fn encryption(keys: &Encryption) -> String {
    match &keys.names()[..] {
        [] => "off".to_owned(),
        [seals] => format!("with the key {seals}"),
        [seals, others @ ..] => format!("with the key {seals}; {} read", others.join(", ")),
    }
}

fn mcp_servers(site: &Site) -> String {
    let names: Vec<&str> = site.mcp_servers.iter().map(|known| known.name.as_str()).collect();
    match (&site.kubernetes, names.is_empty()) {
        (Some(kubernetes), false) => format!("{} in {}", names.join(", "), kubernetes.namespace),
        _ => "none".to_owned(),
    }
}

fn s3(site: &S3Site) -> String {
    let S3Site { endpoint, secret, credentials, quota_gb, users, .. } = site;
    let each = match users {
        Some(users) => format!("without limits, opened with the owners' keys in {users}"),
        None => format!("{quota_gb} GiB each"),
    };
    format!("{endpoint}, {each}, keys in {credentials}, login {secret}")
}

const fn login(config: &Config) -> &'static str {
    match (&config.nats.nkey, &config.nats.credentials, &config.nats.user) {
        (Some(_), _, _) => "with a key",
        (None, Some(_), _) => "with a credentials file",
        (None, None, Some(_)) => "with a user and a password",
        (None, None, None) => "without a login",
    }
}

/// The addresses without the passwords they may hold.
fn shown_url(url: &str) -> String {
    let shown = url.split(',').map(|url| match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
        (None, Some((_, host))) => host.to_owned(),
        _ => url.to_owned(),
    });
    shown.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use stead_nats::access::new_seed;

    use super::{EXAMPLE, crowd, new_line, shown_url, slow_start, summary};
    use crate::config::read;

    fn env(name: &str) -> Option<String> {
        if name == "STEAD_KEYS" {
            return new_line("k1").ok();
        }
        if name == "STEAD_AUDIT_NKEY" {
            return new_seed().ok();
        }
        let secrets = [
            "STEAD_VAULT_ROLE_ID",
            "STEAD_VAULT_SECRET_ID",
            "STEAD_NATS_NKEY",
            "STEAD_NATS_PASSWORD",
        ];
        secrets.contains(&name).then(|| "canary-secret".to_owned())
    }

    fn check(text: &str) {
        match read(text, "the example", &env) {
            Ok(config) => assert!(!summary(&config).contains("canary"), "a secret is shown"),
            Err(error) => panic!("{error}\n{text}"),
        }
    }

    #[test]
    fn the_example_has_no_faults() {
        check(EXAMPLE);
    }

    #[test]
    fn what_the_example_leaves_to_choose_has_no_faults_either() {
        let uncommented = EXAMPLE.lines().map(|line| match line.strip_prefix('#') {
            Some(choice) if !choice.starts_with(' ') && !choice.is_empty() => choice,
            _ => line,
        });
        let text: Vec<&str> = uncommented.collect();
        let choices =
            EXAMPLE.lines().filter(|line| line.starts_with('#') && !line.starts_with("# "));
        assert!(choices.filter(|line| line.len() > 1).count() >= 5);
        check(&text.join("\n"));
    }

    #[test]
    fn more_replicated_streams_than_a_server_bears_are_warned_of() {
        let warned = |partitions: u16, replicas: usize| {
            let example = EXAMPLE
                .replace("partitions = 8", &format!("partitions = {partitions}"))
                .replace("replicas = 1", &format!("replicas = {replicas}"));
            let config = read(&example, "the example", &env).unwrap_or_else(|e| panic!("{e}"));
            crowd(&config.engine)
        };
        assert_eq!(warned(8, 3), None);
        assert_eq!(warned(1_024, 1), None, "no server elects anybody");
        assert_eq!(warned(499, 3), None);
        let words = warned(500, 3).expect("a warning");
        assert!(words.contains("500 partitions are up to 1000 replicated streams"), "{words}");
    }

    #[test]
    fn a_log_that_may_grow_without_end_is_warned_of() {
        let warned = |after: &str| {
            let example = EXAMPLE.replace("#archive_after = 1000000", after);
            let config = read(&example, "the example", &env).unwrap_or_else(|e| panic!("{e}"));
            slow_start(&config.engine)
        };
        assert_eq!(warned(""), None);
        assert_eq!(warned("archive_after = 1000000"), None);
        let words = warned("archive_after = 1000001").expect("a warning");
        assert!(words.contains("`archive_after` is 1000001"), "{words}");
        let words = warned("archive_after = 0").expect("a warning");
        assert!(words.contains("`stead archive now`"), "{words}");
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        assert_eq!(shown_url("nats://me:canary@a:4222,b:4222"), "nats://a:4222,b:4222");
    }
}
