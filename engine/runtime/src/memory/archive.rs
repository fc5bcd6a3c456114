//! An archive in memory.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use stead_schemas::ids::Partition;

use crate::ports::{AppendError, Archive, LogError};

/// An archive in memory.
#[derive(Default)]
pub struct MemoryArchive(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    last: u64,
    parts: HashMap<(Partition, u64), Vec<u8>>,
    records: HashMap<Partition, Vec<(u64, Vec<u8>)>>,
}

impl MemoryArchive {
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
    async fn put(&self, partition: Partition, part: Vec<u8>) -> Result<u64, LogError> {
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
        let records = kept.records.entry(partition).or_default();
        if records.last().map_or(0, |(last, _)| *last) != expected {
            return Err(AppendError::Conflict);
        }
        records.push((place, record));
        Ok(place)
    }

    async fn records(&self, partition: Partition) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        Ok(self.lock().records.get(&partition).cloned().unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryArchive;
    use crate::conformance::check_archive;

    #[tokio::test]
    async fn it_keeps_the_promises_of_an_archive() {
        check_archive(&MemoryArchive::default()).await;
    }
}
