//! Where a machine's network cards are plugged in, in the setting that Proxmox has for it:
//! `virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=20`.

use stead_schemas::site::Network;

/// What says where a card is plugged in; everything else in its setting is about the card itself.
const PLACE: [&str; 3] = ["bridge=", "tag=", "trunks="];

/// The card plugged in there. Its model, its address and whatever else it has are kept; a machine
/// without one gets one, and its address from Proxmox.
pub(super) fn plugged(present: Option<&str>, network: &Network) -> String {
    let card = present.unwrap_or("virtio").split(',');
    let kept = card.filter(|part| !PLACE.iter().any(|place| part.starts_with(place)));
    let tag = network.vlan.map(|vlan| format!("tag={vlan}"));
    let place = [format!("bridge={}", network.bridge)].into_iter().chain(tag);
    kept.map(str::to_owned).chain(place).collect::<Vec<_>>().join(",")
}

/// The address of a card, in whatever model it is: `BC:24:11:00:00:01`.
pub(super) fn address_of(card: &str) -> Option<String> {
    let is_address = |text: &str| text.len() == 17 && text.split(':').count() == 6;
    let mut values = card.split(',').filter_map(|part| Some(part.split_once('=')?.1));
    values.find(|value| is_address(value)).map(str::to_owned)
}

/// Whether two settings of a card say the same; Proxmox orders them as it likes.
pub(super) fn same(one: &str, other: &str) -> bool {
    let sorted = |setting: &str| {
        let mut parts: Vec<String> = setting.split(',').map(str::to_owned).collect();
        parts.sort();
        parts
    };
    sorted(one) == sorted(other)
}

#[cfg(test)]
mod tests {
    use stead_schemas::site::Network;

    use super::{address_of, plugged, same};

    #[test]
    fn a_card_is_plugged_in_elsewhere_and_stays_the_same_card() {
        let card = "virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,tag=10,trunks=3;4";
        let tagged = Network { bridge: "vmbr1".to_owned(), vlan: Some(20) };
        let there = plugged(Some(card), &tagged);
        assert_eq!(there, "virtio=BC:24:11:00:00:01,firewall=1,bridge=vmbr1,tag=20");
        assert_eq!(plugged(Some(&there), &tagged), there);
        assert!(same(&there, "virtio=BC:24:11:00:00:01,bridge=vmbr1,firewall=1,tag=20"));
        assert!(!same(&there, card));
        let plain = Network { vlan: None, ..tagged };
        assert_eq!(plugged(None, &plain), "virtio,bridge=vmbr1");
        assert_eq!(address_of(card).as_deref(), Some("BC:24:11:00:00:01"));
        assert_eq!(address_of("virtio,bridge=vmbr1"), None);
    }
}
