//! A scan for drift: what is really there, listed system by system. It compares nothing: what should
//! be there is the ledger, which is folded from all histories, and no workflow can see those. A run
//! is one scan.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_core::context::Context;
use stead_core::definition::{Admission, Admitted, Definition, Ending};
use stead_core::run::execution;
use stead_schemas::command::drift::{KIND, NAME};
use stead_schemas::command::fields::Fields;
use stead_schemas::failure::Failure;
use stead_schemas::refusal::Refusal;
use stead_schemas::site::{CoderSite, ProxmoxSite, TrueNasSite};
use stead_schemas::step::sight::{
    SightDatasets, SightMachines, SightShares, SightWorkspaces, Sighted,
};
use stead_schemas::step::vault::PinSecrets;

use crate::as_value;

/// See the module's head.
pub const DEFINITION: Definition = Definition {
    kind: KIND,
    public: true,
    verbs: &["scan"],
    signals: &[],
    execute: |cx| execution(run(cx)),
    admit,
};

/// Where to look.
#[derive(Serialize, Deserialize)]
struct Order {
    proxmox: ProxmoxSite,
    truenas: TrueNasSite,
    coder: CoderSite,
}

/// How much was seen.
#[derive(Clone, Copy, Default, Serialize)]
struct Count {
    machines: usize,
    datasets: usize,
    shares: usize,
    workspaces: usize,
}

async fn run(cx: Context) -> Result<Ending, Failure> {
    let command = cx.next_command().await;
    let order: Order = command.read()?;
    cx.show("scanning", &Value::Null);
    let looked = cx.operation(look(&cx, &order)).await;
    cx.show("done", &Value::Null);
    cx.complete(&command, looked.clone().map(|count| as_value(&count)));
    let result = looked?;
    Ok(Ending::Completed(as_value(&result)))
}

async fn look(cx: &Context, order: &Order) -> Result<Count, Failure> {
    let Order { proxmox, truenas, coder } = order;
    let secrets = [&proxmox.secret, &truenas.secret, &coder.secret].map(Clone::clone);
    let logins = cx.step(PinSecrets { secrets: secrets.into() }).await?;
    let mut count = Count::default();
    let mut page = Sighted::default();
    loop {
        let (login, after) = (logins.of(&proxmox.secret), page.after);
        let (vmid_first, vmid_last) = (proxmox.vmid_first, proxmox.vmid_last);
        page = cx.step(SightMachines { login, vmid_first, vmid_last, after }).await?;
        count.machines += page.things.len();
        if page.after.is_none() {
            break;
        }
    }
    loop {
        let (login, after) = (logins.of(&truenas.secret), page.after);
        page = cx.step(SightDatasets { login, parent: truenas.parent.clone(), after }).await?;
        count.datasets += page.things.len();
        if page.after.is_none() {
            break;
        }
    }
    loop {
        let (login, after) = (logins.of(&truenas.secret), page.after);
        page = cx.step(SightShares { login, parent: truenas.parent.clone(), after }).await?;
        count.shares += page.things.len();
        if page.after.is_none() {
            break;
        }
    }
    loop {
        let (login, after) = (logins.of(&coder.secret), page.after);
        page = cx.step(SightWorkspaces { login, after }).await?;
        count.workspaces += page.things.len();
        if page.after.is_none() {
            return Ok(count);
        }
    }
}

fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
    Fields::of(admission.fields).finish()?;
    if admission.name != NAME {
        let words = "there is one scan for the whole site; it is called `site`";
        return Err(Refusal::new("drift.name", words).field("name"));
    }
    if admission.living.is_some() {
        return Err(Refusal::new("drift.scanning", "a scan is under way").field("name"));
    }
    let site = admission.site;
    let (proxmox, truenas) = (site.proxmox.clone(), site.truenas.clone());
    let order = Order { proxmox, truenas, coder: site.coder.clone() };
    Ok(Admitted { payload: as_value(&order), begins: true, interrupts: false })
}
