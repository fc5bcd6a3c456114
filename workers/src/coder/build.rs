//! Builds: each change of a Coder workspace is one, they come one after the other, and the
//! latest says where the workspace stands.

use std::time::Duration;

use serde_json::{Value, json};
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::coder::versions::VersionSeen;

use super::client::Coder;
use crate::http::{segment, shortened};
use crate::pace::Pace;
use crate::trouble::Trouble;

/// The template's parameter that holds our marker.
pub(super) const MARKER: &str = stead_schemas::step::coder::versions::MARKER;

/// What a build does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transition {
    /// Brings the workspace up.
    Start,
    /// Takes it down and keeps it.
    Stop,
    /// Removes it.
    Delete,
}

impl Transition {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Delete => "delete",
        }
    }
}

/// Where a build stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Job {
    Going,
    Succeeded,
    Ended,
}

/// Whose a workspace is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// Ours, by this marker.
    Us,
    /// Another run of ours.
    Another(String),
    /// Somebody who knows nothing of us.
    Nobody,
}

/// Reads our marker off a workspace's latest build.
pub(super) async fn owner_of(
    coder: &Coder,
    workspace: &Value,
    marker: &str,
) -> Result<Owner, Failure> {
    Ok(match marker_of(coder, workspace).await? {
        Some(found) if found == marker => Owner::Us,
        Some(other) => Owner::Another(other),
        None => Owner::Nobody,
    })
}

/// The mark of ours that a workspace's latest build carries.
pub(super) async fn marker_of(coder: &Coder, workspace: &Value) -> Result<Option<String>, Failure> {
    let build = workspace["latest_build"]["id"].as_str().unwrap_or_default();
    let parameters = coder.look(&format!("/workspacebuilds/{}/parameters", segment(build))).await?;
    // What is not shown is not known to carry no mark.
    let parameters = parameters.ok_or_else(|| {
        Failure::new(Class::Retry, format!("Coder does not show the parameters of build {build}"))
    })?;
    let parameters = parameters.as_array().map(Vec::as_slice).unwrap_or_default();
    let found = parameters.iter().find(|parameter| parameter["name"] == MARKER);
    let found = found.and_then(|parameter| parameter["value"].as_str());
    Ok(found.filter(|marker| !marker.is_empty()).map(str::to_owned))
}

/// Which build is to be the latest.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    transition: Transition,
    /// Of which version of its template; of whichever, if nothing is said.
    version: Option<&'a str>,
}

impl From<Transition> for Wanted<'_> {
    fn from(transition: Transition) -> Self {
        Self { transition, version: None }
    }
}

impl<'a> Wanted<'a> {
    pub(super) const fn start(version: Option<&'a str>) -> Self {
        Self { transition: Transition::Start, version }
    }

    fn is(self, build: &Value) -> bool {
        build["transition"] == self.transition.word()
            && self.version.is_none_or(|version| build["template_version_id"] == version)
    }
}

/// Sees to it that the latest build is the wanted one and has succeeded. What is going on is
/// waited for; what has failed is done again, once in each attempt. Done too if the workspace
/// goes away, unless it was to start: the next attempt may find another one, or make it. Says of which
/// version the build is.
pub(super) async fn reach(
    coder: &Coder,
    cx: &StepContext,
    id: &str,
    wanted: Wanted<'_>,
) -> Result<Option<VersionSeen>, Failure> {
    let mut pace = Pace::new(Duration::from_millis(5), Duration::from_secs(1));
    let (mut asked, mut missed) = (false, false);
    loop {
        let Some(workspace) = coder.look(&format!("/workspaces/{}", segment(id))).await? else {
            // What has just changed may not be shown yet.
            if missed {
                return gone(id, wanted.transition).map(|()| None);
            }
            missed = true;
            pace.pause(cx).await?;
            continue;
        };
        let build = &workspace["latest_build"];
        let is_wanted = wanted.is(build);
        match job(build) {
            Job::Going => cx.progress(spoken(build)),
            Job::Succeeded if is_wanted => return Ok(version_of(build)),
            Job::Ended if is_wanted && asked => return Err(failed(build)),
            Job::Succeeded | Job::Ended => {
                cx.still_wanted()?;
                asked |= begin(coder, id, wanted).await?;
            }
        }
        pace.pause(cx).await?;
    }
}

fn gone(id: &str, wanted: Transition) -> Result<(), Failure> {
    match wanted {
        Transition::Stop | Transition::Delete => Ok(()),
        Transition::Start => {
            Err(Failure::new(Class::Retry, format!("Coder has no workspace {id} any more")))
        }
    }
}

/// Asks for a build. Says whether it was taken in; if another one is going on, the caller waits
/// for that one.
async fn begin(coder: &Coder, id: &str, wanted: Wanted<'_>) -> Result<bool, Failure> {
    let mut body = json!({ "transition": wanted.transition.word() });
    if let Some(version) = wanted.version {
        body["template_version_id"] = json!(version);
    }
    match coder.post(&format!("/workspaces/{}/builds", segment(id)), &body).await {
        Ok(_) => Ok(true),
        Err(Trouble::Missing(_)) => Ok(false),
        Err(trouble) => Err(trouble.into()),
    }
}

/// The version of its template that a build is of.
pub(super) fn version_of(build: &Value) -> Option<VersionSeen> {
    let text = |field: &str| build[field].as_str().map(str::to_owned);
    Some(VersionSeen { id: text("template_version_id")?, name: text("template_version_name")? })
}

pub(super) fn job(build: &Value) -> Job {
    match build["job"]["status"].as_str().unwrap_or_default() {
        "succeeded" => Job::Succeeded,
        "failed" | "canceled" | "unknown" => Job::Ended,
        _ => Job::Going,
    }
}

pub(super) fn spoken(build: &Value) -> String {
    let number = build["build_number"].as_u64().unwrap_or(0);
    let status = build["job"]["status"].as_str().unwrap_or("on its way");
    match (status, build["matched_provisioners"]["count"].as_u64()) {
        ("pending", Some(0)) => format!("build {number} waits: Coder has no provisioner for it"),
        _ => format!("build {number} is {status}"),
    }
}

/// What a build needs may come back by itself: an image registry, a provider, Coder's workers.
fn failed(build: &Value) -> Failure {
    let words = "Coder could not carry out the build";
    let error = build["job"]["error"].as_str().unwrap_or_default();
    Failure::new(Class::Retry, words).vendor(shortened(error))
}
