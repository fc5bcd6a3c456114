//! Versions of Coder's templates: uploaded, imported by Coder, made the active one, archived.
//!
//! What a version is made of never comes this way: the worker fetches it from Forgejo itself.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::forgejo::Repository;
use super::super::{Done, Step};

/// The parameter of a template by which we know our workspaces.
pub const MARKER: &str = "stead_run";

/// Which template of Coder's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TemplatePlace {
    /// Pinned reference to the session token.
    pub login: String,
    /// The organization.
    pub organization: String,
    /// The template's name.
    pub template: String,
}

/// Asks which version of a template is active. Changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookUpTemplate {
    /// Which template.
    pub place: TemplatePlace,
}

/// A version of a template, as Coder shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VersionSeen {
    /// Coder's id of it, a UUID.
    pub id: String,
    /// Its name.
    pub name: String,
}

impl Step for LookUpTemplate {
    const NAME: &'static str = "coder.look-up-template";
    type Answer = VersionSeen;
}

/// A folder of a repository, as it was at a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Which repository.
    pub place: Repository,
    /// The whole hash of the commit.
    pub commit: String,
    /// The folder; the whole repository if it is empty.
    pub path: String,
}

/// Gives Coder what a version is to be made of. The same files are one file to Coder, at whatever
/// commit and however often they are given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadTemplate {
    /// Which template it is for.
    pub place: TemplatePlace,
    /// Where the files are.
    pub source: Source,
}

/// The answer to [`UploadTemplate`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Uploaded {
    /// Coder's id of the file, a UUID.
    pub file: String,
}

impl Step for UploadTemplate {
    const NAME: &'static str = "coder.upload-template";
    type Answer = Uploaded;
}

/// Makes a version of a file, or finds the one of this name that carries our marker. Coder then
/// imports it; nothing uses it yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateVersion {
    /// Which template.
    pub place: TemplatePlace,
    /// The version's name, which nobody else chooses.
    pub name: String,
    /// The file.
    pub file: String,
    /// The commit that the file is of, for people.
    pub commit: String,
    /// Our name tag, in the version's message.
    pub marker: String,
    /// Terraform's variables that are secrets, and where each lies in Vault, pinned, as a field of the
    /// variable's name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
}

/// The answer to [`CreateVersion`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Coder's id of it, a UUID.
    pub id: String,
}

impl Step for CreateVersion {
    const NAME: &'static str = "coder.create-version";
    type Answer = Version;
}

/// Waits until Coder has imported a version, or has failed to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AwaitImport {
    /// Pinned reference to the session token.
    pub login: String,
    /// Coder's id of the version.
    pub id: String,
    /// What the version was given, as [`CreateVersion`] has it: Terraform may say a value in its error,
    /// and that goes no further.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
}

/// The answer to [`AwaitImport`]. An import that has failed is an answer, too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// Coder's words, if it has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What whoever makes a workspace may say.
    pub parameters: Vec<Parameter>,
}

/// A parameter of a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name.
    pub name: String,
    /// Whether it has no default, and must be said.
    pub required: bool,
    /// What may be said, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<Choice>,
}

/// What may be said to a parameter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// The least number, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// The greatest number, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// One of these, if there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl Step for AwaitImport {
    const NAME: &'static str = "coder.await-import";
    type Answer = Import;
}

/// Makes a version the one that workspaces are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromoteVersion {
    /// Which template.
    pub place: TemplatePlace,
    /// Coder's id of the version.
    pub id: String,
}

impl Step for PromoteVersion {
    const NAME: &'static str = "coder.promote-version";
    type Answer = Done;
}

/// Makes the version before the active one again, where the one that we promoted is. Done too
/// where it is not: what others have promoted meanwhile stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreVersion {
    /// Which template.
    pub place: TemplatePlace,
    /// Coder's id of the version that we promoted.
    pub promoted: String,
    /// Coder's id of the one before.
    pub before: String,
}

impl Step for RestoreVersion {
    const NAME: &'static str = "coder.restore-version";
    type Answer = Done;
}

/// Takes a version of ours out of the lists. Done too if there is none, or it is not ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveVersion {
    /// Which template.
    pub place: TemplatePlace,
    /// The version's name.
    pub name: String,
    /// Our name tag.
    pub marker: String,
}

impl Step for ArchiveVersion {
    const NAME: &'static str = "coder.archive-version";
    type Answer = Done;
}
