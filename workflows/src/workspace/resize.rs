//! Resize: changes what is named. The home's limit, the disk and the volume change at once; cores and
//! memory take effect when the machine starts next, and until then the workspace shows both; so it is
//! looked first whether the machine's node has room for them.
//!
//! The home is shared: what it may hold now is known to itself alone, and by the time of an undo others
//! may have filled it. So its limit is set where nothing is left to be refused but what only grows, and
//! is not taken back.

use stead_core::context::{Command, Context};
use stead_schemas::command::workspace::{Phase, ResizeWorkspace, Size};
use stead_schemas::failure::Failure;
use stead_schemas::step::{home, volume};

use super::ask::{configuration, disk, logins, machine};
use super::preflight;
use super::state::Workspace;

/// See the module's head.
pub(super) async fn resize(
    cx: &Context,
    workspace: &mut Workspace,
    command: &Command,
) -> Result<(), Failure> {
    let ask: ResizeWorkspace = command.read()?;
    let (before, now) = (workspace.phase, workspace.size);
    let wanted = Size {
        cpu_cores: ask.cpu_cores.unwrap_or(now.cpu_cores),
        memory_gb: ask.memory_gb.unwrap_or(now.memory_gb),
        storage_quota_gb: ask.storage_quota_gb.unwrap_or(now.storage_quota_gb),
        disk_gb: ask.disk_gb.or(now.disk_gb),
        volume_gb: ask.volume_gb.or(now.volume_gb),
    };
    let as_it_is = workspace.clone();
    workspace.enter(cx, Phase::Resizing);
    let mut kept = now;
    let resizing = set_size(cx, &as_it_is, wanted, ask.storage_quota_gb, &mut kept);
    let resized = cx.operation(resizing).await;
    // Neither disk nor volume shrinks, and the home has others: what is not taken back is remembered.
    workspace.size = if resized.is_ok() { wanted } else { kept };
    if let (Some(volume), Some(size_gb)) = (&mut workspace.volume, workspace.size.volume_gb) {
        volume.size_gb = size_gb;
    }
    workspace.phase = before;
    resized
}

async fn set_size(
    cx: &Context,
    workspace: &Workspace,
    wanted: Size,
    quota_gb: Option<u32>,
    kept: &mut Size,
) -> Result<(), Failure> {
    let now = workspace.size;
    let other_cores = (wanted.cpu_cores, wanted.memory_gb) != (now.cpu_cores, now.memory_gb);
    let larger = Workspace { size: wanted, ..workspace.clone() };
    let order = &workspace.order;
    let grows = larger.disk_gb() > workspace.disk_gb();
    let wants_more = wanted.cpu_cores > now.cpu_cores || wanted.memory_gb > now.memory_gb || grows;
    let mut pinned = None;
    if wants_more && order.looks_first() && cx.changed("resizes-look-for-room") {
        let logins = pinned.insert(logins(cx, order).await?);
        preflight::room_to_grow(cx, workspace, &larger, logins).await?;
    }
    if other_cores {
        preflight::take_allowance(cx, &larger, preflight::allowance(cx, workspace)).await?;
    }
    let resize = |quota_gb| home::Resize { owner: cx.owner(), quota_gb };
    // Builds before went by what the workspace believed that the home holds, and took that back.
    let quota_gb = quota_gb.filter(|_| cx.changed("resizes-leave-the-home"));
    if quota_gb.is_none() && wanted.storage_quota_gb != now.storage_quota_gb {
        cx.step(resize(wanted.storage_quota_gb)).undo(resize(now.storage_quota_gb)).await?;
    }
    if other_cores || grows {
        let pinned = match pinned {
            Some(pinned) => pinned,
            None => logins(cx, order).await?,
        };
        let machine = machine(cx, workspace, &pinned.of(&order.proxmox.secret));
        if other_cores {
            cx.step(configuration(cx, &larger, &machine))
                .undo(configuration(cx, workspace, &machine))
                .await?;
        }
        resize_home(cx, quota_gb, kept).await?;
        if grows {
            cx.step(disk(&machine, larger.disk_gb())).await?;
            kept.disk_gb = wanted.disk_gb;
        }
    } else {
        resize_home(cx, quota_gb, kept).await?;
    }
    grow_volume(cx, wanted, kept).await
}

/// Asks the home, whatever the workspace knows of it: another one may have changed it.
async fn resize_home(cx: &Context, quota_gb: Option<u32>, kept: &mut Size) -> Result<(), Failure> {
    if let Some(quota_gb) = quota_gb {
        cx.step(home::Resize { owner: cx.owner(), quota_gb }).await?;
        kept.storage_quota_gb = quota_gb;
    }
    Ok(())
}

async fn grow_volume(cx: &Context, wanted: Size, kept: &mut Size) -> Result<(), Failure> {
    if let Some(size_gb) = wanted.volume_gb.filter(|_| wanted.volume_gb != kept.volume_gb) {
        cx.step(volume::Resize { owner: cx.owner(), name: cx.name(), size_gb }).await?;
        kept.volume_gb = wanted.volume_gb;
    }
    Ok(())
}
