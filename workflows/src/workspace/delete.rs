//! Delete: takes everything back, in the order opposite to its making. It cannot fail and it
//! cannot be stopped: what is in its way is waited for, visibly, and what is still to be taken
//! back is listed, as is what somebody has given up by hand. Afterwards the workspace can be brought back for as long as its grace lasts.

use alloc::format;
use alloc::vec::Vec;
use core::time::Duration;

use stead_core::context::{Command, Context};
use stead_schemas::command::workspace::{Debt, DeleteOrder, Phase};
use stead_schemas::failure::Failure;
use stead_schemas::step::proxmox::{DestroyVm, RemoveSeed, ShutdownVm};
use stead_schemas::step::{Step, allowance, coder, home, people, vmids, volume};

use super::ask::{
    delete_in_coder, detach, detach_volume, logins_to_take_back, machine, release, shutdown,
};
use super::boot;
use super::preflight;
use super::state::Workspace;

/// See the module's head.
pub(super) async fn delete(
    cx: &Context,
    workspace: &mut Workspace,
    command: &Command,
) -> Result<(), Failure> {
    // Older builds wrote nothing down: the workspace was gone at once.
    let order: DeleteOrder =
        if command.payload.is_null() { DeleteOrder::default() } else { command.read()? };
    if workspace.phase == Phase::Deleted {
        return forget(cx, workspace, &order).await;
    }
    take_all_back(cx, workspace, &order).await;
    Ok(())
}

/// The delete itself, whoever wants it.
pub(super) async fn take_all_back(cx: &Context, workspace: &mut Workspace, order: &DeleteOrder) {
    workspace.debts = debts(cx, workspace);
    workspace.enter(cx, Phase::Deleting);
    let site = workspace.order.clone();
    let logins = logins_to_take_back(cx, &site).await;
    let machine = machine(cx, workspace, &logins.of(&site.proxmox.secret));
    // A guest that is shut down writes its caches back to the home; one that is destroyed cannot.
    workspace.pay(cx, shutdown(&machine)).await;
    if let Some(remove) = boot::removal(workspace, &machine) {
        workspace.pay(cx, remove).await;
    }
    workspace.pay(cx, DestroyVm { machine }).await;
    workspace.pay(cx, release(cx, workspace)).await;
    let coder = delete_in_coder(cx, workspace, &logins.of(&site.coder.secret));
    workspace.pay(cx, coder).await;
    // From now on, so that the home, whose time begins when it is let go, outlives it.
    let since = cx.now();
    workspace.pay(cx, detach(cx, order)).await;
    if workspace.size.volume_gb.is_some() {
        workspace.pay(cx, detach_volume(cx, order)).await;
        workspace.volume = None;
    }
    if preflight::is_counted(&site) {
        workspace.pay(cx, preflight::give_back(cx)).await;
    }
    if site.authentik.is_some() || workspace.held.is_some() {
        workspace.pay(cx, preflight::part(cx)).await;
    }
    let grace = Duration::from_secs(if order.now { 0 } else { order.grace_seconds });
    workspace.undelete_until = (!grace.is_zero()).then(|| since.after(grace));
    workspace.retired = workspace.vmid.take().or(workspace.retired);
    // They were the machine's, and went with it.
    workspace.snapshots.clear();
    workspace.gone_in_coder();
    // Whoever brings it back is looked at anew.
    workspace.held = None;
    workspace.runs_with = None;
    workspace.expires_at = None;
    workspace.enter(cx, Phase::Deleted);
}

/// Somebody does not want to wait for the end of the grace period.
async fn forget(
    cx: &Context,
    workspace: &mut Workspace,
    order: &DeleteOrder,
) -> Result<(), Failure> {
    if order.now {
        cx.take_back(detach(cx, order)).await?;
        if workspace.size.volume_gb.is_some() {
            cx.take_back(detach_volume(cx, order)).await?;
        }
        workspace.undelete_until = None;
    }
    Ok(())
}

/// What is to be taken back, in order.
fn debts(cx: &Context, workspace: &Workspace) -> Vec<Debt> {
    let (vmid, node) = (workspace.vmid.unwrap_or_default(), &workspace.order.proxmox.node);
    let mut debts = Vec::new();
    let mut add = |step: &str, what| debts.push(Debt { step: step.into(), what });
    add(ShutdownVm::NAME, format!("the guest on the machine {vmid}, which is to shut down"));
    if workspace.order.proxmox.seed_storage.is_some() {
        add(RemoveSeed::NAME, format!("the seed in the drive of the machine {vmid}"));
    }
    add(DestroyVm::NAME, format!("the machine {vmid} on {node}"));
    add(vmids::Release::NAME, format!("the VMID {vmid}"));
    add(coder::DeleteWorkspace::NAME, format!("the Coder workspace {}", cx.name()));
    add(home::Detach::NAME, "the use of the home".into());
    if let Some(size) = workspace.size.volume_gb {
        add(volume::Detach::NAME, format!("the volume of {size} GiB"));
    }
    if preflight::is_counted(&workspace.order) {
        add(allowance::GiveBack::NAME, "the share of what the owner may have".into());
    }
    if workspace.order.authentik.is_some() || workspace.held.is_some() {
        add(people::Part::NAME, "the workspace's place among those of its owner".into());
    }
    debts
}
