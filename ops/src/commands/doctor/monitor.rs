//! What nats-server says of itself where it serves monitoring: no client can see how it writes.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::finding::Finding;
use super::place;

/// How long a server may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// A store that is fuller than this, in per cent of what it may have, is soon full.
const FULL: u64 = 80;
const SYNC: &str = "set `sync_interval: always` in the `jetstream` block of nats-server's \
                    configuration, and restart it; one server at a time in a cluster";
const SHOW: &str = "let nats-server serve monitoring (`http: 127.0.0.1:8222`) and name it as \
                    `monitor` in [nats], or in STEAD_NATS_MONITOR";

/// The part of `/varz` that we look at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Varz {
    server_name: String,
    jetstream: JetStream,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct JetStream {
    config: Config,
    stats: Stats,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Config {
    max_storage: u64,
    store_dir: String,
    sync_always: bool,
    sync_interval: u64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Stats {
    storage: u64,
}

/// Looks at every server whose monitoring is known.
pub async fn look(monitors: &[String]) -> Vec<Finding> {
    if monitors.is_empty() {
        let words = "whether each append is synced cannot be seen from here";
        let store = "how full the server's store is cannot be seen from here";
        return vec![Finding::unseen("fsync", words, SHOW), Finding::unseen("store", store, SHOW)];
    }
    let mut findings = Vec::new();
    for monitor in monitors {
        match ask(monitor).await {
            Ok(server) => {
                findings.push(fsync(&server));
                findings.extend(store(&server));
            }
            Err(words) => {
                let words = format!("{monitor} does not say: {words}");
                findings.push(Finding::unseen("fsync", words, SHOW));
            }
        }
    }
    findings
}

async fn ask(monitor: &str) -> Result<Varz, String> {
    let http = reqwest::Client::builder().timeout(ANSWER_WITHIN).build();
    let url = format!("{}/varz", monitor.trim_end_matches('/'));
    let words = |error: reqwest::Error| crate::exit::with_causes(&error.without_url());
    let answer = http.map_err(words)?.get(url).send().await.map_err(words)?;
    answer.error_for_status().map_err(words)?.json().await.map_err(words)
}

fn fsync(server: &Varz) -> Finding {
    let (name, config) = (&server.server_name, &server.jetstream.config);
    if config.sync_always {
        return Finding::ok("fsync", format!("{name} syncs every append"));
    }
    let seconds = config.sync_interval / 1_000_000_000;
    let words = format!(
        "{name} syncs every {seconds} s only: a power cut takes what it has acknowledged since"
    );
    Finding::failed("fsync", words, SYNC)
}

fn store(server: &Varz) -> Vec<Finding> {
    let (name, config) = (&server.server_name, &server.jetstream.config);
    let used = server.jetstream.stats.storage;
    let mut findings = vec![of_limit(name, used, config.max_storage)];
    let folder = Path::new(&config.store_dir);
    // Only where the server shares this machine is its folder here.
    if folder.is_dir() {
        findings.push(place::free("store disk", folder));
    }
    findings
}

fn of_limit(name: &str, used: u64, most: u64) -> Finding {
    let per_cent = used.saturating_mul(100).checked_div(most).unwrap_or(0);
    let words = format!("{name} uses {per_cent} % of the {} it may have", place::size(most));
    match per_cent {
        0..FULL => Finding::ok("store", words),
        _ => {
            let mend = "give the server more room (`max_file_store`), and let what is over leave \
                        the log: `stead archive now`";
            Finding::warning("store", words, mend)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::{Config, JetStream, Varz, fsync, of_limit};

    #[test]
    fn a_server_that_syncs_later_is_a_failure() {
        let of = |sync_always| {
            let config =
                Config { sync_always, sync_interval: 120_000_000_000, ..Config::default() };
            let jetstream = JetStream { config, ..JetStream::default() };
            fsync(&Varz { server_name: "one".to_owned(), jetstream })
        };
        assert_eq!(of(true).verdict, Verdict::Ok);
        assert_eq!(of(false).verdict, Verdict::Failed);
        assert!(of(false).words.contains("every 120 s"), "{}", of(false).words);
    }

    #[test]
    fn a_store_that_is_nearly_full_is_told_before_it_is_full() {
        assert_eq!(of_limit("one", 79, 100).verdict, Verdict::Ok);
        assert_eq!(of_limit("one", 80, 100).verdict, Verdict::Warning);
        assert_eq!(of_limit("one", 80, 0).verdict, Verdict::Ok);
    }
}
