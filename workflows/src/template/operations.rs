//! What is done with a template at Coder and in Forgejo.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use serde_json::{Value, json};
use stead_core::context::Context;
use stead_schemas::command::template::{TemplateOrder, TemplateVersion};
use stead_schemas::failure::{Class, Failure, Kind};
use stead_schemas::notice::Topic;
use stead_schemas::site::Template as SiteTemplate;
use stead_schemas::step::coder::versions::{
    ArchiveVersion, AwaitImport, CreateVersion, LookUpTemplate, PromoteVersion, RestoreVersion,
    Source, TemplatePlace, UploadTemplate, VersionSeen,
};
use stead_schemas::step::forgejo::{CommitState, LookUpHead, Repository, SetStatus};
use stead_schemas::step::vault::PinSecrets;

use super::judge::{VOLUME, judge};
use super::state::{Template, earlier, named, shortened};
use crate::notice;

/// How long one step may take before it counts as failed.
const STEP_MAX: Duration = Duration::from_secs(15 * 60);
/// How long Coder may take to import a version, with the wait for a provisioner.
const IMPORT_MAX: Duration = Duration::from_secs(30 * 60);
/// How long it is tried to say in Forgejo how a commit fares.
const STATUS_MAX: Duration = Duration::from_secs(2 * 60);
/// Who says how a commit fares, with the template's name behind it.
const CONTEXT: &str = "stead/template";

/// Where everything is, and what is to be made.
struct Job {
    place: TemplatePlace,
    source: Source,
    /// Which secrets it is given.
    variables: BTreeMap<String, String>,
    /// What it shows.
    shows: Vec<SiteTemplate>,
    only_push: bool,
    /// Whether it is what the branch ends with.
    is_head: bool,
}

/// What a deployment came to.
enum Came {
    /// The active version was made of the very same files.
    Same,
    New(TemplateVersion),
}

/// Makes a version of the commit that is named, or that the branch ends with.
pub(super) async fn push(
    cx: &Context,
    template: &mut Template,
    order: &TemplateOrder,
) -> Result<Value, Failure> {
    template.begins(cx, order);
    match cx.operation(job(cx, order)).await {
        Ok(job) => deploy(cx, template, job).await,
        Err(failure) => {
            template.ends(cx, Some(&failure));
            Err(failure)
        }
    }
}

/// The same, unless the commit that the branch ends with was tried before.
pub(super) async fn check(
    cx: &Context,
    template: &mut Template,
    order: &TemplateOrder,
) -> Result<Value, Failure> {
    template.deployment = order.deployment.clone();
    // What cannot be looked up says nothing about what was tried last.
    let job = cx.operation(job(cx, order)).await?;
    if template.tried.as_ref() == Some(&job.source.commit) {
        return Ok(template.told("the branch ends with what was tried before"));
    }
    template.begins(cx, order);
    deploy(cx, template, job).await
}

async fn job(cx: &Context, order: &TemplateOrder) -> Result<Job, Failure> {
    let (place, repository, variables) = logins(cx, order).await?;
    let commit = match &order.commit {
        Some(commit) => commit.clone(),
        None => {
            let branch = order.deployment.branch.clone();
            let ask = LookUpHead { place: repository.clone(), branch };
            cx.step(ask).within(STEP_MAX).await?.commit
        }
    };
    let path = order.deployment.path.clone();
    let source = Source { place: repository, commit, path };
    let (only_push, is_head) = (order.only_push, order.commit.is_none());
    Ok(Job { place, source, variables, shows: order.shows.clone(), only_push, is_head })
}

async fn logins(
    cx: &Context,
    order: &TemplateOrder,
) -> Result<(TemplatePlace, Repository, BTreeMap<String, String>), Failure> {
    let mut secrets = Vec::from([order.coder_secret.clone(), order.forgejo_secret.clone()]);
    let variables = &order.deployment.variables;
    secrets.extend(variables.values().cloned().collect::<BTreeSet<_>>());
    let pinned = cx.step(PinSecrets { secrets }).within(STEP_MAX).await?;
    let pin = |(name, secret): (&String, &String)| (name.clone(), pinned.of(secret));
    let variables = variables.iter().map(pin).collect();
    let place = TemplatePlace {
        login: pinned.of(&order.coder_secret),
        organization: order.organization.clone(),
        template: order.deployment.template.clone(),
    };
    let repository = Repository {
        login: pinned.of(&order.forgejo_secret),
        repository: order.deployment.repository.clone(),
    };
    Ok((place, repository, variables))
}

async fn deploy(cx: &Context, template: &mut Template, job: Job) -> Result<Value, Failure> {
    let commit = job.source.commit.clone();
    let tried = template.tried.clone();
    // Whoever names a commit says nothing about the branch's head, which may have been gone back from.
    if job.is_head {
        template.tried = Some(commit.clone());
    }
    say(cx, &job, CommitState::Pending, "a version is being made").await;
    let came = cx.operation(make(cx, template, &job)).await;
    match came {
        Ok(Came::Same) => {
            template.ends(cx, None);
            say(cx, &job, CommitState::Success, "the active version is the same").await;
            Ok(template.told("the active version is made of the same files"))
        }
        Ok(Came::New(version)) => {
            let id = version.id.clone();
            let words = if job.only_push { "is imported" } else { "is active" };
            let words = format!("{} {words}", version.name);
            template.takes(version);
            if !job.only_push {
                template.activates(&id);
            }
            template.ends(cx, None);
            say(cx, &job, CommitState::Success, &words).await;
            let about = json!({ "template": job.place.template, "commit": commit });
            cx.note("template-deployed", format!("{}: {words}", job.place.template), &about);
            Ok(template.told(&words))
        }
        Err(failure) => {
            if says_nothing(&failure) && cx.changed("outages-are-no-tries") {
                template.tried = tried;
            }
            template.ends(cx, Some(&failure));
            if failure.class != Class::Cancelled {
                say(cx, &job, CommitState::Failure, &failure.words).await;
                let words = format!(
                    "{}: {} is not deployed: {failure}",
                    job.place.template,
                    shortened(&commit)
                );
                let about = json!({ "template": job.place.template, "commit": commit });
                cx.note("template-rejected", words.clone(), &about);
                if cx.changed("rejections-are-told") {
                    notice::tell(cx, Topic::Template, &words).await;
                }
            }
            Err(failure)
        }
    }
}

/// Whether it says nothing of the commit, which is tried again by itself: somebody was away, or did not
/// let us in. A cancel does say something, as whoever did that does not want it.
fn says_nothing(failure: &Failure) -> bool {
    let is_passing = failure.class.kind() != Kind::Lasting;
    is_passing || matches!(failure.class, Class::TimedOut | Class::Auth)
}

/// Says in Forgejo how the commit fares. That it cannot be said changes nothing.
async fn say(cx: &Context, job: &Job, state: CommitState, words: &str) {
    let status = SetStatus {
        place: job.source.place.clone(),
        commit: job.source.commit.clone(),
        context: format!("{CONTEXT}/{}", job.place.template),
        state,
        description: words.to_string(),
    };
    drop(cx.step(status).within(STATUS_MAX).await);
}

async fn make(cx: &Context, template: &mut Template, job: &Job) -> Result<Came, Failure> {
    let place = &job.place;
    let before = cx.step(LookUpTemplate { place: place.clone() }).within(STEP_MAX).await?;
    template.sees(cx, &before);
    let upload = UploadTemplate { place: place.clone(), source: job.source.clone() };
    let file = cx.step(upload).within(STEP_MAX).await?.file;
    let is_same = |known: &TemplateVersion| {
        known.file.as_ref() == Some(&file) && known.variables == job.variables
    };
    if template.active().is_some_and(is_same) {
        return Ok(Came::Same);
    }
    let (name, marker) = (template.next_name(cx, &job.source.commit), cx.run().to_string());
    let archive = ArchiveVersion { place: place.clone(), name: name.clone(), marker };
    let create = CreateVersion {
        place: place.clone(),
        name: name.clone(),
        file: file.clone(),
        commit: job.source.commit.clone(),
        marker: archive.marker.clone(),
        variables: job.variables.clone(),
    };
    let id = cx.step(create).undo(archive).within(STEP_MAX).await?.id;
    let (login, variables) = (place.login.clone(), job.variables.clone());
    let wait = AwaitImport { login, id: id.clone(), variables };
    let is_judged = |name: &str| name != VOLUME || cx.changed("volumes-are-judged");
    judge(&cx.step(wait).within(IMPORT_MAX).await?, &job.shows, is_judged)?;
    if !job.only_push {
        make_active(cx, place, &before, &id).await?;
    }
    let commit = Some(job.source.commit.clone());
    Ok(Came::New(TemplateVersion {
        id,
        name,
        commit,
        file: Some(file),
        variables: job.variables.clone(),
        at: cx.now(),
        was_active: false,
    }))
}

async fn make_active(
    cx: &Context,
    place: &TemplatePlace,
    before: &VersionSeen,
    id: &str,
) -> Result<(), Failure> {
    let restore = RestoreVersion {
        place: place.clone(),
        promoted: id.to_string(),
        before: before.id.clone(),
    };
    let promote = PromoteVersion { place: place.clone(), id: id.to_string() };
    cx.step(promote).undo(restore).within(STEP_MAX).await.map(drop)
}

/// Which version is to be made active.
type Choose = fn(&Template, &TemplateOrder) -> Result<TemplateVersion, String>;

/// Makes a version active that was pushed.
pub(super) async fn promote(
    cx: &Context,
    template: &mut Template,
    order: &TemplateOrder,
) -> Result<Value, Failure> {
    switch(cx, template, order, |template, order| {
        named(&template.versions, order.version.as_deref()).cloned()
    })
    .await
}

/// Makes the version active that was so before.
pub(super) async fn rollback(
    cx: &Context,
    template: &mut Template,
    order: &TemplateOrder,
) -> Result<Value, Failure> {
    switch(cx, template, order, |template, _| {
        let active = template.active.clone();
        earlier(&template.versions, |version| Some(&version.id) == active.as_ref()).cloned()
    })
    .await
}

async fn switch(
    cx: &Context,
    template: &mut Template,
    order: &TemplateOrder,
    choose: Choose,
) -> Result<Value, Failure> {
    let phase = template.phase;
    template.begins(cx, order);
    let switched = cx.operation(try_switch(cx, template, order, choose)).await;
    match switched {
        Ok(version) => {
            template.activates(&version.id);
            template.ends(cx, None);
            Ok(template.told(&format!("{} is active", version.name)))
        }
        Err(failure) => {
            template.enter(cx, phase);
            Err(failure)
        }
    }
}

async fn try_switch(
    cx: &Context,
    template: &mut Template,
    order: &TemplateOrder,
    choose: Choose,
) -> Result<TemplateVersion, Failure> {
    let (place, ..) = logins(cx, order).await?;
    let before = cx.step(LookUpTemplate { place: place.clone() }).within(STEP_MAX).await?;
    template.sees(cx, &before);
    let version = choose(template, order).map_err(|words| Failure::new(Class::Refused, words))?;
    make_active(cx, &place, &before, &version.id).await?;
    Ok(version)
}
