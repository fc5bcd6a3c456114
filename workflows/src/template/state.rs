//! What a template knows of itself, and which of its versions is meant.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_core::context::Context;
use stead_schemas::command::template::{
    TemplateOrder, TemplatePhase, TemplateVersion, TemplateView,
};
use stead_schemas::failure::Failure;
use stead_schemas::site::Deployment;
use stead_schemas::step::coder::versions::VersionSeen;

use super::poll::Polls;

/// How many versions can be gone back to. Coder keeps older ones, too.
const VERSIONS_MAX: usize = 20;

/// See the module's head.
#[derive(Clone, Default, Serialize, Deserialize)]
pub(super) struct Template {
    pub phase: TemplatePhase,
    /// As the site had it when the last command came.
    pub deployment: Deployment,
    /// How many versions were begun: each has a name of its own.
    pub begun: u32,
    /// Coder's id of the version that was active when we looked last.
    pub active: Option<String>,
    /// What can be made active, the latest first.
    pub versions: Vec<TemplateVersion>,
    /// The commit that was tried last.
    pub tried: Option<String>,
    pub trouble: Option<String>,
    #[serde(default, skip_serializing_if = "Polls::is_none")]
    pub polls: Polls,
}

/// The version of this name; the latest if there is none.
pub(super) fn named<'a>(
    versions: &'a [TemplateVersion],
    name: Option<&str>,
) -> Result<&'a TemplateVersion, String> {
    let is_meant = |version: &&TemplateVersion| name.is_none_or(|name| version.name == name);
    versions.iter().find(is_meant).ok_or_else(|| {
        let names: Vec<&str> = versions.iter().map(|version| version.name.as_str()).collect();
        match (name, names.is_empty()) {
            (Some(name), false) => {
                format!("there is no version {name}; there are {}", names.join(", "))
            }
            _ => "no version was pushed yet".to_string(),
        }
    })
}

/// The latest version that was active before the one that is. Where Stead did not make that one,
/// the latest that was active.
pub(super) fn earlier(
    versions: &[TemplateVersion],
    is_active: impl Fn(&TemplateVersion) -> bool,
) -> Result<&TemplateVersion, String> {
    let after = versions.iter().position(is_active).map_or(0, |place| place + 1);
    let mut before = versions.iter().skip(after);
    before
        .find(|version| version.was_active)
        .ok_or_else(|| "there is no version before the active one that Stead knows of".to_string())
}

/// As much of a commit's hash as people look at.
pub(super) fn shortened(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

impl Template {
    /// The name of the next version, which nobody else chooses: no other one of this life, nor any
    /// of another life, has it.
    pub fn next_name(&mut self, cx: &Context, commit: &str) -> String {
        self.begun += 1;
        format!("{}-{}.{}", shortened(commit), cx.run().life(), self.begun)
    }

    /// Remembers which version is active. What others have made active can be gone back to as well.
    pub fn sees(&mut self, cx: &Context, active: &VersionSeen) {
        self.active = Some(active.id.clone());
        match self.versions.iter_mut().find(|version| version.id == active.id) {
            Some(known) => known.was_active = true,
            None => self.versions.insert(
                0,
                TemplateVersion {
                    id: active.id.clone(),
                    name: active.name.clone(),
                    commit: None,
                    file: None,
                    variables: BTreeMap::new(),
                    at: cx.now(),
                    was_active: true,
                },
            ),
        }
    }

    /// A version was imported.
    pub fn takes(&mut self, version: TemplateVersion) {
        self.versions.insert(0, version);
        let active = self.active.clone();
        let mut place = 0;
        self.versions.retain(|version| {
            place += 1;
            place <= VERSIONS_MAX || Some(&version.id) == active.as_ref()
        });
    }

    /// Workspaces are made of it from now on.
    pub fn activates(&mut self, id: &str) {
        self.active = Some(id.to_string());
        let promoted = self.versions.iter_mut().find(|version| version.id == id);
        promoted.into_iter().for_each(|version| version.was_active = true);
    }

    /// The version that is active, if it is known.
    pub fn active(&self) -> Option<&TemplateVersion> {
        self.versions.iter().find(|version| Some(&version.id) == self.active.as_ref())
    }

    pub fn begins(&mut self, cx: &Context, order: &TemplateOrder) {
        self.deployment = order.deployment.clone();
        self.enter(cx, TemplatePhase::Deploying);
    }

    /// What was tried went well, or did not.
    pub fn ends(&mut self, cx: &Context, trouble: Option<&Failure>) {
        self.trouble = trouble.map(Failure::to_string);
        let phase = if trouble.is_some() { TemplatePhase::Rejected } else { TemplatePhase::Ready };
        self.enter(cx, phase);
    }

    pub fn enter(&mut self, cx: &Context, phase: TemplatePhase) {
        self.phase = phase;
        self.show(cx);
    }

    pub fn show(&self, cx: &Context) {
        cx.show(self.phase.word(), &self.view());
    }

    /// What a command is told that went well.
    pub fn told(&self, what: &str) -> Value {
        let active = self.active();
        json!({
            "phase": self.phase,
            "what": what,
            "active": active.map(|version| &version.name),
            "commit": active.and_then(|version| version.commit.as_ref()),
            "version": self.versions.first().map(|version| &version.name),
        })
    }

    fn view(&self) -> TemplateView {
        TemplateView {
            phase: self.phase,
            repository: self.deployment.repository.clone(),
            branch: self.deployment.branch.clone(),
            path: self.deployment.path.clone(),
            active: self.active().map(|version| version.name.clone()),
            versions: self.versions.clone(),
            tried: self.tried.clone(),
            trouble: self.trouble.clone(),
        }
    }
}
