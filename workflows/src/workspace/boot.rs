//! A machine that boots: it is given its seed where it cannot fetch it, and is waited for until its
//! agent answers.

use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

use stead_core::context::Context;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::proxmox::{GuestSeen, InsertSeed, Machine, PingGuest, RemoveSeed};
use stead_schemas::step::{coder, guest};

use super::state::Workspace;

/// The time a guest may take to boot and mount its home, and its agent to answer.
const BOOT_WITHIN: Duration = Duration::from_secs(15 * 60);

/// The time it may take to find out whether a guest lives that is late.
const WITNESS_WITHIN: Duration = Duration::from_secs(60);

/// The seed that is laid into the machine's drive, where the site wants that.
pub(super) fn seed(cx: &Context, workspace: &Workspace, machine: &Machine) -> Option<InsertSeed> {
    Some(InsertSeed {
        machine: machine.clone(),
        storage: workspace.order.proxmox.seed_storage.clone()?,
        owner: cx.owner(),
        name: cx.name(),
        home_source: workspace.home_source.clone().unwrap_or_default(),
        coder_id: workspace.coder_id.clone().unwrap_or_default(),
        guest: workspace.order.template.guest,
        storage_card: workspace.storage_card.clone(),
        volume: workspace.volume.clone(),
    })
}

/// Takes it out again.
pub(super) fn removal(workspace: &Workspace, machine: &Machine) -> Option<RemoveSeed> {
    let storage = workspace.order.proxmox.seed_storage.clone()?;
    Some(RemoveSeed { machine: machine.clone(), storage })
}

/// Lays the seed in, with what is current by now: before each start, since each has an agent's token
/// of its own.
pub(super) async fn prepare(
    cx: &Context,
    workspace: &Workspace,
    machine: &Machine,
) -> Result<(), Failure> {
    let insert = seed(cx, workspace, machine);
    if let Some((insert, remove)) = insert.zip(removal(workspace, machine)) {
        cx.step(insert).undo(remove).await?;
    }
    Ok(())
}

/// Waits until the guest has written to its home, and then for its agent: connected and ready. A guest
/// that cannot fetch its seed cannot tell us of its home either; its agent starts only on one that it
/// may write to, so that its answer tells. Keeps what the guest says of itself.
///
/// If the time is over, it says whether the guest lives.
pub(super) async fn await_ready(
    cx: &Context,
    workspace: &mut Workspace,
    machine: &Machine,
    login: &str,
) -> Result<(), Failure> {
    let is_late = |failure: &Failure| failure.class == Class::TimedOut;
    match await_agent(cx, workspace, machine, login).await {
        Err(late) if is_late(&late) && cx.changed("late-guests-are-asked-for") => {
            let words = format!("{}; {}", late.words, witness(cx, machine).await);
            Err(Failure { words, ..late })
        }
        ended => ended,
    }
}

/// What Proxmox says of a guest from which nothing is heard.
async fn witness(cx: &Context, machine: &Machine) -> String {
    let ping = PingGuest { machine: machine.clone() };
    let words = match cx.step(ping).within(WITNESS_WITHIN).await {
        Ok(GuestSeen::Answers) => "the machine runs, and its QEMU guest agent answers",
        Ok(GuestSeen::Silent) => "the machine runs, and its QEMU guest agent does not answer",
        Ok(GuestSeen::Off) => "the machine is off",
        Err(failure) => {
            return format!("whether the guest lives is not known: {}", failure.words);
        }
    };
    words.to_string()
}

async fn await_agent(
    cx: &Context,
    workspace: &mut Workspace,
    machine: &Machine,
    login: &str,
) -> Result<(), Failure> {
    let remove = removal(workspace, machine);
    workspace.address = if remove.is_none() {
        let source = workspace.home_source.clone().unwrap_or_default();
        cx.step(guest::AwaitHome { source }).within(BOOT_WITHIN).await?.address
    } else {
        None
    };
    let id = workspace.coder_id.clone().unwrap_or_default();
    cx.step(coder::AwaitAgent { login: login.to_string(), id }).within(BOOT_WITHIN).await?;
    if let Some(remove) = remove {
        // Whoever gives that up by hand finds it in the ledger.
        let _given_up = cx.take_back(remove).await;
    }
    Ok(())
}
