//! What steps touch, read off their requests and answers.

use alloc::string::ToString;
use alloc::vec::Vec;

use serde_json::{Value, json};

use super::{Deed, TABLE, systems, touches};

fn check(step: &str, request: Value, answer: Option<Value>, expected: &[(Deed, &str)]) {
    let found = touches(step, &request, answer.as_ref()).expect("it is known and readable");
    let found = found.iter().map(|touch| (touch.deed, touch.resource.path()));
    let expected = expected.iter().map(|(deed, path)| (*deed, (*path).to_string()));
    let (found, expected): (Vec<_>, Vec<_>) = (found.collect(), expected.collect());
    assert_eq!(found, expected, "{step}");
}

#[test]
fn the_table_is_sorted_and_without_twins() {
    assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
    assert_eq!(systems(), ["coder", "forgejo", "kubernetes", "proxmox", "s3", "truenas", "vault"]);
}

#[test]
fn a_step_says_what_it_makes_and_removes() {
    let machine = json!({ "login": "", "node": "pve1", "vmid": 10432, "marker": "m" });
    check(
        "proxmox.destroy-vm",
        json!({ "machine": machine }),
        None,
        &[(Deed::Removes, "proxmox/machine/10432")],
    );
    let kept = json!({ "machine": machine, "snapshot": "monday" });
    let path = "proxmox/snapshot/10432/monday";
    check("proxmox.snapshot-vm", kept.clone(), None, &[(Deed::Makes, path)]);
    let uses = [(Deed::Uses, "proxmox/machine/10432"), (Deed::Uses, path)];
    check("proxmox.roll-back-vm", kept.clone(), None, &uses);
    check("proxmox.delete-snapshot", kept, None, &[(Deed::Removes, path)]);
    let place = json!({ "login": "", "bucket": "b", "credentials": "vault:c", "marker": "m" });
    let key = [(Deed::Makes, "s3/key/m"), (Deed::Makes, "vault/secret/vault:c")];
    let request = json!({ "place": place, "endpoint": "e" });
    check("s3.ensure-key", request.clone(), None, &key);
    let mut of_user = request;
    of_user["user"] = json!("vault:u#1");
    check("s3.ensure-key", of_user, None, &key[1..]);
    let place =
        json!({ "login": "", "user": "u", "name": "t-1", "credentials": "vault:c", "marker": "m" });
    let token = [(Deed::Removes, "coder/token/t-1"), (Deed::Removes, "vault/secret/vault:c")];
    check("coder.revoke-token", json!({ "place": place }), None, &token);
}

#[test]
fn a_bucket_that_holds_something_is_not_removed() {
    let place = json!({ "login": "", "bucket": "b", "credentials": "vault:c", "marker": "m" });
    let request = json!({ "place": place });
    let stays = json!({ "gone": false, "objects": 1, "uploads": 0 });
    let goes = json!({ "gone": true, "objects": 0, "uploads": 0 });
    let removes = [(Deed::Removes, "s3/bucket/b")];
    check("s3.delete-if-empty", request.clone(), None, &removes);
    check("s3.delete-if-empty", request.clone(), Some(goes), &removes);
    check("s3.delete-if-empty", request, Some(stays), &[(Deed::Uses, "s3/bucket/b")]);
}

#[test]
fn what_coder_calls_a_workspace_is_the_same_as_its_name() {
    let request = json!({
        "login": "", "organization": "o", "user": "john", "name": "dev", "template": "t",
        "marker": "m",
    });
    let answer = json!({ "id": "77" });
    let made = touches("coder.start-workspace", &request, Some(&answer)).expect("known");
    let request = json!({ "login": "", "id": "77" });
    let used = touches("coder.await-agent", &request, None).expect("known");
    assert!(made[0].resource.is(&used[0].resource), "{made:?} {used:?}");
    assert!(!used[0].resource.is(&super::of_coder::shown("john", "dev")));
}

#[test]
fn a_target_is_made_and_removed_with_its_extent() {
    let both = |deed| [(deed, "truenas/extent/m"), (deed, "truenas/target/m")];
    let request = json!({
        "login": "", "dataset": "d", "marker": "m", "portal": 1, "initiator": "iqn.x",
    });
    check("truenas.ensure-target", request, None, &both(Deed::Makes));
    let request = json!({ "login": "", "marker": "m" });
    check("truenas.remove-target", request, None, &both(Deed::Removes));
    let request = json!({ "login": "", "dataset": "d", "size_gb": 7, "marker": "m" });
    let made = touches("truenas.ensure-volume", &request, None).expect("known");
    assert_eq!((made[0].deed, made[0].quota_gb), (Deed::Makes, Some(7)));
}
