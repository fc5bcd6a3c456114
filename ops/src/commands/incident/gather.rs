//! What goes into a bundle: the histories that were asked for, those of the entities that they
//! asked, and what stands around them, as far as it can be had.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use chrono::DateTime;
use serde_json::json;
use stead_nats::SteadClient;
use stead_runtime::ports::{Clock, SystemClock};
use stead_schemas::event::Event;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;

use crate::assemble::BUILD;
use crate::bundle::{Bundle, Listed, Manifest, VERSION};
use crate::cli::Global;
use crate::cli::incident::Export;
use crate::commands::replay::judge;
use crate::commands::run::{client, find};
use crate::commands::source::asked;
use crate::config::{Config, ConfigError, read_file};
use crate::exit::Ended;

/// How long metrics are waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// The most of a log and of metrics that is packed.
const TEXT_BYTES_MAX: usize = 8 << 20;

/// Something to be packed, as long as there is room.
struct Gatherer {
    client: SteadClient,
    bundle: Bundle,
    room: usize,
}

/// Gathers what is asked for.
pub async fn gather(global: &Global, options: &Export) -> Result<Bundle, Ended> {
    let client = client(global).await?;
    let runs = chosen(&client, &options.what).await?;
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
    let mut gatherer = Gatherer { client, bundle, room };
    gatherer.runs(&runs).await?;
    gatherer.around(global, &options.log_file).await;
    Ok(gatherer.bundle)
}

/// The runs that a text means, the one that matters most last.
async fn chosen(client: &SteadClient, what: &str) -> Result<Vec<RunId>, Ended> {
    if let Some((from, to)) = what.split_once("..") {
        let (from, to) =
            (time(from, Timestamp::from_millis(i64::MIN))?, time(to, SystemClock.now())?);
        let mut lines = client.list_all().await?;
        lines.retain(|line| line.started <= to && line.updated >= from);
        lines.sort_by_key(|line| line.updated);
        let runs: Vec<RunId> = lines.into_iter().map(|line| line.run).collect();
        if runs.is_empty() {
            return Err(Ended::Usage(format!("no run did anything within {what}")));
        }
        return Ok(runs);
    }
    let run = find::run(client, what).await?;
    if what.parse::<RunId>().is_ok() {
        return Ok(vec![run]);
    }
    find::lives(client, &run.key()).await
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
            for life in find::lives(&self.client, &entity).await? {
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
        if let Ok(Some(view)) = self.client.view(run).await {
            self.bundle.views.insert(run.clone(), view);
        } else {
            let words = format!("what {run} shows: no engine answered");
            self.bundle.manifest.missing.push(words);
        }
        self.bundle.histories.insert(run.clone(), lines);
        Ok(history)
    }

    /// What stands around the runs. None of it is worth failing for.
    async fn around(&mut self, global: &Global, logs: &[std::path::PathBuf]) {
        let platform = json!({ "partitions": self.client.platform().partitions });
        self.text("platform.json", platform.to_string());
        match read_file(&global.config) {
            Ok(config) => self.configured(&config).await,
            Err(error) => {
                let (file, why) = (
                    global.config.display(),
                    match error {
                        ConfigError::Unreadable { .. } => "cannot be read",
                        ConfigError::Faulty { .. } => "has faults",
                    },
                );
                self.missing(&format!("templates, site and metrics: {file} {why}"));
            }
        }
        for log in logs {
            self.log(log);
        }
        if logs.is_empty() {
            self.missing("logs of engines and workers: none was named with --log-file");
        }
    }

    async fn configured(&mut self, config: &Config) {
        // Templates and facts of the site; secrets are references in it.
        self.text("site.json", serde_json::to_string_pretty(&config.site).unwrap_or_default());
        let Some(address) = config.engine.metrics else {
            self.missing("metrics: the configuration names no [engine] metrics address");
            return;
        };
        match metrics(&format!("http://{address}/metrics")).await {
            Ok(text) => self.text("metrics.txt", text),
            Err(words) => self.missing(&format!("metrics: {words}")),
        }
    }

    /// The lines of a log that name one of the runs.
    fn log(&mut self, file: &Path) {
        let text = match std::fs::read(file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => return self.missing(&format!("{}: {error}", file.display())),
        };
        let runs: Vec<&str> = self.bundle.histories.keys().map(RunId::as_str).collect();
        let ours = text.lines().filter(|line| runs.iter().any(|run| line.contains(run)));
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

/// What an engine on this machine says of itself now.
async fn metrics(url: &str) -> Result<String, String> {
    let told = async {
        let client = reqwest::Client::builder().timeout(PATIENCE).build().ok()?;
        let answer = client.get(url).send().await.ok()?.error_for_status().ok()?;
        answer.text().await.ok()
    };
    told.await.ok_or_else(|| format!("{url} does not answer"))
}
