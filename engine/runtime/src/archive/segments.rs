//! Segments being written: histories go in one by one, and whatever is in the archive has been
//! read back before its record says so.

use std::collections::HashSet;

use stead_schemas::archive::{
    Blob, Digests, History, Segment, VERSION, check_segment, pack_histories, pack_lines, parts,
};
use stead_schemas::event::RunStarted;
use stead_schemas::glance::Glance;
use stead_schemas::ids::{Partition, RunId, Tag};
use stead_schemas::public::RunSummary;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::link;

use super::{Graveyard, chained, lines, unchecked};
use crate::ports::{AppendError, Lasts, LogError, Ports};

/// A segment with this many bytes of histories, not yet packed, is full.
const BYTES_MAX: usize = 4 << 20;
/// So is one with this many histories.
const RUNS_MAX: usize = 4_096;

/// The end of a partition's archive, to which segments are added.
pub struct Shelf {
    ports: Ports,
    partition: Partition,
    engine: String,
    epoch: u32,
    /// Where the last record is, the link of it, and how many there are.
    last: (u64, String, u64),
    /// Up to where the histories of this epoch that are over are in the archive.
    to: u64,
    /// The runs of this epoch that are in the archive.
    kept: HashSet<Tag>,
    open: Open,
}

/// What is not written yet.
#[derive(Default)]
struct Open {
    histories: Vec<History>,
    lines: Vec<RunSummary>,
    digests: Digests,
    bytes: usize,
}

impl Shelf {
    /// The archive of a partition as far as it goes, to go on with the histories of `epoch`.
    ///
    /// # Errors
    /// If the archive cannot be read now, or was altered, or goes further than this epoch.
    pub async fn find(
        ports: &Ports,
        partition: Partition,
        engine: &str,
        epoch: u32,
    ) -> Result<Self, LogError> {
        let archive = &*ports.archive;
        let records = archive.records(partition).await?;
        let segments = chained(partition, &records)?;
        let last = records.last().map(|(seq, bytes)| (*seq, link(bytes), records.len() as u64));
        let mut shelf = Self {
            ports: ports.clone(),
            partition,
            engine: engine.to_owned(),
            epoch,
            last: last.unwrap_or_default(),
            to: 0,
            kept: HashSet::new(),
            open: Open::default(),
        };
        let mut gone = Graveyard::default();
        for segment in segments.into_iter().skip_while(|segment| segment.epoch < epoch) {
            if segment.epoch > epoch {
                let words = format!("the archive goes on with epoch {} already", segment.epoch);
                return Err(LogError(words));
            }
            shelf.to = segment.to;
            let lines = lines(archive, &segment, &mut gone).await?;
            shelf.kept.extend(lines.iter().map(|line| tag(&line.run)));
        }
        Ok(shelf)
    }

    /// Whether a run of this epoch is in the archive.
    #[must_use]
    pub fn has(&self, run: &RunId) -> bool {
        self.kept.contains(&tag(run))
    }

    /// Up to which end of a history the archive goes.
    #[must_use]
    pub const fn to(&self) -> u64 {
        self.to
    }

    /// Adds a history that is whole and over, of which the last message is the latest one that
    /// ends any history so far.
    ///
    /// # Errors
    /// If the archive cannot be written now.
    pub async fn add(&mut self, history: History) -> Result<(), LogError> {
        let mut begun: Option<(RunStarted, Timestamp)> = None;
        for message in &history.messages {
            let Some(glance) = Glance::at(&message.bytes) else { continue };
            self.open.digests.add(&history.run, &glance);
            if let Some(started) = &glance.started {
                begun = Some((started.clone(), glance.at));
            }
            if let (Some(state), Some((started, at))) = (glance.ended, &begun) {
                let line = RunSummary::of_ended(started, *at, state, &glance);
                self.open.lines.push(line);
            }
            self.open.bytes += message.bytes.len();
        }
        let to = history.messages.last().map_or(self.to, |last| last.seq);
        self.open.histories.push(history);
        if self.open.bytes >= BYTES_MAX || self.open.histories.len() >= RUNS_MAX {
            self.write(to).await?;
        }
        Ok(())
    }

    /// Writes what is left: no other history ends up to `to`.
    ///
    /// # Errors
    /// If the archive cannot be written now.
    pub async fn finish(&mut self, to: u64) -> Result<(), LogError> {
        match self.open.histories.is_empty() {
            true => Ok(()),
            false => self.write(to).await,
        }
    }

    async fn write(&mut self, to: u64) -> Result<(), LogError> {
        let Open { histories, lines, digests, .. } = std::mem::take(&mut self.open);
        let messages = histories.iter().map(|history| history.messages.len() as u64).sum();
        let (runs, digests) = (histories.len() as u64, digests.encode());
        // Packing takes long.
        let packed = self.ports.aside.spawn(async move {
            let packed = pack_histories(&histories);
            (histories, packed, pack_lines(&lines))
        });
        let (histories, packed, lines) =
            packed.await.map_err(|error| LogError(error.to_string()))?;
        let record = Segment {
            v: VERSION,
            partition: self.partition,
            n: self.last.2 + 1,
            at: self.ports.clock.now(),
            engine: self.engine.clone(),
            epoch: self.epoch,
            after: self.to,
            to,
            runs,
            messages,
            digests: self.put(&digests, Lasts::ForEver).await?,
            lines: self.put(&lines, Lasts::UntilItExpires).await?,
            histories: self.put(&packed, Lasts::UntilItExpires).await?,
            prev: self.last.1.clone(),
        };
        self.read_back(&record, &histories).await?;
        let bytes = record.encode();
        let written = link(&bytes);
        let seq = self.ports.archive.record(self.partition, self.last.0, bytes).await;
        let seq = seq.map_err(|error| match error {
            AppendError::Conflict => LogError("somebody else writes the archive".to_owned()),
            AppendError::Lasting(words) => LogError(words),
        })?;
        self.last = (seq, written, record.n);
        self.to = to;
        self.kept.extend(histories.iter().map(|history| tag(&history.run)));
        crate::metric::ARCHIVED.add(runs, []);
        Ok(())
    }

    async fn put(&self, bytes: &[u8], lasts: Lasts) -> Result<Blob, LogError> {
        let mut places = Vec::new();
        for part in parts(bytes) {
            places.push(self.ports.archive.put(self.partition, part.to_vec(), lasts).await?);
        }
        Ok(Blob::of(bytes, places))
    }

    /// Whether what will be found in the archive is what was put there, message by message.
    async fn read_back(&self, record: &Segment, histories: &[History]) -> Result<(), LogError> {
        let archive = &*self.ports.archive;
        let digests = unchecked(archive, self.partition, &record.digests).await?;
        let lines = unchecked(archive, self.partition, &record.lines).await?;
        let packed = unchecked(archive, self.partition, &record.histories).await?;
        let (wanted, record) = (histories.to_vec(), record.clone());
        let name = record.name();
        let altered = self.ports.aside.spawn(async move {
            let altered = check_segment(&record, &digests, &lines, &packed);
            let (found, _) = stead_schemas::archive::histories(&packed);
            match altered.into_iter().next() {
                Some(altered) => Some(altered.0),
                None => (found != wanted).then(|| "it is not what was written".to_owned()),
            }
        });
        match altered.await {
            Ok(None) => Ok(()),
            Ok(Some(words)) => Err(LogError(format!("{name}, read back: {words}"))),
            Err(error) => Err(LogError(error.to_string())),
        }
    }
}

fn tag(run: &RunId) -> Tag {
    Tag::of(&[run.as_str()])
}
