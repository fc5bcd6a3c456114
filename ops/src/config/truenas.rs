//! TrueNAS: where homes are, and who may mount them.

use std::net::IpAddr;

use stead_schemas::site::{ProxmoxSite, TrueNasSite};

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
    let nfs_server = section.text("nfs_server");
    if proxmox.storage_network.is_some() {
        check_reach(&mut section, &nfs_server, &networks);
    }
    TrueNasSite {
        parent: section.text("parent"),
        nfs_server,
        networks,
        secret: section.vault_reference("secret"),
        grace_seconds: u64::from(section.number_or("grace_seconds", 7 * 86_400, 0..=u32::MAX)),
    }
}

/// Over the card for storage its own network is reached and nothing else.
fn check_reach(section: &mut Section<'_, '_>, nfs_server: &str, networks: &[String]) {
    if networks.is_empty() {
        let words = "name the network of proxmox.storage_bridge, from which homes are mounted";
        section.fault("networks", words);
    }
    let Ok(server) = nfs_server.parse() else { return };
    if !networks.is_empty() && !networks.iter().any(|network| contains(network, server)) {
        let words = format!(
            "{server} is in none of truenas.networks: guests mount over the card for storage, which \
             leads to its own network and nowhere else"
        );
        section.fault("nfs_server", &words);
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
