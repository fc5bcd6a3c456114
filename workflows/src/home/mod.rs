//! A home: made for the first workspace of its owner, shared by all of them, kept for a grace
//! period after the last one, then destroyed with everything that the destruction of user data
//! demands: a fresh snapshot, no other user, a matching marker.
//!
//! `admit.rs` is its door, `snapshots.rs` what is done with snapshots.

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_core::context::{Command, Context};
use stead_core::definition::{Definition, Ending};
use stead_core::run::execution;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::site::TrueNasSite;
use stead_schemas::step::Done;
use stead_schemas::step::home::{Attach, AttachedHome, Detach, KIND, Resize, dataset_name};
use stead_schemas::step::truenas::{
    DestroyDataset, EnsureDataset, EnsureShare, RemoveShare, SetPermissions, SnapshotDataset,
    UpdateQuota,
};
use stead_schemas::step::vault::PinSecrets;
use stead_schemas::time::Timestamp;

use crate::{as_value, storage};

mod admit;
mod snapshots;

/// The user and group inside every guest.
const GUEST_UID: u32 = 1000;
/// The snapshot that is taken before a home is destroyed.
const LAST_SNAPSHOT: &str = "stead-before-destroy";

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: KIND,
    public: true,
    verbs: &["attach", "detach", "drop", "quota", "repair", "resize", "snapshot", "snapshots"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit: admit::admit,
};

/// A home that is there.
#[derive(Clone, Serialize, Deserialize)]
struct Home {
    dataset: String,
    mountpoint: String,
    quota_gb: u32,
    /// The workspaces that use it, by their runs' ids.
    users: BTreeSet<String>,
    /// As the site was said to be last; but the networks are those that it is exported to, and the
    /// grace period is the longest that was promised.
    site: TrueNasSite,
    /// The snapshots that were asked for, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    snapshots: Vec<Taken>,
}

/// A snapshot that somebody asked for.
#[derive(Clone, Serialize, Deserialize)]
struct Taken {
    snapshot: String,
    at: Timestamp,
}

async fn run(cx: Context) -> Result<Ending, Failure> {
    let mut home: Option<Home> = cx.carried()?;
    loop {
        show(&cx, home.as_ref());
        let Some(command) = next(&cx, home.as_ref()).await else {
            if let Some(abandoned) = home.take() {
                destroy(&cx, &abandoned).await?;
                show(&cx, None);
            }
            if cx.has_command() {
                continue;
            }
            return Ok(Ending::Completed(Value::Null));
        };
        follow(home.as_mut(), &command);
        let outcome = match command.verb.as_str() {
            "attach" => attach(&cx, &mut home, &command).await,
            "repair" => repair(&cx, home.as_mut(), &command).await,
            "quota" | "resize" => resize(&cx, &mut home, &command).await,
            "drop" => snapshots::drop_one(&cx, &mut home, &command).await,
            "snapshot" => snapshots::take(&cx, &mut home, &command).await,
            "snapshots" => snapshots::list(&cx, home.as_ref()).await,
            _ => detach(&mut home, &command),
        };
        let release = command.verb == "detach"
            && (grace(home.as_ref()).is_zero() || command.payload["now"] == true);
        if let Some(abandoned) = home.take_if(|home| release && home.users.is_empty()) {
            show(&cx, Some(&abandoned));
            destroy(&cx, &abandoned).await?;
            show(&cx, None);
        }
        cx.complete(&command, outcome.clone());
        if let (None, false) = (&home, cx.has_command()) {
            return match outcome {
                Ok(_) => Ok(Ending::Completed(Value::Null)),
                Err(failure) => Err(failure),
            };
        }
        if cx.should_begin_anew() {
            return Ok(Ending::ContinueAsNew(as_value(&home)));
        }
    }
}

/// The next command; nothing once a home that nobody uses has outlived its grace.
async fn next(cx: &Context, home: Option<&Home>) -> Option<Command> {
    match home {
        Some(unused) if unused.users.is_empty() => {
            let reason = "the grace period of a home that no workspace uses";
            cx.next_command_within(grace(home), reason).await
        }
        _ => Some(cx.next_command().await),
    }
}

fn grace(home: Option<&Home>) -> Duration {
    Duration::from_secs(home.map_or(0, |home| home.site.grace_seconds))
}

/// Takes over what needs nothing done: where our key lies now, and where workspaces mount from that are
/// attached from now on. Those that are there keep the address that they were told.
fn follow(home: Option<&mut Home>, command: &Command) {
    if let (Some(home), Some(now)) = (home, storage::read(command)) {
        (home.site.secret, home.site.nfs_server) = (now.secret, now.nfs_server);
    }
}

/// Exports the home to the networks that the site names by now, if these are others.
async fn export_anew(cx: &Context, home: &mut Home, command: &Command) -> Result<(), Failure> {
    let now = storage::read(command).map(|site| site.networks);
    let Some(networks) = now.filter(|networks| *networks != home.site.networks) else {
        return Ok(());
    };
    let login = login(cx, &home.site).await?;
    export(cx, home, login, networks).await
}

async fn export(
    cx: &Context,
    home: &mut Home,
    login: String,
    networks: Vec<String>,
) -> Result<(), Failure> {
    let (path, marker, to) = (home.mountpoint.clone(), cx.run().to_string(), networks.clone());
    cx.step(EnsureShare { login, path, marker, networks: to }).await?;
    home.site.networks = networks;
    Ok(())
}

async fn attach(
    cx: &Context,
    home: &mut Option<Home>,
    command: &Command,
) -> Result<Value, Failure> {
    let mut ask: Attach = command.read()?;
    if let Some(now) = storage::read(command) {
        let TrueNasSite { secret, nfs_server, networks, .. } = now;
        ask.site = TrueNasSite { secret, nfs_server, networks, ..ask.site };
    }
    if home.is_none() && ask.only_if_there {
        let words = "the home is gone: its grace period is over, or it was destroyed at once";
        return Err(Failure::new(Class::Refused, words));
    }
    if home.is_none() {
        *home = Some(cx.operation(make(cx, &ask)).await?);
    }
    let Some(home) = home.as_mut() else { return Ok(Value::Null) };
    export_anew(cx, home, command).await?;
    if ask.quota_gb > home.quota_gb {
        set_quota(cx, home, ask.quota_gb).await?;
    }
    home.users.insert(ask.workspace);
    Ok(as_value(&AttachedHome {
        source: format!("{}:{}", home.site.nfs_server, home.mountpoint),
        dataset: home.dataset.clone(),
        quota_gb: home.quota_gb,
    }))
}

/// Makes the home: dataset with limit and marker, then its rights, and only then its export.
async fn make(cx: &Context, ask: &Attach) -> Result<Home, Failure> {
    let marker = cx.run().to_string();
    let login = login(cx, &ask.site).await?;
    let name = dataset_name(&ask.site.parent, &ask.owner);
    let dataset = cx
        .step(EnsureDataset {
            login: login.clone(),
            dataset: name.clone(),
            refquota_gb: ask.quota_gb,
            marker: marker.clone(),
        })
        .undo(destroy_dataset(&login, &name, &marker))
        .undo(snapshot(&login, &name, &marker))
        .await?;
    cx.step(SetPermissions {
        login: login.clone(),
        dataset: name.clone(),
        marker: marker.clone(),
        uid: GUEST_UID,
        gid: GUEST_UID,
        mode: "700".to_string(),
    })
    .await?;
    let path = dataset.mountpoint.clone();
    let networks = ask.site.networks.clone();
    let (user, share, mark) = (login.clone(), path.clone(), marker.clone());
    cx.step(EnsureShare { login: user, path: share, marker: mark, networks })
        .undo(RemoveShare { login, path, marker })
        .await?;
    Ok(Home {
        dataset: name,
        mountpoint: dataset.mountpoint,
        quota_gb: ask.quota_gb,
        users: BTreeSet::new(),
        site: ask.site.clone(),
        snapshots: Vec::new(),
    })
}

async fn resize(
    cx: &Context,
    home: &mut Option<Home>,
    command: &Command,
) -> Result<Value, Failure> {
    let ask: Resize = command.read()?;
    let Some(home) = home.as_mut() else {
        return Err(Failure::new(Class::Refused, "there is no home to resize"));
    };
    set_quota(cx, home, ask.quota_gb).await?;
    export_anew(cx, home, command).await?;
    Ok(as_value(&Done {}))
}

/// Sets the limit and the export again that the home is to have. The limit first: it is found out
/// there whether the dataset is still there, and ours.
async fn repair(
    cx: &Context,
    home: Option<&mut Home>,
    command: &Command,
) -> Result<Value, Failure> {
    let Some(home) = home else {
        return Err(Failure::new(Class::Refused, "there is no home to repair"));
    };
    let (login, marker) = (login(cx, &home.site).await?, cx.run().to_string());
    let (dataset, refquota_gb) = (home.dataset.clone(), home.quota_gb);
    cx.step(UpdateQuota { login: login.clone(), dataset, marker, refquota_gb }).await?;
    let now = storage::read(command).map(|site| site.networks);
    let networks = now.unwrap_or_else(|| home.site.networks.clone());
    export(cx, home, login, networks).await?;
    Ok(as_value(&Done {}))
}

async fn set_quota(cx: &Context, home: &mut Home, quota_gb: u32) -> Result<(), Failure> {
    let login = login(cx, &home.site).await?;
    let (dataset, marker) = (home.dataset.clone(), cx.run().to_string());
    cx.step(UpdateQuota { login, dataset, marker, refquota_gb: quota_gb }).await?;
    home.quota_gb = quota_gb;
    Ok(())
}

fn detach(home: &mut Option<Home>, command: &Command) -> Result<Value, Failure> {
    let ask: Detach = command.read()?;
    if let Some(home) = home {
        home.users.remove(&ask.workspace);
        let grace_seconds = ask.grace_seconds.unwrap_or_default();
        home.site.grace_seconds = home.site.grace_seconds.max(grace_seconds);
    }
    Ok(as_value(&Done {}))
}

/// Destroys the home for good.
async fn destroy(cx: &Context, home: &Home) -> Result<(), Failure> {
    let marker = cx.run().to_string();
    let secrets = PinSecrets { secrets: [home.site.secret.clone()].into() };
    let login = cx.take_back(secrets).await?.of(&home.site.secret);
    let path = home.mountpoint.clone();
    cx.take_back(RemoveShare { login: login.clone(), path, marker: marker.clone() }).await?;
    cx.take_back(snapshot(&login, &home.dataset, &marker)).await?;
    cx.take_back(destroy_dataset(&login, &home.dataset, &marker)).await?;
    Ok(())
}

fn snapshot(login: &str, dataset: &str, marker: &str) -> SnapshotDataset {
    SnapshotDataset {
        login: login.to_string(),
        dataset: dataset.to_string(),
        marker: marker.to_string(),
        snapshot: LAST_SNAPSHOT.to_string(),
    }
}

fn destroy_dataset(login: &str, dataset: &str, marker: &str) -> DestroyDataset {
    DestroyDataset {
        login: login.to_string(),
        dataset: dataset.to_string(),
        marker: marker.to_string(),
        snapshot: LAST_SNAPSHOT.to_string(),
    }
}

async fn login(cx: &Context, site: &TrueNasSite) -> Result<String, Failure> {
    let pinned = cx.step(PinSecrets { secrets: [site.secret.clone()].into() }).await?;
    Ok(pinned.of(&site.secret))
}

fn show(cx: &Context, home: Option<&Home>) {
    let phase = match home {
        None => "not there",
        Some(home) if home.users.is_empty() => "unused",
        Some(_) => "in use",
    };
    cx.show(phase, &home);
}
