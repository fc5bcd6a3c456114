//! A seed that is laid into a machine's drive as a CD, where the guest cannot fetch it; and its end.

use reqwest::Method;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::Failure;
use stead_schemas::step::Done;
use stead_schemas::step::proxmox::{InsertSeed, RemoveSeed};

use super::super::client::{Client, Pve};
use super::super::machine::{self, Seen};
use super::super::task;
use super::change_config;
use crate::http::segment;

/// The drive. A guest that has a SCSI disk can read it, where small kernels know no SATA; and it is the
/// last that a machine can have, so that nobody else uses it.
const DRIVE: &str = "scsi30";
/// What a drive holds that is empty.
const EMPTY: &str = "none,media=cdrom";

/// Makes the seed anew, whatever lies there: its secrets change from boot to boot.
pub(crate) async fn insert_seed(
    client: Client,
    cx: StepContext,
    ask: InsertSeed,
) -> Result<Done, Failure> {
    let pve = client.log_in(&ask.machine.login).await?;
    let vm = machine::ours(&pve, &ask.machine).await?;
    let image = client.seed_image(&ask).await?;
    cx.still_wanted()?;
    let volume = ask.machine.seed_image(&ask.storage);
    let name = volume.rsplit('/').next().unwrap_or_default();
    let path = format!("{}/upload", storage_path(&vm.node, &ask.storage));
    let started = pve.upload(&path, name, &image).await?;
    task::finish(&pve, &cx, &started).await?;
    let wanted = format!("{volume},media=cdrom");
    // Proxmox adds the size of the image to what it is told.
    if vm.text(DRIVE).is_some_and(|there| there.starts_with(&wanted)) {
        return Ok(Done {});
    }
    cx.still_wanted()?;
    change_config(&pve, &cx, &vm, vec![(DRIVE, wanted)]).await?;
    Ok(Done {})
}

/// The drive first: a machine that names an image that is gone does not start.
pub(crate) async fn remove_seed(
    client: Client,
    cx: StepContext,
    ask: RemoveSeed,
) -> Result<Done, Failure> {
    let pve = client.log_in(&ask.machine.login).await?;
    let volume = ask.machine.seed_image(&ask.storage);
    let node = match machine::see(&pve, &ask.machine).await? {
        Seen::Ours(vm) => {
            if vm.text(DRIVE).is_some_and(|there| there.starts_with(&volume)) {
                cx.still_wanted()?;
                change_config(&pve, &cx, &vm, vec![(DRIVE, EMPTY.to_owned())]).await?;
            }
            vm.node
        }
        Seen::Unborn(vm) => return Err(machine::unborn(&vm)),
        Seen::Nothing | Seen::Stranger(_) => ask.machine.node.clone(),
    };
    delete(&pve, &cx, &storage_path(&node, &ask.storage), &volume).await?;
    Ok(Done {})
}

/// The image's name holds our marker, so that it is nobody else's.
async fn delete(pve: &Pve, cx: &StepContext, path: &str, volume: &str) -> Result<(), Failure> {
    if !images(pve, path).await?.iter().any(|image| image == volume) {
        return Ok(());
    }
    cx.still_wanted()?;
    let path = format!("{path}/content/{}", segment(volume));
    let started = pve.act(Method::DELETE, &path, &[]).await?;
    Ok(task::finish(pve, cx, &started).await?)
}

/// The images of CDs that lie there.
pub(super) async fn images(pve: &Pve, path: &str) -> Result<Vec<String>, Failure> {
    let query = [("content", "iso".to_owned())];
    let list = pve.try_look(&format!("{path}/content"), &query).await?;
    let lines = list.as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(lines.iter().filter_map(|line| line["volid"].as_str().map(str::to_owned)).collect())
}

pub(super) fn storage_path(node: &str, storage: &str) -> String {
    format!("/nodes/{}/storage/{}", segment(node), segment(storage))
}
