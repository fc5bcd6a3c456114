//! What is really there: each system lists what stands where ours stands, a page at a time, with
//! the mark that it carries. Nothing is changed.
//!
//! What cannot be told from what others keep in the same system, as a workspace in Coder, is listed
//! only if it carries a mark of ours.

use alloc::string::String;
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use super::Step;
use super::touch::Resource;

/// How many things a page has at most: an answer has to fit into a message.
pub const PAGE: usize = 100;

/// Something that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thing {
    /// What it is.
    #[serde(flatten)]
    pub resource: Resource,
    /// The mark of ours that it carries; nothing if it carries none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
}

/// One page of what is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighted {
    /// The things, in the vendor's order.
    pub things: Vec<Thing>,
    /// What the next page is asked for with; nothing if this was the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// The machines that have a VMID of ours, whoever made them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightMachines {
    /// Pinned reference to the API token.
    pub login: String,
    /// The first VMID that is ours to give out.
    pub vmid_first: u32,
    /// The last VMID that is ours to give out.
    pub vmid_last: u32,
    /// Behind which VMID the page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightMachines {
    const NAME: &'static str = "proxmox.sight-machines";
    type Answer = Sighted;
}

/// The datasets beneath the parent of all homes, whoever made them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightDatasets {
    /// Pinned reference to the API key.
    pub login: String,
    /// The parent.
    pub parent: String,
    /// Behind which dataset the page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightDatasets {
    const NAME: &'static str = "truenas.sight-datasets";
    type Answer = Sighted;
}

/// The NFS exports of what lies beneath the parent of all homes, whoever made them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightShares {
    /// Pinned reference to the API key.
    pub login: String,
    /// The parent.
    pub parent: String,
    /// Behind which export the page begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightShares {
    const NAME: &'static str = "truenas.sight-shares";
    type Answer = Sighted;
}

/// The workspaces in Coder that carry a mark of ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SightWorkspaces {
    /// Pinned reference to the session token.
    pub login: String,
    /// How many workspaces the pages before had looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

impl Step for SightWorkspaces {
    const NAME: &'static str = "coder.sight-workspaces";
    type Answer = Sighted;
}

/// Which kind of thing a step lists all of: `proxmox/machine`.
#[must_use]
pub fn kind_of(step: &str) -> Option<&'static str> {
    Some(match step {
        SightMachines::NAME => "proxmox/machine",
        SightDatasets::NAME => "truenas/dataset",
        SightShares::NAME => "truenas/share",
        SightWorkspaces::NAME => "coder/workspace",
        _ => return None,
    })
}
