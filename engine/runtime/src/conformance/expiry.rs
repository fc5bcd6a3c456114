//! The promises of an archive from which something may expire.

use std::collections::BTreeSet;

use stead_schemas::ids::Partition;

use crate::ports::{AppendError, Expiry, Lasts};

/// Checks every promise of an archive from which something may expire.
pub async fn check_expiry(archive: &dyn Expiry) {
    a_tombstone_is_written_only_behind_the_last_one(archive).await;
    only_what_may_expire_is_forgotten(archive).await;
    what_is_there_and_not_named_is_found(archive).await;
}

/// Two who bury at once do not both, and no record is touched by it.
pub async fn a_tombstone_is_written_only_behind_the_last_one(archive: &dyn Expiry) {
    let partition = Partition(2);
    let mut before = archive.tombstones(partition).await.expect("they can be read");
    let records = archive.records(partition).await;
    let last = before.last().map_or(0, |(last, _)| *last);
    let one = archive.bury(partition, last, b"one".to_vec()).await.expect("it is the next");
    let late = archive.bury(partition, last, b"other".to_vec()).await;
    assert_eq!(late, Err(AppendError::Conflict));
    let two = archive.bury(partition, one, b"two".to_vec()).await.expect("it is the next");
    before.extend([(one, b"one".to_vec()), (two, b"two".to_vec())]);
    assert_eq!(archive.tombstones(partition).await, Ok(before));
    assert_eq!(archive.records(partition).await, records);
}

/// What is forgotten is gone, and nothing else.
pub async fn only_what_may_expire_is_forgotten(archive: &dyn Expiry) {
    let partition = Partition(2);
    let one =
        archive.put(partition, b"one".to_vec(), Lasts::UntilItExpires).await.expect("it is kept");
    let other =
        archive.put(partition, b"other".to_vec(), Lasts::UntilItExpires).await.expect("it is kept");
    assert!(archive.may_expire(one) && archive.may_expire(other));
    archive.forget(partition, one).await.expect("it is forgotten");
    archive.forget(partition, one).await.expect("once more does no harm");
    assert!(archive.get(partition, one).await.is_err());
    assert_eq!(archive.get(partition, other).await, Ok(b"other".to_vec()));
}

/// What comes later may be named yet, and is nobody's business.
pub async fn what_is_there_and_not_named_is_found(archive: &dyn Expiry) {
    let mut parts = Vec::new();
    for partition in [2, 3, 2, 2, 3].map(Partition) {
        let part = archive.put(partition, b"part".to_vec(), Lasts::UntilItExpires).await;
        parts.push((partition, part.expect("it is kept")));
    }
    let named: BTreeSet<u64> = [parts[0].1, parts[3].1].into();
    let of_ours = async |last: u64| {
        let mut strays = archive.strays(&named, last).await.expect("they can be read");
        strays.retain(|stray| parts.contains(stray));
        strays.sort_by_key(|(_, part)| *part);
        strays
    };
    assert_eq!(of_ours(0).await, []);
    assert_eq!(of_ours(parts[1].1).await, parts[1..2]);
    assert_eq!(of_ours(parts[3].1).await, parts[1..3]);
    archive.forget(parts[1].0, parts[1].1).await.expect("it is forgotten");
    assert_eq!(of_ours(parts[4].1).await, [parts[2], parts[4]]);
}
