//! An archive in memory.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use stead_schemas::ids::Partition;

use crate::ports::{AppendError, Archive, Expiry, Lasts, LogError};

/// An archive in memory.
#[derive(Default)]
pub struct MemoryArchive(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    last: u64,
    parts: HashMap<(Partition, u64), Vec<u8>>,
    records: HashMap<Partition, Vec<(u64, Vec<u8>)>>,
    tombstones: HashMap<Partition, Vec<(u64, Vec<u8>)>>,
    tombstones_read: u32,
}

impl MemoryArchive {
    /// Writes a tombstone over, as somebody with every right could.
    pub fn forge(&self, partition: Partition, place: usize, tombstone: Vec<u8>) {
        if let Some(kept) = self.lock().tombstones.get_mut(&partition) {
            kept[place].1 = tombstone;
        }
    }

    /// How often somebody has read tombstones.
    #[must_use]
    pub fn tombstones_read(&self) -> u32 {
        self.lock().tombstones_read
    }

    /// Changes a byte of a part, as a bad disk would.
    pub fn alter(&self, partition: Partition, part: u64, byte: usize) {
        if let Some(part) = self.lock().parts.get_mut(&(partition, part)) {
            part[byte] ^= 1;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Archive for MemoryArchive {
    async fn put(
        &self,
        partition: Partition,
        part: Vec<u8>,
        _lasts: Lasts,
    ) -> Result<u64, LogError> {
        let mut kept = self.lock();
        kept.last += 1;
        let place = kept.last;
        kept.parts.insert((partition, place), part);
        Ok(place)
    }

    async fn get(&self, partition: Partition, part: u64) -> Result<Vec<u8>, LogError> {
        let part = self.lock().parts.get(&(partition, part)).cloned();
        part.ok_or_else(|| LogError("the archive has no such part".into()))
    }

    async fn record(
        &self,
        partition: Partition,
        expected: u64,
        record: Vec<u8>,
    ) -> Result<u64, AppendError> {
        let mut kept = self.lock();
        kept.last += 1;
        let place = kept.last;
        append(kept.records.entry(partition).or_default(), expected, (place, record))
    }

    async fn records(&self, partition: Partition) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        Ok(self.lock().records.get(&partition).cloned().unwrap_or_default())
    }

    async fn tombstones(&self, partition: Partition) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        let mut kept = self.lock();
        kept.tombstones_read += 1;
        Ok(kept.tombstones.get(&partition).cloned().unwrap_or_default())
    }
}

/// Everything in memory may expire.
#[async_trait]
impl Expiry for MemoryArchive {
    fn may_expire(&self, _: u64) -> bool {
        true
    }

    async fn bury(
        &self,
        partition: Partition,
        expected: u64,
        tombstone: Vec<u8>,
    ) -> Result<u64, AppendError> {
        let mut kept = self.lock();
        kept.last += 1;
        let place = kept.last;
        append(kept.tombstones.entry(partition).or_default(), expected, (place, tombstone))
    }

    async fn forget(&self, partition: Partition, part: u64) -> Result<(), LogError> {
        self.lock().parts.remove(&(partition, part));
        Ok(())
    }

    async fn strays(
        &self,
        named: &BTreeSet<u64>,
        last: u64,
    ) -> Result<Vec<(Partition, u64)>, LogError> {
        let kept = self.lock();
        let strays = kept.parts.keys().filter(|(_, part)| *part <= last && !named.contains(part));
        Ok(strays.copied().collect())
    }
}

fn append(
    all: &mut Vec<(u64, Vec<u8>)>,
    expected: u64,
    (place, bytes): (u64, Vec<u8>),
) -> Result<u64, AppendError> {
    if all.last().map_or(0, |(last, _)| *last) != expected {
        return Err(AppendError::Conflict);
    }
    all.push((place, bytes));
    Ok(place)
}

#[cfg(test)]
mod tests {
    use super::MemoryArchive;
    use crate::conformance::{check_archive, check_expiry};

    #[tokio::test]
    async fn it_keeps_the_promises_of_an_archive() {
        check_archive(&MemoryArchive::default()).await;
        check_expiry(&MemoryArchive::default()).await;
    }
}
