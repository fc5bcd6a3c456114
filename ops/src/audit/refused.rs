//! Commands that were turned away: they changed nothing, and are in no history.

use serde::Serialize;
use stead_nats::door;
use stead_schemas::dispatch::Caller;
use stead_schemas::ids::RunId;
use stead_schemas::owner::Owner;
use stead_schemas::refusal::Refusal;
use stead_schemas::time::Timestamp;

/// What somebody asked for in vain.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Refused {
    /// When it was refused.
    pub at: Timestamp,
    /// Its place among the refusals that are kept.
    pub seq: u64,
    pub owner: Option<Owner>,
    pub kind: String,
    pub name: String,
    pub verb: String,
    pub id: Option<String>,
    pub run: Option<RunId>,
    /// Who asked; nothing where the engine of that time did not keep it.
    pub by: Option<Caller>,
    pub refused: Refusal,
}

impl From<(u64, door::Refused)> for Refused {
    fn from((seq, kept): (u64, door::Refused)) -> Self {
        let door::Refused { refusal, command, at, by } = kept;
        let door::Said { owner, kind, verb, id, name, run } = command;
        let name = name.unwrap_or_default();
        Self { at, seq, owner, kind, name, verb, id, run, by, refused: refusal }
    }
}
