//! Coder: what a developer sees. The agent's token reaches the machine by reference only: the
//! Coder template writes it into Vault, the seed server reads it there at every boot.

use alloc::string::String;

use serde::{Deserialize, Serialize};

use super::{Done, Step};
use crate::time::Timestamp;

pub mod versions;

/// Which Coder workspace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoderWorkspace {
    /// Coder's id of it, a UUID.
    pub id: String,
    /// The version of its template that its latest build was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<versions::VersionSeen>,
}

/// Makes the workspace if there is none, and sees to it that its latest build is a start that
/// succeeded: with it a fresh agent token lies in Vault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartWorkspace {
    /// Pinned reference to the session token.
    pub login: String,
    /// The organization.
    pub organization: String,
    /// The developer, by user name.
    pub user: String,
    /// The workspace's name.
    pub name: String,
    /// The Coder template.
    pub template: String,
    /// Our name tag, a parameter of the template.
    pub marker: String,
    /// Coder's id of it, where its developer made it there: it is ours by that, whatever its mark.
    /// If it is gone, one of ours is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<String>,
    /// Coder's id of the version of the template that it is to be built from. If nothing is said, one
    /// that is there keeps the version of its last build, and a new one gets the active one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

impl Step for StartWorkspace {
    const NAME: &'static str = "coder.start-workspace";
    type Answer = CoderWorkspace;
}

/// Takes a workspace that its developer made in Coder for the one that shows the machine, once the
/// start that is going on there has succeeded. Asks for no build: one that has ended otherwise says
/// that the workspace is not wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinWorkspace {
    /// Pinned reference to the session token.
    pub login: String,
    /// Coder's id of the workspace.
    pub id: String,
    /// Whose it must be, by user name.
    pub user: String,
    /// What it must be called.
    pub name: String,
    /// The Coder template that it must be made of.
    pub template: String,
}

impl Step for JoinWorkspace {
    const NAME: &'static str = "coder.join-workspace";
    type Answer = CoderWorkspace;
}

/// Lets a workspace go that its developer made in Coder: it is stopped, and stays. Done too if it
/// is gone, or is not this user's of this name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaveWorkspace {
    /// Pinned reference to the session token.
    pub login: String,
    /// Coder's id of the workspace.
    pub id: String,
    /// Whose it is, by user name.
    pub user: String,
    /// What it is called.
    pub name: String,
}

impl Step for LeaveWorkspace {
    const NAME: &'static str = "coder.leave-workspace";
    type Answer = Done;
}

/// The steps that may wait for a build in Coder, or for what only comes when one has ended: no
/// build may wait for them.
pub const AWAITING_BUILDS: [&str; 6] = [
    AwaitAgent::NAME,
    DeleteWorkspace::NAME,
    JoinWorkspace::NAME,
    LeaveWorkspace::NAME,
    StartWorkspace::NAME,
    StopWorkspace::NAME,
];

/// Waits until the agent is connected **and** ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitAgent {
    /// Pinned reference to the session token.
    pub login: String,
    /// Coder's id of the workspace.
    pub id: String,
}

impl Step for AwaitAgent {
    const NAME: &'static str = "coder.await-agent";
    type Answer = Done;
}

/// Asks when somebody last used the workspace. Changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookUpUse {
    /// Pinned reference to the session token.
    pub login: String,
    /// Coder's id of the workspace.
    pub id: String,
}

/// The answer to [`LookUpUse`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUse {
    /// When, by Coder's clock.
    pub last_used_at: Timestamp,
}

impl Step for LookUpUse {
    const NAME: &'static str = "coder.look-up-use";
    type Answer = LastUse;
}

/// Sees to it that the latest build is a stop that succeeded. Done too if the workspace is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopWorkspace {
    /// Pinned reference to the session token.
    pub login: String,
    /// Coder's id of the workspace.
    pub id: String,
}

impl Step for StopWorkspace {
    const NAME: &'static str = "coder.stop-workspace";
    type Answer = Done;
}

/// Deletes the workspace of this user and name, if it carries our marker. Done too if it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteWorkspace {
    /// Pinned reference to the session token.
    pub login: String,
    /// The developer, by user name.
    pub user: String,
    /// The workspace's name.
    pub name: String,
    /// Our name tag.
    pub marker: String,
    /// Coder's id of it, where its developer made it there: it is ours by that, whatever its mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joined: Option<String>,
}

impl Step for DeleteWorkspace {
    const NAME: &'static str = "coder.delete-workspace";
    type Answer = Done;
}

/// Which token of ours, and whose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenPlace {
    /// Pinned reference to the session token that we make it with.
    pub login: String,
    /// The user that it acts for, by user name.
    pub user: String,
    /// The token's name at Coder, which nobody else chooses.
    pub name: String,
    /// Where it lies in Vault, not pinned: `vault:secret/data/stead/tokens/…`.
    pub credentials: String,
    /// Our name tag, beside it in Vault.
    pub marker: String,
}

/// Makes a token and hands it to Vault, or finds the one of this name that lies there. Coder shows
/// a token once: one whose secret was lost on the way is revoked and made again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateToken {
    /// Which token.
    pub place: TokenPlace,
    /// How long it is to live.
    pub life_seconds: u64,
}

/// The answer to [`CreateToken`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The pinned reference to the token.
    pub credentials: String,
    /// When it ends, by Coder's clock.
    pub expires_at: Timestamp,
}

impl Step for CreateToken {
    const NAME: &'static str = "coder.create-token";
    type Answer = Token;
}

/// Logs in with a token, to see that Coder takes it as this user's. Changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProveToken {
    /// Pinned reference to the token.
    pub credentials: String,
    /// Whose it must be, by user name.
    pub user: String,
}

impl Step for ProveToken {
    const NAME: &'static str = "coder.prove-token";
    type Answer = Done;
}

/// Asks when a token ends. Changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookUpToken {
    /// Which token.
    pub place: TokenPlace,
}

/// The answer to [`LookUpToken`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenEnd {
    /// When, by Coder's clock; nothing if Coder has no such token.
    pub expires_at: Option<Timestamp>,
}

impl Step for LookUpToken {
    const NAME: &'static str = "coder.look-up-token";
    type Answer = TokenEnd;
}

/// Revokes a token, and forgets its secret with all versions. Done too if it is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokeToken {
    /// Which token.
    pub place: TokenPlace,
}

impl Step for RevokeToken {
    const NAME: &'static str = "coder.revoke-token";
    type Answer = Done;
}

/// Looks for a template, and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindTemplate {
    /// Reference to the session token.
    pub login: String,
    /// Coder's organization.
    pub organization: String,
    /// The name of Coder's template.
    pub template: String,
}

/// The answer to [`FindTemplate`] and to [`Survey`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplateFound {
    /// When the login itself ends, where the vendor lets it see that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login_ends: Option<Timestamp>,
}

impl Step for FindTemplate {
    const NAME: &'static str = "coder.find-template";
    type Answer = TemplateFound;
}

/// Looks whether a workspace can be made: whether Coder has its template, knows whose it is to be, and
/// has not suspended him. Changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survey {
    /// Pinned reference to the session token.
    pub login: String,
    /// Coder's organization.
    pub organization: String,
    /// The name of Coder's template.
    pub template: String,
    /// The developer, by user name.
    pub user: String,
}

impl Step for Survey {
    const NAME: &'static str = "coder.survey";
    type Answer = TemplateFound;
}
