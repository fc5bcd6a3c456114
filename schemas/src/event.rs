//! The facts of a run's history.
//!
//! Facts come from outside (an answer, a timer, a command); decisions are what the workflow made
//! of them (a step scheduled, a command completed). One transition holds a fact and the decisions
//! that followed from it, in that order.

use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::dispatch::{Caller, Route, StepAddress};
use crate::failure::Failure;
use crate::limit::Priority;
use crate::owner::Owner;
use crate::policy::StepPolicy;
use crate::time::Timestamp;

/// The number of a step or timer within its run, in the order in which the workflow asked.
pub type Seq = u32;

/// One fact. Written as `{"StepCompleted": {...}}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub enum Event {
    /// A run began. Always the first event of a history.
    RunStarted(RunStarted),
    /// A command was taken in; the workflow will see it when it asks for the next one.
    CommandAccepted(CommandAccepted),
    /// The workflow has carried out a command, or says why not.
    CommandCompleted(CommandCompleted),
    /// The workflow asks for a step.
    StepScheduled(StepScheduled),
    /// A step is done.
    StepCompleted(StepCompleted),
    /// A step cannot be done.
    StepFailed(StepFailed),
    /// Nobody waits for this step any more; late answers change nothing.
    StepCancelled(StepCancelled),
    /// The workflow went on without waiting for this step's end, as the loser of a race.
    StepDropped(StepDropped),
    /// Somebody wants a step that waits for its next attempt to be tried now, as if for the
    /// first time.
    StepRetried(StepRetried),
    /// Somebody gave the answer of a step by hand; nobody carries it out.
    StepSkipped(StepSkipped),
    /// Somebody changed what is asked of a step; later attempts ask for this.
    StepEdited(StepEdited),
    /// Somebody gave up an undo: what it would have taken back stays.
    UndoAbandoned(UndoAbandoned),
    /// The workflow wants to be woken.
    TimerStarted(TimerStarted),
    /// The time has come.
    TimerFired(TimerFired),
    /// The workflow no longer needs the timer.
    TimerDropped(TimerDropped),
    /// Somebody wants the current operation to stop and be taken back.
    CancelRequested(CancelRequested),
    /// No attempt is begun and no timer fires until the run is resumed.
    RunPaused(RunPaused),
    /// The run goes on; what waited is tried as if for the first time.
    RunResumed(RunResumed),
    /// A message for the workflow, which may wait for one of this name.
    SignalReceived(SignalReceived),
    /// From here on the workflow decides as builds with this change do.
    ChangeMarked(ChangeMarked),
    /// Somebody wants the run to end as it is, with nothing taken back.
    TerminateRequested(TerminateRequested),
    /// The run was ended by hand, and this is what it leaves behind.
    RunTerminated(RunTerminated),
    /// The run is over, all well.
    RunCompleted(RunCompleted),
    /// The run is over, and this is why.
    RunFailed(RunFailed),
    /// The run goes on from here with nothing but what is carried: a replay may begin here.
    ContinuedAsNew(ContinuedAsNew),
    /// The workflow says something for whoever reads the history; nothing follows from it.
    Noted(Noted),
}

/// See [`Event::RunStarted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunStarted {
    /// The definition that is executed: `workspace`.
    pub workflow: String,
    /// Whose run it is.
    pub owner: Owner,
    /// The entity's name, unique for its kind and owner.
    pub name: String,
    /// The build of Stead that started it.
    pub build: String,
}

/// See [`Event::CommandAccepted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommandAccepted {
    /// The command's id: a second command of this id acts no second time.
    pub id: String,
    /// What is asked: `resize`.
    pub verb: String,
    /// The order, complete: defaults filled in, template and site facts resolved.
    pub payload: Value,
    /// The digest of the command as it was sent, to tell a repetition from a mix-up of ids.
    pub digest: String,
    /// Who asked, and how.
    pub by: Caller,
    /// The step of another run that waits for the outcome, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply: Option<StepAddress>,
    /// How much it is wanted before others, where its steps wait for their turns.
    #[serde(default, skip_serializing_if = "Priority::is_usual")]
    pub priority: Priority,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Carried out; this is the result.
    Done(Value),
    /// Not carried out; whatever was begun has been taken back.
    Failed(Failure),
}

/// See [`Event::CommandCompleted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CommandCompleted {
    /// Which command.
    pub id: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// See [`Event::StepScheduled`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepScheduled {
    /// Its number in this run.
    pub seq: Seq,
    /// What is asked: `proxmox.clone-vm`.
    pub step: String,
    /// Who carries it out.
    #[serde(default, skip_serializing_if = "Route::is_worker")]
    pub route: Route,
    /// The request, as the worker gets it.
    pub request: Value,
    /// The time allowed from now to the last answer, in milliseconds; 0 is no limit.
    pub within_ms: u64,
    /// Whether this step takes back an earlier one. Such a step is tried until it succeeds.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub undo: bool,
    /// Whether the step, a command to another entity, is done as soon as it is accepted.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub detached: bool,
    /// How patient to be with it, where that is not as usual.
    #[serde(default, skip_serializing_if = "StepPolicy::is_usual")]
    pub policy: StepPolicy,
}

/// See [`Event::StepCompleted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepCompleted {
    /// Which step.
    pub seq: Seq,
    /// What came of it.
    pub answer: Value,
    /// How many attempts it took, as far as the owner at that time had counted.
    pub attempts: u32,
    /// Why it was not done before, where it was not and the owner at that time knew: what the attempt
    /// before met, or that this one was told to stop because it took too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met: Option<Failure>,
}

/// See [`Event::StepFailed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepFailed {
    /// Which step.
    pub seq: Seq,
    /// Why.
    pub failure: Failure,
    /// How many attempts were made, as far as the owner at that time had counted.
    pub attempts: u32,
}

/// See [`Event::StepCancelled`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepCancelled {
    /// Which step.
    pub seq: Seq,
}

/// See [`Event::StepDropped`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepDropped {
    /// Which step.
    pub seq: Seq,
}

/// Who did something to a run by hand, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ByHand {
    /// Who asked, and how.
    pub by: Caller,
    /// Why, in their words.
    pub why: String,
    /// The order's id: a second order of this id acts no second time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// See [`Event::StepRetried`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepRetried {
    /// Which step.
    pub seq: Seq,
    /// Who wanted it.
    pub order: ByHand,
}

/// See [`Event::StepSkipped`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepSkipped {
    /// Which step.
    pub seq: Seq,
    /// What the workflow gets as the step's answer.
    pub answer: Value,
    /// Who wanted it.
    pub order: ByHand,
}

/// See [`Event::StepEdited`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StepEdited {
    /// Which step.
    pub seq: Seq,
    /// The whole request, as the worker gets it from now on.
    pub request: Value,
    /// Who wanted it.
    pub order: ByHand,
}

/// See [`Event::UndoAbandoned`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UndoAbandoned {
    /// Which undo.
    pub seq: Seq,
    /// Who wanted it.
    pub order: ByHand,
}

/// See [`Event::TimerStarted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimerStarted {
    /// Its number in this run.
    pub seq: Seq,
    /// When it is due.
    pub due: Timestamp,
    /// The span the workflow asked for, in milliseconds.
    pub after_ms: u64,
    /// What the run waits for, in words.
    pub reason: String,
    /// Whether somebody has to act, and it runs out only where nobody does.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub for_person: bool,
}

/// See [`Event::TimerFired`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimerFired {
    /// Which timer.
    pub seq: Seq,
}

/// See [`Event::TimerDropped`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TimerDropped {
    /// Which timer.
    pub seq: Seq,
}

/// See [`Event::CancelRequested`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CancelRequested {
    /// Who asked.
    pub by: Caller,
    /// Why, in their words.
    pub why: String,
    /// The command that was to be cancelled; none where the run was at something that no command had
    /// asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The order's id: a second order of this id acts no second time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// See [`Event::RunPaused`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunPaused {
    /// The step that could not go on, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<Seq>,
    /// Who wanted it, and why; the engine itself, when a step's attempts are used up.
    pub order: ByHand,
}

/// See [`Event::RunResumed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunResumed {
    /// Who wanted it.
    pub order: ByHand,
}

/// A message for a workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Signal {
    /// What it is called.
    pub name: String,
    /// What it says.
    pub payload: Value,
}

/// See [`Event::SignalReceived`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SignalReceived {
    /// The message.
    pub signal: Signal,
    /// Who sent it.
    pub order: ByHand,
}

/// See [`Event::ChangeMarked`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ChangeMarked {
    /// The change.
    pub name: String,
}

/// See [`Event::TerminateRequested`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TerminateRequested {
    /// Who wanted it.
    pub order: ByHand,
}

/// Something that a run made, or may have made, and did not take back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LeftBehind {
    /// The step that would have taken it back, or was under way.
    pub step: String,
    /// What that step was asked, or would have been.
    pub request: Value,
    /// Why it stays: `undo abandoned`, `undo not begun`, `undo under way`, `step under way`.
    pub why: String,
}

/// See [`Event::RunTerminated`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunTerminated {
    /// Why, in the words of whoever wanted it.
    pub why: String,
    /// What stays behind, as far as operations were open.
    pub left: Vec<LeftBehind>,
    /// What the workflow showed of itself last: what it held when it was at rest.
    pub view: Value,
}

/// See [`Event::RunCompleted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunCompleted {
    /// What came of it.
    pub result: Value,
}

/// See [`Event::RunFailed`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunFailed {
    /// Why.
    pub failure: Failure,
}

/// See [`Event::ContinuedAsNew`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContinuedAsNew {
    /// What it is given.
    pub carried: Value,
    /// The number of the next step or timer; numbers are never used twice in a run.
    pub next_seq: Seq,
    /// Signals that nobody has taken yet, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signals: Vec<Signal>,
}

/// See [`Event::Noted`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Noted {
    /// What it is about, for machines: `firing-skipped`. One of few words for each workflow.
    pub what: String,
    /// What happened, for people.
    pub words: String,
    /// The particulars.
    pub about: Value,
}

impl Event {
    /// The event's name as it stands in subjects and metrics: `step-completed`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::RunStarted(_) => "run-started",
            Self::CommandAccepted(_) => "command-accepted",
            Self::CommandCompleted(_) => "command-completed",
            Self::StepScheduled(_) => "step-scheduled",
            Self::StepCompleted(_) => "step-completed",
            Self::StepFailed(_) => "step-failed",
            Self::StepCancelled(_) => "step-cancelled",
            Self::StepDropped(_) => "step-dropped",
            Self::StepRetried(_) => "step-retried",
            Self::StepSkipped(_) => "step-skipped",
            Self::StepEdited(_) => "step-edited",
            Self::UndoAbandoned(_) => "undo-abandoned",
            Self::TimerStarted(_) => "timer-started",
            Self::TimerFired(_) => "timer-fired",
            Self::TimerDropped(_) => "timer-dropped",
            Self::CancelRequested(_) => "cancel-requested",
            Self::RunPaused(_) => "run-paused",
            Self::RunResumed(_) => "run-resumed",
            Self::SignalReceived(_) => "signal-received",
            Self::ChangeMarked(_) => "change-marked",
            Self::TerminateRequested(_) => "terminate-requested",
            Self::RunTerminated(_) => "run-terminated",
            Self::RunCompleted(_) => "run-completed",
            Self::RunFailed(_) => "run-failed",
            Self::ContinuedAsNew(_) => "continued-as-new",
            Self::Noted(_) => "noted",
        }
    }

    /// Whether nothing may follow this event in its history.
    #[must_use]
    pub const fn is_last(&self) -> bool {
        matches!(self, Self::RunCompleted(_) | Self::RunFailed(_) | Self::RunTerminated(_))
    }
}
