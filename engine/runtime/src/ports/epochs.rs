//! What it takes to keep the log small: epochs of a partition's log, and the archive of what is
//! left behind in the older ones.

use std::collections::BTreeSet;

use async_trait::async_trait;
use stead_schemas::ids::Partition;

use super::{AppendError, Claim, LogError, Recorded};

/// The epochs of the log.
///
/// * `a_new_epoch_has_one_writer_and_later_sequences`
/// * `an_epoch_is_closed_only_where_its_end_is_known`
/// * `what_follows_a_closed_epoch_is_in_force`
/// * `what_comes_after_the_close_is_void`
/// * `only_older_epochs_are_retired`
#[async_trait]
pub trait Epochs: Send + Sync {
    /// Begins a new epoch to follow `from`, that nobody else has and nobody reads before `from`
    /// is closed. All its sequences are larger than those that `from` will have for a long time.
    ///
    /// # Errors
    /// If the log cannot be written now.
    async fn open(&self, partition: Partition, from: u32, engine: &str) -> Result<Claim, LogError>;

    /// Appends messages to a new epoch as they are, right behind the sequence `after`, without
    /// gaps. To be called by the one who has opened it only.
    ///
    /// # Errors
    /// If the log cannot be written now. Some may have been written.
    async fn copy(
        &self,
        partition: Partition,
        epoch: u32,
        after: u64,
        messages: &[Recorded],
    ) -> Result<(), LogError>;

    /// Closes an epoch: from here on the one that it names is in force, and whatever else comes
    /// into the closed one is void. Never an unknown outcome, as with appends.
    ///
    /// # Errors
    /// As a conflict, if `last` is not the last message of the epoch any more.
    async fn close(&self, closing: Closing) -> Result<(), AppendError>;

    /// Deletes every epoch that is older than the one in force.
    ///
    /// # Errors
    /// If the log cannot be reached now. What is left is deleted the next time.
    async fn retire(&self, partition: Partition) -> Result<(), LogError>;
}

/// The end of an epoch.
#[derive(Clone, Debug)]
pub struct Closing {
    /// The partition.
    pub partition: Partition,
    /// The epoch that is closed.
    pub epoch: u32,
    /// Its last message, so that nothing can have been overlooked.
    pub last: u64,
    /// The epoch that follows.
    pub to: u32,
    /// Who closes it.
    pub engine: String,
}

/// How long a part of the archive is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lasts {
    /// For ever: an owner needs it to tell a repeated command from a new one.
    ForEver,
    /// Until it expires, where the site has histories expire.
    UntilItExpires,
}

/// The archive: for each partition records, one after the other, and parts of what they name.
///
/// * `a_part_is_read_as_it_was_put`
/// * `a_record_is_written_only_behind_the_last_one`
#[async_trait]
pub trait Archive: Send + Sync {
    /// Keeps a part. Returns where.
    ///
    /// # Errors
    /// If the archive cannot be written now. The part may be there, and nobody will ask for it.
    async fn put(&self, partition: Partition, part: Vec<u8>, lasts: Lasts)
    -> Result<u64, LogError>;

    /// Reads a part.
    ///
    /// # Errors
    /// If the archive cannot be read now, or has no such part.
    async fn get(&self, partition: Partition, part: u64) -> Result<Vec<u8>, LogError>;

    /// Appends a record behind the one at `expected`; 0 if there is none. Returns where it is.
    /// Never an unknown outcome.
    ///
    /// # Errors
    /// As a conflict, if there is another record by now.
    async fn record(
        &self,
        partition: Partition,
        expected: u64,
        record: Vec<u8>,
    ) -> Result<u64, AppendError>;

    /// All records and where they are, oldest first.
    ///
    /// # Errors
    /// If the archive cannot be read now.
    async fn records(&self, partition: Partition) -> Result<Vec<(u64, Vec<u8>)>, LogError>;

    /// All tombstones and where they are, oldest first: none, where nothing ever expires.
    ///
    /// # Errors
    /// If the archive cannot be read now.
    async fn tombstones(&self, _: Partition) -> Result<Vec<(u64, Vec<u8>)>, LogError> {
        Ok(Vec::new())
    }
}

/// An archive from which something may expire.
///
/// * `a_tombstone_is_written_only_behind_the_last_one`
/// * `only_what_may_expire_is_forgotten`
/// * `what_is_there_and_not_named_is_found`
#[async_trait]
pub trait Expiry: Archive {
    /// Whether a part was put where it may expire.
    fn may_expire(&self, part: u64) -> bool;

    /// Appends a tombstone behind the one at `expected`; 0 if there is none. Returns where it is.
    /// Never an unknown outcome.
    ///
    /// # Errors
    /// As a conflict, if there is another tombstone by now.
    async fn bury(
        &self,
        partition: Partition,
        expected: u64,
        tombstone: Vec<u8>,
    ) -> Result<u64, AppendError>;

    /// Forgets a part, so that not even the disk holds it. One that is gone already does no harm.
    ///
    /// # Errors
    /// If the archive cannot be reached now, or the part may not expire.
    async fn forget(&self, partition: Partition, part: u64) -> Result<(), LogError>;

    /// The parts up to `last` that are there, may expire and are not among those `named`, each with
    /// its partition. Parts of all partitions are in the order in which they were put.
    ///
    /// # Errors
    /// If the archive cannot be read now.
    async fn strays(
        &self,
        named: &BTreeSet<u64>,
        last: u64,
    ) -> Result<Vec<(Partition, u64)>, LogError>;
}
