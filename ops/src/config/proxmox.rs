//! Proxmox VE: where machines are made, and over which networks they are reached.

use stead_schemas::site::{Network, ProxmoxSite};

use super::names;
use super::reader::{Reader, Section};

/// What engines know of it.
pub(super) fn site(reader: &mut Reader<'_>) -> ProxmoxSite {
    let mut section = reader.section("proxmox");
    let nodes = names(section.optional_text("nodes"));
    let proxmox = ProxmoxSite {
        node: match nodes.first() {
            Some(first) => section.text_or("node", first),
            None => section.text("node"),
        },
        nodes,
        cpu_overcommit: section.number_or("cpu_overcommit", 4, 0..=1_000),
        secret: section.vault_reference("secret"),
        vmid_first: section.number_or("vmid_first", 10_000, 100..=999_999_999),
        vmid_last: section.number_or("vmid_last", 19_999, 100..=999_999_999),
        seed_storage: section.optional_text("seed_storage"),
        storage_network: storage_network(&mut section),
    };
    if proxmox.vmid_last < proxmox.vmid_first {
        section.fault("vmid_last", "is below vmid_first, so there is no VMID to give out");
    }
    proxmox
}

fn storage_network(section: &mut Section<'_, '_>) -> Option<Network> {
    let vlan = section.has("storage_vlan").then(|| section.number_or("storage_vlan", 1, 1..=4094));
    let vlan = vlan.and_then(|vlan| u16::try_from(vlan).ok());
    let Some(bridge) = section.optional_text("storage_bridge") else {
        if vlan.is_some() {
            section.fault("storage_vlan", "is the VLAN of storage_bridge, which is missing");
        }
        return None;
    };
    if !is_bridge(&bridge) {
        let words = format!("`{bridge}` is no bridge of Proxmox's, such as vmbr1");
        section.fault("storage_bridge", &words);
    }
    Some(Network { bridge, vlan })
}

/// Whether a bridge can be called that. What else stood there would say more of the card.
pub(super) fn is_bridge(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
}
