//! A machine's power, and its end. Each looks first whether the machine is ours.

use std::time::Duration;

use reqwest::Method;
use serde_json::Value;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Done;
use stead_schemas::step::proxmox::{DestroyVm, GuestSeen, Machine, PingGuest, ShutdownVm, StartVm};

use super::super::client::{Client, Pve};
use super::super::machine::{self, Seen, Vm};
use super::super::task;
use super::locked;
use crate::pace::Pace;
use crate::trouble::Trouble;

/// Whether a machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Power {
    On,
    Off,
}

/// Starts the machine, unless it runs.
pub(crate) async fn start_vm(
    client: Client,
    cx: StepContext,
    ask: StartVm,
) -> Result<Done, Failure> {
    let pve = client.log_in(&ask.machine.login).await?;
    let vm = machine::ours(&pve, &ask.machine).await?;
    if vm.is_running(&pve).await? {
        return Ok(Done {});
    }
    cx.still_wanted()?;
    let started = pve.act(Method::POST, &vm.path("status/start"), &[]).await;
    reach(&pve, &cx, (&ask.machine, &vm), started, Power::On).await
}

/// Asks the guest, if its machine runs. That nobody answers in it is an answer.
pub(crate) async fn ping_guest(
    client: Client,
    _cx: StepContext,
    ask: PingGuest,
) -> Result<GuestSeen, Failure> {
    let pve = client.log_in(&ask.machine.login).await?;
    let vm = machine::ours(&pve, &ask.machine).await?;
    if !vm.is_running(&pve).await? {
        return Ok(GuestSeen::Off);
    }
    match pve.act(Method::POST, &vm.path("agent/ping"), &[]).await {
        Ok(_) => Ok(GuestSeen::Answers),
        // It went off in between.
        Err(Trouble::Already(_)) => Ok(GuestSeen::Off),
        Err(Trouble::Other(failure)) if is_silent(&failure) => Ok(GuestSeen::Silent),
        Err(trouble) => Err(trouble.into()),
    }
}

/// Whether Proxmox asked, and nobody in the guest answered.
fn is_silent(failure: &Failure) -> bool {
    let said = failure.vendor.as_deref().unwrap_or_default().to_lowercase();
    failure.class == Class::Wait
        && ["guest agent", "timeout", "timed out"].iter().any(|words| said.contains(words))
}

/// Shuts the machine down, and stops it if the guest does not listen: a shutdown without
/// `forceStop` would keep the machine locked for its whole time and achieve nothing.
pub(crate) async fn shutdown_vm(
    client: Client,
    cx: StepContext,
    ask: ShutdownVm,
) -> Result<Done, Failure> {
    let pve = client.log_in(&ask.machine.login).await?;
    let vm = match machine::see(&pve, &ask.machine).await? {
        Seen::Ours(vm) => vm,
        Seen::Unborn(vm) => return Err(machine::unborn(&vm)),
        Seen::Nothing => return Ok(Done {}),
        Seen::Stranger(name) => return Ok(left_alone(ask.machine.vmid, &name)),
    };
    if !vm.is_running(&pve).await? {
        return Ok(Done {});
    }
    cx.still_wanted()?;
    let params = [("timeout", ask.timeout_seconds.to_string()), ("forceStop", "1".to_owned())];
    let started = pve.act(Method::POST, &vm.path("status/shutdown"), &params).await;
    reach(&pve, &cx, (&ask.machine, &vm), started, Power::Off).await
}

/// Stops and destroys the machine, if it is ours.
pub(crate) async fn destroy_vm(
    client: Client,
    cx: StepContext,
    ask: DestroyVm,
) -> Result<Done, Failure> {
    let pve = client.log_in(&ask.machine.login).await?;
    let vm = match machine::see(&pve, &ask.machine).await? {
        Seen::Ours(vm) => vm,
        Seen::Unborn(vm) => return Err(machine::unborn(&vm)),
        Seen::Nothing => return Ok(Done {}),
        Seen::Stranger(name) => return Ok(left_alone(ask.machine.vmid, &name)),
    };
    if let Some(lock) = vm.lock() {
        return Err(locked(&vm, lock));
    }
    cx.still_wanted()?;
    if vm.is_running(&pve).await? {
        stop(&pve, &cx, (&ask.machine, &vm)).await?;
        cx.still_wanted()?;
    }
    delete(&pve, &cx, &vm).await
}

/// A stranger has our number: our own machine is gone, and theirs is not to be touched.
fn left_alone(vmid: u32, name: &str) -> Done {
    tracing::warn!(vmid, name, "a stranger's machine has the VMID now and is left alone");
    Done {}
}

async fn stop(pve: &Pve, cx: &StepContext, which: (&Machine, &Vm)) -> Result<(), Failure> {
    let params = [("overrule-shutdown", "1".to_owned())];
    let started = pve.act(Method::POST, &which.1.path("status/stop"), &params).await;
    reach(pve, cx, which, started, Power::Off).await.map(drop)
}

/// `purge` also clears the machine out of backup jobs and high availability. Disks that no
/// configuration names are not touched: by their names alone they might be a later machine's.
async fn delete(pve: &Pve, cx: &StepContext, vm: &Vm) -> Result<Done, Failure> {
    let params = [("purge", "1".to_owned())];
    let started = pve.act(Method::DELETE, &vm.path(""), &params).await?;
    task::finish(pve, cx, &started).await?;
    Ok(Done {})
}

/// Waits until a change of power has come about.
async fn reach(
    pve: &Pve,
    cx: &StepContext,
    (machine, vm): (&Machine, &Vm),
    started: Result<Value, Trouble>,
    power: Power,
) -> Result<Done, Failure> {
    let ended = match &started {
        Ok(started) => task::finish(pve, cx, started).await,
        Err(trouble) => Err(trouble.clone()),
    };
    match ended {
        Ok(()) if started.as_ref().is_ok_and(task::is_left_to_manager) => {
            watch(pve, cx, machine, power).await
        }
        Ok(()) => Ok(Done {}),
        Err(Trouble::Already(said)) => confirmed(pve, vm, said, power).await,
        Err(trouble) => Err(trouble.into()),
    }
}

/// "Already" does not say which: a machine that dies as it is started is "not running" as well. So
/// the machine itself is asked.
async fn confirmed(pve: &Pve, vm: &Vm, said: Failure, power: Power) -> Result<Done, Failure> {
    if vm.is_running(pve).await? == (power == Power::On) {
        return Ok(Done {});
    }
    let word = if power == Power::On { "started" } else { "stopped" };
    let words = format!("machine {} was to be {word} and was not", vm.vmid);
    Err(Failure { vendor: said.vendor, ..Failure::new(Class::Ambiguous, words) })
}

/// Under high availability the request is carried out some time later, perhaps on another node. A
/// machine that is on its way there is another attempt's matter.
async fn watch(
    pve: &Pve,
    cx: &StepContext,
    machine: &Machine,
    power: Power,
) -> Result<Done, Failure> {
    const PATIENCE: u32 = 60;
    let mut pace = Pace::new(Duration::from_millis(50), Duration::from_secs(2));
    for _ in 0..PATIENCE {
        let Seen::Ours(vm) = machine::see(pve, machine).await? else {
            return Err(machine::between_nodes(machine.vmid));
        };
        if vm.is_running(pve).await? == (power == Power::On) {
            return Ok(Done {});
        }
        cx.progress("waiting for the cluster's manager");
        pace.pause(cx).await?;
    }
    Err(Failure::new(Class::Wait, "the cluster's manager has not carried the request out yet"))
}
