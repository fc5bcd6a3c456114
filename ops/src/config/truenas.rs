//! TrueNAS: where homes and volumes are, and who may mount them.

use std::net::IpAddr;

use stead_schemas::site::{ProxmoxSite, TrueNasSite, VolumeSite};

use super::backups::beneath;
use super::names;
use super::reader::{Reader, Section};

/// What engines know of it.
pub(super) fn site(reader: &mut Reader<'_>, proxmox: &ProxmoxSite) -> TrueNasSite {
    let mut section = reader.section("truenas");
    let networks = names(section.optional_text("networks"));
    for wrong in networks.iter().filter(|network| !is_network(network)) {
        let words = format!("{wrong} is no network, such as 192.168.20.0/24");
        section.fault("networks", &words);
    }
    let parent = section.text("parent");
    let nfs_server = section.text("nfs_server");
    if proxmox.storage_network.is_some() {
        check_reach(&mut section, &nfs_server, &networks);
    }
    let volumes = volumes(&mut section);
    if let Some(volumes) = &volumes {
        if networks.is_empty() {
            let words = "name the networks from which volumes may be had: they have no password";
            section.fault("networks", words);
        }
        if proxmox.storage_network.is_some() {
            let host = volumes.portal.rsplit_once(':').map_or("", |(host, _)| host);
            check_address(&mut section, "portal", host, &networks);
        }
    }
    if volumes.as_ref().is_some_and(|volumes| {
        // A volume could else have a home's name.
        beneath(&volumes.parent, &parent) || beneath(&parent, &volumes.parent)
    }) {
        section.fault("volumes", "is not beside the homes");
    }
    TrueNasSite {
        parent,
        nfs_server,
        networks,
        secret: section.vault_reference("secret"),
        grace_seconds: u64::from(section.number_or("grace_seconds", 7 * 86_400, 0..=u32::MAX)),
        volumes,
    }
}

/// Where volumes are, if workspaces may have some.
fn volumes(section: &mut Section<'_, '_>) -> Option<VolumeSite> {
    let portal_id = section.number_or("portal_id", 1, 1..=u32::MAX);
    let (parent, portal) = (section.optional_text("volumes"), section.optional_text("portal"));
    match (parent, portal) {
        (Some(parent), Some(portal)) => {
            let port = portal.rsplit_once(':').map(|(_, port)| port.parse::<u16>());
            if !matches!(port, Some(Ok(_))) || portal.contains(char::is_whitespace) {
                section.fault("portal", "is no portal, such as nas.lan:3260");
            }
            Some(VolumeSite { parent, portal, portal_id })
        }
        (Some(_), None) => {
            section.fault("portal", "is needed where there are volumes: nas.lan:3260");
            None
        }
        (None, Some(_)) => {
            section.fault("volumes", "is needed where there is a portal: tank/coder-volumes");
            None
        }
        (None, None) => None,
    }
}

/// Over the card for storage its own network is reached and nothing else.
fn check_reach(section: &mut Section<'_, '_>, nfs_server: &str, networks: &[String]) {
    if networks.is_empty() {
        let words = "name the network of proxmox.storage_bridge, from which homes are mounted";
        section.fault("networks", words);
    }
    check_address(section, "nfs_server", nfs_server, networks);
}

fn check_address(section: &mut Section<'_, '_>, key: &str, host: &str, networks: &[String]) {
    let Ok(address) = host.parse() else { return };
    if !networks.is_empty() && !networks.iter().any(|network| contains(network, address)) {
        let words = format!(
            "{address} is in none of truenas.networks: guests mount over the card for storage, which \
             leads to its own network and nowhere else"
        );
        section.fault(key, &words);
    }
}

fn contains(network: &str, address: IpAddr) -> bool {
    let Some((net, length)) = network.split_once('/') else { return false };
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (32_u32, u128::from(address.to_bits())),
        IpAddr::V6(address) => (128, address.to_bits()),
    };
    let (Ok(net), Ok(length)) = (net.parse().map(bits), length.parse::<u32>()) else {
        return false;
    };
    let (address, most) = (bits(address), net.0);
    let beyond = most.saturating_sub(length);
    address.0 == most && (address.1 ^ net.1).checked_shr(beyond).unwrap_or(0) == 0
}

/// An address and a length.
fn is_network(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let most = address.parse().map(|found: IpAddr| if found.is_ipv4() { 32 } else { 128 });
    most.is_ok_and(|most| length.parse::<u8>().is_ok_and(|length| length <= most))
}
