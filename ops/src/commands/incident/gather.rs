//! What goes into a bundle: the histories that were asked for, those of the entities that they
//! asked, and what stands around them, as far as it can be had.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use chrono::DateTime;
use reqwest::Url;
use serde_json::json;
use stead_lab::LabClient;
use stead_nats::SteadClient;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::command::{notice, people};
use stead_schemas::event::Event;
use stead_schemas::glance::Glance;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::public::RunSummary;
use stead_schemas::site::Site;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;

use crate::assemble::BUILD;
use crate::audit::Stored;
use crate::bundle::{Bundle, Listed, Manifest, VERSION};
use crate::cli::Global;
use crate::cli::incident::Export;
use crate::cli::lab::CONTROL_PORT;
use crate::commands::audit::source::read;
use crate::commands::replay::judge;
use crate::commands::run::find::Entities;
use crate::commands::run::{client, find};
use crate::commands::source::asked;
use crate::config::{IncidentConfig, read_to_look, site_of};
use crate::exit::Ended;

/// How long metrics are waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most of a log and of metrics that is packed.
const TEXT_BYTES_MAX: usize = 8 << 20;
/// Of how long before the end of a run Prometheus is asked, in milliseconds.
const BEFORE_MS: i64 = 3_600_000;
/// And of how long after it.
const AFTER_MS: i64 = 300_000;
/// Entities that hold something of everybody, and are no part of what one of them did.
const SHARED: [&str; 2] = [people::KIND, notice::KIND];
/// How many values of each series it is asked for.
const POINTS: i64 = 60;

/// Something to be packed, as long as there is room.
struct Gatherer {
    client: SteadClient,
    entities: Entities,
    bundle: Bundle,
    room: usize,
}

/// Gathers what is asked for.
pub async fn gather(global: &Global, options: &Export) -> Result<Bundle, Ended> {
    let client = client(global).await?;
    let mut entities = Entities::of(&client);
    let runs = chosen(&client, &mut entities, &options.what).await?;
    let manifest = Manifest {
        v: VERSION,
        build: BUILD.to_owned(),
        at: SystemClock.now(),
        about: options.what.clone(),
        run: runs.last().filter(|_| !options.what.contains("..")).cloned(),
        runs: Vec::new(),
        redacted: false,
        missing: Vec::new(),
    };
    let bundle = Bundle {
        manifest,
        histories: BTreeMap::new(),
        views: BTreeMap::new(),
        texts: BTreeMap::new(),
    };
    let room = usize::try_from(options.max_mib).unwrap_or(0) << 20;
    let mut gatherer = Gatherer { client, entities, bundle, room };
    gatherer.runs(&runs).await?;
    gatherer.around(global, options).await;
    Ok(gatherer.bundle)
}

/// The runs that a text means, the one that matters most last.
async fn chosen(
    client: &SteadClient,
    entities: &mut Entities,
    what: &str,
) -> Result<Vec<RunId>, Ended> {
    if let Some((from, to)) = between(what)? {
        let runs = match entities.list_all().await? {
            Some(lines) => acted(client, lines, from, to).await?,
            None => acted_in_log(client, from, to).await?,
        };
        if runs.is_empty() {
            return Err(Ended::Usage(format!("no run did anything within {what}")));
        }
        return Ok(runs);
    }
    let run = find::run(client, what).await?;
    if what.parse::<RunId>().is_ok() {
        return Ok(vec![run]);
    }
    entities.lives(&run.key()).await
}

/// The runs that did something between two times, latest last, of those that an engine lists.
async fn acted(
    client: &SteadClient,
    mut lines: Vec<RunSummary>,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<RunId>, Ended> {
    lines.sort_by_key(|line| line.updated);
    let mut runs = Vec::new();
    for line in lines {
        if has_acted(client, &line, from, to).await? {
            runs.push(line.run);
        }
    }
    Ok(runs)
}

/// The same where no engine answers: everything is read.
async fn acted_in_log(
    client: &SteadClient,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<RunId>, Ended> {
    let mut last: BTreeMap<RunId, (Timestamp, bool)> = BTreeMap::new();
    for partition in client.platform().all_partitions() {
        let mut seen = |stored: &Stored| {
            let Some(glance) = Glance::at(&stored.bytes) else { return };
            let (at, has_acted) = last.entry(stored.run.clone()).or_insert((glance.at, false));
            *at = glance.at.max(*at);
            *has_acted |= from <= glance.at && glance.at <= to;
        };
        read(client, partition, &mut seen).await?;
    }
    let acted = last.into_iter().filter(|(_, (_, has_acted))| *has_acted);
    let mut runs: Vec<(Timestamp, RunId)> = acted.map(|(run, (at, _))| (at, run)).collect();
    runs.sort();
    Ok(runs.into_iter().map(|(_, run)| run).collect())
}

/// Whether the history of a run has something between two times.
async fn has_acted(
    client: &SteadClient,
    line: &RunSummary,
    from: Timestamp,
    to: Timestamp,
) -> Result<bool, Ended> {
    let is_within = |at: Timestamp| from <= at && at <= to;
    if line.started > to || line.updated < from {
        return Ok(false);
    }
    if is_within(line.started) || is_within(line.updated) {
        return Ok(true);
    }
    let messages = client.history(&line.run).await?.messages;
    let mut glances = messages.iter().filter_map(|message| Glance::at(&message.bytes));
    Ok(glances.any(|glance| is_within(glance.at)))
}

/// The two times of a FROM..TO; nothing if the text is none.
fn between(what: &str) -> Result<Option<(Timestamp, Timestamp)>, Ended> {
    let Some((from, to)) = what.split_once("..") else { return Ok(None) };
    Ok(Some((time(from, Timestamp::from_millis(i64::MIN))?, time(to, SystemClock.now())?)))
}

fn time(text: &str, otherwise: Timestamp) -> Result<Timestamp, Ended> {
    if text.is_empty() {
        return Ok(otherwise);
    }
    let parsed = DateTime::parse_from_rfc3339(text).map_err(|_| {
        Ended::Usage(format!(
            "`{text}` is no time; write FROM..TO as in 2026-03-01T14:00:00Z..2026-03-01T15:00:00Z"
        ))
    })?;
    Ok(Timestamp::from_millis(parsed.timestamp_millis()))
}

impl Gatherer {
    /// Those that were asked for, latest first, then those that they asked.
    async fn runs(&mut self, runs: &[RunId]) -> Result<(), Ended> {
        let mut entities: BTreeSet<EntityKey> = BTreeSet::new();
        for run in runs.iter().rev() {
            entities.extend(asked(&self.run(run).await?));
        }
        for entity in entities {
            // What everybody asks knows everybody.
            if SHARED.contains(&entity.kind()) && !runs.iter().any(|run| run.key() == entity) {
                let words = format!(
                    "the histories of {entity}, which everybody asks: name it to have them"
                );
                self.missing(&words);
                continue;
            }
            for life in self.entities.lives(&entity).await? {
                if !self.bundle.histories.contains_key(&life) {
                    self.run(&life).await?;
                }
            }
        }
        if self.bundle.histories.is_empty() {
            let words = "not even the first history fits; allow more with --max-mib";
            return Err(Ended::Usage(words.to_owned()));
        }
        Ok(())
    }

    /// Packs one run; returns its history as far as it can be read.
    async fn run(&mut self, run: &RunId) -> Result<Vec<Transition>, Ended> {
        let found = self.client.history(run).await?;
        let lines: Vec<Vec<u8>> = found.messages.into_iter().map(|message| message.bytes).collect();
        let history: Vec<Transition> =
            lines.iter().map_while(|line| Transition::decode(line).ok()).collect();
        if let Some(tombstone) = &found.expired {
            self.missing(&format!("the history of {run}, which is gone: {}", tombstone.told()));
            return Ok(history);
        }
        if lines.is_empty() {
            self.bundle.manifest.missing.push(format!("the history of {run}: there is none"));
            return Ok(history);
        }
        let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
        if bytes > self.room {
            let words = format!("the history of {run}: {bytes} bytes did not fit; see --max-mib");
            self.bundle.manifest.missing.push(words);
            return Ok(history);
        }
        self.room -= bytes;
        self.bundle.manifest.runs.push(listed(run, &lines, &history));
        if let Some(view) = self.entities.view(run).await {
            self.bundle.views.insert(run.clone(), view);
        } else {
            let words = format!("what {run} shows: no engine answered");
            self.bundle.manifest.missing.push(words);
        }
        self.bundle.histories.insert(run.clone(), lines);
        Ok(history)
    }

    /// What stands around the runs. None of it is worth failing for.
    async fn around(&mut self, global: &Global, options: &Export) {
        let platform = json!({ "partitions": self.client.platform().partitions });
        self.text("platform.json", platform.to_string());
        let (site, configured, told) = match read_to_look(&global.config) {
            Ok(seen) => (seen.site, seen.engine.metrics, seen.incident),
            Err(_) => (None, None, IncidentConfig::default()),
        };
        self.site(&global.config, site).await;
        for address in configured.iter().chain(&options.metrics) {
            let text = fetch(&format!("http://{address}/metrics")).await;
            self.fetched(&format!("metrics-{address}.txt").replace(':', "-"), text);
        }
        match options.prometheus.as_ref().or(told.prometheus.as_ref()) {
            Some(base) => self.prometheus(base).await,
            None if configured.is_none() && options.metrics.is_empty() => {
                self.missing("metrics: neither --prometheus, --metrics nor [incident] names any");
            }
            None => self.missing(
                "metrics of that time: what processes say of themselves is of now; --prometheus or \
                 [incident] names who has kept them",
            ),
        }
        let logs = if options.log_file.is_empty() { &told.logs } else { &options.log_file };
        if logs.is_empty() {
            self.missing(
                "logs of engines and workers: neither --log-file nor [incident] names any",
            );
        }
        for log in logs {
            self.log(log);
        }
    }

    /// Templates and facts of the site; secrets are references in it.
    async fn site(&mut self, file: &Path, site: Option<Site>) {
        // Where there is no file, a lab is the configuration, if there is one.
        let site = if file.exists() { site } else { lab_site().await };
        match site {
            Some(site) => {
                self.text("site.json", serde_json::to_string_pretty(&site).unwrap_or_default());
            }
            None => {
                let why = if file.exists() { "does not say them" } else { "is not there" };
                self.missing(&format!("templates and site: {} {why}", file.display()));
            }
        }
    }

    /// What a Prometheus has kept of ours, about the time of the incident.
    async fn prometheus(&mut self, base: &Url) {
        let asked = between(&self.bundle.manifest.about).ok().flatten();
        let text = match asked.or_else(|| self.end()) {
            Some((from, to)) => fetch(range(base, from, to).as_str()).await,
            None => Err("no history says of which time".to_owned()),
        };
        self.fetched("prometheus.json", text);
    }

    /// About when the runs that are packed came to their end.
    fn end(&self) -> Option<(Timestamp, Timestamp)> {
        let lines = self.bundle.histories.values().flatten();
        let last = lines.filter_map(|line| Glance::at(line)).map(|glance| glance.at).max()?;
        let near = |millis| Timestamp::from_millis(last.as_millis() + millis);
        Some((near(-BEFORE_MS), near(AFTER_MS)))
    }

    fn fetched(&mut self, name: &str, text: Result<String, String>) {
        match text {
            Ok(text) => self.text(name, text),
            Err(words) => self.missing(&format!("{name}: {words}")),
        }
    }

    /// The lines of a log that name one of the runs.
    fn log(&mut self, file: &Path) {
        let text = match std::fs::read(file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => return self.missing(&format!("{}: {error}", file.display())),
        };
        let runs: Vec<&str> = self.bundle.histories.keys().map(RunId::as_str).collect();
        let ours = text.lines().filter(|line| runs.iter().any(|run| names_run(line, run)));
        let ours: Vec<&str> = ours.collect();
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match ours.is_empty() {
            true => self.missing(&format!("{}: no line names one of the runs", file.display())),
            false => self.text(&format!("logs/{name}"), ours.join("\n") + "\n"),
        }
    }

    fn text(&mut self, name: &str, text: String) {
        if text.len() > self.room.min(TEXT_BYTES_MAX) {
            return self.missing(&format!("{name}: {} bytes did not fit", text.len()));
        }
        self.room -= text.len();
        self.bundle.texts.insert(name.to_owned(), text);
    }

    fn missing(&mut self, words: &str) {
        self.bundle.manifest.missing.push(words.to_owned());
    }
}

/// Whether a line names this run, and not just one whose number begins with the same digits.
fn names_run(line: &str, run: &str) -> bool {
    let mut ends = line.match_indices(run).map(|(at, _)| at + run.len());
    ends.any(|end| !line[end..].starts_with(|next: char| next.is_ascii_digit()))
}

fn listed(run: &RunId, lines: &[Vec<u8>], history: &[Transition]) -> Listed {
    let started = history.iter().flat_map(|t| &t.events).find_map(|event| match event {
        Event::RunStarted(started) => Some(started),
        _ => None,
    });
    let verdict = judge(run, lines, history);
    let (broken, diverges) = match verdict {
        Ok(verdict) => (verdict.chain.err(), verdict.decisions.err().map(|d| d.to_string())),
        Err(ended) => (None, Some(ended.to_string())),
    };
    Listed {
        run: run.clone(),
        name: started.map_or(String::new(), |run| format!("{}/{}", run.owner, run.name)),
        build: started.map_or(String::new(), |run| run.build.clone()),
        transitions: lines.len() as u64,
        broken: match lines.len() == history.len() {
            true => broken,
            false => Some(format!("transition {} cannot be read", history.len() + 1)),
        },
        diverges,
    }
}

/// The configuration of a lab that runs on this machine.
async fn lab_site() -> Option<Site> {
    let control = std::env::var("STEAD_LAB");
    let control = control.unwrap_or_else(|_| format!("http://127.0.0.1:{CONTROL_PORT}"));
    site_of(&LabClient::new(&control).site_toml().await.ok()?)
}

/// What to ask a Prometheus: all of ours but the single buckets, between two times.
fn range(base: &Url, from: Timestamp, to: Timestamp) -> Url {
    // Before the first of all times nothing was kept.
    let (from, to) = (from.as_millis().max(0) / 1000, to.as_millis() / 1000);
    let step = ((to - from) / POINTS).max(15);
    let mut url = base.clone();
    url.set_path(&format!("{}/api/v1/query_range", base.path().trim_end_matches('/')));
    url.query_pairs_mut()
        .append_pair("query", r#"{__name__=~"stead_.+",__name__!~".+_bucket"}"#)
        .append_pair("start", &from.to_string())
        .append_pair("end", &to.to_string())
        .append_pair("step", &step.to_string());
    url
}

async fn fetch(url: &str) -> Result<String, String> {
    let told = async {
        let client = reqwest::Client::builder().timeout(PATIENCE).build().ok()?;
        let answer = client.get(url).send().await.ok()?.error_for_status().ok()?;
        answer.text().await.ok()
    };
    told.await.ok_or_else(|| "nobody answers there".to_owned())
}

#[cfg(test)]
mod tests {
    use super::names_run;

    #[test]
    fn the_tenth_life_is_not_the_first_one() {
        let run = "home-bz1ymqa9eyqqr33m-1";
        for line in [run, "at home-bz1ymqa9eyqqr33m-1.3.0", "home-bz1ymqa9eyqqr33m-1: done"] {
            assert!(names_run(line, run), "{line}");
        }
        assert!(!names_run("home-bz1ymqa9eyqqr33m-10: done", run));
        assert!(names_run("home-bz1ymqa9eyqqr33m-10 after home-bz1ymqa9eyqqr33m-1", run));
    }
}
