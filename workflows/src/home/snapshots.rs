//! Snapshots of a home: somebody asks for one, sees all of them, drops one that he asked for. Those
//! that others have made, as TrueNAS does at intervals, are only shown.

use alloc::format;
use alloc::string::String;

use serde::Deserialize;
use serde_json::{Value, json};
use stead_core::context::{Command, Context};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::truenas::{DeleteSnapshot, ListSnapshots, SnapshotDataset};

use super::{Home, Taken, login, snapshot};
use crate::as_value;

/// How many snapshots may be asked for and kept.
const KEPT_MAX: usize = 50;

/// What is read of a snapshot that is wanted.
#[derive(Deserialize)]
struct Wanted {
    snapshot: Option<String>,
}

/// Keeps the home as it is now.
pub(super) async fn take(
    cx: &Context,
    home: &mut Option<Home>,
    command: &Command,
) -> Result<Value, Failure> {
    let ask: Wanted = command.read()?;
    let Some(home) = home.as_mut() else {
        return Err(Failure::new(Class::Refused, "there is no home to keep"));
    };
    let at = cx.now();
    let is_named = ask.snapshot.is_some();
    let name = ask.snapshot.unwrap_or_else(|| format!("at-{at}").replace(':', "-"));
    // The worker would find the one that is there and take it for the one that is wanted.
    if home.snapshots.iter().any(|taken| taken.snapshot == name) {
        let words = format!("there is a snapshot {name} already; choose another name");
        return Err(Failure::new(Class::Refused, words));
    }
    if home.snapshots.len() >= KEPT_MAX && cx.changed("home-keeps-snapshots") {
        let words = format!("{KEPT_MAX} snapshots are kept already; drop one of them first");
        return Err(Failure::new(Class::Refused, words));
    }
    let login = login(cx, &home.site).await?;
    if is_named && cx.changed("home-looks-for-the-name") {
        is_free(cx, home, &login, &name).await?;
    }
    let wanted = SnapshotDataset {
        snapshot: name.clone(),
        ..snapshot(&login, &home.dataset, cx.run().as_str())
    };
    cx.step(wanted).await?;
    home.snapshots.push(Taken { snapshot: name.clone(), at });
    // Older builds remembered the latest ones only.
    let more = home.snapshots.len().saturating_sub(KEPT_MAX);
    home.snapshots.drain(..more);
    Ok(json!({ "snapshot": name }))
}

/// Whether nobody else has a snapshot of this name. It would be taken for ours, and be ours to drop.
async fn is_free(cx: &Context, home: &Home, login: &str, name: &str) -> Result<(), Failure> {
    let (dataset, marker) = (home.dataset.clone(), cx.run().as_str().into());
    let seen = cx.step(ListSnapshots { login: login.into(), dataset, marker }).await?;
    let words = if seen.snapshots.iter().any(|one| one.snapshot == name) {
        format!("there is a snapshot {name} already, which is not ours; choose another name")
    } else if seen.older > 0 {
        "there are more snapshots than can be looked through for the name; leave it out".into()
    } else {
        return Ok(());
    };
    Err(Failure::new(Class::Refused, words))
}

/// Lists all there are, whoever took them.
pub(super) async fn list(cx: &Context, home: Option<&Home>) -> Result<Value, Failure> {
    let Some(home) = home else {
        return Err(Failure::new(Class::Refused, "there is no home to look at"));
    };
    let login = login(cx, &home.site).await?;
    let (dataset, marker) = (home.dataset.clone(), cx.run().as_str().into());
    let seen = cx.step(ListSnapshots { login, dataset, marker }).await?;
    Ok(as_value(&seen))
}

/// What is read of a drop.
#[derive(Deserialize)]
struct Dropped {
    snapshot: String,
}

/// Deletes one that was asked for.
pub(super) async fn drop_one(
    cx: &Context,
    home: &mut Option<Home>,
    command: &Command,
) -> Result<Value, Failure> {
    let ask: Dropped = command.read()?;
    let Some(home) = home.as_mut() else {
        return Err(Failure::new(Class::Refused, "there is no home any more"));
    };
    if !home.snapshots.iter().any(|taken| taken.snapshot == ask.snapshot) {
        let words = format!(
            "nobody has asked for a snapshot {}; what others have taken is theirs to drop",
            ask.snapshot
        );
        return Err(Failure::new(Class::Refused, words));
    }
    let login = login(cx, &home.site).await?;
    let (dataset, marker) = (home.dataset.clone(), cx.run().as_str().into());
    let snapshot = ask.snapshot.clone();
    cx.step(DeleteSnapshot { login, dataset, marker, snapshot }).await?;
    home.snapshots.retain(|taken| taken.snapshot != ask.snapshot);
    Ok(as_value(&Done {}))
}
