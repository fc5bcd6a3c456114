//! A site whose guests cannot fetch their seed and mount their homes over a second card, and a template
//! that is cloned linked and plugged in elsewhere, on real processes.

use serde_json::json;

use crate::stage::effects::count;
use crate::stage::{Setting, Stage, check_gone, check_ledger_after};

const TEMPLATE: &str = "\n[[template]]\nname = \"remote\"\nvmid = 9002\ndisk_gb = 40\nclone = \"linked\"\n\
                        coder_template = \"stead-machine\"\nstorage_backend = [\"nvme\"]\n\
                        network = { bridge = \"vmbr1\", vlan = 20 }\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_reaches_nobody_is_made_linked_and_boots_from_its_drive() {
    let mut stage = Stage::with(Setting { site: TEMPLATE, ..Setting::default() }).await;
    stage.kill_engine(0);
    let site = stage.place("site.toml");
    let text = std::fs::read_to_string(&site).expect("a file");
    let last = "vmid_last = 10999\n";
    let card = "storage_bridge = \"vmbr1\"\nstorage_vlan = 30\n";
    let remote = text.replace(last, &format!("{last}seed_storage = \"isos\"\n{card}"));
    let server = "nfs_server = \"127.0.0.1\"\nnetworks = \"10.10.20.0/24, 10.10.30.0/24\"\n";
    let home = "nfs_server = \"localhost\"\nnetworks = \"10.10.30.0/24\"\n";
    let remote = remote.replace(server, home).replace("127.0.0.1:3260", "localhost:3260");
    assert!(remote.contains(card) && remote.contains(home), "{remote}");
    std::fs::write(&site, remote).expect("a file");
    stage.start_engine(0);

    let john = stage.desk("john").await;
    john.carry_out("create", json!({ "template": "remote" })).await;
    john.carry_out("restart", json!({})).await;
    let inventory = stage.lab.inventory();
    assert!(inventory.images.is_empty(), "secrets are left behind: {:?}", inventory.images);
    assert_eq!(inventory.vms[0].guest_stage, "agent-ready");
    let effects = stage.lab.effects();
    assert_eq!((count(&effects, "image-laid"), count(&effects, "image-deleted")), (2, 2));
    check_ledger_after(&stage, "a restart").await;
    john.carry_out("delete", json!({})).await;
    check_gone(&stage.lab, "john");
    check_ledger_after(&stage, "a delete").await;
    stage.finish().await;
}
