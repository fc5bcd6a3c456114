//! A glance at an appended message: what is needed of a run that is over, and no more.
//!
//! Most runs in a log are over. Reading them whole, requests and answers included, would make an
//! engine that starts wait for things that it never looks at.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::dispatch::StepAddress;
use crate::event::RunStarted;
use crate::ids::RunId;
use crate::public::RunState;
use crate::time::Timestamp;
use crate::transition::VERSION;

/// What a glance at a transition shows.
#[derive(Debug)]
pub struct Glance {
    /// Whose history it belongs to.
    pub run: RunId,
    /// The link of the transition before.
    pub prev: String,
    /// Its place in the history.
    pub n: u64,
    /// When the engine decided.
    pub at: Timestamp,
    /// How the run began, if it does here.
    pub started: Option<RunStarted>,
    /// The commands that are taken in here.
    pub accepted: Vec<Accepted>,
    /// How the run ends, if it does here.
    pub ended: Option<RunState>,
}

/// A command that is taken in, without what it asks for.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Accepted {
    /// Its id.
    pub id: String,
    /// The digest of the command as it was sent.
    pub digest: String,
    /// The step of another run that waits for the outcome, where one does.
    #[serde(default)]
    pub reply: Option<StepAddress>,
}

impl Glance {
    /// Glances at the bytes of a message. Nothing if they are not a transition of a shape that
    /// this build knows.
    #[must_use]
    pub fn at(bytes: &[u8]) -> Option<Self> {
        let skimmed: Skimmed = serde_json::from_slice(bytes).ok()?;
        let Skimmed { v, run, n, at, prev, events } = skimmed;
        let mut glance =
            Self { run, prev, n, at, started: None, accepted: Vec::new(), ended: None };
        for event in events {
            match event {
                Seen::Started(started) => glance.started = Some(started),
                Seen::Accepted(accepted) => glance.accepted.push(accepted),
                Seen::Ended(state) => glance.ended = Some(state),
                Seen::Other => {}
            }
        }
        (v == VERSION).then_some(glance)
    }
}

#[derive(Deserialize)]
struct Skimmed {
    v: u8,
    run: RunId,
    n: u64,
    at: Timestamp,
    prev: String,
    events: Vec<Seen>,
}

/// An event of which only some are looked at.
enum Seen {
    Started(RunStarted),
    Accepted(Accepted),
    Ended(RunState),
    Other,
}

impl<'de> Deserialize<'de> for Seen {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(SeenVisitor)
    }
}

struct SeenVisitor;

impl<'de> Visitor<'de> for SeenVisitor {
    type Value = Seen;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an event")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut event: A) -> Result<Seen, A::Error> {
        let mut seen = Seen::Other;
        while let Some(name) = event.next_key::<&str>()? {
            match name {
                "RunStarted" => seen = Seen::Started(event.next_value()?),
                "CommandAccepted" => seen = Seen::Accepted(event.next_value()?),
                "RunCompleted" => seen = ended(&mut event, RunState::Completed)?,
                "RunTerminated" => seen = ended(&mut event, RunState::Terminated)?,
                "RunFailed" => seen = ended(&mut event, RunState::Failed)?,
                _ => drop(event.next_value::<IgnoredAny>()?),
            }
        }
        Ok(seen)
    }
}

fn ended<'de, A: MapAccess<'de>>(event: &mut A, state: RunState) -> Result<Seen, A::Error> {
    event.next_value::<IgnoredAny>()?;
    Ok(Seen::Ended(state))
}
