//! Making a machine, whoever wants it: a number from the ledger, and a clone of the template on it.

use alloc::string::String;
use alloc::vec::Vec;

use stead_core::context::Context;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::site::{CloneKind, ProxmoxSite, StorageBackend, Template};
use stead_schemas::step::proxmox::{CheckTemplate, CloneVm, DestroyVm, Machine, Surveyed};
use stead_schemas::step::vmids;

/// How many strangers on our VMIDs are stepped around before we give up.
const STRANGERS_MAX: usize = 5;

/// A machine that is wanted.
pub(crate) struct Wanted {
    /// By which name the ledger knows it.
    pub ledger: String,
    /// Numbers that it must not have.
    pub not: Vec<u32>,
    /// Where it is made.
    pub site: ProxmoxSite,
    /// Pinned reference to the API token.
    pub login: String,
    /// The template's VMID.
    pub template: u32,
    /// What it is called.
    pub name: String,
    /// Where its disk goes.
    pub storage: StorageBackend,
    /// How it gets that disk.
    pub clone_kind: CloneKind,
}

/// Looks whether machines can be made of a template as the site wants it, where that is not what any
/// template can; returns the nodes, of those that were seen to be there, on which they cannot.
pub(crate) async fn check_template(
    cx: &Context,
    seen: &Surveyed,
    site: &ProxmoxSite,
    login: String,
    template: &Template,
    storage: StorageBackend,
) -> Result<Vec<String>, Failure> {
    let online = seen.nodes.iter().filter(|node| node.is_online);
    let check = CheckTemplate {
        login,
        nodes: online.map(|node| node.node.clone()).collect(),
        template: template.vmid,
        storage,
        clone_kind: template.clone_kind,
        network: template.network.clone(),
        seed_storage: site.seed_storage.clone(),
        storage_network: site.storage_network.clone(),
        rights_at: None,
    };
    if check.is_plain() || seen.template_node.is_none() {
        return Ok(Vec::new());
    }
    Ok(cx.step(check).await?.without_bridge)
}

/// Reserves a VMID and clones the template onto it; `reserved` is told the number before. A
/// stranger's machine that has turned up there meanwhile is stepped around, never touched.
pub(crate) async fn make(
    cx: &Context,
    wanted: Wanted,
    mut reserved: impl FnMut(u32),
) -> Result<Machine, Failure> {
    let Wanted { ledger, mut not, site, login, template, name, storage, clone_kind } = wanted;
    let strangers_max = STRANGERS_MAX.max(not.len() + 2);
    loop {
        let (workspace, node) = (ledger.clone(), site.node.clone());
        let release = vmids::Release { workspace: ledger.clone() };
        let reserve = vmids::Reserve { workspace, not: not.clone(), site: site.clone() };
        let vmid = cx.step(reserve).undo(release).await?.vmid;
        reserved(vmid);
        let marker = cx.run().as_str().into();
        let machine = Machine { login: login.clone(), node, vmid, marker };
        let name = name.clone();
        let clone = CloneVm { machine: machine.clone(), template, name, storage, clone_kind };
        match cx.step(clone).undo(DestroyVm { machine: machine.clone() }).await {
            Ok(_) => return Ok(machine),
            Err(failure) if failure.class == Class::Conflict && not.len() < strangers_max => {
                not.push(vmid);
            }
            Err(failure) => return Err(failure),
        }
    }
}
