//! The VMID ledger: which numbers are ours and for whom.
//!
//! Proxmox reserves nothing, and during a clone the new machine carries no mark. Only a ledger
//! that is written before the number is used can tell ours from a stranger's. One entity hands
//! numbers out, one at a time.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_core::context::{Command, Context};
use stead_core::definition::{Admission, Admitted, Definition, Ending};
use stead_core::run::execution;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::refusal::Refusal;
use stead_schemas::step::Done;
use stead_schemas::step::proxmox::{CheckVmid, VmidState};
use stead_schemas::step::vmids::{HandOver, KIND, Release, Reserve, Reserved};

use crate::as_value;

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: KIND,
    public: false,
    verbs: &["hand-over", "reserve", "release"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit,
};

/// Who has which number.
#[derive(Default, Serialize, Deserialize)]
struct Ledger {
    by_workspace: BTreeMap<String, u32>,
}

async fn run(cx: Context) -> Result<Ending, Failure> {
    let mut ledger: Ledger = cx.carried()?.unwrap_or_default();
    loop {
        cx.show("ready", &ledger);
        if cx.should_begin_anew() {
            return Ok(Ending::ContinueAsNew(as_value(&ledger)));
        }
        let command = cx.next_command().await;
        let outcome = match command.verb.as_str() {
            "reserve" => reserve(&cx, &mut ledger, &command).await,
            "hand-over" => hand_over(&mut ledger, &command),
            _ => release(&mut ledger, &command),
        };
        cx.complete(&command, outcome);
    }
}

async fn reserve(cx: &Context, ledger: &mut Ledger, command: &Command) -> Result<Value, Failure> {
    let ask: Reserve = command.read()?;
    let held = ledger.by_workspace.get(&ask.workspace).copied();
    if let Some(vmid) = held.filter(|vmid| !ask.not.contains(vmid)) {
        return Ok(as_value(&Reserved { vmid }));
    }
    let vmid = find_free(cx, ledger, &ask).await?;
    ledger.by_workspace.insert(ask.workspace, vmid);
    Ok(as_value(&Reserved { vmid }))
}

/// The first number in the range that nobody has, here or at the vendor's.
async fn find_free(cx: &Context, ledger: &Ledger, ask: &Reserve) -> Result<u32, Failure> {
    let ours: BTreeSet<u32> = ledger.by_workspace.values().copied().collect();
    let (first, last) = (ask.site.vmid_first, ask.site.vmid_last);
    for vmid in first..=last {
        if ours.contains(&vmid) || ask.not.contains(&vmid) {
            continue;
        }
        let check = CheckVmid { login: ask.site.secret.clone(), vmid };
        if cx.step(check).await? == VmidState::Free {
            return Ok(vmid);
        }
    }
    let words = format!("every VMID from {first} to {last} is taken; widen the site's range");
    Err(Failure::new(Class::Permanent, words))
}

fn hand_over(ledger: &mut Ledger, command: &Command) -> Result<Value, Failure> {
    let ask: HandOver = command.read()?;
    if let Some(vmid) = ledger.by_workspace.remove(&ask.from) {
        ledger.by_workspace.insert(ask.to, vmid);
    }
    Ok(as_value(&Done {}))
}

fn release(ledger: &mut Ledger, command: &Command) -> Result<Value, Failure> {
    let ask: Release = command.read()?;
    ledger.by_workspace.remove(&ask.workspace);
    Ok(as_value(&Done {}))
}

fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    let payload = Value::Object(admission.fields.clone());
    Ok(Admitted { payload, begins: true, interrupts: false })
}
