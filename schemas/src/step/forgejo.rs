//! Forgejo: secrets of a repository, runs of its workflows, states of its commits, heads of its
//! branches. A secret cannot be read back, so that it is there is proved by a run that uses it.

use alloc::string::String;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Done, Step};

/// Which repository, and how to reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// Pinned reference to our access token.
    pub login: String,
    /// Owner and name: `platform/templates`.
    pub repository: String,
}

/// Gives a repository's workflows a secret, in place of what they had under this name. Jobs that
/// have begun go on with what they had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetSecret {
    /// Which repository.
    pub place: Repository,
    /// The secret's name in workflows: `CODER_SESSION_TOKEN`.
    pub name: String,
    /// Pinned reference to the secret.
    pub secret: String,
    /// Which field of it.
    pub field: String,
}

impl Step for SetSecret {
    const NAME: &'static str = "forgejo.set-secret";
    type Answer = Done;
}

/// Takes a secret away from a repository's workflows. Done too if there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteSecret {
    /// Which repository.
    pub place: Repository,
    /// The secret's name.
    pub name: String,
}

impl Step for DeleteSecret {
    const NAME: &'static str = "forgejo.delete-secret";
    type Answer = Done;
}

/// Lets a workflow of the repository run and waits for its end. The run is found again by its
/// marker, an input of the workflow, so that there is one for each marker.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunWorkflow {
    /// Which repository.
    pub place: Repository,
    /// The workflow's file: `prove-token.yml`.
    pub workflow: String,
    /// The branch that it is taken from.
    pub branch: String,
    /// Our name tag, the workflow's input `marker`.
    pub marker: String,
}

/// The answer to [`RunWorkflow`]. A run that has failed is an answer, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkflowRun {
    /// Whether all of it went well.
    pub succeeded: bool,
    /// Forgejo's word for how it ended: `failure`.
    pub status: String,
    /// Where a person reads its log.
    pub url: String,
}

impl Step for RunWorkflow {
    const NAME: &'static str = "forgejo.run-workflow";
    type Answer = WorkflowRun;
}

/// How a commit fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CommitState {
    /// Something is at it.
    Pending,
    /// It is good.
    Success,
    /// It is not.
    Failure,
    /// Nobody can tell.
    Error,
}

/// Says how a commit fares. What was said last in a context is what counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetStatus {
    /// Which repository.
    pub place: Repository,
    /// The commit.
    pub commit: String,
    /// Who says so: `stead/token`.
    pub context: String,
    /// How it fares.
    pub state: CommitState,
    /// In a few words.
    pub description: String,
}

impl Step for SetStatus {
    const NAME: &'static str = "forgejo.set-status";
    type Answer = Done;
}

/// Asks which commit a branch ends with. Changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookUpHead {
    /// Which repository.
    pub place: Repository,
    /// The branch.
    pub branch: String,
}

/// The answer to [`LookUpHead`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The commit.
    pub commit: String,
}

impl Step for LookUpHead {
    const NAME: &'static str = "forgejo.look-up-head";
    type Answer = Head;
}
