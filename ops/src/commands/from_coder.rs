//! `stead workspace from-coder`: what a build in Coder asks for. The Terraform template in
//! `ops/deploy/coder` gives it, and what it says stands in the build's log.
//!
//! A build never waits for what waits for a build: as soon as the run is at a step that may, this
//! ends well, so that the build does, and the run goes on. A build that Stead itself asks for is
//! known by the step that the run is at, and asks for nothing.

use serde_json::{Map, Value, json};
use stead_nats::SteadClient;
use stead_schemas::command::workspace::{KIND, Phase, WorkspaceView};
use stead_schemas::event::Outcome;
use stead_schemas::ids::RunId;
use stead_schemas::owner::Owner;
use stead_schemas::public::RunView;
use stead_schemas::refusal::Refusal;
use stead_schemas::step::Step;
use stead_schemas::step::coder::{
    DeleteWorkspace, JoinWorkspace, LeaveWorkspace, StartWorkspace, StopWorkspace,
};

use super::give::Ending;
use super::run::follow::{Follower, Until, awaited_build, listen};
use super::run::screen::Screen;
use super::run::{accepted, client, find};
use crate::cli::Global;
use crate::cli::fields::Fields;
use crate::cli::workspace::FromCoder;
use crate::exit::Ended;
use crate::output;

/// Carries the verb out.
pub async fn carry_out(global: &Global, asked: &FromCoder) -> Result<(), Ended> {
    let build = Build::of(|name| std::env::var(name).ok())?;
    let client = client(global).await?;
    let living = look(&client, &build).await?;
    let known = living.as_ref().map(|living| (&living.0, &living.1));
    match build.wish(asked, known) {
        Wish::Nothing(words) => told(global, &build, &words),
        Wish::Refused(words) => {
            return Err(Ended::Refused(Refusal::new("workspace.elsewhere", words)));
        }
        Wish::Follow => match living.as_ref().and_then(|(view, _)| open_command(view)) {
            Some((run, verb, command)) => {
                let published = listen(&client, &build.owner, KIND).await?;
                follow(global, &client, &build, (&run, verb, &command), published).await?;
            }
            None => told(global, &build, "Stead is at it already"),
        },
        Wish::Give(verb, mut fields) => {
            let id = build.command_id(verb, &fields);
            fields.insert("id".to_owned(), Value::from(id.clone()));
            let published = listen(&client, &build.owner, KIND).await?;
            let reply = client.command(&build.owner, KIND, verb, &fields).await?;
            let run = accepted(reply, Some(&id))?.run;
            follow(global, &client, &build, (&run, verb.to_owned(), &id), published).await?;
        }
    }
    Ok(())
}

/// Which build it is, as Coder's provisioner says it to everything that it starts.
struct Build {
    transition: Transition,
    id: String,
    /// Coder's id of the workspace.
    workspace: String,
    owner: Owner,
    name: String,
    /// The Coder template.
    template: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transition {
    Start,
    Stop,
    Destroy,
}

/// What a build comes to.
#[derive(Debug, PartialEq)]
enum Wish {
    /// There is nothing to do, and why.
    Nothing(String),
    /// It cannot be.
    Refused(String),
    /// What is wanted goes on already.
    Follow,
    /// This command.
    Give(&'static str, Map<String, Value>),
}

impl Build {
    fn of(environment: impl Fn(&str) -> Option<String>) -> Result<Self, Ended> {
        let said = |name: &str| environment(name).filter(|text| !text.is_empty());
        let need = |name: &str| {
            said(name).ok_or_else(|| {
                Ended::Usage(format!("{name} is not set; builds in Coder give this, not people"))
            })
        };
        let transition = match need("CODER_WORKSPACE_TRANSITION")?.as_str() {
            "start" => Transition::Start,
            "stop" => Transition::Stop,
            "destroy" => Transition::Destroy,
            other => {
                let words =
                    format!("CODER_WORKSPACE_TRANSITION is {other}, of which nothing is known");
                return Err(Ended::Usage(words));
            }
        };
        Ok(Self {
            transition,
            id: need("CODER_WORKSPACE_BUILD_ID")?,
            workspace: need("CODER_WORKSPACE_ID")?.to_ascii_lowercase(),
            owner: find::owner(Some(&need("CODER_WORKSPACE_OWNER")?))?,
            name: need("CODER_WORKSPACE_NAME")?,
            template: said("CODER_WORKSPACE_TEMPLATE_NAME"),
        })
    }

    /// A build that is carried out twice gives each command once.
    fn command_id(&self, verb: &str, fields: &Map<String, Value>) -> String {
        let what = match verb {
            "resize" => fields.keys().filter(|field| *field != "name").cloned().collect(),
            _ => Vec::new(),
        };
        let words = [vec!["coder".to_owned(), self.id.clone(), verb.to_owned()], what].concat();
        words.join("-")
    }

    /// Whether the run is at a step that asks for such a build, or waits for this one.
    fn is_steads(&self, view: &RunView) -> bool {
        let steps: &[&str] = match self.transition {
            Transition::Start => &[StartWorkspace::NAME, JoinWorkspace::NAME],
            Transition::Stop => &[StopWorkspace::NAME, LeaveWorkspace::NAME],
            Transition::Destroy => &[DeleteWorkspace::NAME],
        };
        awaited_build(view).is_some_and(|step| steps.contains(&step))
    }

    fn wish(&self, asked: &FromCoder, living: Option<(&RunView, &WorkspaceView)>) -> Wish {
        let nothing = |words: &str| Wish::Nothing(words.to_owned());
        let (view, shown) = match living {
            Some((view, shown)) if shown.phase != Phase::Deleted => (view, shown),
            _ if self.transition == Transition::Start && !asked.resize => {
                return self.create(asked);
            }
            _ => return nothing("Stead has no such workspace"),
        };
        if self.is_steads(view) {
            return nothing("Stead waits for this build");
        }
        if let Some(wish) = self.said_before(asked, view) {
            return wish;
        }
        if shown.coder_id.as_ref().or(shown.joins.as_ref()) != Some(&self.workspace) {
            return self.of_another(asked, shown);
        }
        let plain = Fields::of(&self.name, None).0;
        match (self.transition, shown.phase) {
            (Transition::Destroy, Phase::Deleting) => Wish::Follow,
            (Transition::Destroy, _) => Wish::Give("delete", plain),
            (_, Phase::Deleting) => Wish::Refused(format!("Stead is deleting {}", self.entity())),
            _ if asked.resize => self.resize(asked, shown),
            (Transition::Stop, phase) if phase.is_off() => nothing("it is stopped already"),
            (Transition::Stop, Phase::Stopping) => Wish::Follow,
            (Transition::Stop, _) => Wish::Give("stop", plain),
            (
                Transition::Start,
                Phase::Creating | Phase::Starting | Phase::Undeleting | Phase::Rebuilding,
            ) => Wish::Follow,
            // Its agent has the token of an older build, which Coder no longer lets in.
            (Transition::Start, Phase::Ready) => Wish::Give("restart", plain),
            (Transition::Start, _) => Wish::Give("start", plain),
        }
    }

    /// What this very build has asked for before, if it has: it is handed over once.
    fn said_before(&self, asked: &FromCoder, view: &RunView) -> Option<Wish> {
        let ours = |id: &str| id.starts_with(&format!("coder-{}-", self.id));
        let mut given = view.commands.iter().filter(|command| command.verb != "resize");
        let known = given.find(|command| ours(&command.id)).filter(|_| !asked.resize)?;
        match &known.outcome {
            None => Some(Wish::Follow),
            Some(Outcome::Done(_)) => Some(Wish::Nothing("this build is handed over".to_owned())),
            Some(Outcome::Failed(failure)) => Some(Wish::Refused(failure.to_string())),
        }
    }

    /// Another workspace of Coder's shows the one of this name, or none does yet.
    fn of_another(&self, asked: &FromCoder, shown: &WorkspaceView) -> Wish {
        match (self.transition, shown.phase) {
            _ if asked.resize => {
                Wish::Nothing("this workspace of Coder's is not Stead's".to_owned())
            }
            (Transition::Start, Phase::Deleting) => self.create(asked),
            (Transition::Start, phase) => Wish::Refused(format!(
                "Stead has a workspace {} already, it is {}, and another one of Coder's shows it; \
                 delete this one and choose another name",
                self.entity(),
                phase.word(),
            )),
            (Transition::Stop | Transition::Destroy, _) => {
                Wish::Nothing("this workspace of Coder's is not Stead's".to_owned())
            }
        }
    }

    fn create(&self, asked: &FromCoder) -> Wish {
        let fields = Fields::of(&self.name, None)
            .text("template", asked.template.as_ref().filter(|name| !name.is_empty()))
            .size(&asked.size)
            .text("storage_backend", asked.storage_backend.as_ref())
            .text("coder_id", Some(&self.workspace))
            .text("coder_template", self.template.as_ref());
        Wish::Give("create", fields.0)
    }

    /// Only what is not so already is changed. Disk and volume only grow: where a slider shows less than
    /// there is, nobody has moved it.
    fn resize(&self, asked: &FromCoder, shown: &WorkspaceView) -> Wish {
        let mut fields = Fields::of(&self.name, None).size(&asked.size).0;
        let (now, made) = (json!(shown.size), json!(shown.made_from));
        let number = |value: &Value| value.as_u64().unwrap_or_default();
        fields.retain(|field, value| match field.as_str() {
            "name" => true,
            "disk_gb" => number(value) > number(&now[field]).max(number(&made[field])),
            "volume_gb" => number(value) > number(&now[field]),
            _ => now[field] != *value,
        });
        match fields.len() {
            1 => Wish::Nothing("it has that size already".to_owned()),
            _ => Wish::Give("resize", fields),
        }
    }

    fn entity(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

/// The workspace of this owner and name, where one lives.
async fn look(
    client: &SteadClient,
    build: &Build,
) -> Result<Option<(RunView, WorkspaceView)>, Ended> {
    let found = client.entity(&build.owner, KIND, &build.name).await?;
    let Some(view) = found else { return Ok(None) };
    if !view.summary.state.lives() {
        return Ok(None);
    }
    let shown = serde_json::from_value(view.view.clone()).map_err(|error| {
        let words = "cannot read what the workspace shows; are all builds of Stead the same?";
        Ended::Failed(format!("{}/{}: {words} ({error})", build.owner, build.name))
    })?;
    Ok(Some((view, shown)))
}

/// The command that a run took in last and that has no outcome.
fn open_command(view: &RunView) -> Option<(RunId, String, String)> {
    let open = view.commands.iter().rev().find(|command| command.outcome.is_none())?;
    Some((view.summary.run.clone(), open.verb.clone(), open.id.clone()))
}

async fn follow(
    global: &Global,
    client: &SteadClient,
    build: &Build,
    (run, verb, command): (&RunId, String, &str),
    published: super::run::follow::Published,
) -> Result<(), Ended> {
    let screen = Screen::new(global.json);
    let mut follower = Follower::new(client, run.clone(), published, screen).without_log();
    let outcome = follower.follow(&Until::Build(command.to_owned())).await?;
    let Outcome::Failed(failure) = outcome else {
        let left = matches!(&outcome, Outcome::Done(result) if result["left_at"].is_string());
        told(
            global,
            build,
            &match left {
                true => {
                    format!("{verb} goes on once this build has ended: `stead run watch {run}`")
                }
                false => format!("{verb} is done"),
            },
        );
        return Ok(());
    };
    let view = client.view(run).await.ok().flatten();
    let (kind, name, seen) = (KIND, build.name.as_str(), follower.seen());
    // Whoever is a part of a build may not read the log.
    let ending = Ending { run, kind, name, verb: &verb, command, seen, view, after: None };
    Err(Ended::Failed(ending.failed(&failure)))
}

fn told(global: &Global, build: &Build, words: &str) {
    match global.json {
        true => output::json(&json!({ "build": build.id, "words": words })),
        false => output::line(&format!("{}: {words}", build.entity())),
    }
}

#[cfg(test)]
mod template;
#[cfg(test)]
mod tests;
