//! A spare: a machine that was cloned, has its disk, and was never started. It gives itself to the
//! workspace that asks first, and is over then.
//!
//! It is off, so that any number of cores and any amount of memory can be set, and that it takes
//! none meanwhile; and what a guest is at its first boot, its name, its keys, its home, is its owner's.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;

use serde_json::{Value, json};
use stead_core::context::{Command, Context};
use stead_core::definition::{Definition, Ending};
use stead_core::run::execution;
use stead_schemas::command::pool::SpareOrder;
use stead_schemas::command::workspace::host_name;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::step::Step;
use stead_schemas::step::pool::{Doubt, Gone, HandOver, Offer, SPARE, Spare};
use stead_schemas::step::proxmox::{ConfigureVm, DestroyVm, Machine, MarkVm, ResizeDisk, Survey};
use stead_schemas::step::vault::PinSecrets;
use stead_schemas::step::vmids::{self, PLATFORM};

use super::admit;
use crate::machine::{self, Wanted};
use crate::workspace::placement;

/// How long the machine's mark may take to change; whoever wants it takes another one then.
const PATIENCE: Duration = Duration::from_secs(60);
/// The machine's own disk.
const DISK: &str = "scsi0";

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: SPARE,
    public: false,
    verbs: &["hand-over", "make", "retire"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit: admit::of_spare,
};

async fn run(cx: Context) -> Result<Ending, Failure> {
    let command = cx.next_command().await;
    let order: SpareOrder = command.read()?;
    cx.show("making", &Value::Null);
    let made = cx.operation(make(&cx, &order)).await;
    cx.complete(&command, made.as_ref().map(|_| json!({})).map_err(Clone::clone));
    let machine = match made {
        Ok(machine) => machine,
        Err(failure) => {
            let trouble = Some(failure.to_string());
            end(&cx, Gone { trouble, ..gone(&cx, &order) }).await;
            return Err(failure);
        }
    };
    let spare = offered(&cx, &order, &machine);
    cx.show("ready", &spare);
    tell(&cx, Offer { pool: order.pool.clone(), spare: spare.clone() }).await;
    loop {
        let command = cx.next_command().await;
        if command.verb == "retire" {
            cx.show("going", &spare);
            take_away(&cx, &order, &machine).await;
            cx.complete(&command, Ok(json!({})));
            end(&cx, gone(&cx, &order)).await;
            return Ok(Ending::Completed(Value::Null));
        }
        match give(&cx, &order, &machine, &command).await {
            Ok(workspace) => {
                cx.complete(&command, Ok(json!({})));
                let taken_by = Some(workspace.clone());
                end(&cx, Gone { taken_by, ..gone(&cx, &order) }).await;
                return Ok(Ending::Completed(json!({ "taken_by": workspace })));
            }
            Err(failure) => {
                cx.complete(&command, Err(failure.clone()));
                if failure.class != Class::Cancelled {
                    let (pool, spare) = (order.pool.clone(), cx.name());
                    tell(&cx, Doubt { pool, spare, trouble: failure.to_string() }).await;
                }
            }
        }
    }
}

/// Cloned, set up as the pool's, and with the template's disk.
async fn make(cx: &Context, order: &SpareOrder) -> Result<Machine, Failure> {
    let login = login(cx, order).await?;
    let site = &order.proxmox;
    let survey = Survey {
        login: login.clone(),
        nodes: site.nodes.clone(),
        template: order.template.vmid,
        storage: order.storage,
        vmid_first: site.vmid_first,
        vmid_last: site.vmid_last,
        machine: None,
    };
    let seen = cx.step(survey).await?;
    let kind = &order.template;
    let without_bridge =
        &machine::check_template(cx, &seen, site, login.clone(), kind, order.storage).await?;
    let (cores, memory_gb) = (order.template.cpu_cores.default, order.template.memory_gb.default);
    let room = placement::Wanted {
        cpu_cores: cores,
        memory_gb,
        disk_gb: order.template.disk_gb,
        template: &order.template,
        storage: order.storage,
        site,
        without_bridge,
    };
    let placed = placement::choose(&seen, &room)
        .map_err(|words| Failure::new(Class::Permanent, words).at(Survey::NAME))?;
    let mut site = site.clone();
    site.node = placed.node;
    let (template, storage) = (order.template.vmid, order.storage);
    let (ledger, name) = (cx.run().to_string(), host_name(PLATFORM, &cx.name()));
    let (not, clone_kind) = (Vec::new(), order.template.clone_kind);
    let wanted = Wanted { ledger, not, site, login, template, name, storage, clone_kind };
    let machine = machine::make(cx, wanted, |_| {}).await?;
    let owner = PLATFORM.to_string();
    let memory_mib = memory_gb * 1024;
    let (name, network) = (None, order.template.network.clone());
    let (at, seed_in_drive) = (machine.clone(), order.proxmox.seed_storage.is_some());
    let storage_network = order.proxmox.storage_network.clone();
    let set = ConfigureVm {
        machine: at,
        cores,
        memory_mib,
        owner,
        name,
        network,
        seed_in_drive,
        storage_network,
    };
    cx.step(set).await?;
    let (disk, size_gb) = (DISK.to_string(), order.template.disk_gb);
    cx.step(ResizeDisk { machine: machine.clone(), disk, size_gb }).await?;
    Ok(machine)
}

fn offered(cx: &Context, order: &SpareOrder, machine: &Machine) -> Spare {
    Spare {
        name: cx.name(),
        run: cx.run().to_string(),
        vmid: machine.vmid,
        node: machine.node.clone(),
        template: order.template.vmid,
        storage: order.storage,
    }
}

/// Gives the machine away, its mark and its number, and returns to whom. What fails half-way is
/// taken back: the machine is the pool's as before.
async fn give(
    cx: &Context,
    order: &SpareOrder,
    machine: &Machine,
    command: &Command,
) -> Result<String, Failure> {
    let ask: HandOver = command.read()?;
    cx.operation(async {
        let login = login(cx, order).await?;
        let (ours, theirs) = (cx.run().to_string(), ask.workspace.clone());
        let mark = MarkVm {
            machine: Machine { login, marker: theirs, ..machine.clone() },
            was: Some(ours.clone()),
            restores: false,
            gives: true,
            undoes: false,
        };
        let marked = cx.step(mark.clone()).undo(MarkVm { undoes: true, ..mark });
        marked.within(PATIENCE).await?;
        let there = vmids::HandOver { from: ours.clone(), to: ask.ledger.clone() };
        let back = vmids::HandOver { from: ask.ledger, to: ours };
        cx.step(there).undo(back).await?;
        Ok(ask.workspace)
    })
    .await
}

async fn take_away(cx: &Context, order: &SpareOrder, machine: &Machine) {
    let secret = &order.proxmox.secret;
    let pinned = cx.take_back(PinSecrets { secrets: [secret.clone()].into() }).await;
    let login = pinned.map_or_else(|_| machine.login.clone(), |pinned| pinned.of(secret));
    // Given up by hand, it stays in the ledger as what this run has left.
    let _given_up = cx.take_back(DestroyVm { machine: Machine { login, ..machine.clone() } }).await;
    let _given_up = cx.take_back(vmids::Release { workspace: cx.run().to_string() }).await;
}

async fn login(cx: &Context, order: &SpareOrder) -> Result<String, Failure> {
    let secret = &order.proxmox.secret;
    Ok(cx.step(PinSecrets { secrets: [secret.clone()].into() }).await?.of(secret))
}

fn gone(cx: &Context, order: &SpareOrder) -> Gone {
    Gone { pool: order.pool.clone(), spare: cx.name(), taken_by: None, trouble: None }
}

/// Tells the pool that it is over, and whoever still asks.
async fn end(cx: &Context, gone: Gone) {
    tell(cx, gone).await;
    while let Some(command) = cx.waiting_command() {
        let outcome = match command.verb.as_str() {
            "retire" => Ok(json!({})),
            _ => Err(Failure::new(Class::Refused, "somebody else has the machine")),
        };
        cx.complete(&command, outcome);
    }
}

/// Where there is no pool any more, nobody needs to know.
async fn tell(cx: &Context, words: impl Step) {
    if let Err(failure) = cx.step(words).detached().await {
        cx.note("pool-not-told", failure.to_string(), &Value::Null);
    }
}
