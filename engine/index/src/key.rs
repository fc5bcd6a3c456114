//! Where a line stands: by partition, then by when the run began, then by its id.
//!
//! Keys compare as bytes, so that reading a partition from front to back is oldest first. A
//! run's beginning never changes, and with it neither does its key.

use stead_schemas::ids::Partition;
use stead_schemas::public::RunSummary;

/// What all keys of a partition begin with.
pub(crate) const fn prefix(partition: Partition) -> [u8; 2] {
    partition.0.to_be_bytes()
}

/// The key of a line.
pub(crate) fn key(partition: Partition, line: &RunSummary) -> Vec<u8> {
    let mut key = prefix(partition).to_vec();
    key.extend(in_order(line.started.as_millis()));
    key.extend(line.run.as_str().as_bytes());
    key
}

/// The number such that bytes compare as numbers do: the sign bit, turned, puts what was before
/// 1970 first.
const fn in_order(millis: i64) -> [u8; 8] {
    (millis ^ i64::MIN).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::in_order;

    #[test]
    fn bytes_compare_as_the_numbers_do() {
        let numbers = [i64::MIN, -256, -1, 0, 1, 255, 256, 1_767_225_600_000, i64::MAX];
        assert!(numbers.map(in_order).is_sorted());
    }
}
