//! Where homes and volumes may be.

use super::check;

#[test]
fn homes_are_where_the_card_for_storage_leads() {
    let site = |card: &'static str, networks: &'static str| {
        move |text: String| {
            let text = text.replace("[truenas]", &format!("{card}\n[truenas]"));
            text.replace("[coder]", &format!("{networks}\n[coder]"))
        }
    };
    let card = "storage_bridge = \"vmbr1\"\nstorage_vlan = 30";
    check(site(card, "networks = \"10.10.20.0/24, 10.10.30.0/24\""), &[]);
    check(site(card, "networks = \"0.0.0.0/0\""), &[]);
    check(
        site(card, ""),
        &[
            "line 12: truenas.networks: name the network of proxmox.storage_bridge, from which homes are \
           mounted",
        ],
    );
    check(
        site(card, "networks = \"10.10.20.0/24\""),
        &[
            "line 12: truenas.nfs_server: 10.10.30.2 is in none of truenas.networks: guests mount over the \
           card for storage, which leads to its own network and nowhere else",
        ],
    );
    check(
        site("storage_vlan = 30", ""),
        &["line 6: proxmox.storage_vlan: is the VLAN of storage_bridge, which is missing"],
    );
    let all = "networks = \"10.10.30.0/24\"";
    check(
        site("storage_bridge = \"vmbr1,tag=3\"", all),
        &["line 6: proxmox.storage_bridge: `vmbr1,tag=3` is no bridge of Proxmox's, such as vmbr1"],
    );
}

#[test]
fn volumes_are_beside_the_homes_and_have_a_portal() {
    let told = |lines: &str, fault: &str| {
        let fault = format!("line 10: truenas.{fault}");
        let lines = format!("networks = \"10.10.30.0/24\"\n{lines}\n[coder]");
        check(|text| text.replace("[coder]", &lines), &[&fault]);
    };
    let volumes = "volumes = \"tank/v\"\nportal = \"nas:1\"\n[coder]";
    let open = "line 10: truenas.networks: name the networks from which volumes may be had: they have no \
                password";
    check(|text| text.replace("[coder]", volumes), &[open]);
    told("volumes = \"tank/v\"", "portal: is needed where there are volumes: nas.lan:3260");
    told("volumes = \"tank/v\"\nportal = \"nas\"", "portal: is no portal, such as nas.lan:3260");
    told("volumes = \"tank\"\nportal = \"nas:1\"", "volumes: is not beside the homes");
}
