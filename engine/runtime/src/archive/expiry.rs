//! Segments whose histories expire: first a tombstone is written, then the parts are forgotten, so
//! that nothing is ever missing of which no tombstone says why. Copies that no segment names are
//! swept.

use std::collections::{BTreeMap, BTreeSet};

use stead_schemas::archive::{Altered, Burial, Segment, Tombstone};
use stead_schemas::ids::Partition;

use super::{Unchecked, segments};
use crate::ports::{AppendError, Archive, Expiry, LogError};

/// The tombstones of a partition, oldest first.
///
/// # Errors
/// If they cannot be read now, or one was altered or is missing.
pub async fn tombstones(
    archive: &dyn Archive,
    partition: Partition,
) -> Result<Vec<Tombstone>, LogError> {
    let (found, altered) = read(archive, partition).await?;
    match altered.into_iter().next() {
        None => Ok(found),
        Some(altered) => Err(LogError(format!("partition {partition}: {altered}"))),
    }
}

/// Every tombstone that can be read, and all that is wrong with them.
pub(super) async fn read(
    archive: &dyn Archive,
    partition: Partition,
) -> Result<(Vec<Tombstone>, Vec<Altered>), LogError> {
    let (mut found, mut altered): (Vec<Tombstone>, Vec<Altered>) = Default::default();
    for (_, bytes) in archive.tombstones(partition).await? {
        match Tombstone::decode(&bytes) {
            Ok(tombstone) => {
                altered.extend(tombstone.check_follows(found.last()).err());
                if found.iter().any(|known| known.segment == tombstone.segment) {
                    let words = format!("segment {} has a second tombstone", tombstone.segment);
                    altered.push(Altered(words));
                }
                found.push(tombstone);
            }
            Err(error) => altered.push(error),
        }
    }
    Ok((found, altered))
}

/// The tombstones of a partition while its segments are gone through: they are read when one is
/// first missed, and again only for one that is not among them.
#[derive(Default)]
pub struct Graveyard(Vec<Tombstone>);

impl Graveyard {
    /// The tombstones of a partition as they are now.
    ///
    /// # Errors
    /// If they cannot be read now, or one was altered.
    pub async fn of(archive: &dyn Archive, partition: Partition) -> Result<Self, LogError> {
        Ok(Self(tombstones(archive, partition).await?))
    }

    /// The tombstone of a segment, if it has one as far as is known here.
    #[must_use]
    pub fn known(&self, segment: &Segment) -> Option<&Tombstone> {
        self.0.iter().find(|tombstone| tombstone.check_of(segment).is_ok())
    }

    /// What a segment's parts say, or that they have expired.
    pub(super) async fn or_expired<T>(
        &mut self,
        archive: &dyn Archive,
        segment: &Segment,
        read: Result<T, Unchecked>,
    ) -> Result<Result<T, Tombstone>, LogError> {
        let error = match read {
            Ok(read) => return Ok(Ok(read)),
            Err(Unchecked(error)) => error,
        };
        // Nobody looks for a tombstone where everything is there.
        if self.known(segment).is_none() {
            *self = Self::of(archive, segment.partition).await?;
        }
        self.known(segment).map_or(Err(error), |tombstone| Ok(Err(tombstone.clone())))
    }
}

/// Whether everything of a segment that would expire was put where it may.
#[must_use]
pub fn may_expire(archive: &dyn Expiry, segment: &Segment) -> bool {
    parts(segment).all(|part| archive.may_expire(part))
}

fn parts(segment: &Segment) -> impl Iterator<Item = u64> {
    segment.histories.parts.iter().chain(&segment.lines.parts).copied()
}

/// Has a segment expire, for good; `sign` signs the tombstone. One that has expired already, of
/// which something may be left, is brought to its end.
///
/// # Errors
/// If the archive cannot be written now, was altered, or somebody else has something expire.
pub async fn expire(
    archive: &dyn Expiry,
    segment: &Segment,
    burial: Burial<'_>,
    sign: impl FnOnce(&[u8]) -> Result<String, String>,
) -> Result<Tombstone, LogError> {
    let partition = segment.partition;
    let is_there = segments(archive, partition).await?.contains(segment);
    if !is_there || !may_expire(archive, segment) {
        let words = if is_there { "was put where nothing expires" } else { "is not there" };
        return Err(LogError(format!("{} {words}", segment.name())));
    }
    let tombstone = match Graveyard::of(archive, partition).await?.known(segment) {
        Some(tombstone) => tombstone.clone(),
        None => bury(archive, segment, burial, sign).await?,
    };
    for part in parts(segment) {
        archive.forget(partition, part).await?;
    }
    Ok(tombstone)
}

async fn bury(
    archive: &dyn Expiry,
    segment: &Segment,
    burial: Burial<'_>,
    sign: impl FnOnce(&[u8]) -> Result<String, String>,
) -> Result<Tombstone, LogError> {
    let partition = segment.partition;
    let last = archive.tombstones(partition).await?.last().map_or(0, |(seq, _)| *seq);
    let before = tombstones(archive, partition).await?;
    let mut tombstone = Tombstone::of(segment, before.last(), burial);
    tombstone.signature = sign(&tombstone.signed()).map_err(LogError)?;
    match archive.bury(partition, last, tombstone.encode()).await {
        Ok(_) => Ok(tombstone),
        Err(AppendError::Conflict) => {
            Err(LogError("somebody else has segments expire at this moment".to_owned()))
        }
        Err(AppendError::Lasting(words)) => Err(LogError(words)),
    }
}

/// Forgets what is left of segments that have expired, and what was put where it may expire and no
/// segment of all these partitions names: parts of a turn that was given up, or put twice. Returns
/// how many there were.
///
/// Whoever writes a segment names only what it has put behind the record before. So a part that
/// comes before one which a segment of its partition names is named by that one or by none ever.
///
/// # Errors
/// If the archive cannot be read or written now, or was altered.
pub async fn sweep(
    archive: &dyn Expiry,
    partitions: impl Iterator<Item = Partition>,
) -> Result<u64, LogError> {
    let (mut needed, mut last) = (BTreeSet::new(), BTreeMap::new());
    for partition in partitions {
        let gone = Graveyard::of(archive, partition).await?;
        for segment in segments(archive, partition).await? {
            needed.extend(segment.digests.parts.iter().copied());
            if gone.known(&segment).is_none() {
                needed.extend(parts(&segment));
            }
            let there = parts(&segment).filter(|part| archive.may_expire(*part));
            last.extend(there.max().max(last.get(&partition).copied()).map(|it| (partition, it)));
        }
    }
    let latest = last.values().copied().max().unwrap_or_default();
    let mut swept = 0;
    for (partition, part) in archive.strays(&needed, latest).await? {
        if last.get(&partition).is_some_and(|last| part <= *last) {
            archive.forget(partition, part).await?;
            swept += 1;
        }
    }
    Ok(swept)
}
