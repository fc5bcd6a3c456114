//! What a command leaves behind that failed or deleted something, as the ledger has it, and what
//! became of the data of whoever owns the entity.
//!
//! All of it is read from histories: of the run, and of the home and the volume that it asked for
//! something. `ending.rs` says it beside the rest.

use std::time::Duration;

use serde::Serialize;
use stead_core::ledger::Ledger;
use stead_nats::SteadClient;
use stead_schemas::command::{bucket, drift, workspace};
use stead_schemas::dispatch::Caller;
use stead_schemas::event::{Event, Seq, StepScheduled};
use stead_schemas::ids::RunId;
use stead_schemas::ledger::{Held, Standing};
use stead_schemas::step::proxmox::ResizeDisk;
use stead_schemas::step::{Step, home, s3, volume};
use stead_schemas::transition::Transition;
use tokio::time::timeout;

use crate::commands::run::find::{self, Entities};
use crate::commands::source::asked;
use crate::exit::Ended;
use crate::story::standing::{self, held, standing};
use crate::story::words::moment;

/// How long histories may take to be read.
const READS_WITHIN: Duration = Duration::from_secs(10);

/// See the module's head.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Aftermath {
    /// What the command made that is still there, what is in doubt since, and what has changed and
    /// stays so.
    pub left: Vec<String>,
    /// What became of the data.
    pub data: Vec<String>,
}

/// Reads what a command left; nothing if the log does not show it.
pub async fn read(client: &SteadClient, run: &RunId, command: &str) -> Option<Aftermath> {
    // Whoever may not read the log gets no answer.
    let found = timeout(READS_WITHIN, histories(client, run, command)).await.ok()?;
    let (history, related) =
        found.inspect_err(|error| tracing::debug!(%error, "what is left cannot be read")).ok()?;
    of(&history, command, &related)
}

async fn histories(
    client: &SteadClient,
    run: &RunId,
    command: &str,
) -> Result<(Vec<Transition>, Vec<Vec<Transition>>), Ended> {
    let history = find::history(client, run).await?;
    let (mut entities, mut related) = (Entities::of(client), Vec::new());
    for key in asked(since(&history, command)) {
        if let (home::KIND | volume::KIND, Some(life)) =
            (key.kind(), entities.lives(&key).await?.pop())
        {
            related.push(find::history(client, &life).await?);
        }
    }
    Ok((history, related))
}

/// What a command of this history left, with the histories of what it asked for something; nothing
/// if the history does not have it.
pub fn of(history: &[Transition], command: &str, related: &[Vec<Transition>]) -> Option<Aftermath> {
    let during = since(history, command);
    let first = during.first()?;
    let before = Ledger::of(&first.run, &history[..history.len() - during.len()]);
    let now = Ledger::of(&first.run, history);
    let steps = steps(during);
    let was_there = |held: &&Held| before.held().iter().any(|b| b.resource.is(&held.resource));
    let mut left: Vec<String> =
        now.held().iter().filter(|held| !was_there(held) || is_doubted(held)).map(told).collect();
    left.extend(steps.iter().filter_map(|step| grown(step, before.held(), now.held(), during)));
    left.extend(now.unread().iter().map(|step| format!("what {step} made, which is unknown here")));
    let asks = Asks { run: &first.run, seqs: steps.iter().map(|step| step.seq).collect() };
    let mut data = Vec::new();
    for other in related {
        if asks.began(other) {
            left.extend(held(other).iter().map(told));
        }
        data.extend(asks.data(other));
    }
    data.extend(untouched(first.run.kind(), &steps, &data));
    Some(Aftermath { left, data })
}

/// The history from the transition on in which a command was accepted, up to the one that ends it.
fn since<'a>(history: &'a [Transition], command: &str) -> &'a [Transition] {
    let accepts = |event: &Event| matches!(event, Event::CommandAccepted(c) if c.id == command);
    let ends = |event: &Event| matches!(event, Event::CommandCompleted(c) if c.id == command);
    let place = |is_it: &dyn Fn(&Event) -> bool| {
        history.iter().position(|transition| transition.events.iter().any(is_it))
    };
    let end = place(&ends).map_or(history.len(), |end| end + 1);
    place(&accepts).and_then(|begin| history.get(begin..end)).unwrap_or_default()
}

fn steps(during: &[Transition]) -> Vec<&StepScheduled> {
    let events = during.iter().flat_map(|transition| &transition.events);
    let steps = events.filter_map(|event| match event {
        Event::StepScheduled(step) => Some(step),
        _ => None,
    });
    steps.collect()
}

fn is_doubted(held: &Held) -> bool {
    held.standing != Standing::Wanted
}

fn told(held: &Held) -> String {
    match held.standing {
        Standing::Wanted => held.resource.path(),
        _ => standing::told(held),
    }
}

/// A disk that was there before is larger now, and does not shrink.
fn grown(
    step: &StepScheduled,
    before: &[Held],
    now: &[Held],
    during: &[Transition],
) -> Option<String> {
    let ask: ResizeDisk = match step.step.as_str() {
        ResizeDisk::NAME => serde_json::from_value(step.request.clone()).ok()?,
        _ => return None,
    };
    let machine = ask.machine.vmid.to_string();
    let is_there = |held: &[Held]| {
        held.iter().any(|held| held.resource.kind == "machine" && held.resource.id == machine)
    };
    let events = during.iter().flat_map(|transition| &transition.events);
    let mut done = events.filter(|event| match event {
        Event::StepCompleted(done) => done.seq == step.seq,
        _ => false,
    });
    let is_so = is_there(before) && is_there(now) && done.next().is_some();
    is_so.then(|| format!("the disk of machine {machine}, which has {} GiB now", ask.size_gb))
}

/// Who asked.
struct Asks<'a> {
    run: &'a RunId,
    seqs: Vec<Seq>,
}

impl Asks<'_> {
    /// Whether this life of an entity began with what was asked.
    fn began(&self, other: &[Transition]) -> bool {
        let mut events = other.iter().flat_map(|transition| &transition.events);
        let by = events.find_map(|event| match event {
            Event::CommandAccepted(command) => Some(&command.by),
            _ => None,
        });
        matches!(by, Some(Caller::Run(by)) if by.run == *self.run && self.seqs.contains(&by.seq))
    }

    /// What became of a home or a volume that was asked for something.
    fn data(&self, other: &[Transition]) -> Option<String> {
        let last = other.last()?;
        let key = last.run.key();
        let what = key.kind();
        let stands = standing(other, last.n, &[]);
        let due = stands.open.iter().find_map(|open| open.due);
        let is_new = self.began(other);
        let now = match (stands.phase.as_str(), due, is_new) {
            ("in use", _, true) => "new, and in use".to_owned(),
            ("in use", _, false) => "kept with all that is in it".to_owned(),
            ("unused", Some(due), true) => {
                format!("new, and kept until {} UTC", moment(due))
            }
            ("unused", Some(due), false) => {
                format!("kept with all that is in it until {} UTC", moment(due))
            }
            ("unused", None, _) => "about to be destroyed".to_owned(),
            (_, _, true) => "was new, and is gone again".to_owned(),
            (_, _, false) => "gone".to_owned(),
        };
        let limit = &stands.view[if what == home::KIND { "quota_gb" } else { "size_gb" }];
        let limit = limit.as_u64().map_or(String::new(), |gib| format!(" ({gib} GiB)"));
        Some(format!("{what}: {now}{limit}"))
    }
}

/// What a command had nothing to do with.
fn untouched(kind: &str, steps: &[&StepScheduled], said: &[String]) -> Option<String> {
    let empties = |step: &&StepScheduled| step.step == s3::EmptyBucket::NAME;
    let words = match kind {
        workspace::KIND if said.iter().any(|line| line.starts_with("home: ")) => return None,
        workspace::KIND => "home: untouched",
        home::KIND => "home: what is in it is untouched",
        bucket::KIND if steps.iter().any(empties) => "objects: those deleted so far are gone",
        bucket::KIND => "objects: untouched",
        // What was found may have been destroyed before one of the others failed.
        drift::KIND => return None,
        _ => "data: nobody's was touched",
    };
    Some(words.to_owned())
}

#[cfg(test)]
mod tests;
