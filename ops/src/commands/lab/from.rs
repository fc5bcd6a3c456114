//! `stead lab --from`: a lab that holds what the histories of an incident show, in which the same
//! is broken.
//!
//! What the vendors held is made anew by our own workers: they carry out in the lab the steps that
//! the histories show as done, in the order of their times. Faults come from the explanation, where
//! it names one that the lab knows.

use std::collections::BTreeMap;

use serde_json::Value;
use stead_lab::Lab;
use stead_runtime::worker::{AnyWorker, StepContext};
use stead_schemas::dispatch::{Route, StepAddress};
use stead_schemas::event::{Event, Seq, StepScheduled};
use stead_schemas::ids::RunId;
use stead_schemas::step::system;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;
use stead_workers::Workers;
use tokio::sync::watch;

use crate::commands::incident::explained;
use crate::commands::serve::lab_config;
use crate::commands::source::{self, Source};
use crate::exit::{Ended, with_causes};
use crate::story::explain::{Kind, Link};
use crate::story::instant;

/// Systems whose steps leave something behind.
const SYSTEMS: [&str; 4] = ["coder", "proxmox", "s3", "truenas"];
/// Where the lab's own things are, for histories of another site.
const TEMPLATE: u64 = 9_000;
const NODE: &str = "pve1";
const NODES: [&str; 2] = ["pve1", "pve2"];

/// What the lab was brought to.
#[derive(serde::Serialize)]
pub struct Restored {
    /// The run that it is about.
    pub run: RunId,
    /// After which of its transitions.
    pub n: u64,
    /// How many steps were carried out again.
    pub steps: usize,
    /// Faults that are in force.
    pub faults: Vec<(String, String)>,
    /// What could not be had, in words.
    pub missing: Vec<String>,
}

impl Restored {
    /// The same for people, with what the lab holds now.
    pub fn told(&self, things: &str) -> String {
        let mut lines = vec![format!(
            "it holds what {} had after transition {}: {} of its steps and of those it asked were \
             carried out again",
            self.run, self.n, self.steps
        )];
        lines.push(things.to_owned());
        lines.extend(self.faults.iter().map(|(vendor, fault)| {
            format!("in force: {vendor} {fault}; `stead lab mend {vendor} {fault}` ends it")
        }));
        lines.extend(self.missing.iter().map(|missing| format!("not as it was: {missing}")));
        lines.push(
            "no event log comes with it: a Stead that is led here begins new runs, and the command \
             that failed is given again"
                .to_owned(),
        );
        lines.join("\n")
    }
}

/// A step that was done.
struct Deed {
    at: Timestamp,
    run: RunId,
    step: StepScheduled,
    answer: Value,
}

/// Brings a lab to what the histories in a file show.
pub async fn restore(lab: &Lab, file: &str, at: Option<&str>) -> Result<Restored, Ended> {
    let source = source::open_file(file)?;
    let n = match at {
        Some(at) => instant::transition(&source.history, at).map_err(Ended::Usage)?,
        None => source.history.last().map_or(0, |last| last.n),
    };
    let until = source.history.iter().find(|t| t.n == n).map_or(Timestamp::default(), |t| t.at);
    let mut restored =
        Restored { run: source.run.clone(), n, steps: 0, faults: Vec::new(), missing: Vec::new() };
    let workers = workers(lab)?;
    owners(&source.history).for_each(|owner| lab.welcome(owner));
    let mut lookup = BTreeMap::new();
    for deed in deeds(&source, until).await? {
        let Some(worker) = workers.iter().find(|one| one.system() == system(&deed.step.step))
        else {
            continue;
        };
        match again(worker.as_ref(), &deed, &lookup).await {
            Ok(answer) => {
                restored.steps += 1;
                note_ids(&deed.answer, &answer, &mut lookup);
            }
            Err(words) => {
                restored.missing.push(format!("{} {}: {words}", deed.run, deed.step.step))
            }
        }
    }
    break_again(lab, &source, &mut restored).await?;
    Ok(restored)
}

fn workers(lab: &Lab) -> Result<Vec<std::sync::Arc<dyn AnyWorker>>, Ended> {
    let mut config = lab_config(lab)?;
    // Nobody serves seeds here; machines are set up as if somebody did.
    config.workers.guest.public_url = "http://127.0.0.1:9".parse().ok();
    let workers =
        Workers::new(config.workers).map_err(|error| Ended::Failed(with_causes(&error)))?;
    workers.only(SYSTEMS).map_err(|error| Ended::Failed(with_causes(&error)))
}

/// Whose runs they are: people have accounts before they have anything else.
fn owners(history: &[Transition]) -> impl Iterator<Item = &str> {
    let events = history.iter().flat_map(|transition| &transition.events);
    events.filter_map(|event| match event {
        Event::RunStarted(run) => Some(run.owner.as_str()),
        _ => None,
    })
}

/// Every step of workers that was done by then, in the run and in those that it asked.
async fn deeds(source: &Source, until: Timestamp) -> Result<Vec<Deed>, Ended> {
    let related = source.related().await?;
    let all = related.iter().chain([&source.history]);
    let mut deeds: Vec<Deed> = all.flat_map(|history| deeds_of(history, until)).collect();
    deeds.sort_by_key(|deed| deed.at);
    Ok(deeds)
}

fn deeds_of(history: &[Transition], until: Timestamp) -> Vec<Deed> {
    let mut asked: BTreeMap<Seq, StepScheduled> = BTreeMap::new();
    let mut deeds = Vec::new();
    for transition in history.iter().take_while(|transition| transition.at <= until) {
        for event in &transition.events {
            match event {
                Event::StepScheduled(step) if step.route == Route::Worker => {
                    asked.insert(step.seq, step.clone());
                }
                Event::StepEdited(edited) => {
                    if let Some(step) = asked.get_mut(&edited.seq) {
                        step.request = edited.request.clone();
                    }
                }
                Event::StepCompleted(done) => {
                    deeds.extend(asked.remove(&done.seq).map(|step| Deed {
                        at: transition.at,
                        run: transition.run.clone(),
                        step,
                        answer: done.answer.clone(),
                    }))
                }
                _ => {}
            }
        }
    }
    deeds
}

/// Carries a step out in the lab.
async fn again(
    worker: &dyn AnyWorker,
    deed: &Deed,
    ids: &BTreeMap<String, String>,
) -> Result<Value, String> {
    // Nobody is in the machines: there is no engine that a guest could report to.
    if deed.step.step == "coder.await-agent" {
        return Ok(deed.answer.clone());
    }
    let mut request = deed.step.request.clone();
    adapt(&mut request, "", system(&deed.step.step), ids);
    let address = StepAddress { run: deed.run.clone(), seq: deed.step.seq };
    let ((progress, _), (_cancel, cancelled)) = (watch::channel(None), watch::channel(false));
    let context = StepContext::new(address, progress, cancelled);
    let done = worker.begin(&deed.step.step, context, request).await;
    done.map_err(|failure| failure.to_string())
}

/// What a site's own things are called in the lab.
fn adapt(value: &mut Value, field: &str, system: &str, ids: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            if let Some(other) = ids.get(text) {
                text.clone_from(other);
            } else if field == "login" {
                let name =
                    if system == "s3" { "s3/admin".to_owned() } else { format!("{system}/api") };
                *text = format!("vault:secret/data/{name}");
            } else if field == "node" && !NODES.contains(&text.as_str()) {
                NODE.clone_into(text);
            }
        }
        Value::Number(number)
            if field == "template" && !matches!(number.as_u64(), Some(9_000 | 9_001)) =>
        {
            *number = TEMPLATE.into();
        }
        Value::Array(values) => {
            values.iter_mut().for_each(|value| adapt(value, field, system, ids));
        }
        Value::Object(fields) => {
            fields.iter_mut().for_each(|(field, value)| adapt(value, field, system, ids));
        }
        _ => {}
    }
}

/// Ids that the lab chose otherwise than the vendor did.
fn note_ids(recorded: &Value, now: &Value, ids: &mut BTreeMap<String, String>) {
    if let (Some(old), Some(new)) = (recorded["id"].as_str(), now["id"].as_str()) {
        ids.insert(old.to_owned(), new.to_owned());
    }
}

/// Puts the fault in force that the first cause shows, if it shows one.
async fn break_again(lab: &Lab, source: &Source, restored: &mut Restored) -> Result<(), Ended> {
    let explanation = explained(source, 0).await?;
    let Some(cause) = explanation.cause else { return Ok(()) };
    match fault(&cause) {
        Some((vendor, fault)) => {
            lab.break_(vendor, fault).map_err(|error| Ended::Failed(with_causes(&error)))?;
            restored.faults.push((vendor.to_owned(), fault.to_owned()));
        }
        None => {
            let words =
                "the lab knows no fault that does this; `stead lab faults` lists those it does";
            restored.missing.push(format!("the first cause ({}): {words}", cause.words));
        }
    }
    Ok(())
}

/// The lab's fault that shows as this cause: only where the words leave no doubt. Whose login is not
/// accepted at all meets another one than whoever may not do this.
fn fault(cause: &Link) -> Option<(&'static str, &'static str)> {
    if cause.kind == Kind::Unheard {
        return Some(("forgejo", "hook-lost"));
    }
    let (_, step) = cause.step.as_ref()?;
    let words = cause.words.to_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
    let is_unknown = says(&["does not accept", "401"]);
    Some(match system(step) {
        // Whoever needs a login asks Vault first.
        _ if says(&["vault is sealed"]) => ("vault", "sealed"),
        "vault" if says(&["does not let us", "denied"]) => ("vault", "denied"),
        "proxmox" if says(&["lacks a privilege"]) => ("proxmox", "forbidden"),
        "proxmox" if is_unknown => ("proxmox", "unauthorized"),
        "proxmox" if says(&["no space"]) => ("proxmox", "storage-full"),
        "proxmox" if says(&["quorum"]) => ("proxmox", "no-quorum"),
        "proxmox" if says(&["not ours"]) => ("proxmox", "vmid-taken"),
        "truenas" if is_unknown || says(&["key has expired"]) => ("truenas", "key-revoked"),
        "truenas" if says(&["enospc", "no room", " free"]) => ("truenas", "pool-full"),
        "coder" if is_unknown => ("coder", "unauthorized"),
        "forgejo" if is_unknown => ("forgejo", "unauthorized"),
        "authentik" if is_unknown => ("authentik", "unauthorized"),
        "authentik" if says(&["may not see"]) => ("authentik", "forbidden"),
        "kubernetes" if is_unknown => ("kubernetes", "unauthorized"),
        "guest" if step == "guest.await-home" => ("guest", "home-never-mounts"),
        "s3" if is_unknown => ("s3", "unauthorized"),
        "s3" if says(&["quorum"]) => ("s3", "no-quorum"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
