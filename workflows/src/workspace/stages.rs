//! The stages of making a workspace, in their order, and where a create that waited goes on.

use alloc::collections::VecDeque;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use stead_core::context::Context;
use stead_schemas::command::workspace::{DeleteOrder, RetryOrder, host_name};
use stead_schemas::failure::Failure;
use stead_schemas::step::vault::PinnedSecrets;
use stead_schemas::step::{allowance, home, proxmox, volume};

use super::ask::{
    self, configuration, delete_in_coder, detach, detach_volume, disk, join_in_coder, shutdown,
    start_in_coder,
};
use super::boot;
use super::preflight;
use super::spare::{self, Taken};
use super::state::Workspace;
use crate::machine::{self, Wanted};

/// Part of making a workspace. What comes later needs what came before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Logins, and whether there is room for everything.
    Room,
    /// Only with a machine that is there: logins again, and what the owner may have.
    Again,
    /// The home.
    Home,
    /// The volume, if it has one.
    Volume,
    /// Only after a change: the machine that is there goes, and what shows it.
    Retire,
    /// A machine with a number.
    Machine,
    /// Only after a change: the machine is switched off.
    Off,
    /// Its cores, memory and disk.
    Set,
    /// Where a developer sees it.
    Coder,
    /// It boots, and its agent answers.
    Boot,
}

/// Whether the home may be made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// One that is not there is made.
    Any,
    /// It must be there.
    There,
}

/// A workspace that is being made.
pub(super) struct Making {
    home: Home,
    logins: PinnedSecrets,
    /// What is counted against its owner's allowance.
    counted: Option<allowance::Take>,
    /// The nodes that have room.
    nodes: Vec<String>,
    /// What is still to be done, in order.
    pub to_do: VecDeque<Stage>,
}

impl Making {
    pub fn new(home: Home) -> Self {
        let first = [Stage::Room, Stage::Home, Stage::Volume, Stage::Machine];
        let stages = first.into_iter().chain([Stage::Set, Stage::Coder, Stage::Boot]);
        let logins = PinnedSecrets { pinned: Default::default() };
        Self { home, logins, counted: None, nodes: Vec::new(), to_do: stages.collect() }
    }

    /// Carries one stage out.
    pub async fn carry_out(
        &mut self,
        cx: &Context,
        workspace: &mut Workspace,
        stage: Stage,
    ) -> Result<(), Failure> {
        let order = &workspace.order;
        let login = self.logins.of(&order.proxmox.secret);
        let coder = self.logins.of(&order.coder.secret);
        match stage {
            Stage::Room => {
                let seen = preflight::look(cx, workspace, self.counted.clone()).await?;
                (self.logins, self.nodes) = seen;
                self.counted = preflight::allowance(cx, workspace);
            }
            Stage::Again => {
                self.logins = preflight::look_again(cx, workspace, self.counted.clone()).await?;
                self.counted = preflight::allowance(cx, workspace);
            }
            Stage::Home => attach_home(cx, workspace, self.home).await?,
            Stage::Volume => attach_volume(cx, workspace, self.home).await?,
            Stage::Machine => {
                if let Taken::Nothing(not) = spare::take(cx, workspace, &self.nodes, &login).await?
                {
                    make_machine(cx, workspace, &login, not).await?;
                }
            }
            Stage::Set => set_up(cx, workspace, &login).await?,
            Stage::Coder => show_in_coder(cx, workspace, &coder).await?,
            Stage::Boot => {
                let machine = ask::machine(cx, workspace, &login);
                boot::prepare(cx, workspace, &machine).await?;
                cx.step(proxmox::StartVm { machine: machine.clone() }).await?;
                boot::await_ready(cx, workspace, &machine, &coder).await?;
            }
            Stage::Retire => retire(cx, workspace, &login, &coder).await?,
            Stage::Off => {
                cx.step(shutdown(&ask::machine(cx, workspace, &login))).await?;
            }
        }
        Ok(())
    }

    /// Takes a change in and finds where to go on: what is done stays, unless the change is about
    /// it.
    pub fn go_on(&mut self, workspace: &mut Workspace, failed: Stage, change: RetryOrder) {
        let other_machine =
            change.template.is_some() || change.storage_backend.is_some() || change.node.is_some();
        let other_size =
            change.cpu_cores.is_some() || change.memory_gb.is_some() || change.disk_gb.is_some();
        let disk_before = workspace.disk_gb();
        take_in(workspace, change);
        let mut left: Vec<Stage> = [failed].into_iter().chain(self.to_do.drain(..)).collect();
        left.retain(|stage| *stage != Stage::Again);
        if failed == Stage::Machine {
            // What was made there is taken back; who is late with that must not meet the next one.
            workspace.retired = workspace.vmid.take().or(workspace.retired);
        }
        let is_machine_there = left.contains(&Stage::Retire) || !left.contains(&Stage::Machine);
        let mut stages: Vec<Stage> = Vec::new();
        if is_machine_there && other_machine {
            stages.extend([Stage::Again, Stage::Retire, Stage::Room, Stage::Machine]);
            stages.extend([Stage::Set, Stage::Coder, Stage::Boot]);
        } else if is_machine_there {
            stages.push(Stage::Again);
            if other_size && !left.contains(&Stage::Set) {
                // The disk has been set, and does not shrink.
                workspace.size.disk_gb = workspace.size.disk_gb.map(|asked| asked.max(disk_before));
                stages.extend((left.first() == Some(&Stage::Boot)).then_some(Stage::Off));
                stages.push(Stage::Set);
            }
            stages.extend(left);
        } else {
            stages.extend((failed != Stage::Room).then_some(Stage::Room));
            stages.extend(left);
        }
        self.to_do = stages.into();
    }
}

fn take_in(workspace: &mut Workspace, change: RetryOrder) {
    let (order, size) = (&mut workspace.order, &mut workspace.size);
    order.template = change.template.unwrap_or_else(|| order.template.clone());
    order.storage_backend = change.storage_backend.unwrap_or(order.storage_backend);
    order.proxmox.nodes = change.node.map_or_else(|| order.proxmox.nodes.clone(), |one| vec![one]);
    size.cpu_cores = change.cpu_cores.unwrap_or(size.cpu_cores);
    size.memory_gb = change.memory_gb.unwrap_or(size.memory_gb);
    size.storage_quota_gb = change.storage_quota_gb.unwrap_or(size.storage_quota_gb);
    size.disk_gb = change.disk_gb.or(size.disk_gb);
    size.volume_gb = change.volume_gb.or(size.volume_gb).filter(|asked| *asked > 0);
}

async fn attach_home(cx: &Context, workspace: &mut Workspace, home: Home) -> Result<(), Failure> {
    let attached = cx
        .step(home::Attach {
            owner: cx.owner(),
            workspace: cx.run().to_string(),
            quota_gb: workspace.size.storage_quota_gb,
            site: workspace.order.truenas.clone(),
            only_if_there: home == Home::There,
        })
        .undo(detach(cx, &DeleteOrder::default()))
        .await?;
    workspace.size.storage_quota_gb = attached.quota_gb;
    workspace.home_source = Some(attached.source);
    workspace.show(cx);
    Ok(())
}

async fn attach_volume(cx: &Context, workspace: &mut Workspace, home: Home) -> Result<(), Failure> {
    let Some(size_gb) = workspace.size.volume_gb else { return Ok(()) };
    let attach = volume::Attach {
        owner: cx.owner(),
        name: cx.name(),
        workspace: cx.run().to_string(),
        size_gb,
        site: workspace.order.truenas.clone(),
        only_if_there: home == Home::There,
    };
    let attached = cx.step(attach).undo(detach_volume(cx, &DeleteOrder::default())).await?;
    workspace.size.volume_gb = Some(attached.size_gb);
    workspace.volume = Some(attached);
    workspace.show(cx);
    Ok(())
}

/// Makes a machine, with none of these numbers.
pub(super) async fn make_machine(
    cx: &Context,
    workspace: &mut Workspace,
    login: &str,
    not: Vec<u32>,
) -> Result<(), Failure> {
    let order = &workspace.order;
    let wanted = Wanted {
        ledger: workspace.ledger_name(cx),
        not,
        site: order.proxmox.clone(),
        login: login.to_string(),
        template: order.template.vmid,
        name: host_name(cx.owner().as_str(), &cx.name()),
        storage: order.storage_backend,
        clone_kind: order.template.clone_kind,
    };
    workspace.was_spare = false;
    let reserved = |vmid| {
        workspace.vmid = Some(vmid);
        workspace.show(cx);
    };
    machine::make(cx, wanted, reserved).await?;
    Ok(())
}

pub(super) async fn set_up(
    cx: &Context,
    workspace: &mut Workspace,
    login: &str,
) -> Result<(), Failure> {
    let machine = ask::machine(cx, workspace, login);
    let configured = cx.step(configuration(cx, workspace, &machine)).await?;
    // The guest is told of it by what is shown when its machine starts.
    workspace.storage_card = configured.storage_card;
    cx.step(disk(&machine, workspace.disk_gb())).await?;
    Ok(())
}

/// Where a developer sees the workspace. Its agent's token lies in Vault afterwards, for the
/// machine to find when it boots.
async fn show_in_coder(
    cx: &Context,
    workspace: &mut Workspace,
    login: &str,
) -> Result<(), Failure> {
    let shown = match join_in_coder(cx, workspace, login) {
        Some((join, leave)) => cx.step(join).undo(leave).await?,
        None => {
            let undo = delete_in_coder(cx, workspace, login);
            cx.step(start_in_coder(cx, workspace, login)).undo(undo).await?
        }
    };
    workspace.shown_in_coder(shown);
    workspace.show(cx);
    Ok(())
}

/// The next machine gets another number: whoever is late with the end of this one must not meet
/// it.
async fn retire(
    cx: &Context,
    workspace: &mut Workspace,
    login: &str,
    coder: &str,
) -> Result<(), Failure> {
    cx.step(proxmox::DestroyVm { machine: ask::machine(cx, workspace, login) }).await?;
    cx.step(delete_in_coder(cx, workspace, coder)).await?;
    workspace.retired = workspace.vmid.take();
    workspace.gone_in_coder();
    Ok(())
}
