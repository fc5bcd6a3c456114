//! A lab that is brought to what the bundle of an incident shows, whether people have their own
//! names in it or others.

use serde_json::{Value, json};
use stead_lab::{Inventory, LabClient};

use crate::incidents::{Bundle, PLAIN, path, stands};
use crate::stage::{Process, Stage, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lab_is_brought_to_what_a_bundle_shows_with_the_same_fault() {
    let stage = Stage::start().await;
    let john = stage.desk("jane.doe").await;
    let created = john.carry_out("create", json!({ "cpu_cores": 8 })).await;
    stage.lab.break_("vault", "sealed").expect("a fault");
    let stopped = john.order("stop", json!({})).await;
    stands(&john, &created.run, "vault.pin-secrets").await;
    let bundle = Bundle::export(&stage, &created.run, "sealed-stop", PLAIN).await;
    let (there, opened) = lab_from(&bundle).await;
    assert_eq!(held(&there), held(&stage.lab.inventory()), "{opened:#}");
    // Those who have other names have the same things.
    let redacted = Bundle::export(&stage, &created.run, "redacted", &[]).await;
    let (there, opened) = lab_from(&redacted).await;
    let (here, there) = (stage.lab.inventory(), there);
    let sizes = |all: &Inventory| {
        let sizes = all.vms.iter().map(|vm| (vm.vmid, vm.cores, vm.memory_mib, vm.disk_gib));
        let homes = all.datasets.iter().map(|home| home.refquota_bytes);
        (sizes.collect::<Vec<_>>(), homes.collect::<Vec<_>>(), all.coder_workspaces.len())
    };
    assert_eq!(sizes(&there), sizes(&here), "{opened:#}");
    assert!(!there.vms.is_empty() && !held(&there).concat().contains("jane"), "{there:#?}");
    stage.lab.mend();
    john.outcome(&stopped).await;
    stage.finish().await;
}

/// A lab that is brought to what a bundle shows, all of it, with Vault sealed: what is there, and
/// what was said of it.
async fn lab_from(bundle: &Bundle) -> (Inventory, Value) {
    let log = bundle.file.with_extension("log");
    let words = ["lab", "--from", path(&bundle.file), "--control=0", "--latency=zero", "--json"];
    let lab = Process::start(&words, &[("STEAD_LOG".to_owned(), "error".to_owned())], &log);
    let opened = until("the lab is open", || async {
        lab.said().lines().find_map(|line| serde_json::from_str::<Value>(line).ok())
    })
    .await;
    let control = opened["addresses"]["control_url"].as_str().unwrap_or_else(|| panic!("{opened}"));
    let other = LabClient::new(control);
    let there = other.inventory().await.expect("it answers");
    assert_eq!(opened["restored"]["missing"], json!([]), "{opened:#}");
    let faults = other.faults().await.expect("it answers");
    let broken = faults.iter().filter(|fault| fault.active).map(|fault| fault.name.as_str());
    assert_eq!(broken.collect::<Vec<_>>(), ["sealed"]);
    lab.stop().await;
    (there, opened)
}

/// What vendors hold, but for what the system inside a machine has come to.
fn held(inventory: &Inventory) -> Vec<String> {
    let vms = inventory.vms.iter().map(|vm| {
        let size = (vm.cores, vm.memory_mib, vm.disk_gib);
        format!("{} {} on {}, {}, {size:?}, {}", vm.vmid, vm.name, vm.node, vm.status, vm.tags)
    });
    let datasets = inventory.datasets.iter().map(|home| {
        format!("{} of {}, {}, {}", home.id, home.owner, home.refquota_bytes, home.uid)
    });
    let shares = inventory.shares.iter().map(|share| format!("{} {}", share.path, share.comment));
    let shown = inventory.coder_workspaces.iter().map(|one| format!("{}/{}", one.owner, one.name));
    vms.chain(datasets).chain(shares).chain(shown).collect()
}
