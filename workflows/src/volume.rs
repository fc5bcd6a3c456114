//! A volume: a block device that one workspace has for itself. Made with its workspace, shown to whoever
//! calls himself as that workspace's machine, kept for a grace period after it, then destroyed with everything that
//! the destruction of user data demands: a fresh snapshot, nobody logged in, a matching marker.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_core::context::{Command, Context};
use stead_core::definition::{Admission, Admitted, Definition, Ending};
use stead_core::run::execution;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::refusal::Refusal;
use stead_schemas::site::{TrueNasSite, VolumeSite};
use stead_schemas::step::Done;
use stead_schemas::step::truenas::iscsi::{EnsureTarget, EnsureVolume, RemoveTarget};
use stead_schemas::step::truenas::{DestroyDataset, SnapshotDataset};
use stead_schemas::step::vault::PinSecrets;
use stead_schemas::step::volume::{
    Attach, AttachedVolume, Detach, KIND, Resize, dataset_name, initiator_name,
};

use crate::{as_value, storage};

/// The snapshot that is taken before a volume is destroyed.
const LAST_SNAPSHOT: &str = "stead-before-destroy";

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: KIND,
    public: false,
    verbs: &["attach", "detach", "repair", "resize"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit,
};

/// A volume that is there.
#[derive(Clone, Serialize, Deserialize)]
struct Volume {
    dataset: String,
    size_gb: u32,
    target: String,
    /// The workspace that uses it, by its run's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// Whose machine it was shown to last.
    shown_to: String,
    /// As it was when the volume was made; but our key is where it was said to be last, and the grace
    /// period is the longest that was promised.
    site: TrueNasSite,
}

async fn run(cx: Context) -> Result<Ending, Failure> {
    let mut volume: Option<Volume> = cx.carried()?;
    loop {
        show(&cx, volume.as_ref());
        let Some(command) = next(&cx, volume.as_ref()).await else {
            if let Some(unused) = volume.take() {
                destroy(&cx, &unused).await?;
                show(&cx, None);
            }
            if cx.has_command() {
                continue;
            }
            return Ok(Ending::Completed(Value::Null));
        };
        if let (Some(volume), Some(now)) = (&mut volume, storage::read(&command)) {
            volume.site.secret = now.secret;
        }
        let outcome = match command.verb.as_str() {
            "attach" => attach(&cx, &mut volume, &command).await,
            "repair" => repair(&cx, volume.as_ref()).await,
            "resize" => resize(&cx, &mut volume, &command).await,
            _ => detach(&mut volume, &command),
        };
        let release = command.verb == "detach"
            && (grace(volume.as_ref()).is_zero() || command.payload["now"] == true);
        if let Some(unused) = volume.take_if(|volume| release && volume.user.is_none()) {
            show(&cx, Some(&unused));
            destroy(&cx, &unused).await?;
            show(&cx, None);
        }
        cx.complete(&command, outcome.clone());
        if let (None, false) = (&volume, cx.has_command()) {
            return outcome.map(|_| Ending::Completed(Value::Null));
        }
        if cx.should_begin_anew() {
            return Ok(Ending::ContinueAsNew(as_value(&volume)));
        }
    }
}

/// The next command; nothing once a volume that nobody uses has outlived its grace.
async fn next(cx: &Context, volume: Option<&Volume>) -> Option<Command> {
    match volume {
        Some(unused) if unused.user.is_none() => {
            let reason = "the grace period of a volume that no workspace uses";
            cx.next_command_within(grace(volume), reason).await
        }
        _ => Some(cx.next_command().await),
    }
}

fn grace(volume: Option<&Volume>) -> Duration {
    Duration::from_secs(volume.map_or(0, |volume| volume.site.grace_seconds))
}

async fn attach(
    cx: &Context,
    volume: &mut Option<Volume>,
    command: &Command,
) -> Result<Value, Failure> {
    let ask: Attach = command.read()?;
    if volume.is_none() && ask.only_if_there {
        let words = "the volume is gone: its grace period is over, or it was destroyed at once";
        return Err(Failure::new(Class::Refused, words));
    }
    if volume.is_none() {
        *volume = Some(cx.operation(make(cx, &ask)).await?);
    }
    let Some(volume) = volume.as_mut() else { return Ok(Value::Null) };
    if let Some(other) = volume.user.as_ref().filter(|user| **user != ask.workspace) {
        let words = format!("the volume is used by another workspace of its name, {other}");
        return Err(Failure::new(Class::Refused, words));
    }
    if ask.size_gb > volume.size_gb {
        grow(cx, volume, ask.size_gb).await?;
    }
    if volume.shown_to != ask.workspace {
        let login = login(cx, &volume.site).await?;
        let shown = Volume { shown_to: ask.workspace.clone(), ..volume.clone() };
        volume.target = cx.step(target(cx, &shown, login)?).await?.iqn;
        volume.shown_to = shown.shown_to;
    }
    volume.user = Some(ask.workspace);
    Ok(as_value(&AttachedVolume {
        dataset: volume.dataset.clone(),
        portal: place(&volume.site)?.portal.clone(),
        target: volume.target.clone(),
        initiator: initiator_name(&volume.shown_to),
        size_gb: volume.size_gb,
    }))
}

/// Makes the volume: the dataset with its marker, and only then what shows it.
async fn make(cx: &Context, ask: &Attach) -> Result<Volume, Failure> {
    let marker = cx.run().to_string();
    let dataset = dataset_name(&place(&ask.site)?.parent, &ask.owner, &ask.name);
    let mut volume = Volume {
        dataset,
        size_gb: ask.size_gb,
        target: String::new(),
        user: None,
        shown_to: ask.workspace.clone(),
        site: ask.site.clone(),
    };
    let login = login(cx, &ask.site).await?;
    cx.step(zvol(cx, &volume, &login))
        .undo(last_destroy(&login, &volume.dataset, &marker))
        .undo(last_snapshot(&login, &volume.dataset, &marker))
        .await?;
    let shown = target(cx, &volume, login.clone())?;
    volume.target = cx.step(shown).undo(RemoveTarget { login, marker }).await?.iqn;
    Ok(volume)
}

async fn resize(
    cx: &Context,
    volume: &mut Option<Volume>,
    command: &Command,
) -> Result<Value, Failure> {
    let ask: Resize = command.read()?;
    let volume = volume.as_mut().ok_or_else(none)?;
    if ask.size_gb < volume.size_gb {
        let words = format!("a volume only grows: it has {} GiB", volume.size_gb);
        return Err(Failure::new(Class::Refused, words));
    }
    grow(cx, volume, ask.size_gb).await?;
    Ok(as_value(&Done {}))
}

async fn grow(cx: &Context, volume: &mut Volume, size_gb: u32) -> Result<(), Failure> {
    let login = login(cx, &volume.site).await?;
    let larger = Volume { size_gb, ..volume.clone() };
    cx.step(zvol(cx, &larger, &login)).await?;
    volume.size_gb = size_gb;
    Ok(())
}

/// Sets the target again that the volume is to have. What it is to show is looked at first: a dataset
/// that is gone is not made anew.
async fn repair(cx: &Context, volume: Option<&Volume>) -> Result<Value, Failure> {
    let volume = volume.ok_or_else(none)?;
    let login = login(cx, &volume.site).await?;
    cx.step(target(cx, volume, login.clone())?).await?;
    cx.step(zvol(cx, volume, &login)).await?;
    Ok(as_value(&Done {}))
}

fn none() -> Failure {
    Failure::new(Class::Refused, "there is no volume")
}

fn detach(volume: &mut Option<Volume>, command: &Command) -> Result<Value, Failure> {
    let ask: Detach = command.read()?;
    if let Some(volume) = volume {
        volume.user.take_if(|user| *user == ask.workspace);
        let grace_seconds = ask.grace_seconds.unwrap_or_default();
        volume.site.grace_seconds = volume.site.grace_seconds.max(grace_seconds);
    }
    Ok(as_value(&Done {}))
}

/// Destroys the volume for good, from outside inwards: whoever is still logged in is waited for.
async fn destroy(cx: &Context, volume: &Volume) -> Result<(), Failure> {
    let marker = cx.run().to_string();
    let secrets = PinSecrets { secrets: [volume.site.secret.clone()].into() };
    let login = cx.take_back(secrets).await?.of(&volume.site.secret);
    cx.take_back(RemoveTarget { login: login.clone(), marker: marker.clone() }).await?;
    cx.take_back(last_snapshot(&login, &volume.dataset, &marker)).await?;
    cx.take_back(last_destroy(&login, &volume.dataset, &marker)).await?;
    Ok(())
}

fn zvol(cx: &Context, volume: &Volume, login: &str) -> EnsureVolume {
    let (login, dataset) = (login.to_string(), volume.dataset.clone());
    EnsureVolume { login, dataset, size_gb: volume.size_gb, marker: cx.run().to_string() }
}

fn target(cx: &Context, volume: &Volume, login: String) -> Result<EnsureTarget, Failure> {
    Ok(EnsureTarget {
        login,
        dataset: volume.dataset.clone(),
        marker: cx.run().to_string(),
        portal: place(&volume.site)?.portal_id,
        initiator: initiator_name(&volume.shown_to),
        networks: volume.site.networks.clone(),
    })
}

fn last_snapshot(login: &str, dataset: &str, marker: &str) -> SnapshotDataset {
    SnapshotDataset {
        login: login.to_string(),
        dataset: dataset.to_string(),
        marker: marker.to_string(),
        snapshot: LAST_SNAPSHOT.to_string(),
    }
}

fn last_destroy(login: &str, dataset: &str, marker: &str) -> DestroyDataset {
    DestroyDataset {
        login: login.to_string(),
        dataset: dataset.to_string(),
        marker: marker.to_string(),
        snapshot: LAST_SNAPSHOT.to_string(),
    }
}

/// Where volumes are; whoever asked for one was told before if there is no such place.
fn place(site: &TrueNasSite) -> Result<&VolumeSite, Failure> {
    let words = "the site has no place for volumes";
    site.volumes.as_ref().ok_or_else(|| Failure::new(Class::Permanent, words))
}

async fn login(cx: &Context, site: &TrueNasSite) -> Result<String, Failure> {
    let secrets: Vec<String> = [site.secret.clone()].into();
    let pinned = cx.step(PinSecrets { secrets }).await?;
    Ok(pinned.of(&site.secret))
}

fn show(cx: &Context, volume: Option<&Volume>) {
    let phase = match volume {
        None => "not there",
        Some(volume) if volume.user.is_none() => "unused",
        Some(_) => "in use",
    };
    cx.show(phase, &volume);
}

/// Only workspaces ask.
fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let payload = storage::beside(Value::Object(admission.fields.clone()), admission.site);
    Ok(Admitted { payload, begins: true, interrupts: false })
}
