//! Resize: changes what is named. The home's limit and the disk change at once; cores and memory
//! take effect when the machine starts next, and until then the workspace shows both.

use stead_core::context::{Command, Context};
use stead_schemas::command::workspace::{Phase, ResizeWorkspace, Size};
use stead_schemas::failure::Failure;
use stead_schemas::step::home;

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
    };
    workspace.enter(cx, Phase::Resizing);
    let mut has_grown = false;
    let resized = cx.operation(set_size(cx, workspace, wanted, &mut has_grown)).await;
    if resized.is_ok() {
        workspace.size = wanted;
    } else if has_grown {
        // A disk does not shrink: what cannot be taken back is remembered.
        workspace.size.disk_gb = wanted.disk_gb;
    }
    workspace.phase = before;
    resized
}

async fn set_size(
    cx: &Context,
    workspace: &Workspace,
    wanted: Size,
    has_grown: &mut bool,
) -> Result<(), Failure> {
    let now = workspace.size;
    let other_cores = (wanted.cpu_cores, wanted.memory_gb) != (now.cpu_cores, now.memory_gb);
    let larger = Workspace { size: wanted, ..workspace.clone() };
    if other_cores {
        preflight::take_allowance(cx, &larger, preflight::allowance(cx, workspace)).await?;
    }
    if wanted.storage_quota_gb != now.storage_quota_gb {
        let resize = |quota_gb| home::Resize { owner: cx.owner(), quota_gb };
        cx.step(resize(wanted.storage_quota_gb)).undo(resize(now.storage_quota_gb)).await?;
    }
    let order = &workspace.order;
    let grows = larger.disk_gb() > workspace.disk_gb();
    if !(other_cores || grows) {
        return Ok(());
    }
    let login = logins(cx, order).await?.of(&order.proxmox.secret);
    let machine = machine(cx, workspace, &login);
    if other_cores {
        cx.step(configuration(cx, &larger, &machine))
            .undo(configuration(cx, workspace, &machine))
            .await?;
    }
    if grows {
        cx.step(disk(&machine, larger.disk_gb())).await?;
        *has_grown = true;
    }
    Ok(())
}
