//! What may happen to a workspace that has been made.

use stead_core::context::{Command, Context};
use stead_schemas::command::workspace::{Phase, ResizeWorkspace, Size};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::{coder, home, proxmox, vmids};

use super::Workspace;
use super::create::{
    await_ready, configuration, delete_in_coder, logins, machine, secrets, start_in_coder,
};

/// How long a guest may take to shut down before it is stopped, in seconds.
const SHUTDOWN_SECONDS: u32 = 60;

/// Starts the machine and waits until its agent answers. If that fails it is off again.
pub(super) async fn start(cx: &Context, workspace: &mut Workspace) -> Result<(), Failure> {
    if workspace.phase == Phase::Ready {
        return Ok(());
    }
    workspace.enter(cx, Phase::Starting);
    let started = cx.operation(bring_up(cx, workspace)).await;
    workspace.phase = if started.is_ok() { Phase::Ready } else { Phase::Stopped };
    started
}

async fn bring_up(cx: &Context, workspace: &Workspace) -> Result<(), Failure> {
    let order = &workspace.order;
    let logins = logins(cx, order).await?;
    let coder_login = logins.of(&order.coder.secret);
    let id = workspace.coder_id.clone().unwrap_or_default();
    cx.step(start_in_coder(cx, workspace, &coder_login))
        .undo(coder::StopWorkspace { login: coder_login.clone(), id })
        .await?;
    let machine = machine(cx, workspace, &logins.of(&order.proxmox.secret));
    cx.step(proxmox::StartVm { machine: machine.clone() }).undo(shutdown(&machine)).await?;
    await_ready(cx, workspace, &coder_login).await
}

/// Shuts the machine down. Everything is kept.
pub(super) async fn stop(cx: &Context, workspace: &mut Workspace) -> Result<(), Failure> {
    if workspace.phase == Phase::Stopped {
        return Ok(());
    }
    workspace.enter(cx, Phase::Stopping);
    let mut is_off = false;
    let stopped = cx.operation(bring_down(cx, workspace, &mut is_off)).await;
    workspace.phase = if is_off { Phase::Stopped } else { Phase::Ready };
    stopped
}

async fn bring_down(cx: &Context, workspace: &Workspace, is_off: &mut bool) -> Result<(), Failure> {
    let order = &workspace.order;
    let logins = logins(cx, order).await?;
    let machine = machine(cx, workspace, &logins.of(&order.proxmox.secret));
    cx.step(shutdown(&machine)).await?;
    *is_off = true;
    let login = logins.of(&order.coder.secret);
    let id = workspace.coder_id.clone().unwrap_or_default();
    cx.step(coder::StopWorkspace { login, id }).await?;
    Ok(())
}

/// Stops and starts again.
pub(super) async fn restart(cx: &Context, workspace: &mut Workspace) -> Result<(), Failure> {
    stop(cx, workspace).await?;
    start(cx, workspace).await
}

/// Changes what is named. Cores and memory take effect when the machine starts next.
pub(super) async fn resize(
    cx: &Context,
    workspace: &mut Workspace,
    command: &Command,
) -> Result<(), Failure> {
    let ask: ResizeWorkspace = command.read()?;
    let before = workspace.phase;
    let wanted = Size {
        cpu_cores: ask.cpu_cores.unwrap_or(workspace.size.cpu_cores),
        memory_gb: ask.memory_gb.unwrap_or(workspace.size.memory_gb),
        storage_quota_gb: ask.storage_quota_gb.unwrap_or(workspace.size.storage_quota_gb),
    };
    workspace.enter(cx, Phase::Resizing);
    let resized = cx.operation(set_size(cx, workspace, wanted)).await;
    if resized.is_ok() {
        workspace.size = wanted;
    }
    workspace.phase = before;
    resized
}

async fn set_size(cx: &Context, workspace: &Workspace, wanted: Size) -> Result<(), Failure> {
    let now = workspace.size;
    if wanted.storage_quota_gb != now.storage_quota_gb {
        let resize = |quota_gb| home::Resize { owner: cx.owner(), quota_gb };
        cx.step(resize(wanted.storage_quota_gb)).undo(resize(now.storage_quota_gb)).await?;
    }
    if (wanted.cpu_cores, wanted.memory_gb) != (now.cpu_cores, now.memory_gb) {
        let order = &workspace.order;
        let login = logins(cx, order).await?.of(&order.proxmox.secret);
        let machine = machine(cx, workspace, &login);
        let larger = Workspace { size: wanted, ..workspace.clone() };
        cx.step(configuration(cx, &larger, &machine))
            .undo(configuration(cx, workspace, &machine))
            .await?;
    }
    Ok(())
}

/// Takes everything back, in the order opposite to its making. It cannot fail and it cannot be
/// stopped: what is in its way is waited for, visibly.
pub(super) async fn delete(cx: &Context, workspace: &mut Workspace) -> Result<(), Failure> {
    workspace.enter(cx, Phase::Deleting);
    let order = workspace.order.clone();
    let logins = cx.take_back(secrets(&order)).await?;
    let machine = machine(cx, workspace, &logins.of(&order.proxmox.secret));
    // A guest that is shut down writes its caches back to the home; one that is destroyed cannot.
    cx.take_back(shutdown(&machine)).await?;
    cx.take_back(proxmox::DestroyVm { machine }).await?;
    cx.take_back(vmids::Release { workspace: run(cx) }).await?;
    let login = logins.of(&order.coder.secret);
    cx.take_back(delete_in_coder(cx, &login)).await?;
    cx.take_back(home::Detach { owner: cx.owner(), workspace: run(cx) }).await?;
    workspace.enter(cx, Phase::Deleted);
    Ok(())
}

fn run(cx: &Context) -> alloc::string::String {
    cx.run().as_str().into()
}

fn shutdown(machine: &proxmox::Machine) -> proxmox::ShutdownVm {
    proxmox::ShutdownVm { machine: machine.clone(), timeout_seconds: SHUTDOWN_SECONDS }
}

/// What a command is told whose workspace has gone meanwhile.
pub(super) fn gone() -> Failure {
    Failure::new(Class::Refused, "the workspace is gone")
}
