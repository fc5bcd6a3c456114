//! Where a line stands: by partition, then by its run's id.
//!
//! Keys compare as bytes, as ids do, so that a page of a list is the next few keys behind the last
//! one that was seen.

use stead_schemas::ids::{Partition, RunId};

/// What all keys of a partition begin with.
pub(crate) const fn prefix(partition: Partition) -> [u8; 2] {
    partition.0.to_be_bytes()
}

/// The key of a run's line.
pub(crate) fn key(partition: Partition, run: &RunId) -> Vec<u8> {
    let mut key = prefix(partition).to_vec();
    key.extend(run.as_str().as_bytes());
    key
}
