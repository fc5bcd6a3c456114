//! The ledger and what the vendors hold: the one must know of everything in the other.

use std::collections::BTreeMap;

use stead_lab::Inventory;
use stead_schemas::ledger::{Held, Standing};

use super::Stage;

/// Far more than there is on any stage.
const LIMIT: &str = "--limit=100000";

/// Everything that `stead ledger` lists.
pub async fn ledger(stage: &Stage) -> Vec<Held> {
    let told = stage.verb(&["ledger", LIMIT, "--json"]).await;
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
    let book: serde_json::Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(book["unread"], serde_json::json!([]), "steps of which nobody knows what they do");
    serde_json::from_value(book["held"].clone()).expect("lines of the ledger")
}

/// The stage is at rest, and the ledger says exactly what the lab holds, each with its mark.
pub async fn check_ledger(stage: &Stage) {
    check_ledger_after(stage, "a story").await;
}

/// The same, and says after what.
pub async fn check_ledger_after(stage: &Stage, story: &str) {
    check_ledger_of(stage, &stage.lab.inventory(), story).await;
}

/// The same of these things alone.
pub async fn check_ledger_of(stage: &Stage, there: &Inventory, story: &str) {
    let held = ledger(stage).await;
    let unsettled: Vec<&Held> = held
        .iter()
        .filter(|held| matches!(held.standing, Standing::Unknown | Standing::Debt))
        .collect();
    assert!(unsettled.is_empty(), "{story}: nothing goes on, but {unsettled:#?}");
    compare(there, &held, story);
}

/// Something may still go on: nothing is there that the ledger does not know, and what it is sure
/// of is there.
pub fn compare(there: &Inventory, held: &[Held], story: &str) {
    let there = marks(there);
    for (path, mark) in &there {
        let known: Vec<&Held> = held.iter().filter(|held| held.resource.path() == *path).collect();
        assert!(!known.is_empty(), "{story}: the ledger does not know {path}: {held:#?}");
        let Some(mark) = mark else { continue };
        let is_ours = known.iter().any(|held| mark.contains(&held.marker));
        assert!(is_ours, "{story}: {path} is marked `{mark}`, and not as {known:#?}");
    }
    for sure in held.iter().filter(|held| held.standing == Standing::Wanted) {
        let path = sure.resource.path();
        assert!(there.contains_key(&path), "{story}: {path} is not there: {sure:#?}");
    }
}

/// What there is, by the ledger's names, and what it is marked with, where the lab shows that.
fn marks(inventory: &Inventory) -> BTreeMap<String, Option<String>> {
    let mut all = BTreeMap::new();
    for vm in &inventory.vms {
        // One that is being cloned has no description yet.
        let mark = (vm.lock != "clone").then(|| vm.description.clone());
        all.insert(format!("proxmox/machine/{}", vm.vmid), mark);
        for snapshot in &vm.snapshots {
            let path = format!("proxmox/snapshot/{}/{}", vm.vmid, snapshot.name);
            all.insert(path, Some(snapshot.description.clone()));
        }
    }
    for dataset in &inventory.datasets {
        all.insert(format!("truenas/dataset/{}", dataset.id), Some(dataset.owner.clone()));
    }
    for share in &inventory.shares {
        all.insert(format!("truenas/share/{}", share.path), Some(share.comment.clone()));
    }
    for part in inventory.iscsi.iter().filter(|part| ["extent", "target"].contains(&&*part.kind)) {
        all.insert(format!("truenas/{}/{}", part.kind, part.name), Some(part.mark.clone()));
    }
    for shown in &inventory.coder_workspaces {
        all.insert(format!("coder/workspace/{}/{}", shown.owner, shown.name), None);
    }
    for bucket in &inventory.buckets {
        // A key of ours makes a bucket ours only at the end of its making.
        let mark = (!bucket.owners.is_empty()).then(|| bucket.owners.join(" "));
        all.insert(format!("s3/bucket/{}", bucket.name), mark);
    }
    for key in &inventory.bucket_keys {
        all.insert(format!("s3/key/{key}"), Some(key.clone()));
    }
    for object in &inventory.kubernetes {
        let path = format!("kubernetes/{}/{}", object.kind, object.name);
        all.insert(path, Some(object.marker.clone()));
    }
    for token in &inventory.coder_tokens {
        all.insert(format!("coder/token/{token}"), Some(token.clone()));
    }
    for secret in &inventory.forgejo_secrets {
        all.insert(format!("forgejo/secret/{}", secret.replacen(' ', "/", 1)), None);
    }
    for (version, message) in &inventory.template_versions {
        all.insert(format!("coder/template-version/{version}"), Some(message.clone()));
    }
    for image in &inventory.images {
        all.insert(format!("proxmox/seed/{image}"), Some(image.clone()));
    }
    for secret in &inventory.kept_secrets {
        all.insert(format!("vault/secret/vault:secret/data/{secret}"), None);
    }
    all
}
