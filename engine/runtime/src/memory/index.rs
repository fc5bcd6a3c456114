//! The read model in memory, which can be lost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use stead_schemas::ids::{Partition, RunId};
use stead_schemas::public::RunSummary;

use crate::ports::Index;

/// The read model in memory.
#[derive(Default)]
pub struct MemoryIndex {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    lines: BTreeMap<(Partition, RunId), RunSummary>,
    /// Who has cleared its part since everything was lost, and so knows that it was.
    filled: BTreeSet<Partition>,
}

impl MemoryIndex {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Loses everything, as when its files are deleted.
    pub fn lose(&self) {
        *self.lock() = Kept::default();
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index for MemoryIndex {
    fn put(&self, partition: Partition, lines: Vec<RunSummary>) -> bool {
        let mut kept = self.lock();
        kept.lines.extend(lines.into_iter().map(|line| ((partition, line.run.clone()), line)));
        kept.filled.contains(&partition)
    }

    fn list(
        &self,
        partition: Partition,
        after: Option<&RunId>,
        most: usize,
    ) -> Option<Vec<RunSummary>> {
        let kept = self.lock();
        let lines = kept
            .lines
            .iter()
            .filter(|((of, run), _)| *of == partition && after.is_none_or(|after| run > after))
            .map(|(_, line)| line.clone());
        kept.filled.contains(&partition).then(|| lines.take(most).collect())
    }

    fn clear(&self, partition: Partition) {
        let mut kept = self.lock();
        kept.lines.retain(|(of, _), _| *of != partition);
        kept.filled.insert(partition);
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryIndex;
    use crate::conformance::check_index;

    #[test]
    fn it_keeps_the_promises_of_an_index() {
        let index = MemoryIndex::new();
        check_index(&index, &|| index.lose());
    }
}
