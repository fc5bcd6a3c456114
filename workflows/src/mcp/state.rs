//! What an MCP server knows of itself, and which of its releases is meant.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_core::context::Context;
use stead_schemas::command::mcp::{McpPhase, McpRelease, McpView};
use stead_schemas::failure::Failure;
use stead_schemas::site::KubernetesSite;

/// How many releases can be gone back to.
const RELEASES_MAX: usize = 10;

/// See the module's head.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Server {
    pub phase: McpPhase,
    /// Where it runs, as the site had it when the last command came.
    pub site: KubernetesSite,
    /// The image that runs, by digest.
    pub active: Option<String>,
    /// What was rolled out, the latest first, each image once.
    pub releases: Vec<McpRelease>,
    pub trouble: Option<String>,
}

/// The release before the one that runs.
pub(super) fn earlier<'a>(
    releases: &'a [McpRelease],
    active: Option<&str>,
) -> Result<&'a McpRelease, String> {
    let place = releases.iter().position(|release| Some(&*release.image) == active);
    let before = place.and_then(|place| releases.get(place + 1));
    before.ok_or_else(|| "nothing was rolled out before what runs now".to_string())
}

impl Server {
    /// What runs, if something does.
    pub fn running(&self) -> Option<&McpRelease> {
        self.releases.iter().find(|release| Some(&release.image) == self.active.as_ref())
    }

    /// Something new runs from now on. What was gone back from is forgotten: before what runs is
    /// what ran before it.
    pub fn takes(&mut self, release: McpRelease) {
        let active = self.active.take();
        let place = self.releases.iter().position(|known| Some(&known.image) == active.as_ref());
        self.releases.drain(..place.unwrap_or_default());
        self.active = Some(release.image.clone());
        self.releases.retain(|known| known.image != release.image);
        self.releases.insert(0, release);
        self.releases.truncate(RELEASES_MAX);
    }

    /// Whether it ends: nothing of it is there, and nobody has a use for it.
    pub fn is_gone(&self) -> bool {
        self.phase == McpPhase::Removed
    }

    pub fn begins(&mut self, cx: &Context, site: &KubernetesSite) {
        self.site = site.clone();
        self.enter(cx, McpPhase::Deploying);
    }

    /// What was tried went well, or did not.
    pub fn ends(&mut self, cx: &Context, trouble: Option<&Failure>) {
        self.trouble = trouble.map(Failure::to_string);
        let phase = if trouble.is_some() { McpPhase::Rejected } else { McpPhase::Ready };
        self.enter(cx, phase);
    }

    pub fn enter(&mut self, cx: &Context, phase: McpPhase) {
        self.phase = phase;
        self.show(cx);
    }

    pub fn show(&self, cx: &Context) {
        cx.show(self.phase.word(), &self.view());
    }

    /// What a command is told that went well.
    pub fn told(&self, what: &str) -> Value {
        json!({ "phase": self.phase, "what": what, "image": self.active })
    }

    fn view(&self) -> McpView {
        McpView {
            phase: self.phase,
            namespace: self.site.namespace.clone(),
            active: self.active.clone(),
            releases: self.releases.clone(),
            trouble: self.trouble.clone(),
        }
    }
}
