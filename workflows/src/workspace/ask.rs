//! How the steps of a workspace are asked for: the same request wherever it is needed.

use alloc::string::{String, ToString};

use stead_core::context::Context;
use stead_schemas::command::workspace::{DeleteOrder, Order, host_name};
use stead_schemas::failure::Failure;
use stead_schemas::step::coder::versions::{LookUpTemplate, TemplatePlace};
use stead_schemas::step::vault::{PinSecrets, PinnedSecrets};
use stead_schemas::step::{coder, home, proxmox, vmids, volume};

use super::state::Workspace;

/// How long a guest may take to shut down before it is stopped, in seconds.
const SHUTDOWN_SECONDS: u32 = 60;
/// The machine's own disk.
const DISK: &str = "scsi0";

/// The secrets that an operation needs, pinned to their current versions.
pub(super) async fn logins(cx: &Context, order: &Order) -> Result<PinnedSecrets, Failure> {
    cx.step(secrets(order)).await
}

pub(super) fn secrets(order: &Order) -> PinSecrets {
    PinSecrets { secrets: [order.proxmox.secret.clone(), order.coder.secret.clone()].into() }
}

/// The same for what takes back. If somebody gives that up by hand, the secrets are used as they
/// are.
pub(super) async fn logins_to_take_back(cx: &Context, order: &Order) -> PinnedSecrets {
    let pinned = cx.take_back(secrets(order)).await;
    pinned.unwrap_or_else(|_| PinnedSecrets { pinned: Default::default() })
}

/// The machine as a step names it; the login is the first one that was pinned.
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
        name: workspace.was_spare.then(|| host_name(cx.owner().as_str(), &cx.name())),
        network: workspace.order.template.network.clone(),
        seed_in_drive: workspace.order.proxmox.seed_storage.is_some(),
        storage_network: workspace.order.proxmox.storage_network.clone(),
    }
}

pub(super) fn disk(machine: &proxmox::Machine, size_gb: u32) -> proxmox::ResizeDisk {
    proxmox::ResizeDisk { machine: machine.clone(), disk: DISK.to_string(), size_gb }
}

pub(super) fn shutdown(machine: &proxmox::Machine) -> proxmox::ShutdownVm {
    proxmox::ShutdownVm { machine: machine.clone(), timeout_seconds: SHUTDOWN_SECONDS }
}

/// Gives the machine's number back.
pub(super) fn release(cx: &Context, workspace: &Workspace) -> vmids::Release {
    vmids::Release { workspace: workspace.ledger_name(cx) }
}

/// The home is no longer used. A delete that can be undone says for how long.
pub(super) fn detach(cx: &Context, delete: &DeleteOrder) -> home::Detach {
    let can_come_back = !delete.now && delete.grace_seconds > 0;
    home::Detach {
        owner: cx.owner(),
        workspace: cx.run().to_string(),
        now: delete.now,
        grace_seconds: can_come_back.then_some(delete.grace_seconds),
    }
}

/// The same of its volume.
pub(super) fn detach_volume(cx: &Context, delete: &DeleteOrder) -> volume::Detach {
    let home::Detach { owner, workspace, now, grace_seconds } = detach(cx, delete);
    volume::Detach { owner, name: cx.name(), workspace, now, grace_seconds }
}

/// It keeps the version of its template that it has.
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
        joined: workspace.order.coder_id.clone(),
        version: None,
    }
}

/// The version of its Coder template that is active.
pub(super) fn active_version(workspace: &Workspace, login: &str) -> LookUpTemplate {
    let organization = workspace.order.coder.organization.clone();
    let template = workspace.order.template.coder_template.clone();
    LookUpTemplate { place: TemplatePlace { login: login.to_string(), organization, template } }
}

/// What its developer made in Coder, where it was made there: to be joined, and to be let go.
pub(super) fn join_in_coder(
    cx: &Context,
    workspace: &Workspace,
    login: &str,
) -> Option<(coder::JoinWorkspace, coder::LeaveWorkspace)> {
    let id = workspace.order.coder_id.clone()?;
    let (login, user, name) = (login.to_string(), cx.owner().to_string(), cx.name());
    let leave = coder::LeaveWorkspace { login, id, user, name };
    let coder::LeaveWorkspace { login, id, user, name } = leave.clone();
    let template = workspace.order.template.coder_template.clone();
    Some((coder::JoinWorkspace { login, id, user, name, template }, leave))
}

pub(super) fn stop_in_coder(workspace: &Workspace, login: &str) -> coder::StopWorkspace {
    let id = workspace.coder_id.clone().unwrap_or_default();
    coder::StopWorkspace { login: login.to_string(), id }
}

pub(super) fn delete_in_coder(
    cx: &Context,
    workspace: &Workspace,
    login: &str,
) -> coder::DeleteWorkspace {
    coder::DeleteWorkspace {
        login: login.to_string(),
        user: cx.owner().to_string(),
        name: cx.name(),
        marker: cx.run().to_string(),
        joined: workspace.order.coder_id.clone(),
    }
}
