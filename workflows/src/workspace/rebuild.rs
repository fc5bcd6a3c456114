//! Rebuild and update: a new machine, and the home stays. The new machine is made beside the old
//! one, and only once it is there do they change places; the old one goes when the agent of the
//! new one has answered. If that does not come about, the old one is there again.
//!
//! Where nothing differs that a machine is made from, it stays, and Coder alone builds the workspace
//! anew, from the version of its template that is active by now.

use alloc::format;
use alloc::string::String;

use stead_core::context::{Command, Context};
use stead_schemas::command::workspace::{Debt, Phase, RebuildOrder};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::site::{CloneKind, Guest, Network, Template};
use stead_schemas::step::coder::StartWorkspace;
use stead_schemas::step::proxmox::{DestroyVm, Machine, StartVm};
use stead_schemas::step::vault::PinnedSecrets;
use stead_schemas::step::{Step, vmids};

use super::ask::{
    active_version, delete_in_coder, disk, logins, logins_to_take_back, machine, release, shutdown,
    start_in_coder, stop_in_coder,
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
        cx.operation(change_in_place(cx, &before, &mut new, &order, &mut off)).await
    } else {
        cx.operation(exchange(cx, &before, &mut new, &order, &mut off)).await
    };
    if let Err(failure) = rebuilt {
        if order.in_place && failure.class == Class::Refused {
            *workspace = before;
            return Err(failure);
        }
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
        new.snapshots.clear();
    }
    new
}

/// The template differs in nothing that a machine is made from, but for its size.
async fn change_in_place(
    cx: &Context,
    old: &Workspace,
    new: &mut Workspace,
    order: &RebuildOrder,
    off: &mut Option<Machine>,
) -> Result<(), Failure> {
    let grows = new.disk_gb() > old.disk_gb();
    if !(grows || order.takes_version) {
        return Ok(());
    }
    let logins = logins(cx, &old.order).await?;
    let change = Change::look_up(cx, old, order, logins).await?;
    if order.takes_version {
        check_in_place(&old.order.template, &new.order.template, &change)?;
    }
    if grows {
        let login = change.logins.of(&old.order.proxmox.secret);
        cx.step(disk(&machine(cx, old, &login), new.disk_gb())).await?;
    }
    match change.version {
        Some(_) => change_over(cx, &change, new, off).await,
        None => Ok(()),
    }
}

/// The door has seen what the workspace showed, which may have been less than what it is made from.
fn check_in_place(old: &Template, new: &Template, change: &Change<'_>) -> Result<(), Failure> {
    fn machine(of: &Template) -> (u32, &str, Guest, CloneKind, Option<&Network>) {
        (of.vmid, &of.coder_template, of.guest, of.clone_kind, of.network.as_ref())
    }
    let words = if machine(old) != machine(new) {
        "its template has machines of another kind by now; rebuild it, and it gets a new one"
    } else if old.disk_gb == new.disk_gb && change.version.is_none() {
        "it is made from this version of its template already"
    } else {
        return Ok(());
    };
    Err(Failure::new(Class::Refused, words))
}

/// A workspace that becomes another one.
struct Change<'a> {
    old: &'a Workspace,
    logins: PinnedSecrets,
    /// The version of its Coder template that is taken, if it is another one than it has.
    version: Option<String>,
    /// The one that it goes back to, where it fails.
    before: Option<String>,
}

impl<'a> Change<'a> {
    async fn look_up(
        cx: &Context,
        old: &'a Workspace,
        order: &RebuildOrder,
        logins: PinnedSecrets,
    ) -> Result<Self, Failure> {
        let mut change = Self { old, logins, version: None, before: None };
        if !order.takes_version {
            return Ok(change);
        }
        change.before = old.coder_version.as_ref().map(|version| version.id.clone());
        let is_same = order
            .template
            .as_ref()
            .is_none_or(|template| template.coder_template == old.order.template.coder_template);
        if is_same {
            let login = change.logins.of(&old.order.coder.secret);
            let active = cx.step(active_version(old, &login)).await?.id;
            change.version = Some(active).filter(|active| Some(active) != change.before.as_ref());
        }
        Ok(change)
    }
}

/// Says which machine was switched `off` for it.
async fn exchange(
    cx: &Context,
    old: &Workspace,
    new: &mut Workspace,
    order: &RebuildOrder,
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
    let change = Change::look_up(cx, old, order, logins).await?;
    let is_on = old.phase == Phase::Ready;
    preflight::place(cx, new, &change.logins, is_on.then_some(old)).await?;
    let login = change.logins.of(&new.order.proxmox.secret);
    stages::make_machine(cx, new, &login, new.retired.into_iter().collect()).await?;
    stages::set_up(cx, new, &login).await?;
    change_over(cx, &change, new, off).await
}

/// What runs goes off, Coder shows what comes, and that starts, if what was there ran.
async fn change_over(
    cx: &Context,
    change: &Change<'_>,
    new: &mut Workspace,
    off: &mut Option<Machine>,
) -> Result<(), Failure> {
    let Change { old, logins, .. } = change;
    let login = logins.of(&new.order.proxmox.secret);
    let is_on = old.phase == Phase::Ready;
    if is_on {
        switch_off(cx, old, off.insert(machine(cx, old, &login))).await?;
    }
    change_in_coder(cx, change, new).await?;
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

/// The agent of the machine gets a token of its own, and only its answer counts: another build. A
/// workspace of Coder cannot change its template, so there it is made anew.
async fn change_in_coder(
    cx: &Context,
    change: &Change<'_>,
    new: &mut Workspace,
) -> Result<(), Failure> {
    let Change { old, logins, version, before } = change;
    let login = logins.of(&new.order.coder.secret);
    let is_on = old.phase == Phase::Ready;
    let is_same = old.order.template.coder_template == new.order.template.coder_template;
    if is_same && !is_on && version.is_none() {
        return Ok(());
    }
    let back = StartWorkspace { version: before.clone(), ..start_in_coder(cx, old, &login) };
    let shown = if !is_same {
        cx.step(delete_in_coder(cx, old, &login)).undo(back).await?;
        new.gone_in_coder();
        let undo = delete_in_coder(cx, new, &login);
        cx.step(start_in_coder(cx, new, &login)).undo(undo).await?
    } else {
        let start = StartWorkspace { version: version.clone(), ..start_in_coder(cx, new, &login) };
        let off = stop_in_coder(old, &login);
        if is_on {
            cx.step(off.clone()).undo(back).await?;
            cx.step(start).undo(off).await?
        } else {
            cx.step(start).undo(off).undo(back).await?
        }
    };
    new.shown_in_coder(shown);
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
        Ok(shown) => workspace.shown_in_coder(shown),
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
