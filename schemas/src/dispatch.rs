//! What travels between engines and workers. None of it is kept: the owner of a run sends a
//! request again until it is answered, and a lost answer costs time only.

use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{ByHand, Outcome, Seq, Signal};
use crate::failure::Failure;
use crate::ids::{EntityKey, Partition, RunId};
use crate::origin::Origin;
use crate::owner::Owner;
use crate::proof::Proof;
use crate::public::RunSummary;
use crate::refusal::Refusal;
use crate::trace::TraceParent;

/// Who carries out a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Route {
    /// Any worker of the step's system.
    #[default]
    Worker,
    /// Another entity: the step is a command to it, the verb is the step's.
    Entity {
        /// The kind of entity: `home`.
        kind: String,
        /// Whose it is.
        owner: Owner,
        /// Its name.
        name: String,
    },
    /// Nobody is asked: somebody outside reports by itself, as a guest that has booted does.
    Outside,
}

impl Route {
    /// Whether a worker carries the step out; the usual case is not written down.
    #[must_use]
    pub const fn is_worker(&self) -> bool {
        matches!(self, Self::Worker)
    }
}

/// One step of one run.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
pub struct StepAddress {
    /// The run.
    pub run: RunId,
    /// The step's number in it.
    pub seq: Seq,
}

/// Engine to worker: carry this out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRequest {
    /// Which step of which run. The run's id is also the marker on what the step makes.
    pub address: StepAddress,
    /// The answer shows it again, and is ignored if the owner has made another attempt since, or
    /// is another one. No two attempts at a step share it.
    pub attempt: u32,
    /// The partition that the run lives in: where the answer goes.
    pub partition: Partition,
    /// The owner's lease number. A worker refuses requests of a lease that it knows to be over.
    pub epoch: u64,
    /// What to do: `proxmox.clone-vm`.
    pub step: String,
    /// The step's own request.
    pub request: Value,
    /// What the answer must show. A build that knows none sends none, and is not answered.
    #[serde(default, skip_serializing_if = "Proof::is_none")]
    pub proof: Proof,
    /// Whether the owner wants to hear when the work begins.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub tell_start: bool,
    /// Beneath which span it is done, where runs are traced. It travels in a header, as
    /// `trace.rs` says, so that workers in any language find it.
    #[serde(skip)]
    pub trace: Option<TraceParent>,
}

/// Engine to all workers: nobody waits for this step any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepCancel {
    /// Which step.
    #[serde(flatten)]
    pub address: StepAddress,
    /// The last attempt of its owner that is meant: a later one is wanted. 0 is whichever is under
    /// way.
    #[serde(default, skip_serializing_if = "is_any")]
    pub attempt: u32,
}

/// The attempts of one owner at one step have numbers that follow each other; those of others lie
/// much further apart.
const ATTEMPTS_OF_ONE_OWNER: u32 = 1 << 16;

impl StepCancel {
    /// Whether this is said of an attempt that has not come yet: it is of the same owner, and not
    /// later.
    #[must_use]
    pub const fn forbids(&self, attempt: u32) -> bool {
        self.attempt != 0 && self.attempt.wrapping_sub(attempt) < ATTEMPTS_OF_ONE_OWNER
    }

    /// Whether an attempt that is under way is to stop: all are but a later one of the same owner.
    #[must_use]
    pub const fn stops(&self, attempt: u32) -> bool {
        let after = attempt.wrapping_sub(self.attempt);
        self.attempt == 0 || after == 0 || after >= ATTEMPTS_OF_ONE_OWNER
    }
}

// serde hands these references.
const fn is_any(attempt: &u32) -> bool {
    *attempt == 0
}

/// Worker to engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepReply {
    /// Taken in, not begun: the worker has as much to do as it does at once.
    Queued,
    /// Still at it.
    Heartbeat {
        /// How far it is, in words.
        progress: Option<String>,
    },
    /// Done; this is the step's answer.
    Done(Value),
    /// Not done.
    Failed(Failure),
}

impl StepReply {
    /// Whether the worker is at it no more.
    #[must_use]
    pub const fn is_end(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Failed(_))
    }
}

/// Who gave a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Caller {
    /// Published to the durable inbox; the number is its place there.
    Inbox {
        /// The sequence of the message in the inbox stream.
        message: u64,
        /// What its sender says that it is, which nobody has checked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<String>,
    },
    /// Asked through the service interface by somebody of whom nothing is known.
    Api,
    /// Asked through the service interface.
    User(Origin),
    /// Another run, as one of its steps.
    Run(StepAddress),
    /// The command itself implied it: a delete stops what is going on.
    Command {
        /// The id of that command.
        id: String,
    },
    /// The engine itself: a step's attempts were used up.
    Engine,
}

/// A command on its way to the owner of the entity's partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntityCommand {
    /// The kind of entity: `workspace`.
    pub kind: String,
    /// Whose.
    pub owner: Owner,
    /// Which.
    pub name: String,
    /// What is asked.
    pub verb: String,
    /// The command's fields as they were sent.
    pub fields: serde_json::Map<String, Value>,
    /// The command's id.
    pub id: String,
    /// Who asks.
    pub by: Caller,
}

impl EntityCommand {
    /// The entity that is meant.
    #[must_use]
    pub fn key(&self) -> EntityKey {
        EntityKey::of(&self.kind, &self.owner, &self.name)
    }
}

/// What becomes of a command at the door.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CommandReply {
    /// It is in the log and will be carried out.
    Accepted(Accepted),
    /// It is not, and nothing was written.
    Refused(Refusal),
    /// Nobody could take it in now; send it again with the same id.
    Unavailable {
        /// Why.
        words: String,
    },
}

/// See [`CommandReply::Accepted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Accepted {
    /// The run that carries it out.
    pub run: RunId,
    /// The command's id: the sender's, or the one it was given.
    pub command: String,
    /// Whether the same command had been accepted before.
    pub repeated: bool,
    /// How it ended, told to a caller who waited for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What it waits for, in words, told to a caller whose time was over before it had ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

impl Accepted {
    /// A command that `run` carries out.
    #[must_use]
    pub const fn new(run: RunId, command: String, repeated: bool) -> Self {
        Self { run, command, repeated, outcome: None, waits_for: None }
    }
}

/// What would become of a command that asks with `dry_run`; nothing is written for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RehearsalReply {
    /// It would be accepted.
    Rehearsed(Rehearsal),
    /// It would be refused.
    Refused(Refusal),
    /// Nobody could say now; ask again.
    Unavailable {
        /// Why.
        words: String,
    },
}

/// See [`RehearsalReply::Rehearsed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rehearsal {
    /// The run that would carry it out; nothing if it would begin a new one.
    pub run: Option<RunId>,
    /// What the run is doing now would be stopped and taken back first.
    pub interrupts: bool,
    /// What would happen, in words, where there is something to say beforehand.
    pub plan: Vec<String>,
    /// The order as it would be written down.
    pub order: Value,
}

/// An answer that nobody was sent for: a guest reports by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutsideAnswer {
    /// The run that should be waiting.
    pub run: RunId,
    /// The step it should be waiting in.
    pub step: String,
    /// The answer.
    pub reply: StepReply,
}

/// What becomes of an [`OutsideAnswer`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OutsideReply {
    /// It is in the log.
    Accepted,
    /// The run is not waiting for it, now; report again in a moment.
    NotWaiting,
}

/// A request to the owner of a partition about one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunQuery {
    /// Which run.
    pub run: RunId,
}

/// A request to the owner of a partition to say how a command ended, as soon as it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeQuery {
    /// The run that carries the command out.
    pub run: RunId,
    /// The command's id.
    pub command: String,
    /// For how long somebody waits, in milliseconds.
    pub within_ms: u64,
}

/// A request to the owner of a partition for the runs in it, a page at a time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRuns {
    /// The last run of the page before; nothing for the first page.
    pub after: Option<RunId>,
    /// Only those with a step that is not done, and those that are paused or parked: the others go
    /// on by themselves, or are over.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub held_up: bool,
    /// Only those of this owner. An engine that does not know this question, or one of the next three,
    /// tells all: whoever asks looks himself at what comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Only those of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Only the lives of this entity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity: Option<EntityKey>,
    /// The latest life will do.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub latest: bool,
}

impl ListRuns {
    /// Whether a run is one of those that are asked for, as far as its line shows.
    #[must_use]
    pub fn wants(&self, line: &RunSummary) -> bool {
        self.owner.as_ref().is_none_or(|owner| *owner == line.owner)
            && self.kind.as_ref().is_none_or(|kind| *kind == line.kind)
            && self.entity.as_ref().is_none_or(|key| *key == line.run.key())
    }
}

/// A request to do something to a run by hand.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderRun {
    /// Which run.
    pub run: RunId,
    /// Who asks, and why.
    pub by: ByHand,
    /// What is to be done.
    pub order: RunOrder,
}

/// What can be done to a run by hand. Everything but a question; each is an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunOrder {
    /// Stop what the run does now and take it back.
    Cancel,
    /// Begin no attempt and fire no timer until it is resumed.
    Pause,
    /// Go on.
    Resume,
    /// Try now what waits for its next attempt: one step, or all that wait.
    Retry {
        /// The step; all if there is none.
        step: Option<Seq>,
    },
    /// Take this as the step's answer.
    Skip {
        /// The step.
        step: Seq,
        /// Its answer.
        answer: Value,
    },
    /// Ask this of the step from now on, and try it now.
    Edit {
        /// The step.
        step: Seq,
        /// The fields of its request that change.
        fields: serde_json::Map<String, Value>,
    },
    /// Give this undo up: what it would have taken back stays.
    Abandon {
        /// The undo.
        step: Seq,
    },
    /// End the run as it is.
    Terminate,
    /// A message for the workflow.
    Signal(Signal),
}

/// A request to the owner of a partition to begin a new epoch of its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnEpoch {
    /// The epoch that is to be left. If another one is in force, that has been done already.
    pub from: u32,
    /// Whether it is wanted now, whatever came of an earlier attempt; else this asks how far it is.
    pub anew: bool,
}

/// How far that is. Whoever wants to know asks again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnReply {
    /// The epoch that is in force.
    pub epoch: u32,
    /// What is being done, while it is being done.
    pub under_way: Option<String>,
    /// Why it could not be done; the epoch stays.
    pub failed: Option<String>,
    /// Why there is nothing to be done; the epoch stays.
    pub nothing: Option<String>,
}
