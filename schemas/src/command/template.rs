//! Commands to a template of Coder's that is made of a repository, and what it shows of itself.
//!
//! Which template is made of which folder is said by the site and by nobody else: what is pushed
//! is carried out by Coder's provisioner, with its rights.

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::site::{Deployment, Template};
use crate::time::Timestamp;

/// The kind of the entity.
pub const KIND: &str = "template";

/// What the ids of the commands begin with that webhooks lead to.
pub const WEBHOOK_ID: &str = "webhook-";

/// `template.push`: makes a version of what is in the repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PushTemplate {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The template's name at Coder.
    pub name: String,
    /// The whole hash of a commit; what the branch ends with if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^([0-9a-f]{40}|[0-9a-f]{64})$"))]
    pub commit: Option<String>,
    /// Whether workspaces are made of it from then on; yes, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub promote: Option<bool>,
}

/// `template.promote`: lets workspaces be made of a version that was pushed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteTemplate {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The template's name at Coder.
    pub name: String,
    /// The version's name; the one that was pushed last if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// `template.check`, `template.rollback`, `template.forget`: pushes what the branch ends with, if
/// that was not tried before; goes back to the version before; ends the deployment and leaves
/// Coder's template as it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NameTemplate {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The template's name at Coder.
    pub name: String,
}

/// A command to a template that was accepted, complete.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateOrder {
    /// Which template is made of what.
    pub deployment: Deployment,
    /// Coder's organization.
    pub organization: String,
    /// Where our session token of Coder's lies.
    pub coder_secret: String,
    /// Where our access token of Forgejo's lies.
    pub forgejo_secret: String,
    /// The commit; what the branch ends with if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether a version that was pushed is not promoted.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub only_push: bool,
    /// The version to promote, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The site's templates that it shows: what may be chosen in Coder is what they allow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shows: Vec<Template>,
}

/// Where a template stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TemplatePhase {
    /// Nothing was pushed yet.
    #[default]
    Empty,
    /// A version is being made, or another one made active.
    Deploying,
    /// What was tried last went well.
    Ready,
    /// What was tried last did not; the active version is the one that it was.
    Rejected,
    /// Stead has nothing to do with it any more.
    Forgotten,
}

impl TemplatePhase {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Deploying => "deploying",
            Self::Ready => "ready",
            Self::Rejected => "rejected",
            Self::Forgotten => "forgotten",
        }
    }
}

/// A version of a template that Coder has imported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateVersion {
    /// Coder's id of it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The commit that it was made of; nothing if somebody else has made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Coder's id of the file that it was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Which secrets it was given, as they were then.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// When it was imported, or first seen.
    pub at: Timestamp,
    /// Whether workspaces were ever made of it.
    pub was_active: bool,
}

/// What a template shows of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TemplateView {
    /// Where it stands.
    pub phase: TemplatePhase,
    /// The repository that it is made of.
    pub repository: String,
    /// The branch.
    pub branch: String,
    /// The folder.
    pub path: String,
    /// The version that workspaces are made of, by name, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// The versions that can be made active, the latest first.
    pub versions: Vec<TemplateVersion>,
    /// The commit that was tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tried: Option<String>,
    /// Why not, if that did not go well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}
