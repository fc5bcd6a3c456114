//! What the runtime needs of the world. Each promise that is named here is a test of that name in
//! the conformance suite, which every adapter passes.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use stead_schemas::dispatch::{EntityCommand, StepAddress, StepCancel, StepReply, StepRequest};
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::limit::{PlaceAsk, PlaceReply};
use stead_schemas::public::RunSummary;
use stead_schemas::time::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::inbound::Inbound;

mod epochs;

pub use epochs::{Archive, Closing, Epochs, Expiry, Lasts};

/// The event log: the only truth. Each partition's log has epochs, of which one is in force.
///
/// * An append is acknowledged only once it is kept as safely as the log is configured to.
/// * `an_append_with_a_stale_expectation_is_refused`
/// * `an_append_whose_acknowledgement_is_lost_is_settled_by_reading_back`
/// * `a_history_is_read_in_the_order_it_was_appended`
/// * `a_partition_is_read_on_from_any_message`
/// * `what_is_too_large_is_refused_for_good`
/// * `the_last_message_of_a_partition_is_known`
///
/// ```
/// # use stead_runtime::ports::{Append, AppendError, EventLog};
/// # use stead_schemas::ids::{Partition, RunId};
/// # async fn grow(log: &dyn EventLog, run: RunId) -> Result<(), Box<dyn std::error::Error>> {
/// let partition = Partition(0);
/// let epoch = log.claim(partition, "engine-a").await?.epoch;
/// let append = |expected, commit: &str| {
///     let (run, bytes) = (run.clone(), b"{}".to_vec());
///     Append { partition, epoch, run, expected, commit: commit.to_owned(), bytes }
/// };
/// let first = log.append(append(0, "one")).await?;
/// log.append(append(first, "two")).await?;
/// assert_eq!(log.append(append(first, "late")).await, Err(AppendError::Conflict));
/// # Ok(())
/// # }
/// ```
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Appends one transition. Returns its sequence, or that somebody else wrote first; never an
    /// unknown outcome: it asks the log until it knows, however long that takes.
    ///
    /// # Errors
    /// See [`AppendError`].
    async fn append(&self, append: Append) -> Result<u64, AppendError>;

    /// Writes into the epoch that is in force that an engine takes the partition over.
    ///
    /// # Errors
    /// If the log cannot be written now.
    async fn claim(&self, partition: Partition, engine: &str) -> Result<Claim, LogError>;

    /// Reads an epoch of a partition, oldest first, from the message behind `after` up to what
    /// was there when the call was made.
    ///
    /// # Errors
    /// If the log cannot be read now, or the epoch is closed: then another one is in force.
    async fn read_partition(
        &self,
        partition: Partition,
        epoch: u32,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Recorded, LogError>>, LogError>;

    /// The sequence of an epoch's last message, claims included; 0 if there is none.
    ///
    /// # Errors
    /// If the log cannot be read now.
    async fn last(&self, partition: Partition, epoch: u32) -> Result<u64, LogError>;

    /// Reads one run's history in the epoch that is in force, oldest first; empty if there is
    /// none.
    ///
    /// # Errors
    /// If the log cannot be read now.
    async fn read_run(&self, run: &RunId) -> Result<Vec<Recorded>, LogError>;
}

/// One transition on its way into the log.
#[derive(Clone, Debug)]
pub struct Append {
    /// The partition of the run.
    pub partition: Partition,
    /// The epoch of its log that the writer knows.
    pub epoch: u32,
    /// Whose history grows.
    pub run: RunId,
    /// The sequence of the last message of that history; 0 if there is none.
    pub expected: u64,
    /// Unique for this append: by it a lost acknowledgement is recognised.
    pub commit: String,
    /// The encoded transition.
    pub bytes: Vec<u8>,
}

/// A partition taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The epoch of the log that is in force.
    pub epoch: u32,
    /// The claim's sequence, which is the owner's epoch: larger than every one before, whichever
    /// epoch of the log that was in.
    pub seq: u64,
}

/// One message of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its sequence in the partition.
    pub seq: u64,
    /// Whose history it belongs to.
    pub run: RunId,
    /// The encoded transition.
    pub bytes: Vec<u8>,
}

/// Why an append did not take place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Somebody else wrote to this history.
    #[error("the history has grown since it was read")]
    Conflict,
    /// The log will never take this.
    #[error("the log does not take it: {0}")]
    Lasting(String),
}

/// The log cannot be used now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event log does not answer: {0}")]
pub struct LogError(pub String);

/// What the engine sends. Nothing of it is kept and nothing is answered here: whatever matters
/// is sent again until it is answered.
///
/// * `a_step_goes_to_one_worker_of_its_system`
/// * `a_step_that_nobody_takes_comes_back`
/// * `all_workers_hear_of_leases_and_cancels`
/// * `a_command_goes_to_the_owner_and_what_he_says_to_its_step`
/// * `a_command_that_no_owner_hears_comes_back`
/// * `what_is_said_of_a_place_goes_to_the_one_who_is_meant`
/// * `a_reply_reaches_whoever_asked`
/// * `an_event_is_heard_by_all_who_watch`
pub trait Bus: Send + Sync {
    /// Sends, without waiting.
    fn send(&self, message: Outgoing);
}

/// A message from an engine.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// To any worker of the step's system.
    Step(StepRequest),
    /// To all workers: nobody waits for this step any more.
    CancelStep(StepCancel),
    /// To the owner of another entity's partition. Its replies come back as answers to `attempt`
    /// at `from`.
    Command {
        /// The partition of the entity that is meant.
        to: Partition,
        /// The command.
        command: EntityCommand,
        /// The step that gives it.
        from: StepAddress,
        /// The partition of that step's run.
        home: Partition,
        /// Which attempt.
        attempt: u32,
    },
    /// To the run whose step gave a command: how it ended.
    Answer {
        /// The partition of that run.
        to: Partition,
        /// The step.
        address: StepAddress,
        /// How it ended.
        reply: StepReply,
    },
    /// To the keeper of a limit's key.
    Place {
        /// The partition that keeps it.
        to: Partition,
        /// What is wanted.
        ask: PlaceAsk,
    },
    /// To the owner of a step that has or wants a place.
    Placed {
        /// The partition of its run.
        to: Partition,
        /// Where it stands.
        reply: PlaceReply,
    },
    /// To whoever asked.
    Reply {
        /// Where the asker listens.
        to: ReplyTo,
        /// The reply, encoded.
        bytes: Vec<u8>,
    },
    /// To the world.
    Event {
        /// The whole subject.
        subject: String,
        /// The event, encoded.
        bytes: Vec<u8>,
    },
    /// To all workers: who owns a partition now.
    Lease {
        /// The partition.
        partition: Partition,
        /// The owner's epoch.
        epoch: u64,
    },
}

/// Where an asker listens; opaque to the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplyTo(pub String);

/// Who owns which partition. A lease is for efficiency only; the log's compare-and-set is the
/// fence.
///
/// * `a_free_lease_is_given_to_one_engine_only`
/// * `a_released_lease_is_free_at_once`
/// * `only_the_holder_renews_and_releases`
/// * `a_lease_that_is_renewed_lasts`
/// * `a_lease_that_is_not_renewed_ends`
/// * `what_its_holder_takes_again_lasts_anew`
/// * `an_engine_is_counted_while_it_is_present`
#[async_trait]
pub trait Leases: Send + Sync {
    /// Shows that the engine is there, for one lease time, and says how many engines are.
    ///
    /// # Errors
    /// If the leases cannot be reached.
    async fn present(&self, engine: &str) -> Result<usize, LeaseError>;

    /// Takes a partition that is free, or is this engine's already, as when it was killed and has been
    /// started again; false if another has it. The lease lasts from now on.
    ///
    /// # Errors
    /// If the leases cannot be reached.
    async fn acquire(&self, partition: Partition, engine: &str) -> Result<bool, LeaseError>;

    /// Prolongs a lease that we hold; false if we do not hold it.
    ///
    /// # Errors
    /// If the leases cannot be reached.
    async fn renew(&self, partition: Partition, engine: &str) -> Result<bool, LeaseError>;

    /// Gives a partition back.
    ///
    /// # Errors
    /// If the leases cannot be reached.
    async fn release(&self, partition: Partition, engine: &str) -> Result<(), LeaseError>;

    /// Takes the engine's presence back at once.
    ///
    /// # Errors
    /// If the leases cannot be reached.
    async fn leave(&self, engine: &str) -> Result<(), LeaseError>;
}

/// The leases cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the leases cannot be reached: {0}")]
pub struct LeaseError(pub String);

/// Where messages to the owner of a partition arrive.
///
/// * `what_an_engine_says_is_heard_in_an_inbox_that_it_has_opened`
/// * `each_who_listens_hears_everything_once`
/// * `of_other_partitions_nothing_is_heard`
/// * `an_inbox_that_was_dropped_is_closed`
#[async_trait]
pub trait Inboxes: Send + Sync {
    /// Starts listening; ends when the receiver is dropped.
    ///
    /// # Errors
    /// If the bus cannot be reached.
    async fn open(
        &self,
        partition: Partition,
    ) -> Result<mpsc::UnboundedReceiver<Inbound>, InboxError>;
}

/// The bus cannot be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot listen for a partition: {0}")]
pub struct InboxError(pub String);

/// The rebuildable read model of one engine.
///
/// * `what_was_put_is_listed`
/// * `a_list_is_read_in_pages`
/// * `a_newer_line_takes_the_place_of_the_older`
/// * `partitions_are_apart`
/// * `a_deleted_index_says_so_and_can_be_filled_again`
pub trait Index: Send + Sync {
    /// Keeps these lines, replacing older ones of the same runs. False if the index was lost and
    /// the partition has not been cleared since: everything must be put again.
    fn put(&self, partition: Partition, lines: Vec<RunSummary>) -> bool;

    /// The first lines of a partition behind that of the run `after`, in the order of their runs'
    /// ids, and no more than `most`; nothing if the index has been lost and must be filled again.
    fn list(
        &self,
        partition: Partition,
        after: Option<&RunId>,
        most: usize,
    ) -> Option<Vec<RunSummary>>;

    /// Forgets a partition before it is filled again.
    fn clear(&self, partition: Partition);
}

/// The time.
///
/// ```
/// use stead_runtime::ports::Clock;
/// use stead_schemas::time::Timestamp;
///
/// /// Stands still, for whoever wants to know what happens at a moment.
/// struct Stopped(Timestamp);
///
/// impl Clock for Stopped {
///     fn now(&self) -> Timestamp {
///         self.0
///     }
/// }
/// ```
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Timestamp;
}

/// The machine's own clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Everything an engine is made of.
#[derive(Clone)]
pub struct Ports {
    /// The event log.
    pub log: Arc<dyn EventLog>,
    /// The same log, for beginning new epochs of it.
    pub epochs: Arc<dyn Epochs>,
    /// The histories that have left it.
    pub archive: Arc<dyn Archive>,
    /// Where messages go.
    pub bus: Arc<dyn Bus>,
    /// Where messages come from.
    pub inboxes: Arc<dyn Inboxes>,
    /// Who owns what.
    pub leases: Arc<dyn Leases>,
    /// The read model.
    pub index: Arc<dyn Index>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where work goes that would hold an engine's own thread up: reading, packing and unpacking many
    /// histories. A process gives the runtime of its other threads.
    pub aside: Handle,
}
