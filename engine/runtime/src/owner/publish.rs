//! Shows the world what happens. Nothing waits for it and nothing keeps it: the log is the truth,
//! and whoever hears an event twice knows it by its run, transition and name.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use stead_schemas::event::{Event, RunStarted};
use stead_schemas::ids::RunId;
use stead_schemas::subjects;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::Transition;
use tokio::task::yield_now;

use super::Owner;
use crate::inbound::encoded;
use crate::ports::{Outgoing, Recorded};

/// How far before the last transition of a partition one may lie that its owner had appended but
/// not shown any more: longer than an append takes.
pub(super) const MAYBE_UNTOLD: Duration = Duration::from_secs(5);

/// How many transitions are shown again before others on this thread get their turn.
const EVENTS_IN_A_ROW: usize = 256;

/// An event as it is published.
#[derive(Serialize)]
struct Notice<'a> {
    run: &'a RunId,
    n: u64,
    at: Timestamp,
    event: &'a Event,
}

/// The latest messages of a partition that is read back.
#[derive(Default)]
pub(super) struct Recent(VecDeque<(Arc<RunStarted>, Timestamp, Recorded)>);

/// A transition that the owner before may not have shown, and how its run began.
pub(super) type Untold = (Arc<RunStarted>, Transition);

impl Recent {
    /// Takes the next message of the log, and forgets what is certainly told.
    pub fn push(&mut self, started: &Arc<RunStarted>, at: Timestamp, message: &Recorded) {
        while self.0.front().is_some_and(|(_, old, _)| at.since(*old) > MAYBE_UNTOLD) {
            self.0.pop_front();
        }
        self.0.push_back((Arc::clone(started), at, message.clone()));
    }

    /// The last transition of each run, oldest first: an owner acts on one before the next, so
    /// only these may be untold.
    pub fn last_of_each(self) -> Vec<Untold> {
        let mut seen = HashSet::new();
        let latest = self.0.into_iter().rev();
        let last = latest.filter(|(.., message)| seen.insert(message.run.clone()));
        let mut last: Vec<Untold> = last
            .filter_map(|(started, _, message)| {
                Some((started, Transition::decode(&message.bytes).ok()?))
            })
            .collect();
        last.reverse();
        last
    }
}

impl Owner {
    /// Shows each event of a transition to the world.
    pub(super) fn publish(&self, transition: &Transition) {
        let live = self.runs.get(&transition.run);
        if let Some(started) = live.and_then(|live| live.run.folded().started.as_ref()) {
            self.publish_for(started, transition);
        }
    }

    /// Shows again what the owner before may have appended and not shown.
    pub(super) async fn publish_untold(&self, untold: &[Untold]) {
        for some in untold.chunks(EVENTS_IN_A_ROW) {
            // The owner may have been frozen while others had their turn.
            if self.lease.is_over() {
                return;
            }
            for (started, transition) in some {
                self.publish_for(started, transition);
            }
            yield_now().await;
        }
    }

    /// Shows something that is written nowhere.
    pub(super) fn publish_live(&self, run: &RunId, name: &str, body: &impl Serialize) {
        let live = self.runs.get(run);
        if let Some(started) = live.and_then(|live| live.run.folded().started.as_ref()) {
            self.publish_as(started, run, name, body);
        }
    }

    fn publish_for(&self, started: &RunStarted, transition: &Transition) {
        let Transition { run, n, at, events, .. } = transition;
        for event in events {
            let notice = Notice { run, n: *n, at: *at, event };
            self.publish_as(started, run, event.name(), &notice);
        }
    }

    fn publish_as(&self, started: &RunStarted, run: &RunId, name: &str, body: &impl Serialize) {
        let subject = subjects::event(&started.owner, &started.workflow, run.as_str(), name);
        self.send(Outgoing::Event { subject, bytes: encoded(body) });
    }
}
