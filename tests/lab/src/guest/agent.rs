//! The Coder agent inside the guest: connects with its token, and is thrown out when a newer
//! build has a newer one.

use std::time::Duration;

use super::boot::Guest;
use super::home::{self, Boot};
use super::installed::Installed;
use crate::coder::{ConnectError, Lifecycle};

/// The agent tries again after about as long; a change is seen at once.
const RETRY: Duration = Duration::from_millis(500);

/// Runs the agent until it is refused.
pub(super) async fn run(guest: &Guest, system: &Installed, boot: &Boot) {
    let world = &guest.world;
    let on_local_disk = world.read(|state| {
        state.proxmox.vms.get(&guest.vmid).is_some_and(|vm| vm.guest.stage == "agent-on-local-disk")
    });
    // What is being lost on the local disk outweighs how well the agent is.
    let stage = |stage: &str| {
        if !on_local_disk {
            guest.stage(stage);
        }
    };
    stage("agent-starting");
    let Some(token) = system.token.as_deref() else {
        return stage("agent-without-token");
    };
    world.pace.stage(300).await;
    home::tell_started(guest, system, boot).await;
    if world.faults.fires("guest", "agent-never-connects") {
        return std::future::pending().await;
    }
    if connected(guest, token).await.is_err() {
        return stage("agent-refused");
    }
    stage("agent-connected");
    world.pace.stage(400).await;
    match scripts(guest) {
        Some(Lifecycle::Ready) => {
            world.change(|state| state.coder.agent_reached(token, Lifecycle::Ready));
            stage("agent-ready");
        }
        Some(other) => world.change(|state| state.coder.agent_reached(token, other)),
        None => {}
    }
    world
        .until(|world| world.change_quietly(|state| state.coder.is_outdated(token)).then_some(()))
        .await;
    guest.body(|body| body.agent = None);
    stage("agent-refused");
}

/// How the agent's scripts end; `None` if they never do.
fn scripts(guest: &Guest) -> Option<Lifecycle> {
    let fires = |name| guest.world.faults.fires("coder", name);
    match (fires("agent-start-error"), fires("agent-never-ready")) {
        (true, _) => Some(Lifecycle::StartError),
        (false, true) => None,
        (false, false) => Some(Lifecycle::Ready),
    }
}

async fn connected(guest: &Guest, token: &str) -> Result<(), ConnectError> {
    loop {
        match guest.world.change_quietly(|state| state.coder.connect_agent(token)) {
            Ok(()) => {
                guest.body(|body| body.agent = Some(token.to_owned()));
                return Ok(());
            }
            Err(ConnectError::Outdated) => return Err(ConnectError::Outdated),
            Err(ConnectError::Unknown) => guest.world.changed_within(RETRY).await,
        }
    }
}
