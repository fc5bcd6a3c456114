//! The rebuildable read model on disk: one line per run, for lists and search.
//!
//! Nothing here is true; the event log is. Whatever goes wrong with the files (deleted while in
//! use, damaged, no room, no permission), the index begins anew, empty, and says so to each
//! partition until its owner has cleared it and is filling it again. For the same reason it
//! always begins empty: what an earlier process left is older than the log.
//!
//! Only this crate knows sled (`store`) and bincode (`codec`); where the files lie and who may
//! use them is in `place`.

mod codec;
mod key;
mod place;
mod state;
mod store;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use stead_runtime::ports::Index;
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::public::RunSummary;

pub use crate::codec::DecodeError;
use crate::state::State;

/// Reads one value of the index, as it lies in its files.
///
/// # Errors
/// If it is not exactly what this version writes.
pub fn read_line(bytes: &[u8]) -> Result<RunSummary, DecodeError> {
    codec::decode(bytes)
}

/// The index of one engine, in a directory of its own. All partitions of the engine share it.
///
/// Two processes never share a directory: the second to open `index` uses `index-1` beside it.
#[derive(Debug)]
pub struct EmbeddedIndex {
    state: Mutex<State>,
}

impl EmbeddedIndex {
    /// Opens the index in the directory `path`, made if it is not there, and empty at first.
    /// Never fails: where no file can be written it lives in memory, and a warning says so.
    #[must_use]
    pub fn open(path: PathBuf) -> Self {
        Self { state: Mutex::new(State::open(path)) }
    }

    /// The name of the engine whose directory this is. Where another process had it since the machine
    /// was started, and is no more, its name, so that what was that engine's is this one's at once;
    /// otherwise `new`.
    #[must_use]
    pub fn name(&self, new: String) -> String {
        self.state().name(new)
    }

    /// A panic elsewhere may leave the state half way at worst; its files are checked anyway.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index for EmbeddedIndex {
    fn put(&self, partition: Partition, lines: Vec<RunSummary>) -> bool {
        self.state().put(partition, &lines)
    }

    fn list(
        &self,
        partition: Partition,
        after: Option<&RunId>,
        most: usize,
    ) -> Option<Vec<RunSummary>> {
        self.state().list(partition, after, most)
    }

    fn clear(&self, partition: Partition) {
        self.state().clear(partition);
    }
}
