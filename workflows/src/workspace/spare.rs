//! Taking a machine from a pool, where the site has one for what is wanted: it only has to be set up
//! then. Whatever speaks against it, the machine is cloned as if there were no pool.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use stead_core::context::Context;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::pool::{HandOver, Pick, Picked, Spare};
use stead_schemas::step::proxmox::{DestroyVm, Machine, MarkVm};

use super::ask::release;
use super::state::Workspace;

/// How long a pool may take to answer: one that somebody has paused holds nobody up.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many spares are asked before a machine is cloned after all.
const TRIES_MAX: usize = 3;

/// What came of looking for a spare.
pub(super) enum Taken {
    /// The workspace has it.
    Spare,
    /// There is none. These numbers were tried, and another machine must not have them.
    Nothing(Vec<u32>),
}

/// Takes a spare on one of these nodes, the best one first.
pub(super) async fn take(
    cx: &Context,
    workspace: &mut Workspace,
    nodes: &[String],
    login: &str,
) -> Result<Taken, Failure> {
    let mut not: Vec<u32> = workspace.retired.into_iter().collect();
    let Some(pool) = workspace.order.pool.clone() else { return Ok(Taken::Nothing(not)) };
    for _ in 0..TRIES_MAX {
        let pick = Pick {
            pool: pool.clone(),
            template: workspace.order.template.vmid,
            storage: workspace.order.storage_backend,
            nodes: nodes.to_vec(),
            not: not.clone(),
        };
        let spare = match cx.step(pick).within(PATIENCE).await {
            Ok(Picked { spare: Some(spare) }) => spare,
            Err(failure) if failure.class == Class::Cancelled => return Err(failure),
            Ok(Picked { spare: None }) | Err(_) => break,
        };
        match cx.operation(claim(cx, workspace, &spare, login)).await {
            Ok(()) => {
                has(cx, workspace, &pool, spare);
                return Ok(Taken::Spare);
            }
            Err(failure) if failure.class == Class::Cancelled => return Err(failure),
            Err(failure) => {
                let words = format!("the spare machine {} is not to be had: {failure}", spare.vmid);
                cx.note("spare-lost", words, &spare);
                not.push(spare.vmid);
            }
        }
    }
    Ok(Taken::Nothing(not))
}

/// Asks the spare for itself, and sees that its mark is ours then. Nothing about the machine is
/// replaced.
async fn claim(
    cx: &Context,
    workspace: &Workspace,
    spare: &Spare,
    login: &str,
) -> Result<(), Failure> {
    let (node, marker) = (spare.node.clone(), cx.run().to_string());
    let machine = Machine { login: login.to_string(), node, vmid: spare.vmid, marker };
    let ask = HandOver {
        spare: spare.name.clone(),
        workspace: cx.run().to_string(),
        ledger: workspace.ledger_name(cx),
    };
    cx.step(ask)
        .undo(release(cx, workspace))
        .undo(DestroyVm { machine: machine.clone() })
        .cancel_with_parent()
        .await?;
    let was = Some(spare.run.clone());
    cx.step(MarkVm { machine, was, restores: false, gives: false, undoes: false }).await?;
    Ok(())
}

fn has(cx: &Context, workspace: &mut Workspace, pool: &str, spare: Spare) {
    let words = format!("{}: the spare machine {} of the pool {pool}", spare.node, spare.vmid);
    cx.note("placed", format!("on {words}"), &spare);
    workspace.placement = Some(words);
    workspace.order.proxmox.node = spare.node;
    workspace.vmid = Some(spare.vmid);
    workspace.was_spare = true;
    workspace.show(cx);
}
