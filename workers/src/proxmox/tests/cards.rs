//! The cards of a machine: where they are plugged in, and that they stay the same cards.

use stead_schemas::step::proxmox::ConfigureVm;

use super::{clone, configure, pve, start, vlan};
use crate::testing::Stage;

/// A card's setting, or nothing if there is none.
async fn card(stage: &Stage, card: &str) -> String {
    let config = pve(stage).await.look("/nodes/pve1/qemu/10000/config").await.unwrap().unwrap();
    config[card].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_machine_is_plugged_in_elsewhere_and_keeps_its_card() {
    let stage = Stage::open().await;
    stage.ask(clone()).await.unwrap();
    let before = card(&stage, "net0").await;
    let mac = before.strip_suffix(",bridge=vmbr0").unwrap();
    let plugged = ConfigureVm { network: Some(vlan(20)), ..configure() };
    for _ in 0..2 {
        stage.ask(plugged.clone()).await.unwrap();
    }
    assert_eq!(card(&stage, "net0").await, format!("{mac},bridge=vmbr1,tag=20"));
    assert_eq!(stage.count("vm-configured"), 1);
    stage.ask(ConfigureVm { network: Some(vlan(30)), ..configure() }).await.unwrap();
    stage.ask(configure()).await.unwrap();
    assert_eq!(card(&stage, "net0").await, format!("{mac},bridge=vmbr1,tag=30"));
    stage.ask(start()).await.unwrap();
}

#[tokio::test]
async fn a_machine_gets_one_card_for_storage_and_its_address_is_told() {
    let stage = Stage::open().await;
    stage.ask(clone()).await.unwrap();
    let first = card(&stage, "net0").await;
    assert_eq!(stage.ask(configure()).await.unwrap().storage_card, None);
    assert_eq!(card(&stage, "net1").await, "");
    let wanted = ConfigureVm { storage_network: Some(vlan(30)), ..configure() };
    let address = stage.ask(wanted.clone()).await.unwrap().storage_card.unwrap();
    assert_eq!(card(&stage, "net1").await, format!("virtio={address},bridge=vmbr1,tag=30"));
    // Asked twice, and plugged in elsewhere, it is the same card.
    assert_eq!(stage.ask(wanted).await.unwrap().storage_card.as_ref(), Some(&address));
    assert_eq!(stage.count("vm-configured"), 2);
    let elsewhere = ConfigureVm { storage_network: Some(vlan(31)), ..configure() };
    assert_eq!(stage.ask(elsewhere).await.unwrap().storage_card.as_ref(), Some(&address));
    assert_eq!(card(&stage, "net1").await, format!("virtio={address},bridge=vmbr1,tag=31"));
    assert_eq!(card(&stage, "net0").await, first);
    stage.ask(start()).await.unwrap();
}
