//! A new epoch of a partition's log: what is over goes into the archive, what lives is copied as
//! it is, and both are read back before the old epoch is closed.
//!
//! All of it happens beside the owner, who goes on writing to the old epoch; it stops for the
//! last messages only. Until the old epoch is closed nothing of this counts, so that it may be
//! given up at any point.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use stead_schemas::archive::{History, Kept, check_whole};
use stead_schemas::glance::Glance;
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::time::Timestamp;

use super::Shelf;
use crate::ports::{AppendError, Claim, Closing, LogError, Ports, Recorded};

/// How many messages are copied, and read back, at once.
const MESSAGES_AT_ONCE: usize = 500;
/// How many bytes of them.
const BYTES_AT_ONCE: usize = 4 * 1024 * 1024;
/// With so few messages left to be copied the owner may stop for them.
const NEAR: u64 = 200;
/// How often one tries to come that near to an owner that goes on writing, before one rests.
const ROUNDS: u32 = 20;
/// Then the draft stays as it is for so long, and is caught up with.
const REST: Duration = Duration::from_secs(600);

/// Who turns a partition's epoch, and from where.
#[derive(Clone)]
pub struct Turner {
    /// The world.
    pub ports: Ports,
    /// The engine that owns the partition.
    pub engine: String,
    /// The partition.
    pub partition: Partition,
    /// The epoch that is in force.
    pub epoch: u32,
    /// What ended so shortly before the last message stays in the log, since a new owner may have
    /// to tell of it again; nothing if so long has passed since that message.
    pub recent: Option<Duration>,
}

/// A new epoch, as far as it goes.
pub struct Draft {
    /// The epoch.
    pub opened: Claim,
    /// The sequence of its last message.
    pub last: u64,
    /// Up to where the old epoch is in it.
    pub read: u64,
    /// How many messages of the old epoch are in the archive instead.
    pub archived: u64,
    /// The last message of each run in it: its sequence in the old epoch, and in the new one.
    pub places: HashMap<RunId, (u64, u64)>,
}

/// Which histories are over.
struct Over {
    /// Where each of them ends.
    ends: HashMap<RunId, u64>,
    /// Up to which end they belong into the archive.
    to: u64,
}

impl Turner {
    /// Archives what is over and copies the rest, up to `until` and then so near to the end that the
    /// owner may stop for what is left. Nothing if there is nothing to archive.
    ///
    /// # Errors
    /// If the log or the archive cannot be used now.
    pub async fn draft(&self, until: u64) -> Result<Option<Draft>, LogError> {
        let over = self.over(until).await?;
        if over.ends.is_empty() {
            return Ok(None);
        }
        let shelf = self.archive(&over).await?;
        if !over.ends.keys().any(|run| shelf.has(run)) {
            // Histories that are not whole stay in the log.
            return Ok(None);
        }
        let opened = self.ports.epochs.open(self.partition, self.epoch, &self.engine).await?;
        let mut draft =
            Draft { opened, last: opened.seq, read: 0, archived: 0, places: HashMap::new() };
        self.copy(&mut draft, until, |run| !shelf.has(run)).await?;
        for round in 1_u32.. {
            let last = self.ports.log.last(self.partition, self.epoch).await?;
            if last.saturating_sub(draft.read) <= NEAR {
                break;
            }
            if round.is_multiple_of(ROUNDS) {
                let partition = self.partition;
                tracing::warn!(%partition, "the owner writes as fast as it is copied; the rest waits");
                tokio::time::sleep(REST).await;
            }
            self.copy(&mut draft, last, |_| true).await?;
        }
        Ok(Some(draft))
    }

    /// Copies what the draft lacks. The owner has stopped meanwhile: `last` is its last message.
    ///
    /// # Errors
    /// If the log cannot be used now.
    pub async fn complete(&self, mut draft: Draft, last: u64) -> Result<Draft, LogError> {
        self.copy(&mut draft, last, |_| true).await?;
        Ok(draft)
    }

    /// Closes the old epoch. From here on the draft is in force.
    ///
    /// # Errors
    /// As a conflict, if somebody else has written to the old one.
    pub async fn close(&self, draft: &Draft) -> Result<(), AppendError> {
        let closing = Closing {
            partition: self.partition,
            epoch: self.epoch,
            last: draft.read,
            to: draft.opened.epoch,
            engine: self.engine.clone(),
        };
        self.ports.epochs.close(closing).await
    }

    /// Which histories are over, as far as the log goes until `until`.
    async fn over(&self, until: u64) -> Result<Over, LogError> {
        let mut ends: HashMap<RunId, (u64, Timestamp)> = HashMap::new();
        let mut odd: HashSet<RunId> = HashSet::new();
        let mut latest: Option<Timestamp> = None;
        let mut messages = self.messages(0).await?;
        while let Some(message) = messages.next().await {
            let Recorded { seq, run, bytes } = message?;
            if seq > until {
                break;
            }
            // Nothing follows the end of a history. Where something does, it stays in the log.
            if ends.contains_key(&run) {
                odd.insert(run.clone());
            }
            let Some(glance) = Glance::at(&bytes) else { continue };
            latest = latest.max(Some(glance.at));
            if glance.ended.is_some() {
                ends.insert(run, (seq, glance.at));
            }
        }
        let bounds = latest.zip(self.recent);
        let is_recent = |at| bounds.is_some_and(|(last, recent)| last.since(at) <= recent);
        let recent = ends.values().filter(|(_, at)| is_recent(*at)).map(|(seq, _)| *seq).min();
        let to = recent.map_or(until, |first| first - 1);
        ends.retain(|run, (end, _)| *end <= to && !odd.contains(run));
        let ends = ends.into_iter().map(|(run, (end, _))| (run, end)).collect();
        Ok(Over { ends, to })
    }

    /// Puts what is over into the archive, unless it is there already.
    async fn archive(&self, over: &Over) -> Result<Shelf, LogError> {
        let Self { ports, partition, engine, epoch, .. } = self;
        let mut shelf = Shelf::find(ports, *partition, engine, *epoch).await?;
        let mut open: HashMap<RunId, Vec<Kept>> = HashMap::new();
        let begin = shelf.to();
        let mut messages = self.messages(0).await?;
        while let Some(message) = messages.next().await {
            let Recorded { seq, run, bytes } = message?;
            if seq > over.to {
                break;
            }
            let Some(end) = over.ends.get(&run).copied().filter(|end| *end > begin) else {
                continue;
            };
            let history = open.entry(run.clone()).or_default();
            history.push(Kept { seq, bytes });
            if seq < end {
                continue;
            }
            let messages = open.remove(&run).unwrap_or_default();
            let history = History { run, messages };
            match check_whole(&history) {
                Ok(()) => shelf.add(history).await?,
                Err(error) => {
                    tracing::warn!(%error, "a history is not whole, and stays in the log");
                }
            }
        }
        shelf.finish(over.to).await?;
        Ok(shelf)
    }

    /// Copies into the draft what it lacks up to `until`, and reads it back.
    async fn copy(
        &self,
        draft: &mut Draft,
        until: u64,
        wanted: impl Fn(&RunId) -> bool,
    ) -> Result<(), LogError> {
        if until <= draft.read {
            return Ok(());
        }
        let (mut some, mut bytes) = (Vec::new(), 0);
        let mut messages = self.messages(draft.read).await?;
        while let Some(message) = messages.next().await {
            let message = message?;
            if message.seq > until {
                break;
            }
            if !wanted(&message.run) {
                draft.archived += 1;
                continue;
            }
            bytes += message.bytes.len();
            some.push(message);
            if some.len() >= MESSAGES_AT_ONCE || bytes >= BYTES_AT_ONCE {
                bytes = 0;
                self.copy_some(draft, std::mem::take(&mut some)).await?;
            }
        }
        self.copy_some(draft, some).await?;
        draft.read = until;
        Ok(())
    }

    async fn copy_some(&self, draft: &mut Draft, some: Vec<Recorded>) -> Result<(), LogError> {
        if some.is_empty() {
            return Ok(());
        }
        let (epoch, after) = (draft.opened.epoch, draft.last);
        self.ports.epochs.copy(self.partition, epoch, after, &some).await?;
        let mut copied = self.ports.log.read_partition(self.partition, epoch, after).await?;
        for original in some {
            let place = draft.last + 1;
            let copy = copied.next().await.transpose()?;
            let is_same = copy.is_some_and(|copy| {
                copy.seq == place && copy.run == original.run && copy.bytes == original.bytes
            });
            if !is_same {
                let words = format!("the copy of sequence {} is not the same", original.seq);
                return Err(LogError(words));
            }
            draft.places.insert(original.run, (original.seq, place));
            draft.last = place;
        }
        Ok(())
    }

    async fn messages(
        &self,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Recorded, LogError>>, LogError> {
        self.ports.log.read_partition(self.partition, self.epoch, after).await
    }
}
