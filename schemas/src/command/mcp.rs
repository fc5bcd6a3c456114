//! Commands to an MCP server that runs in Kubernetes, and what it shows of itself.
//!
//! Which servers there are, and of which repository of the registry each is made, is said by the
//! site and by nobody else. They are the platform's own: their owner is `stead`.

use alloc::string::String;
use alloc::vec::Vec;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::site::{KubernetesSite, McpServer};
use crate::time::Timestamp;

/// The kind of the entity.
pub const KIND: &str = "mcp";

/// `mcp.deploy`: has a server run as the site declares it now, with the image that its tag means now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployMcp {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The server's name.
    pub name: String,
    /// Another tag than the site's, or a digest, of the same repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub tag: Option<String>,
    /// Whether fields that somebody else has set in Kubernetes are taken from him; no, if nothing
    /// is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take_over: Option<bool>,
}

/// `mcp.repair`: has what runs of a server rolled out once more, as it was declared and with the very
/// image: what somebody took away or changed by hand is there again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepairMcp {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The server's name.
    pub name: String,
    /// Whether fields that somebody else has set in Kubernetes are taken from him; no, if nothing
    /// is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take_over: Option<bool>,
}

/// `mcp.rollback`, `mcp.remove`: has the server run as it did before; takes it away.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NameMcp {
    /// Sent twice, a command of the same id acts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128))]
    pub id: Option<String>,
    /// The server's name.
    pub name: String,
}

/// A command to an MCP server that was accepted, complete.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct McpOrder {
    /// The server as the site declares it, with the image that is wanted.
    pub server: McpServer,
    /// Where it runs.
    pub site: KubernetesSite,
    /// Whether fields that somebody else has set are taken from him.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub take_over: bool,
}

/// Where an MCP server stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum McpPhase {
    /// Nothing was rolled out yet.
    #[default]
    Empty,
    /// Something is being rolled out.
    Deploying,
    /// What was tried last went well.
    Ready,
    /// What was tried last did not; what runs is what ran before.
    Rejected,
    /// It is being taken away.
    Removing,
    /// It is gone.
    Removed,
}

impl McpPhase {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Deploying => "deploying",
            Self::Ready => "ready",
            Self::Rejected => "rejected",
            Self::Removing => "removing",
            Self::Removed => "removed",
        }
    }
}

/// Something that was rolled out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct McpRelease {
    /// The image, by digest.
    pub image: String,
    /// When all its pods answered.
    pub at: Timestamp,
    /// The server as it was declared then.
    pub server: McpServer,
}

/// What an MCP server shows of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct McpView {
    /// Where it stands.
    pub phase: McpPhase,
    /// The namespace that it runs in.
    pub namespace: String,
    /// The image that runs, by digest, once one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<String>,
    /// What was rolled out, the latest first; the first one runs, unless one has gone back.
    pub releases: Vec<McpRelease>,
    /// Why not, if what was tried last did not go well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
}
