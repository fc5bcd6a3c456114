//! Whether a template can be cloned and plugged in as the site wants it.

use serde_json::Value;
use stead_runtime::worker::StepContext;
use stead_schemas::failure::{Class, Failure};
use stead_schemas::site::CloneKind;
use stead_schemas::step::proxmox::{CheckTemplate, TemplateChecked};

use super::super::client::{Client, Pve, number};
use super::super::machine;
use super::rights;
use super::survey::{Resources, volumes};
use crate::http::segment;

/// Storages that keep what differs from a template by themselves.
const LINKING: [&str; 5] = ["btrfs", "lvmthin", "rbd", "zfs", "zfspool"];
/// Storages of files: there it depends on the file.
const FILES: [&str; 5] = ["cephfs", "cifs", "dir", "glusterfs", "nfs"];

/// Looks; what would fail half-way otherwise is refused in words.
pub(crate) async fn check_template(
    client: Client,
    _cx: StepContext,
    ask: CheckTemplate,
) -> Result<TemplateChecked, Failure> {
    let pve = client.log_in(&ask.login).await?;
    if ask.clone_kind == CloneKind::Linked {
        check_linked(&pve, &ask).await?;
    }
    if let Some(storage) = &ask.seed_storage {
        check_images(&pve, storage, &ask.nodes).await?;
    }
    if let Some(vmid) = ask.rights_at {
        rights::check(&pve, &ask, vmid).await?;
    }
    let wanted: Vec<&str> = [&ask.network, &ask.storage_network]
        .into_iter()
        .filter_map(|network| Some(network.as_ref()?.bridge.as_str()))
        .collect();
    let without_bridge = without_bridge(&pve, &ask.nodes, &wanted).await?;
    Ok(TemplateChecked { without_bridge })
}

async fn check_linked(pve: &Pve, ask: &CheckTemplate) -> Result<(), Failure> {
    let refused = |words: String| Err(Failure::new(Class::Permanent, words));
    let (template, wanted) = (ask.template, ask.storage.datastore());
    let Some(vm) = machine::anyone(pve, template).await? else {
        return refused(format!("there is no template {template}, or our login may not see it"));
    };
    let list = pve.look("/cluster/resources").await?.unwrap_or_default();
    for volume in volumes(&vm.config) {
        let (storage, name) = volume.split_once(':').unwrap_or((volume, ""));
        let kind = kind_of(&list, storage);
        if !links(kind, name) {
            return refused(format!(
                "the template {template} cannot be cloned linked: {storage}, where it lies, is a \
                 storage ({kind}) of full clones; move it, or let its `clone` be full"
            ));
        }
        if storage != wanted {
            return refused(format!(
                "a linked clone stays where its template lies: {template} is on {storage}, and \
                 {wanted} is wanted"
            ));
        }
    }
    Ok(())
}

/// The kind of a storage, as the cluster's list has it: `lvmthin`.
fn kind_of<'a>(list: &'a Value, storage: &str) -> &'a str {
    let line = Resources::listed(list).storage(storage);
    line.and_then(|line| line["plugintype"].as_str()).unwrap_or("not seen by our login")
}

fn links(kind: &str, volume: &str) -> bool {
    let volume = volume.split(',').next().unwrap_or_default();
    LINKING.contains(&kind) || FILES.contains(&kind) && volume.ends_with(".qcow2")
}

/// A machine that moves must find its drive's image where it goes.
async fn check_images(pve: &Pve, storage: &str, nodes: &[String]) -> Result<(), Failure> {
    let list = pve.look("/cluster/resources").await?.unwrap_or_default();
    let lines = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let sees = |node: &String| {
        lines.iter().any(|line| {
            let content = line["content"].as_str().unwrap_or_default();
            line["type"] == "storage"
                && line["storage"] == storage
                && line["node"] == node.as_str()
                && (nodes.len() == 1 || number(&line["shared"]) == Some(1))
                && content.split(',').any(|kind| kind == "iso")
        })
    };
    match nodes.iter().find(|node| !sees(node)) {
        Some(node) => {
            let words = format!(
                "{node} has no storage {storage} of ISO images, on which seeds are to lie, or it is \
                 not shared by the nodes, or our login may not see it"
            );
            Err(Failure::new(Class::Permanent, words))
        }
        None => Ok(()),
    }
}

/// The nodes that have not all of these bridges; one of them must have.
async fn without_bridge(
    pve: &Pve,
    nodes: &[String],
    wanted: &[&str],
) -> Result<Vec<String>, Failure> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut without = Vec::new();
    for node in nodes {
        let path = format!("/nodes/{}/network", segment(node));
        let query = [("type", "any_bridge".to_owned())];
        let bridges = pve.try_look(&path, &query).await?;
        let bridges = bridges.as_array().map(Vec::as_slice).unwrap_or_default();
        if !wanted.iter().all(|one| bridges.iter().any(|bridge| bridge["iface"] == *one)) {
            without.push(node.clone());
        }
    }
    if without.len() == nodes.len() && !nodes.is_empty() {
        let bridges = match wanted {
            [one] => format!("the bridge {one}"),
            more => format!("the bridges {}", more.join(" and ")),
        };
        let words = format!("no node has {bridges}, or our login may not use it");
        return Err(Failure::new(Class::Permanent, words));
    }
    Ok(without)
}

#[cfg(test)]
mod tests {
    use super::links;

    #[test]
    fn a_storage_of_files_links_where_the_file_can() {
        assert!(links("zfspool", "base-9000-disk-0,size=10G"));
        assert!(links("nfs", "9000/base-9000-disk-0.qcow2,size=10G"));
        assert!(!links("nfs", "9000/base-9000-disk-0.raw,size=10G"));
        assert!(!links("lvm", "base-9000-disk-0,size=10G"));
    }
}
