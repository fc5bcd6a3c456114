//! A card for storage: how a guest is told of it, and that its home is mounted over it.

use serde_json::Value;
use stead_schemas::site::Network;
use stead_schemas::step::coder::AwaitAgent;
use stead_schemas::step::proxmox::{ConfigureVm, ShutdownVm, StartVm};
use stead_schemas::step::truenas::EnsureShare;

use super::{Scene, furnish, is_shell, seed};
use crate::guest::user_data::{Seed, user_data};
use crate::testing::marker;

#[test]
fn a_card_for_storage_is_addressed_before_anything_is_mounted() {
    let told = |storage_card| {
        let text = user_data(&Seed { storage_card, ..seed() });
        serde_json::from_str::<Value>(text.strip_prefix("#cloud-config\n").unwrap()).unwrap()
    };
    assert!(told(None)["bootcmd"].is_null());
    let data = told(Some("BC:24:11:00:00:01"));
    let [shell, flag, script, name, card] = &data["bootcmd"][0].as_array().unwrap()[..] else {
        panic!("{data:#}");
    };
    assert_eq!(
        (shell, flag, name, card),
        (&"sh".into(), &"-c".into(), &"sh".into(), &"BC:24:11:00:00:01".into())
    );
    let script = script.as_str().unwrap();
    is_shell(script);
    // The default route and the names stay those of the first card.
    for line in ["MACAddress=$1", "DHCP=ipv4", "UseRoutes=no", "UseDNS=no"] {
        assert!(script.contains(line), "{line}");
    }
    let modules = data["cloud_init_modules"].as_array().unwrap();
    let place = |name: &str| modules.iter().position(|module| module == name).unwrap();
    assert!(place("bootcmd") < place("mounts"));
}

#[tokio::test]
async fn a_home_for_the_network_of_storage_is_mounted_over_the_card_for_it() {
    let scene = Scene::ready().await;
    let stage = &scene.stage;
    let machine = furnish(stage, false).await;
    let login = "vault:secret/data/truenas/api#1".to_owned();
    let (path, networks) = ("/mnt/tank/coder-home/john".to_owned(), ["10.10.30.0/24".to_owned()]);
    let marker = marker();
    stage.ask(EnsureShare { login, path, marker, networks: networks.into() }).await.unwrap();
    stage.ask(StartVm { machine: machine.clone() }).await.unwrap();
    stage.lab.until(|inventory| inventory.vms[0].guest_stage == "waiting-for-home").await;
    stage.ask(ShutdownVm { machine: machine.clone(), timeout_seconds: 60 }).await.unwrap();

    let configure = ConfigureVm {
        machine: machine.clone(),
        cores: 4,
        memory_mib: 8192,
        owner: "john".to_owned(),
        name: None,
        network: None,
        seed_in_drive: false,
        storage_network: Some(Network { bridge: "vmbr1".to_owned(), vlan: Some(30) }),
    };
    let card = stage.ask(configure).await.unwrap().storage_card.unwrap();
    scene.office.show_storage_card(&card);
    stage.ask(StartVm { machine }).await.unwrap();
    let login = "vault:secret/data/coder/api#1".to_owned();
    let id = stage.lab.inventory().coder_workspaces[0].id.clone();
    stage.ask(AwaitAgent { login, id }).await.unwrap();
}

#[tokio::test]
async fn nothing_but_the_address_of_a_card_gets_into_a_command() {
    let scene = Scene::ready().await;
    scene.office.show_storage_card("$(reboot)");
    let (status, text) = scene.get("user-data").await;
    assert!(!status.is_success() && !text.contains("bootcmd"), "{text}");
}
