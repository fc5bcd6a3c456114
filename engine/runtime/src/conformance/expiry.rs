//! The promises of an archive from which something may expire.

use stead_schemas::ids::Partition;

use crate::ports::{AppendError, Expiry, Lasts};

/// Checks every promise of an archive from which something may expire.
pub async fn check_expiry(archive: &dyn Expiry) {
    a_tombstone_is_written_only_behind_the_last_one(archive).await;
    only_what_may_expire_is_forgotten(archive).await;
}

/// Two who bury at once do not both, and no record is touched by it.
pub async fn a_tombstone_is_written_only_behind_the_last_one(archive: &dyn Expiry) {
    let partition = Partition(2);
    assert_eq!(archive.tombstones(partition).await, Ok(Vec::new()));
    let one = archive.bury(partition, 0, b"one".to_vec()).await.expect("it is the first");
    let late = archive.bury(partition, 0, b"other".to_vec()).await;
    assert_eq!(late, Err(AppendError::Conflict));
    let two = archive.bury(partition, one, b"two".to_vec()).await.expect("it is the second");
    let all = archive.tombstones(partition).await;
    assert_eq!(all, Ok(vec![(one, b"one".to_vec()), (two, b"two".to_vec())]));
    assert_eq!(archive.records(partition).await, Ok(Vec::new()));
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
