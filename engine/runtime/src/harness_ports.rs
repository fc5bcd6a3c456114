//! What the worker harness needs of the world: requests coming in, replies going out.

use stead_schemas::dispatch::{StepAddress, StepReply, StepRequest};
use stead_schemas::ids::Partition;
use stead_schemas::proof::Proof;

/// A message for workers.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkerInbound {
    /// Carry this out. Another worker may be asked the same.
    Step(StepRequest),
    /// Nobody waits for this step any more.
    Cancel(StepAddress),
    /// An engine owns the partition now; requests of older epochs are refused.
    Lease {
        /// The partition.
        partition: Partition,
        /// The owner's epoch.
        epoch: u64,
    },
}

/// Where workers send their answers.
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
