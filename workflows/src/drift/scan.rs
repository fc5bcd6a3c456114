//! A scan for drift: what is really there, listed system by system. It compares nothing: what should
//! be there is the ledger, which is folded from all histories, and no workflow can see those.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_core::context::Context;
use stead_core::definition::{Admission, Admitted, Ending};
use stead_schemas::command::drift::NAME;
use stead_schemas::command::fields::Fields;
use stead_schemas::failure::Failure;
use stead_schemas::refusal::Refusal;
use stead_schemas::site::{
    CoderSite, ForgejoSite, KubernetesSite, ProxmoxSite, S3Site, TrueNasSite,
};
use stead_schemas::step::sight::{
    SightBuckets, SightDatasets, SightExtents, SightKeys, SightMachines, SightRepositories,
    SightSecrets, SightSeeds, SightServers, SightShares, SightSnapshots, SightTargets, SightTokens,
    SightVersions, SightWorkspaces, Sighted,
};
use stead_schemas::step::vault::PinSecrets;

use crate::as_value;

/// Where to look.
#[derive(Serialize, Deserialize)]
struct Order {
    proxmox: ProxmoxSite,
    truenas: TrueNasSite,
    coder: CoderSite,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    s3: Option<S3Site>,
    /// The folders in Vault whose secrets we write.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    folders: Vec<String>,
    /// Where CI works: what it is given at Coder and Forgejo is looked at. Orders of older builds have
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    forgejo: Option<ForgejoSite>,
    /// Where MCP servers run. Orders of older builds have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kubernetes: Option<KubernetesSite>,
}

/// How much was seen.
#[derive(Clone, Copy, Default, Serialize)]
struct Count {
    machines: usize,
    datasets: usize,
    shares: usize,
    #[serde(skip_serializing_if = "is_zero")]
    extents: usize,
    #[serde(skip_serializing_if = "is_zero")]
    targets: usize,
    workspaces: usize,
    #[serde(skip_serializing_if = "is_zero")]
    seeds: usize,
    #[serde(skip_serializing_if = "is_zero")]
    snapshots: usize,
    #[serde(skip_serializing_if = "is_zero")]
    buckets: usize,
    #[serde(skip_serializing_if = "is_zero")]
    keys: usize,
    #[serde(skip_serializing_if = "is_zero")]
    secrets: usize,
    #[serde(skip_serializing_if = "is_zero")]
    tokens: usize,
    #[serde(skip_serializing_if = "is_zero")]
    versions: usize,
    #[serde(skip_serializing_if = "is_zero")]
    ci_secrets: usize,
    #[serde(skip_serializing_if = "is_zero")]
    servers: usize,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(count: &usize) -> bool {
    *count == 0
}

pub(super) async fn run(cx: Context) -> Result<Ending, Failure> {
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
    let Order { proxmox, truenas, coder, s3, folders, forgejo, kubernetes } = order;
    let logins = cx.step(PinSecrets { secrets: order.secrets() }).await?;
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
            break;
        }
    }
    if let Some(storage) = &proxmox.seed_storage {
        look_at_seeds(cx, proxmox, storage, &logins.of(&proxmox.secret), &mut count).await?;
    }
    if cx.changed("scans-see-snapshots") {
        look_at_snapshots(cx, proxmox, &logins.of(&proxmox.secret), &mut count).await?;
    }
    if let Some(volumes) = &truenas.volumes {
        look_at_volumes(cx, &logins.of(&truenas.secret), &volumes.parent, &mut count).await?;
    }
    if let Some(s3) = s3 {
        look_at_s3(cx, s3, &logins.of(&s3.secret), &mut count).await?;
    }
    for folder in folders {
        let mut after = None;
        loop {
            let page = cx.step(SightSecrets { folder: folder.clone(), after }).await?;
            count.secrets += page.things.len();
            after = page.after;
            if after.is_none() {
                break;
            }
        }
    }
    if let Some(forgejo) = forgejo {
        look_at_coder(cx, coder, &logins.of(&coder.secret), &mut count).await?;
        look_at_forgejo(cx, &logins.of(&forgejo.secret), &mut count).await?;
    }
    if let Some(site) = kubernetes {
        look_at_kubernetes(cx, site, &logins.of(&site.secret), &mut count).await?;
    }
    Ok(count)
}

impl Order {
    /// How we log in wherever we look.
    fn secrets(&self) -> Vec<String> {
        let always = [&self.proxmox.secret, &self.truenas.secret, &self.coder.secret];
        let s3 = self.s3.as_ref().map(|site| &site.secret);
        let forgejo = self.forgejo.as_ref().map(|site| &site.secret);
        let kubernetes = self.kubernetes.as_ref().map(|site| &site.secret);
        let optional = [s3, forgejo, kubernetes].into_iter().flatten();
        always.into_iter().chain(optional).cloned().collect()
    }
}

async fn look_at_seeds(
    cx: &Context,
    site: &ProxmoxSite,
    storage: &str,
    login: &str,
    count: &mut Count,
) -> Result<(), Failure> {
    let mut page = Sighted::default();
    loop {
        let (login, node, storage) = (login.to_string(), site.node.clone(), storage.to_string());
        page = cx.step(SightSeeds { login, node, storage, after: page.after }).await?;
        count.seeds += page.things.len();
        if page.after.is_none() {
            return Ok(());
        }
    }
}

async fn look_at_snapshots(
    cx: &Context,
    site: &ProxmoxSite,
    login: &str,
    count: &mut Count,
) -> Result<(), Failure> {
    let (vmid_first, vmid_last) = (site.vmid_first, site.vmid_last);
    let mut page = Sighted::default();
    loop {
        let (login, after) = (login.to_string(), page.after);
        page = cx.step(SightSnapshots { login, vmid_first, vmid_last, after }).await?;
        count.snapshots += page.things.len();
        if page.after.is_none() {
            return Ok(());
        }
    }
}

async fn look_at_volumes(
    cx: &Context,
    login: &str,
    parent: &str,
    count: &mut Count,
) -> Result<(), Failure> {
    let (login, parent) = (|| login.to_string(), || parent.to_string());
    let mut page = Sighted::default();
    loop {
        let after = page.after;
        page = cx.step(SightDatasets { login: login(), parent: parent(), after }).await?;
        count.datasets += page.things.len();
        if page.after.is_none() {
            break;
        }
    }
    loop {
        page = cx.step(SightExtents { login: login(), after: page.after }).await?;
        count.extents += page.things.len();
        if page.after.is_none() {
            break;
        }
    }
    loop {
        page = cx.step(SightTargets { login: login(), after: page.after }).await?;
        count.targets += page.things.len();
        if page.after.is_none() {
            return Ok(());
        }
    }
}

async fn look_at_s3(
    cx: &Context,
    site: &S3Site,
    login: &str,
    count: &mut Count,
) -> Result<(), Failure> {
    let mut page = Sighted::default();
    let records = (!site.kind.is_garage()).then(|| site.credentials.clone());
    loop {
        let (login, records) = (login.to_string(), records.clone());
        page = cx.step(SightBuckets { login, records, after: page.after }).await?;
        count.buckets += page.things.len();
        if page.after.is_none() {
            break;
        }
    }
    loop {
        page = cx.step(SightKeys { login: login.to_string(), after: page.after }).await?;
        count.keys += page.things.len();
        if page.after.is_none() {
            return Ok(());
        }
    }
}

/// What CI and templates have there besides workspaces.
async fn look_at_coder(
    cx: &Context,
    site: &CoderSite,
    login: &str,
    count: &mut Count,
) -> Result<(), Failure> {
    let mut page = Sighted::default();
    loop {
        page = cx.step(SightTokens { login: login.to_string(), after: page.after }).await?;
        count.tokens += page.things.len();
        if page.after.is_none() {
            break;
        }
    }
    loop {
        let (login, organization) = (login.to_string(), site.organization.clone());
        page = cx.step(SightVersions { login, organization, after: page.after }).await?;
        count.versions += page.things.len();
        if page.after.is_none() {
            return Ok(());
        }
    }
}

async fn look_at_forgejo(cx: &Context, login: &str, count: &mut Count) -> Result<(), Failure> {
    let mut page = Sighted::default();
    loop {
        page = cx.step(SightRepositories { login: login.to_string(), after: page.after }).await?;
        count.ci_secrets += page.things.len();
        if page.after.is_none() {
            return Ok(());
        }
    }
}

async fn look_at_kubernetes(
    cx: &Context,
    site: &KubernetesSite,
    login: &str,
    count: &mut Count,
) -> Result<(), Failure> {
    let mut page = Sighted::default();
    loop {
        let (login, namespace) = (login.to_string(), site.namespace.clone());
        page = cx.step(SightServers { login, namespace, after: page.after }).await?;
        count.servers += page.things.len();
        if page.after.is_none() {
            return Ok(());
        }
    }
}

pub(super) fn admit(admission: &Admission<'_>) -> Result<Admitted, Refusal> {
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
    let folders = site.s3.iter().map(|s3| &s3.credentials);
    let folders = folders.chain(site.forgejo.iter().map(|ci: &ForgejoSite| &ci.credentials));
    let folders = folders.cloned().collect();
    let (coder, s3) = (site.coder.clone(), site.s3.clone());
    let (forgejo, kubernetes) = (site.forgejo.clone(), site.kubernetes.clone());
    let order = Order { proxmox, truenas, coder, s3, folders, forgejo, kubernetes };
    Ok(Admitted { payload: as_value(&order), begins: true, interrupts: false })
}
