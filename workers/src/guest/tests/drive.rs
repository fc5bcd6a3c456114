//! A seed that is laid into the drive of a machine: what is on it, and that it does not stay.

use serde_json::Value;
use stead_lab::CallFault;
use stead_schemas::failure::Class;
use stead_schemas::owner::Owner;
use stead_schemas::site::Guest;
use stead_schemas::step::coder::{AwaitAgent, StopWorkspace};
use stead_schemas::step::proxmox::{InsertSeed, Machine, RemoveSeed, ShutdownVm, StartVm};
use stead_schemas::step::sight::SightSeeds;

use super::variants::{EVERYTHING, WINDOWS};
use super::{SOURCE, Scene, file, furnish, is_shell};
use crate::testing::{Stage, marker};

fn insert(machine: &Machine, coder_id: &str) -> InsertSeed {
    InsertSeed {
        machine: machine.clone(),
        storage: "isos".to_owned(),
        owner: Owner::new("john").unwrap(),
        name: "dev".to_owned(),
        home_source: SOURCE.to_owned(),
        coder_id: coder_id.to_owned(),
        guest: Guest::default(),
        storage_card: None,
        volume: None,
    }
}

/// The seeds that a scan for drift sees, with their marks.
async fn seen(stage: &Stage) -> Vec<(String, Option<String>)> {
    let (login, node) = ("vault:secret/data/proxmox/api#1".to_owned(), "pve2".to_owned());
    let look = SightSeeds { login, node, storage: "isos".to_owned(), after: None };
    let page = stage.ask(look).await.unwrap();
    assert_eq!(page.after, None);
    page.things.into_iter().map(|thing| (thing.resource.id, thing.marker)).collect()
}

#[tokio::test]
async fn a_machine_that_reaches_nobody_boots_from_its_drive_with_a_fresh_token() {
    let scene = Scene::ready().await;
    let stage = &scene.stage;
    let machine = furnish(stage, true).await;
    let login = "vault:secret/data/coder/api#1".to_owned();
    let id = stage.lab.inventory().coder_workspaces[0].id.clone();
    let remove = RemoveSeed { machine: machine.clone(), storage: "isos".to_owned() };
    for boot in 1..=2 {
        for _ in 0..2 {
            stage.ask(insert(&machine, &id)).await.unwrap();
        }
        assert_eq!(stage.lab.inventory().images, [machine.seed_image("isos")]);
        assert_eq!(seen(stage).await, [(machine.seed_image("isos"), Some(marker()))]);
        stage.ask(StartVm { machine: machine.clone() }).await.unwrap();
        stage.ask(AwaitAgent { login: login.clone(), id: id.clone() }).await.unwrap();
        for _ in 0..2 {
            stage.ask(remove.clone()).await.unwrap();
        }
        assert!(stage.lab.inventory().images.is_empty(), "boot {boot} left its secrets behind");
        stage.ask(ShutdownVm { machine: machine.clone(), timeout_seconds: 60 }).await.unwrap();
        stage.ask(StopWorkspace { login: login.clone(), id: id.clone() }).await.unwrap();
        scene.start_coder("secret").await;
    }
    assert!(scene.office.reports().is_empty(), "it cannot tell us anything");
    assert_eq!((stage.count("image-laid"), stage.count("image-deleted")), (4, 2));
}

#[tokio::test]
async fn a_seed_is_taken_out_of_a_machine_that_is_gone() {
    let scene = Scene::ready().await;
    let stage = &scene.stage;
    let machine = furnish(stage, true).await;
    let id = stage.lab.inventory().coder_workspaces[0].id.clone();
    stage.ask(insert(&machine, &id)).await.unwrap();
    let failure = stage.refused(insert(&machine, "nothing"), Class::Permanent).await;
    assert!(failure.words.contains("stead/agents/nothing"), "{failure}");
    stage.lab.lose_machine(machine.vmid);
    let remove = RemoveSeed { machine, storage: "isos".to_owned() };
    stage.lose_answer("proxmox", "DELETE /storage");
    stage.insist(remove.clone()).await;
    assert!(stage.lab.inventory().images.is_empty());
    let elsewhere = RemoveSeed { storage: "nvme-pool".to_owned(), ..remove };
    stage.refused(elsewhere, Class::Permanent).await;
}

#[tokio::test]
async fn whatever_call_goes_wrong_one_seed_lies_there_and_then_none() {
    let scene = Scene::ready().await;
    let stage = &scene.stage;
    let machine = furnish(stage, true).await;
    let id = stage.lab.inventory().coder_workspaces[0].id.clone();
    let (image, storage) = (machine.seed_image("isos"), "isos".to_owned());
    let remove = RemoveSeed { machine: machine.clone(), storage };
    for call in ["POST /upload", "POST /config", "GET /content", "DELETE /content", "GET /tasks/"] {
        for fault in [CallFault::DropBefore, CallFault::LoseResponse, CallFault::FailPassing] {
            stage.lab.break_call_times("proxmox", call, fault, 1).unwrap();
            stage.insist(insert(&machine, &id)).await;
            assert_eq!(stage.lab.inventory().images, [image.as_str()], "{fault:?} at {call}");
            stage.insist(remove.clone()).await;
            assert_eq!(seen(stage).await, [], "{fault:?} at {call}");
            let struck = stage.lab.faults().iter().any(|rule| rule.fired > 0);
            assert!(struck, "nobody calls {call}");
            stage.lab.mend();
        }
    }
}

/// What is on the CD for such a guest: the files, one after the other.
async fn laid(scene: &Scene, guest: Guest) -> String {
    let login = "vault:secret/data/proxmox/api#1".to_owned();
    let machine = Machine { login, node: "pve1".to_owned(), vmid: 10_000, marker: marker() };
    let id = scene.stage.lab.inventory().coder_workspaces[0].id.clone();
    let ask = InsertSeed { guest, ..insert(&machine, &id) };
    String::from_utf8_lossy(&scene.stage.workers.seeds.image(&ask).await.unwrap()).into_owned()
}

/// What begins with this on the CD, to its end.
fn from<'a>(image: &'a str, words: &str) -> &'a str {
    image[image.find(words).unwrap()..].trim_end_matches('\0')
}

#[tokio::test]
async fn on_a_cd_is_what_would_be_fetched_but_for_where_to_report() {
    const VERIFY: &str = "/usr/local/sbin/stead-verify-home";
    let scene = Scene::ready().await;
    scene.own_a_key_to_models().await;
    let id = scene.stage.lab.inventory().coder_workspaces[0].id.clone();
    scene.office.show_guest(Some(SOURCE), Some(&id), EVERYTHING);
    let mut fetched = scene.user_data().await;
    let image = laid(&scene, EVERYTHING).await;
    assert!(image.contains(&scene.get("meta-data").await.1));
    let text = from(&image, "#cloud-config\n").strip_prefix("#cloud-config\n").unwrap();
    let mut laid: Value = serde_json::from_str(text).unwrap();
    is_shell(&file(&laid, VERIFY));
    assert!(fetched["reporting"].take().is_object());
    for data in [&mut fetched, &mut laid] {
        data.as_object_mut().unwrap().remove("reporting");
        let files = data["write_files"].as_array_mut().unwrap();
        files.retain(|file| file["path"] != VERIFY);
    }
    assert_eq!(laid, fetched);
    let told = laid.to_string();
    for words in ["key-to-models", "docker", "stead-novnc", ".codex/config.toml"] {
        assert!(told.contains(words), "{words}");
    }
    assert!(!image.contains("/ci/"), "it names no address that cannot be reached");
}

#[tokio::test]
async fn on_a_cd_for_windows_is_the_script_that_would_be_fetched() {
    let scene = Scene::ready().await;
    let id = scene.stage.lab.inventory().coder_workspaces[0].id.clone();
    scene.office.show_guest(Some(SOURCE), Some(&id), WINDOWS);
    let (_, fetched) = scene.get("user-data").await;
    let image = laid(&scene, WINDOWS).await;
    let laid = from(&image, "#ps1_sysnative\n");
    let is_report = |line: &&str| line.starts_with("$reportUrl") || line.starts_with("# stead-");
    let without = |text: &str| text.lines().filter(|line| !is_report(line)).collect::<String>();
    assert_eq!(without(laid), without(&fetched));
    assert!(laid.contains("$reportUrl = ''\n") && !laid.contains("stead-report"));
}
