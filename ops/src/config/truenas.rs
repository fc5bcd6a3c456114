//! TrueNAS: where homes are, and who may mount them.

use std::net::IpAddr;

use stead_schemas::site::TrueNasSite;

use super::names;
use super::reader::Reader;

/// What engines know of it.
pub(super) fn site(reader: &mut Reader<'_>) -> TrueNasSite {
    let mut section = reader.section("truenas");
    let networks = names(section.optional_text("networks"));
    for wrong in networks.iter().filter(|network| !is_network(network)) {
        let words = format!("{wrong} is no network, such as 192.168.20.0/24");
        section.fault("networks", &words);
    }
    TrueNasSite {
        parent: section.text("parent"),
        nfs_server: section.text("nfs_server"),
        networks,
        secret: section.vault_reference("secret"),
        grace_seconds: u64::from(section.number_or("grace_seconds", 7 * 86_400, 0..=u32::MAX)),
    }
}

/// An address and a length.
fn is_network(text: &str) -> bool {
    let Some((address, length)) = text.split_once('/') else { return false };
    let most = address.parse().map(|found: IpAddr| if found.is_ipv4() { 32 } else { 128 });
    most.is_ok_and(|most| length.parse::<u8>().is_ok_and(|length| length <= most))
}
