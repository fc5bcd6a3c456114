//! What may expire: parts in a stream of their own, from which single messages can be deleted. It
//! is made only where something is to expire. Each deleted message is written over on the disk.

use std::collections::BTreeSet;

use async_trait::async_trait;
use stead_runtime::ports::{AppendError, Expiry, LogError};
use stead_schemas::ids::Partition;
use stead_schemas::subjects::{self, SHELF_STREAM};

use super::NatsArchive;
use crate::jetstream;
use crate::log::bounds;

/// What is added to a sequence of the shelf, to tell it from one of the archive: more than any
/// sequence, and little enough for every reader of JSON.
const SHELF: u64 = 1 << 52;

/// What a part of the shelf is called.
pub(super) const fn part(seq: u64) -> u64 {
    SHELF + seq
}

/// Where a part is on the shelf, if that is where it is.
pub(super) const fn place(part: u64) -> Option<u64> {
    part.checked_sub(SHELF)
}

#[async_trait]
impl Expiry for NatsArchive {
    fn may_expire(&self, part: u64) -> bool {
        place(part).is_some()
    }

    async fn bury(
        &self,
        partition: Partition,
        expected: u64,
        tombstone: Vec<u8>,
    ) -> Result<u64, AppendError> {
        self.append(&subjects::archive_tombstone(partition), expected, tombstone).await
    }

    async fn forget(&self, partition: Partition, part: u64) -> Result<(), LogError> {
        let seq = place(part).ok_or_else(|| {
            LogError(format!("part {part} is in `STEAD_ARCHIVE`, where nothing expires"))
        })?;
        let (js, subject) = (&self.platform.connection.js, subjects::shelf_part(partition));
        let in_words = |error: &dyn std::fmt::Display| LogError(error.to_string());
        let found = jetstream::next_message(js, SHELF_STREAM, seq, &subject).await;
        if found.map_err(|error| in_words(&error))?.is_none_or(|found| found.sequence != seq) {
            return Ok(());
        }
        let shelf = js.get_stream_no_info(SHELF_STREAM).await.map_err(|error| in_words(&error))?;
        // The server writes over what it deletes, unless it is told not to.
        shelf.delete_message(seq).await.map(drop).map_err(|error| in_words(&error))
    }

    async fn strays(
        &self,
        named: &BTreeSet<u64>,
        last: u64,
    ) -> Result<Vec<(Partition, u64)>, LogError> {
        let Some(last) = place(last) else { return Ok(Vec::new()) };
        let (first, end) = bounds(&self.platform.connection.js, SHELF_STREAM).await?;
        let mut strays = Vec::new();
        for seq in (first..=last.min(end)).filter(|seq| !named.contains(&part(*seq))) {
            let whose = self.whose(seq).await?;
            strays.extend(whose.map(|partition| (partition, part(seq))));
        }
        Ok(strays)
    }
}

impl NatsArchive {
    /// Of which partition the message is that the shelf has there, if it has one.
    async fn whose(&self, seq: u64) -> Result<Option<Partition>, LogError> {
        let js = &self.platform.connection.js;
        let found = jetstream::message_at(js, SHELF_STREAM, seq).await;
        let found = found.map_err(|error| LogError(error.to_string()))?;
        let mut all = self.platform.all_partitions();
        Ok(found.and_then(|found| all.find(|of| *found.subject == *subjects::shelf_part(*of))))
    }
}
