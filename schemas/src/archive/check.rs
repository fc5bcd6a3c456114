//! Whether a segment is what was written, and where it is not.

use alloc::format;
use alloc::vec::Vec;

use super::histories::{History, histories};
use super::lines::lines;
use super::{Altered, Digests, Segment};
use crate::glance::Glance;
use crate::transition::link;

/// Whether a history is whole: it begins with the first transition, each one follows the one
/// before it, and it ends with the last one and not earlier.
///
/// # Errors
/// With the transition that does not fit.
pub fn check_whole(history: &History) -> Result<(), Altered> {
    let History { run, messages } = history;
    let mut before = "".into();
    let last = messages.len() as u64;
    for (message, n) in messages.iter().zip(1_u64..) {
        let seq = message.seq;
        let altered = |words| Altered(format!("transition {n} of {run} (sequence {seq}) {words}"));
        let glance = Glance::at(&message.bytes).ok_or_else(|| altered("cannot be read"))?;
        if glance.run != *run {
            return Err(altered("belongs to another run"));
        }
        if glance.n != n || glance.prev != before {
            return Err(altered(
                "does not follow from the one before it: that one was altered, or one between \
                 them is missing",
            ));
        }
        if glance.ended.is_some() != (n == last) {
            let words = if n == last { "is not the end" } else { "ends the run too early" };
            return Err(altered(words));
        }
        before = link(&message.bytes);
    }
    if last == 0 { Err(Altered(format!("the history of {run} is empty"))) } else { Ok(()) }
}

/// Whether packed histories are those of the record and each of them is whole. Returns them, and
/// everything that is altered.
#[must_use]
pub fn check_histories(record: &Segment, packed: &[u8]) -> (Vec<History>, Vec<Altered>) {
    let mut altered = Vec::new();
    altered.extend(record.histories.check("histories", packed).err());
    let (histories, broken) = histories(packed);
    altered.extend(histories.iter().filter_map(|history| check_whole(history).err()));
    let is_broken = broken.is_some();
    altered.extend(broken);
    let messages: usize = histories.iter().map(|history| history.messages.len()).sum();
    let found = (histories.len() as u64, messages as u64);
    if !is_broken && found != (record.runs, record.messages) {
        altered.push(Altered(format!(
            "there are {} histories with {} messages instead of {} with {}",
            found.0, found.1, record.runs, record.messages
        )));
    }
    (histories, altered)
}

/// Everything that is altered in a segment: its blobs, its histories, and whether the digests and
/// the lines are those of the histories.
#[must_use]
pub fn check_segment(
    record: &Segment,
    digests: &[u8],
    packed_lines: &[u8],
    packed: &[u8],
) -> Vec<Altered> {
    let (histories, mut altered) = check_histories(record, packed);
    let is_whole = altered.is_empty();
    altered.extend(record.digests.check("digests", digests).err());
    altered.extend(record.lines.check("lines", packed_lines).err());
    let kept = Digests::decode(digests).map_err(|error| altered.push(error)).ok();
    if is_whole && kept.is_some_and(|kept| kept != digests_of(&histories)) {
        altered.push("the digests are not those of the histories".into());
    }
    match lines(packed_lines) {
        Err(error) => altered.push(error),
        Ok(lines) => {
            let same = lines.iter().map(|line| &line.run);
            if is_whole && !same.eq(histories.iter().map(|history| &history.run)) {
                altered.push("the lines are not those of the histories".into());
            }
        }
    }
    altered
}

/// Whether a record follows the one before it, whose bytes these are.
///
/// # Errors
/// If it does not.
pub fn check_follows(before: Option<(&Segment, &[u8])>, record: &Segment) -> Result<(), Altered> {
    let (n, prev) = match before {
        Some((before, bytes)) => (before.n + 1, link(bytes)),
        None => (1, "".into()),
    };
    if record.n != n || record.prev != prev {
        return Err(
            "it does not follow from the segment before it: that record was altered, or one \
             between them is missing"
                .into(),
        );
    }
    let goes_on = before.is_none_or(|(before, _)| {
        record.epoch > before.epoch || record.epoch == before.epoch && record.after == before.to
    });
    if goes_on {
        return Ok(());
    }
    Err("it does not begin where the segment before it ended".into())
}

/// What an owner keeps of these histories.
fn digests_of(histories: &[History]) -> Digests {
    let mut digests = Digests::default();
    for History { run, messages } in histories {
        for message in messages {
            if let Some(glance) = Glance::at(&message.bytes) {
                digests.add(run, &glance);
            }
        }
    }
    digests
}
