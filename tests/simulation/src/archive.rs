//! The simulated archive: what is put there stays there.

use std::collections::BTreeMap;

use async_trait::async_trait;
use stead_runtime::ports::{AppendError, Archive, Lasts, LogError, Recorded};
use stead_schemas::archive::{self, Kept, Segment};
use stead_schemas::ids::Partition;

use crate::log::EngineLog;

/// Everything that is in the archive.
#[derive(Default)]
pub struct Shelves {
    last: u64,
    parts: BTreeMap<u64, Vec<u8>>,
    records: BTreeMap<Partition, Vec<(u64, Vec<u8>)>>,
}

impl Shelves {
    /// Every message in the archive of a partition.
    #[must_use]
    pub fn histories(&self, partition: Partition) -> Vec<Recorded> {
        let mut all = Vec::new();
        for (_, record) in self.records.get(&partition).into_iter().flatten() {
            let Ok(segment) = Segment::decode(record) else { continue };
            let parts = segment.histories.parts.iter().filter_map(|part| self.parts.get(part));
            let packed: Vec<u8> = parts.flatten().copied().collect();
            for history in archive::histories(&packed).0 {
                let run = history.run;
                let messages = history.messages.into_iter();
                all.extend(messages.map(|Kept { seq, bytes }| Recorded {
                    seq,
                    run: run.clone(),
                    bytes,
                }));
            }
        }
        all
    }
}

#[async_trait]
impl Archive for EngineLog {
    async fn put(&self, _: Partition, part: Vec<u8>, _: Lasts) -> Result<u64, LogError> {
        self.reach("archive").await?;
        let mut state = self.world.lock();
        let shelves = &mut state.log.archive;
        shelves.last += 1;
        let place = shelves.last;
        shelves.parts.insert(place, part);
        Ok(place)
    }

    async fn get(&self, _: Partition, part: u64) -> Result<Vec<u8>, LogError> {
        self.reach("archive").await?;
        let part = self.world.lock().log.archive.parts.get(&part).cloned();
        part.ok_or_else(|| LogError("there is no such part".into()))
    }

    async fn record(
        &self,
        partition: Partition,
        expected: u64,
        record: Vec<u8>,
    ) -> Result<u64, AppendError> {
        self.world.pause(1, 4).await;
        let mut state = self.world.lock();
        let shelves = &mut state.log.archive;
        let records = shelves.records.entry(partition).or_default();
        if records.last().map_or(0, |(last, _)| *last) != expected {
            return Err(AppendError::Conflict);
        }
        shelves.last += 1;
        let place = shelves.last;
        records.push((place, record));
        state.counts.add("segments of the archive");
        Ok(place)
    }

    async fn records(&self, partition: Partition) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        self.reach("archive").await?;
        let state = self.world.lock();
        Ok(state.log.archive.records.get(&partition).cloned().unwrap_or_default())
    }
}
