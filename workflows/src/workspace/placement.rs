//! Chooses the node for a machine. Pure: what was seen goes in, a node or all reasons against
//! them come out, in words.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Reverse;

use stead_schemas::command::workspace::{RunsWith, Size};
use stead_schemas::site::{ProxmoxSite, StorageBackend, Template};
use stead_schemas::step::proxmox::{NodeSeen, Surveyed};

use super::state::Workspace;

/// What the machine needs.
pub(crate) struct Wanted<'a> {
    pub cpu_cores: u32,
    pub memory_gb: u32,
    pub disk_gb: u32,
    pub template: &'a Template,
    pub storage: StorageBackend,
    pub site: &'a ProxmoxSite,
    /// The nodes that do not have the bridge it is to be plugged in at.
    pub without_bridge: &'a [String],
}

/// The node, and why it was chosen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    pub node: String,
    pub words: String,
    /// All that have room, the one with the most free memory first.
    pub with_room: Vec<String>,
}

/// The node with the most free memory of those that have room; the first one of several alike.
///
/// # Errors
/// In words, if none has room.
pub(crate) fn choose(seen: &Surveyed, wanted: &Wanted<'_>) -> Result<Placed, String> {
    let (first, last) = (wanted.site.vmid_first, wanted.site.vmid_last);
    if seen.vmids_taken > last.saturating_sub(first) {
        return Err(format!("all VMIDs from {first} to {last} are taken; widen the site's range"));
    }
    let Some(home) = &seen.template_node else {
        let Template { name, vmid, .. } = wanted.template;
        return Err(format!(
            "the template {name} is not there: Proxmox has no machine {vmid}, or our token may \
             not see it"
        ));
    };
    let mut with_room: Vec<&NodeSeen> = Vec::new();
    let mut against = Vec::new();
    for node in &seen.nodes {
        match objection(node, seen, home, wanted) {
            Some(words) => against.push(format!("{} {words}", node.node)),
            None => with_room.push(node),
        }
    }
    let against = against.join("; ");
    with_room.sort_by_key(|node| Reverse(node.memory_free_mib));
    match with_room.first() {
        Some(node) => Ok(Placed {
            node: node.node.clone(),
            words: reason(node, seen, &against),
            with_room: with_room.iter().map(|node| node.node.clone()).collect(),
        }),
        None => Err(format!("no node has room: {against}")),
    }
}

/// What is seen, as if the machine of this workspace were off.
pub(super) fn without(seen: &Surveyed, workspace: &Workspace) -> Surveyed {
    let Size { cpu_cores, memory_gb, .. } = workspace.size;
    let now = workspace.runs_with.unwrap_or(RunsWith { cpu_cores, memory_gb });
    let mut seen = seen.clone();
    let its = |node: &&mut NodeSeen| node.node == workspace.order.proxmox.node;
    for node in seen.nodes.iter_mut().filter(its) {
        node.memory_free_mib += u64::from(now.memory_gb) * 1024;
        node.cores_given = node.cores_given.saturating_sub(now.cpu_cores);
    }
    seen
}

/// Why the node that a machine is on will not do for it at another size, if it is among those that
/// were seen. Of the disk only what it grows by counts.
pub(super) fn against_growing(seen: &Surveyed, wanted: &Wanted<'_>) -> Option<String> {
    let node = seen.nodes.iter().find(|node| node.node == wanted.site.node)?;
    let words = objection(node, seen, &node.node, wanted)?;
    Some(format!("{} {words}", node.node))
}

/// Why the node that a machine is on has no room for it to run; nothing if it runs. Of a machine that is
/// not seen, and of a node that does not answer, its start will say what there is to say.
pub(super) fn against_starting(seen: &Surveyed, wanted: &Wanted<'_>) -> Option<String> {
    let machine = seen.machine.as_ref().filter(|machine| !machine.is_running)?;
    let node = seen.nodes.iter().find(|node| node.node == machine.node && node.is_online)?;
    let words = against_running(node, wanted)?;
    Some(format!("{} {words}", node.node))
}

/// Why a node will not do.
fn objection(
    node: &NodeSeen,
    seen: &Surveyed,
    template_node: &str,
    wanted: &Wanted<'_>,
) -> Option<String> {
    let (disk_gb, storage) = (wanted.disk_gb, wanted.storage.datastore());
    if !node.is_online {
        return Some("does not answer".to_string());
    }
    if let Some(words) = against_running(node, wanted) {
        return Some(words);
    }
    match node.storage_free_gb {
        None => return Some(format!("does not see the storage {storage}")),
        Some(free) if free < u64::from(disk_gb) => {
            return Some(format!("has {free} GiB free on {storage}, and {disk_gb} are wanted"));
        }
        Some(_) => {}
    }
    if wanted.without_bridge.contains(&node.node) {
        let bridge = wanted.template.network.as_ref().map_or("", |network| &network.bridge);
        return Some(format!("has no bridge {bridge}"));
    }
    let reaches = node.node == template_node || seen.template_is_shared;
    (!reaches).then(|| format!("does not see the template, which is on {template_node}"))
}

/// Why no machine of this size can run on a node.
fn against_running(node: &NodeSeen, wanted: &Wanted<'_>) -> Option<String> {
    let Wanted { cpu_cores, memory_gb, site, .. } = wanted;
    let free_gb = node.memory_free_mib / 1024;
    let room = node.cores.saturating_mul(site.cpu_overcommit);
    if node.cores < *cpu_cores {
        return Some(format!("has {} cores, and {cpu_cores} are wanted", node.cores));
    }
    if site.cpu_overcommit > 0 && node.cores_given.saturating_add(*cpu_cores) > room {
        let given = node.cores_given;
        return Some(format!("gives {given} of at most {room} cores, and {cpu_cores} are wanted"));
    }
    if free_gb < u64::from(*memory_gb) {
        return Some(format!("has {free_gb} GiB of memory free, and {memory_gb} are wanted"));
    }
    None
}

fn reason(node: &NodeSeen, seen: &Surveyed, against: &str) -> String {
    let free = node.memory_free_mib / 1024;
    let name = &node.node;
    let most = if seen.nodes.len() > 1 { ", the most" } else { "" };
    match against {
        "" => format!("{name}: {free} GiB of memory free{most}"),
        against => format!("{name}: {free} GiB of memory free; {against}"),
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::String;
    use alloc::vec;

    use stead_schemas::site::{CloneKind, Network, ProxmoxSite, Range, StorageBackend, Template};
    use stead_schemas::step::proxmox::{NodeSeen, Surveyed};

    use super::{Wanted, choose};

    fn node(name: &str, memory_free_gb: u64) -> NodeSeen {
        NodeSeen {
            node: name.into(),
            is_online: true,
            cores: 16,
            cores_given: 60,
            memory_mib: 65_536,
            memory_free_mib: memory_free_gb * 1024,
            storage_free_gb: Some(100),
        }
    }

    fn seen() -> Surveyed {
        Surveyed {
            nodes: vec![node("pve1", 20), node("pve2", 40), node("pve3", 40)],
            template_node: Some("pve1".into()),
            template_is_shared: true,
            vmids_taken: 0,
            login_ends: None,
            machine: None,
        }
    }

    fn said(seen: &Surveyed) -> String {
        let any = Range { min: 1, max: 64, default: 4 };
        let template = Template {
            name: "debian".into(),
            vmid: 9000,
            disk_gb: 40,
            disk_gb_max: None,
            volume_gb_max: None,
            lifetime: Default::default(),
            coder_template: "machine".into(),
            cpu_cores: any,
            memory_gb: any,
            storage_quota_gb: any,
            storage_backend: vec![StorageBackend::Iscsi],
            guest: Default::default(),
            clone_kind: CloneKind::Full,
            network: Some(Network { bridge: "vmbr1".into(), vlan: None }),
        };
        let site = ProxmoxSite {
            vmid_first: 100,
            vmid_last: 109,
            cpu_overcommit: 4,
            ..ProxmoxSite::default()
        };
        let wanted = Wanted {
            cpu_cores: 4,
            memory_gb: 8,
            disk_gb: 40,
            template: &template,
            storage: StorageBackend::Iscsi,
            site: &site,
            without_bridge: &["pve4".into()],
        };
        choose(seen, &wanted).map_or_else(|words| words, |placed| placed.words)
    }

    #[test]
    fn the_node_with_the_most_memory_is_chosen_and_the_first_of_those_alike() {
        assert_eq!(said(&seen()), "pve2: 40 GiB of memory free, the most");
    }

    #[test]
    fn what_speaks_against_a_node_is_said() {
        let check = |spoil: fn(&mut NodeSeen), words: &str| {
            let mut seen = seen();
            seen.nodes.truncate(1);
            spoil(&mut seen.nodes[0]);
            let node = &seen.nodes[0].node;
            assert_eq!(said(&seen), alloc::format!("no node has room: {node} {words}"));
        };
        check(|node| node.is_online = false, "does not answer");
        check(|node| node.cores = 2, "has 2 cores, and 4 are wanted");
        check(|node| node.cores_given = 61, "gives 61 of at most 64 cores, and 4 are wanted");
        check(|node| node.memory_free_mib = 7_000, "has 6 GiB of memory free, and 8 are wanted");
        check(|node| node.storage_free_gb = None, "does not see the storage iscsi-pool");
        check(|node| node.node = "pve4".into(), "has no bridge vmbr1");
        check(
            |node| node.storage_free_gb = Some(39),
            "has 39 GiB free on iscsi-pool, and 40 are wanted",
        );
    }

    #[test]
    fn a_template_that_only_its_own_node_sees_keeps_the_machine_there() {
        let mut seen = seen();
        seen.template_is_shared = false;
        let words = "pve1: 20 GiB of memory free; pve2 does not see the template, which is on \
                     pve1; pve3 does not see the template, which is on pve1";
        assert_eq!(said(&seen), words);
        seen.template_node = None;
        assert!(said(&seen).starts_with("the template debian is not there"));
    }

    #[test]
    fn a_range_without_a_free_number_is_named() {
        let mut seen = seen();
        seen.vmids_taken = 9;
        assert!(said(&seen).starts_with("pve2"));
        seen.vmids_taken = 10;
        assert_eq!(said(&seen), "all VMIDs from 100 to 109 are taken; widen the site's range");
    }
}
