//! A workspace's first day: a home, a machine on it, an agent that answers. If any of it cannot
//! be had, everything is taken back.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use serde_json::json;
use stead_core::context::Context;
use stead_schemas::command::workspace::{Order, Phase, host_name};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::vault::{PinSecrets, PinnedSecrets};
use stead_schemas::step::{coder, guest, home, proxmox, vmids};

use super::{Workspace, deleted};

/// The time a guest may take to boot and mount its home, and its agent to answer.
pub(super) const BOOT_WITHIN: Duration = Duration::from_secs(15 * 60);
/// How many strangers on our VMIDs are stepped around before we give up.
const STRANGERS_MAX: usize = 5;
/// The machine's own disk.
const DISK: &str = "scsi0";

/// Carries out the command that a workspace begins with.
pub(super) async fn first_day(cx: &Context) -> Result<Workspace, Failure> {
    let command = cx.next_command().await;
    let mut workspace = Workspace::new(command.read()?);
    workspace.show(cx);
    match cx.operation(create(cx, &mut workspace)).await {
        Ok(()) => {
            workspace.enter(cx, Phase::Ready);
            cx.complete(&command, Ok(json!({ "phase": Phase::Ready })));
            Ok(workspace)
        }
        Err(failure) => {
            workspace.enter(cx, Phase::Failed);
            cx.complete(&command, Err(failure.clone()));
            deleted(cx);
            Err(failure)
        }
    }
}

async fn create(cx: &Context, workspace: &mut Workspace) -> Result<(), Failure> {
    let order = workspace.order.clone();
    let logins = logins(cx, &order).await?;
    attach_home(cx, workspace).await?;
    let machine = make_machine(cx, workspace, &logins).await?;
    cx.step(configuration(cx, workspace, &machine)).await?;
    let disk = DISK.to_string();
    let size_gb = order.template.disk_gb;
    cx.step(proxmox::ResizeDisk { machine: machine.clone(), disk, size_gb }).await?;
    let login = logins.of(&order.coder.secret);
    show_in_coder(cx, workspace, &login).await?;
    cx.step(proxmox::StartVm { machine }).await?;
    await_ready(cx, workspace, &login).await
}

async fn attach_home(cx: &Context, workspace: &mut Workspace) -> Result<(), Failure> {
    let (owner, run) = (cx.owner(), cx.run().to_string());
    let attached = cx
        .step(home::Attach {
            owner: owner.clone(),
            workspace: run.clone(),
            quota_gb: workspace.size.storage_quota_gb,
            site: workspace.order.truenas.clone(),
        })
        .undo(home::Detach { owner, workspace: run })
        .await?;
    workspace.size.storage_quota_gb = attached.quota_gb;
    workspace.home_source = Some(attached.source);
    workspace.show(cx);
    Ok(())
}

/// Reserves a VMID and clones the template onto it. A stranger's machine that has turned up
/// there meanwhile is stepped around, never touched.
async fn make_machine(
    cx: &Context,
    workspace: &mut Workspace,
    logins: &PinnedSecrets,
) -> Result<proxmox::Machine, Failure> {
    let order = workspace.order.clone();
    let run = cx.run().to_string();
    let mut not = Vec::new();
    loop {
        let reserve = vmids::Reserve {
            workspace: run.clone(),
            not: not.clone(),
            site: order.proxmox.clone(),
        };
        let reserved = cx.step(reserve).undo(vmids::Release { workspace: run.clone() }).await?;
        workspace.vmid = Some(reserved.vmid);
        workspace.show(cx);
        let machine = machine(cx, workspace, &logins.of(&order.proxmox.secret));
        let clone = proxmox::CloneVm {
            machine: machine.clone(),
            template: order.template.vmid,
            name: host_name(cx.owner().as_str(), &cx.name()),
            storage: order.storage_backend,
        };
        let undo = proxmox::DestroyVm { machine: machine.clone() };
        match cx.step(clone).undo(undo).await {
            Ok(_) => return Ok(machine),
            Err(failure) if failure.class == Class::Conflict && not.len() < STRANGERS_MAX => {
                not.push(reserved.vmid);
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// Where a developer sees the workspace. Its agent's token lies in Vault afterwards, for the
/// machine to find when it boots.
async fn show_in_coder(
    cx: &Context,
    workspace: &mut Workspace,
    login: &str,
) -> Result<(), Failure> {
    let undo = delete_in_coder(cx, login);
    let shown = cx.step(start_in_coder(cx, workspace, login)).undo(undo).await?;
    workspace.coder_id = Some(shown.id);
    workspace.show(cx);
    Ok(())
}

pub(super) fn start_in_coder(
    cx: &Context,
    workspace: &Workspace,
    login: &str,
) -> coder::StartWorkspace {
    coder::StartWorkspace {
        login: login.to_string(),
        organization: workspace.order.coder.organization.clone(),
        user: cx.owner().to_string(),
        name: cx.name(),
        template: workspace.order.template.coder_template.clone(),
        marker: cx.run().to_string(),
    }
}

pub(super) fn delete_in_coder(cx: &Context, login: &str) -> coder::DeleteWorkspace {
    coder::DeleteWorkspace {
        login: login.to_string(),
        user: cx.owner().to_string(),
        name: cx.name(),
        marker: cx.run().to_string(),
    }
}

/// Waits until the guest has written to its home, and then for its agent: connected and ready.
pub(super) async fn await_ready(
    cx: &Context,
    workspace: &Workspace,
    login: &str,
) -> Result<(), Failure> {
    let source = workspace.home_source.clone().unwrap_or_default();
    cx.step(guest::AwaitHome { source }).within(BOOT_WITHIN).await?;
    let id = workspace.coder_id.clone().unwrap_or_default();
    cx.step(coder::AwaitAgent { login: login.to_string(), id }).within(BOOT_WITHIN).await?;
    Ok(())
}

/// The secrets that an operation needs, pinned to their current versions.
pub(super) async fn logins(cx: &Context, order: &Order) -> Result<PinnedSecrets, Failure> {
    cx.step(secrets(order)).await
}

pub(super) fn secrets(order: &Order) -> PinSecrets {
    PinSecrets { secrets: [order.proxmox.secret.clone(), order.coder.secret.clone()].into() }
}

pub(super) fn machine(cx: &Context, workspace: &Workspace, login: &str) -> proxmox::Machine {
    proxmox::Machine {
        login: String::from(login),
        node: workspace.order.proxmox.node.clone(),
        vmid: workspace.vmid.unwrap_or_default(),
        marker: cx.run().to_string(),
    }
}

pub(super) fn configuration(
    cx: &Context,
    workspace: &Workspace,
    machine: &proxmox::Machine,
) -> proxmox::ConfigureVm {
    proxmox::ConfigureVm {
        machine: machine.clone(),
        cores: workspace.size.cpu_cores,
        memory_mib: workspace.size.memory_gb * 1024,
        owner: cx.owner().to_string(),
    }
}
