//! What each decision about each finding comes to, and what makes no sense.

use alloc::string::{String, ToString};

use serde_json::json;
use stead_schemas::command::drift::Found;
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::Owner;
use stead_schemas::site::{ForgejoSite, KubernetesSite, S3Site, Site, TrueNasSite};

use super::Case;

const SECRET: &str = "vault/secret/vault:secret/data/stead/buckets/john-data";

/// `changed truenas/dataset/tank/home/john of home`: of what kind of entity, if of any.
fn found(told: &str) -> Found {
    let mut words = told.split(' ');
    let (drift, path) = (words.next().unwrap(), words.next().unwrap());
    let mut parts = path.splitn(3, '/');
    let mut part = || parts.next().unwrap();
    let mut found = json!({ "drift": drift, "system": part(), "kind": part(), "id": part() });
    if let Some(kind) = words.nth(1) {
        let marker = EntityKey::of(kind, &Owner::new("john").unwrap(), "dev").run(1);
        found["marker"] = json!(marker);
        found["id"] = json!(path.splitn(3, '/').last().unwrap().replace("MARKER", marker.as_str()));
        let gib = 50_u64 << 30;
        found["holder"] = json!({
            "kind": kind, "owner": "john", "name": "dev", "marker": marker, "quota_bytes": gib,
        });
    }
    if words.next() == Some("resized") {
        found["quota_bytes"] = json!(80_u64 << 30);
    }
    serde_json::from_value(found).unwrap()
}

fn check(verb: &str, told: &str, is_adopted: bool, expected: &str) {
    let truenas = TrueNasSite { grace_seconds: 60, ..TrueNasSite::default() };
    let folder = "vault:secret/data/stead/buckets".to_string();
    let s3 = Some(S3Site { credentials: folder, grace_seconds: 90, ..S3Site::default() });
    let forgejo = Some(ForgejoSite::default());
    let kubernetes = Some(KubernetesSite::default());
    let site = Site { truenas, s3, forgejo, kubernetes, ..Site::default() };
    let found = found(told);
    let case = Case { verb, found: &found, is_adopted, site: &site };
    let words: String = match case.meaning() {
        Ok(act) => case.plan(&act).join("; "),
        Err(refusal) => refusal.words,
    };
    assert!(words.contains(expected), "{verb} {told}: {words}");
}

#[test]
fn what_is_needed_is_repaired_by_the_entity_that_needs_it() {
    let told = |told: &str, expected: &str| check("repair", told, false, expected);
    told("missing proxmox/machine/1 of workspace", "workspace john/dev is told to rebuild");
    told("changed proxmox/machine/1 of workspace", "is told to rebuild");
    told("missing coder/workspace/john/dev of workspace", "is told to restart");
    told("orphan proxmox/seed/isos:iso/x.iso of workspace", "is told to restart");
    told("missing truenas/share//mnt/x of home", "sets limit and export again");
    told("changed truenas/dataset/x of home resized", "sets limit and export again");
    told("changed s3/bucket/x of bucket resized", "bucket john/dev is told to resize");
    told("missing truenas/target/x of volume", "volume of john/dev sets size and target again");
    told("missing truenas/extent/x of volume", "sets size and target again");
    told("changed truenas/dataset/x of volume resized", "sets size and target again");
    told("missing truenas/dataset/x of volume", "would hide that");
    told("missing proxmox/snapshot/1/x of workspace", "`stead workspace drop`");
    told("missing truenas/dataset/x of home", "would hide that");
    told("missing s3/bucket/x of bucket", "would hide that");
    told(&["missing", SECRET, "of bucket"].join(" "), "cannot be opened any more");
    told("missing coder/token/x of token", "token john/dev is told to rotate");
    told("missing coder/token/x of token", "listed as lost while it is");
    told("missing forgejo/secret/john/templates/X of token", "is told to rotate");
    told("missing vault/secret/vault:secret/data/stead/tokens/x of token", "is told to rotate");
    told("missing kubernetes/service/n/x of mcp", "mcp john/dev is told to repair");
    told("missing coder/template-version/t/v of template", "versions unarchive");
    told("changed kubernetes/deployment/n/x of mcp", "another's mark");
    told("changed truenas/dataset/x of home", "another's mark");
    told("changed s3/bucket/x of bucket", "another's mark");
    told("orphan proxmox/machine/1 of workspace", "no run needs it any more");
    told("stranger proxmox/machine/1", "no entity needs it");
}

#[test]
fn only_machines_and_datasets_get_our_mark() {
    let told = |told: &str, expected: &str| check("adopt", told, false, expected);
    told("changed proxmox/machine/1 of workspace", "gets the mark of workspace-");
    told("changed truenas/dataset/x of home", "gets the mark of home-");
    told("stranger truenas/dataset/x", "held for the platform");
    told("orphan proxmox/machine/1", "held for the platform");
    told("orphan proxmox/machine/1 of workspace", "destroy or ignore it");
    told("changed truenas/dataset/x of home resized", "repair it");
    told("missing proxmox/machine/1 of workspace", "it is not there");
    told("stranger truenas/share//mnt/x", "only machines and datasets");
    told("stranger kubernetes/deployment/n/x", "only machines and datasets");
    check("adopt", "stranger proxmox/machine/1", true, "adopted already");
}

#[test]
fn only_what_no_run_wants_is_destroyed_and_user_data_only_later() {
    let told = |told: &str, expected: &str| check("destroy", told, false, expected);
    told("orphan proxmox/machine/1 of workspace", "proxmox/machine/1 is destroyed");
    told("orphan proxmox/seed/isos:iso/x.iso of workspace", "x.iso is destroyed");
    told("orphan proxmox/seed/isos:iso/x.iso", "remove it by hand");
    told("orphan proxmox/snapshot/1/x of workspace", "proxmox/snapshot/1/x is destroyed");
    told("orphan truenas/dataset/x of home", "nothing is done for 60 s");
    told("orphan truenas/dataset/x of home", "home john/dev is asked whether it lives");
    told("orphan truenas/target/x of volume", "removed with all of the same mark");
    told("orphan s3/bucket/x of bucket", "nothing is done for 90 s");
    told(&["orphan", SECRET, "of bucket"].join(" "), "is destroyed");
    told("orphan vault/secret/vault:secret/data/stead/tokens/x of token", "goes with the token");
    told("orphan s3/key/x of bucket", "goes with its secret");
    told("orphan coder/token/MARKER-3 of token", "is revoked, and its record in Vault destroyed");
    told("orphan coder/token/MARKER-x of token", "not named as a token");
    told("orphan coder/token/MARKER-3 of bucket", "not named as a token");
    told("orphan coder/token/x", "another Stead");
    told("orphan coder/template-version/t/v of template", "is archived, unless it is active");
    told("orphan forgejo/secret/john/templates/X of token", "carries no mark");
    told("orphan kubernetes/service/n/x of mcp", "deleted with all objects of that name");
    told("stranger kubernetes/service/n/x", "adopt it first");
    told("orphan proxmox/machine/1", "another Stead");
    told("stranger proxmox/machine/1", "adopt it first");
    told("changed proxmox/machine/1 of workspace", "not taken away here");
    told("missing proxmox/machine/1 of workspace", "it is not there");
    check("destroy", "stranger proxmox/machine/1", true, "proxmox/machine/1 is destroyed");
    check("ignore", "missing proxmox/machine/1 of workspace", false, "until it changes");
}

#[test]
fn an_orphan_is_only_of_the_entity_that_its_mark_names() {
    let mut found = found("orphan proxmox/machine/1 of workspace");
    found.holder.as_mut().unwrap().name = "another".to_string();
    let site = Site::default();
    let case = Case { verb: "destroy", found: &found, is_adopted: false, site: &site };
    assert!(case.meaning().unwrap_err().words.contains("another mark"));
    // The entity that is asked whether it lives must be the one whose mark the worker looks for.
    let mut swapped = self::found("orphan proxmox/machine/1 of workspace");
    let bob = EntityKey::of("workspace", &Owner::new("bob").unwrap(), "dev").run(1);
    swapped.holder.as_mut().unwrap().marker = bob.to_string();
    let case = Case { found: &swapped, ..case };
    assert!(case.meaning().unwrap_err().words.contains("another mark"));
}
