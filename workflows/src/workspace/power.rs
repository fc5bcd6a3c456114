//! Start, stop, restart.

use stead_core::context::Context;
use stead_schemas::command::workspace::Phase;
use stead_schemas::failure::Failure;
use stead_schemas::step::proxmox;

use super::ask::{logins, machine, shutdown, start_in_coder, stop_in_coder};
use super::state::Workspace;
use super::{boot, preflight};

/// Starts the machine, if there is room for it to run, and waits until its agent answers. If that fails it
/// is off again.
pub(super) async fn start(cx: &Context, workspace: &mut Workspace) -> Result<(), Failure> {
    if workspace.phase == Phase::Ready {
        return Ok(());
    }
    workspace.enter(cx, Phase::Starting);
    let started = cx.operation(bring_up(cx, workspace)).await;
    if started.is_ok() {
        workspace.started(cx);
    }
    workspace.phase = if started.is_ok() { Phase::Ready } else { Phase::Stopped };
    started
}

async fn bring_up(cx: &Context, workspace: &mut Workspace) -> Result<(), Failure> {
    let order = &workspace.order;
    let logins = logins(cx, order).await?;
    if order.looks_first() && cx.changed("starts-look-for-room") {
        preflight::room_to_start(cx, workspace, &logins).await?;
    }
    let coder_login = logins.of(&order.coder.secret);
    let shown = cx
        .step(start_in_coder(cx, workspace, &coder_login))
        .undo(stop_in_coder(workspace, &coder_login))
        .await?;
    let machine = machine(cx, workspace, &logins.of(&order.proxmox.secret));
    workspace.coder_version = shown.version;
    boot::prepare(cx, workspace, &machine).await?;
    cx.step(proxmox::StartVm { machine: machine.clone() }).undo(shutdown(&machine)).await?;
    boot::await_ready(cx, workspace, &machine, &coder_login).await
}

/// Shuts the machine down. Everything is kept.
pub(super) async fn stop(cx: &Context, workspace: &mut Workspace) -> Result<(), Failure> {
    if workspace.phase.is_off() {
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
    cx.step(stop_in_coder(workspace, &logins.of(&order.coder.secret))).await?;
    Ok(())
}

/// Stops and starts again.
pub(super) async fn restart(cx: &Context, workspace: &mut Workspace) -> Result<(), Failure> {
    stop(cx, workspace).await?;
    start(cx, workspace).await
}
