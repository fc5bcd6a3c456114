//! Who commanded what, read off histories; and whether the histories are whole. Pure: messages
//! in, entries or faults out. Where they are read is in `commands/audit`.

mod chains;
mod filter;
mod places;
mod refused;
pub mod signed;
#[cfg(test)]
mod tests;
mod told;

use std::collections::HashMap;

use serde::Serialize;
use stead_schemas::dispatch::Caller;
use stead_schemas::event::{ByHand, Event, Outcome};
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;

pub use chains::Chains;
pub use filter::Filter;
pub use places::Places;
pub use refused::Refused;
pub use told::Told;

/// A message of the log or the archive, and where it lies.
#[derive(Clone, Debug)]
pub struct Stored {
    pub partition: Partition,
    pub epoch: u32,
    pub seq: u64,
    pub run: RunId,
    pub bytes: Vec<u8>,
}

/// Where an entry belongs among the others; the same one read twice has the same.
pub type Key = (Timestamp, RunId, u64, usize);

/// What somebody asked for, or how that ended.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// When the engine took it in, or when it ended.
    pub at: Timestamp,
    pub partition: Partition,
    pub epoch: u32,
    pub seq: u64,
    pub run: RunId,
    /// The transition in the run's history.
    pub n: u64,
    /// The event in that transition.
    pub place: usize,
    pub owner: Option<Owner>,
    pub kind: String,
    pub name: String,
    pub verb: String,
    pub id: Option<String>,
    pub by: Caller,
    pub why: Option<String>,
    /// How it ended; nothing while that is open, and for what has no end of its own.
    pub outcome: Option<Outcome>,
}

impl Entry {
    pub fn key(&self) -> Key {
        (self.at, self.run.clone(), self.n, self.place)
    }

    /// Whether a person or a program outside asked for it.
    pub fn is_from_outside(&self) -> bool {
        match &self.by {
            Caller::Inbox { .. } | Caller::Api | Caller::User(_) => true,
            Caller::Run(_) | Caller::Command { .. } | Caller::Engine => false,
        }
    }
}

/// What an event says about somebody's command.
struct Asked<'a> {
    verb: &'a str,
    id: Option<&'a str>,
    by: &'a Caller,
    why: Option<&'a str>,
}

/// Reads entries off messages. It remembers whose each run is, and which commands are open.
#[derive(Default)]
pub struct Reader {
    runs: HashMap<RunId, (Owner, String)>,
    open: HashMap<(RunId, String), Entry>,
}

impl Reader {
    /// What a message says that somebody asked for, and how what was asked for before has ended.
    pub fn read(&mut self, stored: &Stored) -> Vec<Entry> {
        let Ok(transition) = Transition::decode(&stored.bytes) else { return Vec::new() };
        let mut entries = Vec::new();
        for (place, event) in transition.events.iter().enumerate() {
            if let Event::RunStarted(started) = event {
                let whose = (started.owner.clone(), started.name.clone());
                self.runs.insert(stored.run.clone(), whose);
            }
            if let Event::CommandCompleted(completed) = event {
                let key = (stored.run.clone(), completed.id.clone());
                entries.extend(self.open.remove(&key).map(|given| Entry {
                    at: transition.at,
                    seq: stored.seq,
                    epoch: stored.epoch,
                    n: transition.n,
                    place,
                    outcome: Some(completed.outcome.clone()),
                    ..given
                }));
            }
            if let Some(asked) = asked(event) {
                let entry = self.entry(stored, &transition, place, &asked);
                if let Event::CommandAccepted(accepted) = event {
                    let key = (stored.run.clone(), accepted.id.clone());
                    self.open.insert(key, entry.clone());
                }
                entries.push(entry);
            }
        }
        entries
    }

    fn entry(
        &self,
        stored: &Stored,
        transition: &Transition,
        place: usize,
        asked: &Asked<'_>,
    ) -> Entry {
        let whose = self.runs.get(&stored.run);
        Entry {
            at: transition.at,
            partition: stored.partition,
            epoch: stored.epoch,
            seq: stored.seq,
            run: stored.run.clone(),
            n: transition.n,
            place,
            owner: whose.map(|(owner, _)| owner.clone()),
            kind: stored.run.kind().to_owned(),
            name: whose.map(|(_, name)| name.clone()).unwrap_or_default(),
            verb: asked.verb.to_owned(),
            id: asked.id.map(str::to_owned),
            by: asked.by.clone(),
            why: asked.why.map(str::to_owned),
            outcome: None,
        }
    }
}

fn asked(event: &Event) -> Option<Asked<'_>> {
    let (verb, order) = match event {
        Event::CommandAccepted(accepted) => {
            let (verb, id, by) = (&*accepted.verb, Some(&*accepted.id), &accepted.by);
            return Some(Asked { verb, id, by, why: None });
        }
        Event::CancelRequested(cancel) => {
            let (id, by) = (cancel.id.as_deref(), &cancel.by);
            return Some(Asked { verb: "cancel", id, by, why: Some(&cancel.why) });
        }
        Event::RunPaused(paused) => ("pause", &paused.order),
        Event::RunResumed(resumed) => ("resume", &resumed.order),
        Event::StepRetried(retried) => ("retry", &retried.order),
        Event::StepSkipped(skipped) => ("skip", &skipped.order),
        Event::StepEdited(edited) => ("edit", &edited.order),
        Event::UndoAbandoned(abandoned) => ("abandon", &abandoned.order),
        Event::SignalReceived(received) => ("signal", &received.order),
        Event::TerminateRequested(requested) => ("terminate", &requested.order),
        _ => return None,
    };
    let ByHand { by, why, id } = order;
    Some(Asked { verb, id: id.as_deref(), by, why: Some(why) })
}
