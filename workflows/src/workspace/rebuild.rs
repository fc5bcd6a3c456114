//! Rebuild and update: a new machine, and the home stays. The new machine is made beside the old
//! one, and only once it is there do they change places; the old one goes when the agent of the
//! new one has answered. If that does not come about, the old one is there again.

use alloc::format;

use stead_core::context::{Command, Context};
use stead_schemas::command::workspace::{Debt, Phase, RebuildOrder};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::proxmox::{DestroyVm, Machine, StartVm};
use stead_schemas::step::vault::PinnedSecrets;
use stead_schemas::step::{Step, vmids};

use super::ask::{
    delete_in_coder, disk, logins, logins_to_take_back, machine, release, shutdown, start_in_coder,
    stop_in_coder,
};
use super::state::Workspace;
use super::{boot, preflight, stages};

/// See the module's head.
pub(super) async fn rebuild(
    cx: &Context,
    workspace: &mut Workspace,
    command: &Command,
) -> Result<(), Failure> {
    let order: RebuildOrder = command.read()?;
    let before = workspace.clone();
    workspace.enter(cx, Phase::Rebuilding);
    let mut new = successor(&before, &order);
    let mut off = None;
    let rebuilt = if order.in_place {
        cx.operation(change_in_place(cx, &before, &new)).await
    } else {
        cx.operation(exchange(cx, &before, &mut new, &mut off)).await
    };
    if let Err(failure) = rebuilt {
        kept(cx, workspace, before, &failure);
        if let Some(machine) = off {
            come_back(cx, workspace, &machine).await;
        }
        if new.order.template.coder_template != workspace.order.template.coder_template {
            find_in_coder(cx, workspace).await;
        }
        return Err(failure);
    }
    *workspace = new;
    workspace.phase = before.phase;
    if !order.in_place {
        take_away(cx, workspace, &before).await;
    }
    Ok(())
}

/// The same workspace with another machine.
fn successor(before: &Workspace, order: &RebuildOrder) -> Workspace {
    let mut new = before.clone();
    new.phase = Phase::Rebuilding;
    new.trouble = None;
    if let Some(template) = &order.template {
        new.order.template = template.clone();
    }
    if order.in_place && new.disk_gb() < before.disk_gb() {
        // A disk does not shrink, whatever its template says.
        new.size.disk_gb = Some(before.disk_gb());
    }
    if !order.in_place {
        new.order.proxmox = order.proxmox.clone();
        new.machines += 1;
        new.retired = before.vmid;
    }
    new
}

/// The template differs in nothing that a machine is made from, but for its size.
async fn change_in_place(cx: &Context, old: &Workspace, new: &Workspace) -> Result<(), Failure> {
    if new.disk_gb() > old.disk_gb() {
        let login = logins(cx, &old.order).await?.of(&old.order.proxmox.secret);
        cx.step(disk(&machine(cx, old, &login), new.disk_gb())).await?;
    }
    Ok(())
}

/// Says which machine was switched `off` for it.
async fn exchange(
    cx: &Context,
    old: &Workspace,
    new: &mut Workspace,
    off: &mut Option<Machine>,
) -> Result<(), Failure> {
    let is_same = old.order.template.coder_template == new.order.template.coder_template;
    let is_laid = |one: &Workspace| one.order.proxmox.seed_storage.is_some();
    if (is_laid(old) || is_laid(new)) && !is_same {
        let words = "a machine whose seed is laid into its drive cannot get another Coder template; \
                     make another workspace from it";
        return Err(Failure::new(Class::Permanent, words));
    }
    let logins = logins(cx, &new.order).await?;
    let is_on = old.phase == Phase::Ready;
    preflight::place(cx, new, &logins, is_on.then_some(old)).await?;
    let login = logins.of(&new.order.proxmox.secret);
    stages::make_machine(cx, new, &login, new.retired.into_iter().collect()).await?;
    stages::set_up(cx, new, &login).await?;
    if is_on {
        switch_off(cx, old, off.insert(machine(cx, old, &login))).await?;
    }
    change_in_coder(cx, old, new, &logins).await?;
    if is_on {
        let machine = machine(cx, new, &login);
        boot::prepare(cx, new, &machine).await?;
        cx.step(StartVm { machine: machine.clone() }).undo(shutdown(&machine)).await?;
        boot::await_ready(cx, new, &machine, &logins.of(&new.order.coder.secret)).await?;
        new.started(cx);
    }
    Ok(())
}

/// Should it have to start again, it is given its seed again, with the token that its agent has then.
async fn switch_off(cx: &Context, old: &Workspace, machine: &Machine) -> Result<(), Failure> {
    let off = cx.step(shutdown(machine)).undo(StartVm { machine: machine.clone() });
    match boot::seed(cx, old, machine) {
        Some(insert) => off.undo(insert).await?,
        None => off.await?,
    };
    Ok(())
}

/// The agent of the new machine gets a token of its own, and only its answer counts: another
/// build. A workspace of Coder cannot change its template, so there it is made anew.
async fn change_in_coder(
    cx: &Context,
    old: &Workspace,
    new: &mut Workspace,
    logins: &PinnedSecrets,
) -> Result<(), Failure> {
    let login = logins.of(&new.order.coder.secret);
    let is_on = old.phase == Phase::Ready;
    let is_same = old.order.template.coder_template == new.order.template.coder_template;
    if is_same && !is_on {
        return Ok(());
    }
    let shown = if is_same {
        cx.step(stop_in_coder(old, &login)).undo(start_in_coder(cx, old, &login)).await?;
        cx.step(start_in_coder(cx, new, &login)).undo(stop_in_coder(old, &login)).await?
    } else {
        cx.step(delete_in_coder(cx, old, &login)).undo(start_in_coder(cx, old, &login)).await?;
        new.gone_in_coder();
        let undo = delete_in_coder(cx, new, &login);
        cx.step(start_in_coder(cx, new, &login)).undo(undo).await?
    };
    new.coder_id = Some(shown.id);
    // The guest is given its agent's token by what is shown.
    new.show(cx);
    if !is_on {
        cx.step(stop_in_coder(new, &login)).await?;
    }
    Ok(())
}

/// The machine from before is there, and runs if it did.
fn kept(cx: &Context, workspace: &mut Workspace, before: Workspace, failure: &Failure) {
    *workspace = before;
    let vmid = workspace.vmid.unwrap_or_default();
    let words = format!("the machine from before, {vmid}, is kept: {failure}");
    cx.note("rebuild-failed", words.clone(), failure);
    workspace.trouble = Some(words);
}

/// The machine from before runs again. The seed that it was given for that holds secrets, and is taken
/// out when it was read, or never will be.
async fn come_back(cx: &Context, workspace: &mut Workspace, machine: &Machine) {
    let Some(remove) = boot::removal(workspace, machine) else { return };
    let secret = &workspace.order.coder.secret;
    let coder = logins_to_take_back(cx, &workspace.order).await.of(secret);
    if boot::await_ready(cx, workspace, machine, &coder).await.is_err() {
        let _given_up = cx.take_back(remove).await;
    }
}

/// What was deleted in Coder and made again there has another id now.
async fn find_in_coder(cx: &Context, workspace: &mut Workspace) {
    let order = &workspace.order;
    let login = logins_to_take_back(cx, order).await.of(&order.coder.secret);
    match cx.take_back(start_in_coder(cx, workspace, &login)).await {
        Ok(shown) => workspace.coder_id = Some(shown.id),
        Err(failure) => {
            let words = format!("it is not known under which id Coder shows it now: {failure}");
            return cx.note("coder-id-lost", words, &failure);
        }
    }
    if workspace.phase != Phase::Ready {
        // Where this is given up, it shows as started until it is stopped the next time.
        let _given_up = cx.take_back(stop_in_coder(workspace, &login)).await;
    }
}

/// The machine from before goes. That cannot fail; what is in its way is waited for, visibly.
async fn take_away(cx: &Context, workspace: &mut Workspace, before: &Workspace) {
    let (vmid, node) = (before.vmid.unwrap_or_default(), &before.order.proxmox.node);
    let debt = |step: &str, what| Debt { step: step.into(), what };
    workspace.debts = [
        debt(DestroyVm::NAME, format!("the machine {vmid} on {node}, from before")),
        debt(vmids::Release::NAME, format!("the VMID {vmid}")),
    ]
    .into();
    workspace.show(cx);
    let logins = logins_to_take_back(cx, &before.order).await;
    let machine = machine(cx, before, &logins.of(&before.order.proxmox.secret));
    workspace.pay(cx, DestroyVm { machine }).await;
    workspace.pay(cx, release(cx, before)).await;
}
