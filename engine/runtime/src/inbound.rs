//! What reaches the owner of a partition.

use stead_schemas::dispatch::{
    EntityCommand, ListRuns, OrderRun, OutcomeQuery, OutsideAnswer, RunQuery, StepAddress,
    StepReply, TurnEpoch,
};
use stead_schemas::event::Outcome;
use stead_schemas::limit::{LimitView, PlaceAsk, PlaceReply};
use stead_schemas::proof::Proof;
use stead_schemas::public::{RunPage, RunView};
use stead_schemas::refusal::Refusal;

use crate::ports::ReplyTo;

/// A message for the owner of a partition.
#[derive(Clone, Debug, PartialEq)]
pub enum Inbound {
    /// A worker (or an entity) on one attempt at a step.
    Answer {
        /// The step.
        address: StepAddress,
        /// Which attempt, as the request said; 0 is whichever is under way.
        attempt: u32,
        /// What shows that; nothing where the owner of another entity tells it.
        proof: Option<Proof>,
        /// What it says.
        reply: StepReply,
    },
    /// Nobody listens where the attempt was sent.
    NoListener {
        /// The step.
        address: StepAddress,
        /// Which attempt.
        attempt: u32,
        /// What shows that, where a worker was asked.
        proof: Option<Proof>,
    },
    /// A command for an entity of the partition; answered with a [`stead_schemas::dispatch::CommandReply`], or, if another
    /// run gave it, with answers to its step.
    Command(EntityCommand, ReplyTo),
    /// The same, but nothing is to happen; answered with a
    /// [`stead_schemas::dispatch::RehearsalReply`].
    Rehearse(EntityCommand, ReplyTo),
    /// Answered with a [`QueryReply`].
    Query(RunQuery, ReplyTo),
    /// Answered with an [`OutcomeReply`], once there is one.
    Outcome(OutcomeQuery, ReplyTo),
    /// Answered with a [`ListReply`].
    List(ListRuns, ReplyTo),
    /// Answered with an [`OrderReply`].
    Order(OrderRun, ReplyTo),
    /// Answered with an [`stead_schemas::dispatch::OutsideReply`].
    Outside(OutsideAnswer, ReplyTo),
    /// Answered with a [`stead_schemas::dispatch::TurnReply`].
    Turn(TurnEpoch, ReplyTo),
    /// The owner of a step, about a place of a limit that this partition keeps.
    Place(PlaceAsk),
    /// The keeper of a limit, about a place for a step of this partition.
    Placed(PlaceReply),
    /// Answered with a [`LimitsReply`].
    Limits(ReplyTo),
}

/// What a run shows of itself; nothing if there is none of that id.
pub type QueryReply = Option<RunView>;
/// How a command ended; nothing if waiting will not tell, as the run cannot go on with this build.
pub type OutcomeReply = Option<Outcome>;
/// The limits of the site, with the keys that the partition keeps.
pub type LimitsReply = Vec<LimitView>;
/// Some runs of a partition.
pub type ListReply = RunPage;
/// Whether the order is in the run's history.
pub type OrderReply = Result<(), Refusal>;

/// The encoded form of a reply. Replies are plain data, which JSON can always hold.
pub(crate) fn encoded(reply: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(reply).unwrap_or_default()
}
