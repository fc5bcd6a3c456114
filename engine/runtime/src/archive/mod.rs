//! The archive as engines and people read it: what an owner must know of runs that have left the
//! log, their lines, and their histories.
//!
//! What is kept how is in `stead_schemas::archive`; `turn.rs` writes it, and begins a new epoch
//! of the log without it; `expiry.rs` has it expire.

mod expiry;
mod segments;
mod turn;

use futures_util::future::join_all;
use stead_schemas::archive::{
    self, Altered, Blob, Digests, History, Kept, Segment, Tombstone, check_follows, check_segment,
    life_tag,
};
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::public::RunSummary;

use crate::ports::{Archive, EventLog, LogError, Ports, Recorded};

pub use expiry::{Graveyard, expire, may_expire, sweep, tombstones};
pub use segments::Shelf;
pub use turn::{Draft, Turner};

/// How many parts are asked for at once.
const PARTS_AT_ONCE: usize = 16;

/// A run's history and where it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its messages, oldest first; empty if there is no such run.
    pub messages: Vec<Recorded>,
    /// The segment of the archive that it came from; nothing if it came from the log.
    pub from: Option<Segment>,
    /// What says that it has expired, if it was in that segment once.
    pub expired: Option<Tombstone>,
}

/// Why a segment's part is not what was written: it may have expired.
struct Unchecked(LogError);

/// A segment that was looked at from end to end.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// The segment, if its record can be read.
    pub segment: Option<Segment>,
    /// Everything about it that is not as it was written.
    pub altered: Vec<Altered>,
    /// What says that its histories have expired, if they have; whose signature it bears is for
    /// others to judge.
    pub expired: Option<Tombstone>,
}

/// A run's history, from the log or else from the archive.
///
/// # Errors
/// If one of them cannot be read now, or the archive was altered.
pub async fn history(
    log: &dyn EventLog,
    archive: &dyn Archive,
    partition: Partition,
    run: &RunId,
) -> Result<Found, LogError> {
    let messages = log.read_run(run).await?;
    if !messages.is_empty() {
        return Ok(Found { messages, ..Found::default() });
    }
    let found = from_archive(archive, partition, run).await?;
    if found.from.is_some() {
        return Ok(found);
    }
    // It may have moved in between; then it is in the log's new epoch.
    Ok(Found { messages: log.read_run(run).await?, ..Found::default() })
}

/// The same, by an engine's ports.
///
/// # Errors
/// As [`history`].
pub async fn history_of(ports: &Ports, partitions: u16, run: &RunId) -> Result<Found, LogError> {
    let (log, archive, run) = (ports.log.clone(), ports.archive.clone(), run.clone());
    let found = ports
        .aside
        .spawn(async move { history(&*log, &*archive, run.partition(partitions), &run).await });
    found.await.unwrap_or_else(|error| Err(LogError(error.to_string())))
}

async fn from_archive(
    archive: &dyn Archive,
    partition: Partition,
    run: &RunId,
) -> Result<Found, LogError> {
    let (tag, life) = (life_tag(&run.key()), run.life());
    let mut gone = Graveyard::default();
    // The newest is asked for more often than the oldest.
    for segment in segments(archive, partition).await?.into_iter().rev() {
        let digests = digests(archive, &segment).await?;
        if !digests.lives.contains(&(tag, life)) {
            continue;
        }
        let packed = blob(archive, &segment, &segment.histories, "histories").await;
        let packed = match gone.or_expired(archive, &segment, packed).await? {
            Ok(packed) => packed,
            Err(expired) => {
                let (from, expired) = (Some(segment), Some(expired));
                return Ok(Found { from, expired, ..Found::default() });
            }
        };
        let (name, wanted) = (segment.name(), run.clone());
        // Unpacking takes long, and others of this task have their turn meanwhile.
        let unpacked = tokio::spawn(async move { unpack(&packed, &wanted) });
        let unpacked = unpacked.await.map_err(|error| LogError(error.to_string()))?;
        let unpacked = unpacked.map_err(|altered| LogError(format!("{name}: {altered}")))?;
        if let Some(messages) = unpacked {
            return Ok(Found { messages, from: Some(segment), expired: None });
        }
    }
    Ok(Found::default())
}

/// One history out of all that are packed together, if it is among them.
fn unpack(packed: &[u8], run: &RunId) -> Result<Option<Vec<Recorded>>, Altered> {
    let (histories, altered) = archive::histories(packed);
    let Some(history) = histories.into_iter().find(|history| history.run == *run) else {
        return altered.map_or(Ok(None), Err);
    };
    let messages = history.messages.into_iter();
    let messages = messages.map(|Kept { seq, bytes }| Recorded { seq, run: run.clone(), bytes });
    Ok(Some(messages.collect()))
}

/// The segments of a partition, oldest first.
///
/// # Errors
/// If the archive cannot be read now, or a record was altered.
pub async fn segments(
    archive: &dyn Archive,
    partition: Partition,
) -> Result<Vec<Segment>, LogError> {
    chained(partition, &archive.records(partition).await?)
}

/// The segments that these records are of, each of which must follow the one before.
fn chained(partition: Partition, records: &[(u64, Vec<u8>)]) -> Result<Vec<Segment>, LogError> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut before: Option<&[u8]> = None;
    for (_, bytes) in records {
        let broken = |error: Altered| {
            let n = segments.len() + 1;
            LogError(format!("segment {n} of partition {partition}: {error}"))
        };
        let segment = Segment::decode(bytes).map_err(broken)?;
        check_follows(segments.last().zip(before), &segment).map_err(broken)?;
        before = Some(bytes);
        segments.push(segment);
    }
    Ok(segments)
}

/// What an owner keeps of the runs in a segment.
///
/// # Errors
/// If the archive cannot be read now, or was altered.
pub async fn digests(archive: &dyn Archive, segment: &Segment) -> Result<Digests, LogError> {
    let bytes = blob(archive, segment, &segment.digests, "digests").await;
    let bytes = bytes.map_err(|Unchecked(error)| error)?;
    Digests::decode(&bytes).map_err(|error| LogError(format!("{}: {error}", segment.name())))
}

/// What lists show of the runs in a segment: nothing, where they have expired.
///
/// # Errors
/// If the archive cannot be read now, or was altered.
pub async fn lines(
    archive: &dyn Archive,
    segment: &Segment,
    gone: &mut Graveyard,
) -> Result<Vec<RunSummary>, LogError> {
    let bytes = blob(archive, segment, &segment.lines, "lines").await;
    let Ok(bytes) = gone.or_expired(archive, segment, bytes).await? else {
        return Ok(Vec::new());
    };
    archive::lines(&bytes).map_err(|error| LogError(format!("{}: {error}", segment.name())))
}

/// The histories of all runs in a segment: none, where they have expired.
///
/// # Errors
/// If the archive cannot be read now, or was altered.
pub async fn histories(
    archive: &dyn Archive,
    segment: &Segment,
    gone: &mut Graveyard,
) -> Result<Vec<History>, LogError> {
    let packed = blob(archive, segment, &segment.histories, "histories").await;
    let Ok(packed) = gone.or_expired(archive, segment, packed).await? else {
        return Ok(Vec::new());
    };
    match archive::histories(&packed) {
        (histories, None) => Ok(histories),
        (_, Some(altered)) => Err(LogError(format!("{}: {altered}", segment.name()))),
    }
}

async fn blob(
    archive: &dyn Archive,
    segment: &Segment,
    blob: &Blob,
    what: &str,
) -> Result<Vec<u8>, Unchecked> {
    let bytes = unchecked(archive, segment.partition, blob).await.map_err(Unchecked)?;
    let named = |error| Unchecked(LogError(format!("{}: {error}", segment.name())));
    blob.check(what, &bytes).map_err(named)?;
    Ok(bytes)
}

/// The bytes that are there, be they the right ones or not.
async fn unchecked(
    archive: &dyn Archive,
    partition: Partition,
    blob: &Blob,
) -> Result<Vec<u8>, LogError> {
    let mut bytes = Vec::new();
    for some in blob.parts.chunks(PARTS_AT_ONCE) {
        let mut parts = Vec::new();
        for part in some {
            parts.push(archive.get(partition, *part));
        }
        for part in join_all(parts).await {
            bytes.extend(part?);
        }
    }
    Ok(bytes)
}

/// Looks at a segment from end to end: its record, the checksums, the chain of each history. Of one
/// that has expired only the record and the digests are there.
async fn verdict(
    archive: &dyn Archive,
    before: Option<(&Segment, &[u8])>,
    bytes: &[u8],
    tombstones: &[Tombstone],
) -> Result<Verdict, LogError> {
    let segment = match Segment::decode(bytes) {
        Ok(segment) => segment,
        Err(altered) => {
            return Ok(Verdict { segment: None, altered: vec![altered], expired: None });
        }
    };
    let mut altered = Vec::new();
    altered.extend(check_follows(before, &segment).err());
    let partition = segment.partition;
    if let Some(tombstone) = tombstones.iter().find(|known| known.segment == segment.n) {
        altered.extend(tombstone.check_of(&segment).err());
        let digests = blob(archive, &segment, &segment.digests, "digests").await;
        altered.extend(digests.err().map(|Unchecked(error)| Altered(error.0)));
        let expired = Some(tombstone.clone());
        return Ok(Verdict { segment: Some(segment), altered, expired });
    }
    let mut blobs = Vec::new();
    for (blob, what) in [
        (&segment.digests, "digests"),
        (&segment.lines, "lines"),
        (&segment.histories, "histories"),
    ] {
        match unchecked(archive, partition, blob).await {
            Ok(bytes) => blobs.push(bytes),
            Err(error) => altered.push(Altered(format!("the {what} cannot be read: {error}"))),
        }
    }
    if let [digests, lines, histories] = &blobs[..] {
        altered.extend(check_segment(&segment, digests, lines, histories));
    }
    Ok(Verdict { segment: Some(segment), altered, expired: None })
}

/// Looks at every segment of a partition; `seen` is told of each.
///
/// # Errors
/// If the archive cannot be read now.
pub async fn verify(
    archive: &dyn Archive,
    partition: Partition,
    mut seen: impl FnMut(Verdict),
) -> Result<(), LogError> {
    let mut before: Option<(Segment, Vec<u8>)> = None;
    let records = archive.records(partition).await?;
    let (tombstones, altered) = expiry::read(archive, partition).await?;
    let many = records.len() as u64;
    for (_, bytes) in records {
        let last = before.as_ref().map(|(segment, bytes)| (segment, bytes.as_slice()));
        let verdict = verdict(archive, last, &bytes, &tombstones).await?;
        before = verdict.segment.clone().map(|segment| (segment, bytes));
        seen(verdict);
    }
    let strange = tombstones.iter().filter(|known| !(1..=many).contains(&known.segment));
    let strange = strange.map(|known| {
        Altered(format!("tombstone {} is for segment {}, which never was", known.n, known.segment))
    });
    let altered: Vec<Altered> = altered.into_iter().chain(strange).collect();
    if !altered.is_empty() {
        seen(Verdict { segment: None, altered, expired: None });
    }
    Ok(())
}
