//! What is done about a finding at the vendors'. Each worker looks again whose a thing is right before
//! it touches it.

use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

use stead_core::context::Context;
use stead_schemas::command::bucket::credentials_of;
use stead_schemas::command::drift::{Found, Holder};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::RunId;
use stead_schemas::step::coder::versions::{ArchiveVersion, TemplatePlace};
use stead_schemas::step::coder::{DeleteWorkspace, RevokeToken, TokenPlace};
use stead_schemas::step::entity::LookUpRun;
use stead_schemas::step::kubernetes::{self as server, Remove};
use stead_schemas::step::proxmox::snapshots::{DeleteSnapshot, read_path};
use stead_schemas::step::proxmox::{DestroyVm, Machine, MarkVm, RemoveSeed, seed_of};
use stead_schemas::step::s3::{DeleteBucket, DeleteKey, EmptyBucket, Place};
use stead_schemas::step::truenas::iscsi::RemoveTarget;
use stead_schemas::step::truenas::{DestroyDataset, MarkDataset, RemoveShare, SnapshotDataset};
use stead_schemas::step::vault::PinSecrets;

use super::decisions::Decision;
use super::meaning::{bucket_of_secret, token_of};

/// How long it is tried to take away what a vendor may refuse for good.
const STEP_MAX: Duration = Duration::from_secs(15 * 60);
/// The snapshot that is taken before a dataset is destroyed.
const LAST_SNAPSHOT: &str = "stead-before-destroy";

/// Puts `marker` on it, which is that of the run that made it if it `restores`.
pub(super) async fn mark(
    cx: &Context,
    decision: &Decision,
    marker: String,
    restores: bool,
) -> Result<(), Failure> {
    let (found, was) = (&decision.found, decision.found.marker.clone());
    if found.system == "proxmox" {
        let login = login(cx, &decision.proxmox.secret).await?;
        let machine = machine(decision, login, marker)?;
        let mark = MarkVm { machine, was, restores, gives: false, undoes: false };
        cx.step(mark.clone()).undo(MarkVm { undoes: true, ..mark }).await?;
    } else {
        let login = login(cx, &decision.truenas.secret).await?;
        let dataset = found.id.clone();
        let mark = MarkDataset { login, dataset, marker, was, restores, undoes: false };
        cx.step(mark.clone()).undo(MarkDataset { undoes: true, ..mark }).await?;
    }
    Ok(())
}

/// Takes it away, unless the run that made it lives. Like everything that is taken back it is tried
/// until it is done, or somebody gives it up.
pub(super) async fn destroy(
    cx: &Context,
    decision: &Decision,
    marker: String,
) -> Result<(), Failure> {
    let found = &decision.found;
    if found.holder.is_some() && marker != cx.run().as_str() {
        check_over(cx, found, &marker).await?;
    }
    match found.what().as_str() {
        "proxmox/machine" => {
            let login = login_again(cx, &decision.proxmox.secret).await?;
            let machine = machine(decision, login, marker)?;
            cx.take_back(DestroyVm { machine }).await?;
        }
        "proxmox/seed" => {
            let login = login_again(cx, &decision.proxmox.secret).await?;
            cx.take_back(seed(decision, login)?).await?;
        }
        "proxmox/snapshot" => {
            let login = login_again(cx, &decision.proxmox.secret).await?;
            cx.take_back(snapshot(decision, login, marker)?).await?;
        }
        "truenas/dataset" => destroy_dataset(cx, decision, marker).await?,
        "truenas/share" => {
            let login = login_again(cx, &decision.truenas.secret).await?;
            cx.take_back(RemoveShare { login, path: found.id.clone(), marker }).await?;
        }
        "truenas/extent" | "truenas/target" => {
            let login = login_again(cx, &decision.truenas.secret).await?;
            cx.take_back(RemoveTarget { login, marker }).await?;
        }
        "coder/workspace" => {
            let login = login_again(cx, &decision.coder.secret).await?;
            let (user, name) = found.id.split_once('/').unwrap_or(("", &found.id));
            let (user, name) = (user.to_string(), name.to_string());
            cx.take_back(DeleteWorkspace { login, user, name, marker, joined: None }).await?;
        }
        "coder/token" => revoke(cx, decision).await?,
        "coder/template-version" => archive(cx, decision, marker).await?,
        "kubernetes/configmap" | "kubernetes/deployment" | "kubernetes/service" => {
            let site = decision.kubernetes.as_ref().ok_or_else(|| gone("Kubernetes"))?;
            let login = login_again(cx, &site.secret).await?;
            let (namespace, name) = split(found)?;
            cx.take_back(Remove { place: server::Place { login, namespace, name, marker } })
                .await?;
        }
        "s3/bucket" => {
            let place = place(cx, decision, found.id.clone(), marker).await?;
            cx.take_back(EmptyBucket { place: place.clone() }).await?;
            cx.take_back(DeleteBucket { place: place.clone() }).await?;
            cx.take_back(DeleteKey { place }).await?;
        }
        _ => {
            let folder = decision.s3.as_ref().map_or("", |s3| s3.credentials.as_str());
            let bucket = bucket_of_secret(folder, &found.id).unwrap_or_default();
            let place = place(cx, decision, bucket, marker).await?;
            cx.take_back(DeleteKey { place }).await?;
        }
    }
    Ok(())
}

/// Fails unless the run lives that needs it: what was found may be of a life before this one.
pub(super) async fn check_lives(
    cx: &Context,
    found: &Found,
    holder: &Holder,
) -> Result<(), Failure> {
    if living(cx, holder).await?.is_some_and(|run| run.as_str() == holder.marker) {
        return Ok(());
    }
    let Holder { kind, owner, name, .. } = holder;
    let words =
        format!("the {kind} {owner}/{name} that needed {} lives no more; scan again", found.path());
    Err(Failure::new(Class::Refused, words))
}

async fn living(cx: &Context, holder: &Holder) -> Result<Option<RunId>, Failure> {
    let (kind, owner, name) = (holder.kind.clone(), holder.owner.clone(), holder.name.clone());
    Ok(cx.step(LookUpRun { kind, owner, name }).await?.living)
}

/// Fails while the run lives whose mark it carries: it may need it, whatever was seen of it.
async fn check_over(cx: &Context, found: &Found, marker: &str) -> Result<(), Failure> {
    let Some(holder) = &found.holder else { return Ok(()) };
    if living(cx, holder).await?.is_some_and(|run| run.as_str() == marker) {
        let Holder { kind, owner, name, .. } = holder;
        let words =
            format!("{kind} {owner}/{name} lives and may need {}; nothing was done", found.path());
        return Err(Failure::new(Class::Refused, words));
    }
    Ok(())
}

async fn destroy_dataset(cx: &Context, decision: &Decision, marker: String) -> Result<(), Failure> {
    let login = login_again(cx, &decision.truenas.secret).await?;
    let (dataset, snapshot) = (decision.found.id.clone(), LAST_SNAPSHOT.to_string());
    let path = format!("/mnt/{dataset}");
    cx.take_back(RemoveShare { login: login.clone(), path, marker: marker.clone() }).await?;
    let volumes = decision.truenas.volumes.as_ref();
    if volumes
        .is_some_and(|of| dataset.strip_prefix(&of.parent).is_some_and(|it| it.starts_with('/')))
    {
        cx.take_back(RemoveTarget { login: login.clone(), marker: marker.clone() }).await?;
    }
    let keep = SnapshotDataset {
        login: login.clone(),
        dataset: dataset.clone(),
        marker: marker.clone(),
        snapshot: snapshot.clone(),
    };
    cx.take_back(keep).await?;
    cx.take_back(DestroyDataset { login, dataset, marker, snapshot }).await?;
    Ok(())
}

fn machine(decision: &Decision, login: String, marker: String) -> Result<Machine, Failure> {
    let vmid = decision.found.id.parse().map_err(|_| {
        Failure::new(Class::Permanent, format!("`{}` is no VMID", decision.found.id))
    })?;
    Ok(Machine { login, node: decision.proxmox.node.clone(), vmid, marker })
}

fn snapshot(decision: &Decision, login: String, marker: String) -> Result<DeleteSnapshot, Failure> {
    let Some((vmid, snapshot)) = read_path(&decision.found.id) else {
        let words = format!("`{}` is no snapshot", decision.found.id);
        return Err(Failure::new(Class::Permanent, words));
    };
    let (node, snapshot) = (decision.proxmox.node.clone(), snapshot.to_string());
    Ok(DeleteSnapshot { machine: Machine { login, node, vmid, marker }, snapshot })
}

fn seed(decision: &Decision, login: String) -> Result<RemoveSeed, Failure> {
    let Some((storage, vmid, marker)) = seed_of(&decision.found.id) else {
        let words = format!("`{}` is no seed", decision.found.id);
        return Err(Failure::new(Class::Permanent, words));
    };
    let (node, marker) = (decision.proxmox.node.clone(), marker.to_string());
    let machine = Machine { login, node, vmid, marker };
    Ok(RemoveSeed { machine, storage: storage.to_string() })
}

/// Revokes a token, unless another one's record lies where its own should.
async fn revoke(cx: &Context, decision: &Decision) -> Result<(), Failure> {
    let forgejo = decision.forgejo.as_ref().ok_or_else(|| gone("Forgejo"))?;
    let place = token_of(&decision.found, forgejo, &decision.coder).ok_or_else(|| {
        let words = format!("`{}` is no token of ours", decision.found.id);
        Failure::new(Class::Permanent, words)
    })?;
    let login = login(cx, &place.login).await?;
    cx.step(RevokeToken { place: TokenPlace { login, ..place } }).within(STEP_MAX).await?;
    Ok(())
}

/// Archives a version. Coder refuses that while it is active, or a workspace is built of it.
async fn archive(cx: &Context, decision: &Decision, marker: String) -> Result<(), Failure> {
    let login = login(cx, &decision.coder.secret).await?;
    let (template, name) = split(&decision.found)?;
    let organization = decision.coder.organization.clone();
    let place = TemplatePlace { login, organization, template };
    cx.step(ArchiveVersion { place, name, marker }).within(STEP_MAX).await?;
    Ok(())
}

/// Both parts of a name: `mcp-servers/outline`.
fn split(found: &Found) -> Result<(String, String), Failure> {
    let parts = found.id.split_once('/').map(|(one, two)| (one.to_string(), two.to_string()));
    parts.ok_or_else(|| Failure::new(Class::Permanent, format!("`{}` has one part", found.id)))
}

fn gone(system: &str) -> Failure {
    Failure::new(Class::Permanent, format!("the site has no {system} any more"))
}

async fn place(
    cx: &Context,
    decision: &Decision,
    bucket: String,
    marker: String,
) -> Result<Place, Failure> {
    let site = decision.s3.as_ref().ok_or_else(|| gone("S3"))?;
    let login = login_again(cx, &site.secret).await?;
    Ok(Place { login, credentials: credentials_of(site, &bucket), bucket, marker })
}

async fn login(cx: &Context, secret: &str) -> Result<String, Failure> {
    Ok(cx.step(pin(secret)).await?.of(secret))
}

/// The same for what is taken away: it is asked for until it is had.
async fn login_again(cx: &Context, secret: &str) -> Result<String, Failure> {
    Ok(cx.take_back(pin(secret)).await?.of(secret))
}

fn pin(secret: &str) -> PinSecrets {
    PinSecrets { secrets: [secret.to_string()].into() }
}
