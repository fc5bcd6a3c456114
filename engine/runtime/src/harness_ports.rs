//! What the worker harness needs of the world: requests coming in, replies going out.

use stead_schemas::dispatch::{StepAddress, StepCancel, StepReply, StepRequest};
use stead_schemas::ids::Partition;
use stead_schemas::proof::Proof;

/// A message for workers.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkerInbound {
    /// Carry this out. Another worker may be asked the same.
    Step(StepRequest),
    /// Nobody waits for this step any more.
    Cancel(StepCancel),
    /// An engine owns the partition now; requests of older epochs are refused.
    Lease {
        /// The partition.
        partition: Partition,
        /// The owner's epoch.
        epoch: u64,
    },
}

/// Where workers send their answers. An adapter hands it out together with what its worker hears.
///
/// * `a_worker_hears_the_steps_of_all_its_systems`
/// * `an_answer_reaches_the_owner_with_what_shows_which_attempt_it_is`
/// * `a_worker_that_is_gone_is_asked_nothing`
pub trait WorkerReplies: Send + Sync {
    /// Sends, without waiting, with what shows that this attempt is meant. A lost reply costs time only: the engine asks again.
    fn reply(
        &self,
        request_partition: Partition,
        address: &StepAddress,
        attempt: u32,
        proof: &Proof,
        reply: &StepReply,
    );
}
