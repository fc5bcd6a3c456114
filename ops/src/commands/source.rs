//! Where a history comes from: a platform, a file of transitions, or the bundle of an incident.

use std::io::Read;
use std::path::Path;

use stead_nats::SteadClient;
use stead_schemas::dispatch::Route;
use stead_schemas::event::Event;
use stead_schemas::ids::{EntityKey, RunId};
use stead_schemas::transition::Transition;

use super::run::find::{EXPIRED, Entities};
use super::run::{client, find};
use crate::bundle::Bundle;
use crate::bundle::pack::{is_packed, lines, unpack};
use crate::cli::Global;
use crate::exit::Ended;
use crate::output;

/// A run's history, and where more is to be had.
pub struct Source {
    /// The run.
    pub run: RunId,
    /// Its transitions, as the log held them.
    pub lines: Vec<Vec<u8>>,
    /// The same, read.
    pub history: Vec<Transition>,
    /// Where it comes from.
    pub from: Origin,
}

/// Where a history comes from.
pub enum Origin {
    /// A running platform.
    Platform(Box<SteadClient>),
    /// A bundle.
    Bundle(Box<Bundle>),
    /// A file with nothing but this history.
    File,
}

/// The history that a text means: a file (with `#RUN` behind it for one of several runs in a
/// bundle), or a run of the platform.
pub async fn open(global: &Global, text: &str) -> Result<Source, Ended> {
    let path = text.split_once('#').map_or(text, |(path, _)| path);
    if text == "-" || Path::new(path).is_file() || looks_like_file(path) {
        return open_file(text);
    }
    of_platform(client(global).await?, text).await
}

/// The history in the file that a text names, with `#RUN` behind it for one of several.
pub fn open_file(text: &str) -> Result<Source, Ended> {
    match text.split_once('#') {
        Some((path, which)) if !Path::new(text).is_file() => file(Path::new(path), Some(which)),
        _ => file(Path::new(text), None),
    }
}

/// Nothing of a platform is called so.
fn looks_like_file(text: &str) -> bool {
    [".jsonl", ".gz", ".json"].iter().any(|ending| text.ends_with(ending))
        || text.starts_with(['/', '.'])
}

/// A run of a platform.
pub async fn of_platform(client: SteadClient, text: &str) -> Result<Source, Ended> {
    let run = find::run(&client, text).await?;
    let recorded = find::recorded(&client, &run).await?;
    let lines = recorded.into_iter().map(|message| message.bytes).collect();
    source(lines, Origin::Platform(Box::new(client)))
}

/// A history in a file; `-` is standard input. `which` is the run, where there are several.
pub fn file(path: &Path, which: Option<&str>) -> Result<Source, Ended> {
    let bytes = read(path)?;
    if !is_packed(&bytes) {
        return source(lines(&bytes), Origin::File);
    }
    let wrong = |words: String| Ended::Usage(format!("{}: {words}", path.display()));
    let bundle = unpack(&bytes).map_err(|error| wrong(error.to_string()))?;
    let run = bundle.which(which).map_err(wrong)?;
    if bundle.manifest.redacted {
        output::note(&format!(
            "{} is redacted: people and hosts have other names in it",
            path.display()
        ));
    }
    let lines = bundle.histories.get(&run).cloned().unwrap_or_default();
    source(lines, Origin::Bundle(Box::new(bundle)))
}

/// What is in a file; `-` is standard input.
pub fn read(path: &Path) -> Result<Vec<u8>, Ended> {
    let mut bytes = Vec::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().read_to_end(&mut bytes).map(drop),
        _ => std::fs::read(path).map(|read| bytes = read),
    };
    read.map_err(|error| Ended::Usage(format!("cannot read {}: {error}", path.display())))?;
    Ok(bytes)
}

fn source(lines: Vec<Vec<u8>>, from: Origin) -> Result<Source, Ended> {
    let history = decoded(&lines)?;
    let Some(run) = history.first().map(|first| first.run.clone()) else {
        return Err(Ended::Failed("there is no transition in it".to_owned()));
    };
    Ok(Source { run, lines, history, from })
}

/// Transitions, read.
pub fn decoded(lines: &[Vec<u8>]) -> Result<Vec<Transition>, Ended> {
    let numbered = lines.iter().zip(1..);
    let decoded = numbered.map(|(line, number): (_, u64)| {
        Transition::decode(line).map_err(|error| {
            let hint = "`stead run history RUN --json` prints what can be read";
            Ended::Failed(format!("line {number} cannot be read: {error}; {hint}"))
        })
    });
    decoded.collect()
}

impl Source {
    /// The histories of entities that this run asked for something. Earlier lives of them may have
    /// expired: those are named and left out.
    pub async fn related(&self) -> Result<Vec<Vec<Transition>>, Ended> {
        let mut related = Vec::new();
        let mut entities = match &self.from {
            Origin::Platform(client) => Some(Entities::of(client)),
            Origin::Bundle(_) | Origin::File => None,
        };
        for key in asked(&self.history) {
            related.extend(self.lives(&mut entities, &key).await?);
        }
        related.retain(|history| history.first().is_some_and(|first| first.run != self.run));
        Ok(related)
    }

    /// The other runs of this kind that are known, at most so many, latest first.
    pub async fn alike(&self, most: usize) -> Result<Vec<Vec<Transition>>, Ended> {
        let alike = self.alike_to(&self.run, most).await?;
        if alike.is_none() {
            output::note("no engine answers, so no other runs of its kind are looked at");
        }
        Ok(alike.unwrap_or_default())
    }

    /// The other runs of the kind of this one that are known, at most so many, latest first; nothing
    /// where no engine tells which there are.
    pub async fn alike_to(
        &self,
        run: &RunId,
        most: usize,
    ) -> Result<Option<Vec<Vec<Transition>>>, Ended> {
        let kind = run.kind().to_owned();
        match &self.from {
            Origin::Platform(client) => {
                let all = Entities::of(client).list_kind(&kind).await?;
                let Some(mut all) = all else { return Ok(None) };
                all.retain(|line| line.run != *run);
                all.sort_by_key(|line| std::cmp::Reverse(line.updated));
                let mut alike = Vec::new();
                for line in all.into_iter().take(most) {
                    let found = client.history(&line.run).await?;
                    alike.extend(readable(found.messages.iter().map(|m| m.bytes.as_slice())));
                }
                Ok(Some(alike))
            }
            Origin::Bundle(bundle) => {
                let others = bundle.histories.iter();
                let others = others.filter(|(other, _)| other.kind() == kind && *other != run);
                let alike =
                    others.filter_map(|(_, lines)| readable(lines.iter().map(Vec::as_slice)));
                Ok(Some(alike.take(most).collect()))
            }
            Origin::File => Ok(Some(Vec::new())),
        }
    }

    async fn lives(
        &self,
        entities: &mut Option<Entities>,
        key: &EntityKey,
    ) -> Result<Vec<Vec<Transition>>, Ended> {
        let mut lives = Vec::new();
        match (&self.from, entities) {
            (Origin::Platform(client), Some(entities)) => {
                for run in entities.lives(key).await? {
                    match find::history(client, &run).await {
                        Err(Ended::Refused(refusal)) if refusal.code == EXPIRED => {
                            output::note(&format!("{}; it is left out", refusal.words));
                        }
                        history => lives.push(history?),
                    }
                }
            }
            (Origin::Bundle(bundle), _) => {
                for (_, lines) in bundle.histories.iter().filter(|(run, _)| run.key() == *key) {
                    lives.push(decoded(lines)?);
                }
            }
            (Origin::Platform(_) | Origin::File, _) => {}
        }
        Ok(lives)
    }
}

/// A history, unless it is one that this build cannot read.
fn readable<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Vec<Transition>> {
    lines.map(|line| Transition::decode(line).ok()).collect()
}

/// The entities that a run asked for something.
pub fn asked(history: &[Transition]) -> std::collections::BTreeSet<EntityKey> {
    let events = history.iter().flat_map(|transition| &transition.events);
    let routes = events.filter_map(|event| match event {
        Event::StepScheduled(step) => Some(&step.route),
        _ => None,
    });
    let keys = routes.filter_map(|route| match route {
        Route::Entity { kind, owner, name } => Some(EntityKey::of(kind, owner, name)),
        Route::Worker | Route::Outside => None,
    });
    keys.collect()
}
