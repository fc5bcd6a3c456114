//! What an export has told already, so that the next one goes on behind it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stead_schemas::ids::RunId;

use super::Entry;

/// How far a partition was exported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    epoch: u32,
    seq: u64,
    /// The last transition that was told of each run in the log. A new epoch holds copies of what
    /// has not ended, at other places.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    runs: BTreeMap<RunId, u64>,
}

impl Told {
    /// Whether an entry was among what was exported.
    pub fn has(&self, entry: &Entry) -> bool {
        match self.runs.get(&entry.run) {
            Some(n) => entry.n <= *n,
            None => (entry.epoch, entry.seq) <= (self.epoch, self.seq),
        }
    }

    /// Remembers an entry. The log is read before the archive, whose runs are never copied again.
    pub fn note(&mut self, entry: &Entry) {
        if entry.epoch >= self.epoch {
            self.epoch = entry.epoch;
            self.runs.insert(entry.run.clone(), entry.n);
        }
    }

    /// The same, read up to this place. What was noted of earlier epochs only is in the archive, and
    /// lies before it.
    pub fn up_to(self, epoch: u32, seq: u64) -> Self {
        let runs = if self.epoch < epoch { BTreeMap::new() } else { self.runs };
        Self { epoch, seq, runs }
    }
}
