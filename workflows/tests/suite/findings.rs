//! Drift is scanned, and what was found is decided.

use serde_json::{Value, json};
use stead_schemas::ids::EntityKey;
use stead_schemas::owner::Owner;
use stead_schemas::step::vmids;
use stead_testkit::Kit;
use stead_workflows::WORKFLOWS;

use crate::kits::{GRACE, site};
use crate::volumes;
use crate::world::World;

/// A scan looks at everything.
pub fn drift() -> Kit<World> {
    let mut site = volumes::with_volumes(GRACE);
    site.proxmox.seed_storage = Some("isos".into());
    let kit = Kit::of(WORKFLOWS).site(site).entity("drift", vmids::PLATFORM, "site");
    kit.command("scan", json!({})).leaves([])
}

/// Findings are decided: what is left of somebody who is gone goes when its grace period is over, a
/// stranger's machine is adopted and destroyed.
pub fn decisions() -> Kit<World> {
    let stranger = json!({
        "drift": "stranger", "system": "proxmox", "kind": "machine", "id": "10005",
    });
    let secret = "vault:secret/data/stead/buckets/mary-data";
    let bucket = orphan("bucket", ["s3", "bucket", "mary-data"]);
    let secret = orphan("bucket", ["vault", "secret", secret]);
    let seed = orphan("bucket", ["proxmox", "seed", "isos:iso/stead-10007-mary.iso"]);
    let token = orphan("token", ["coder", "token", "MARKER-2"]);
    let version = orphan("template", ["coder", "template-version", "stead-machine/v2"]);
    let server = orphan("mcp", ["kubernetes", "service", "mcp-servers/data"]);
    Kit::of(WORKFLOWS)
        .site(site())
        .entity("drift", vmids::PLATFORM, "decisions")
        .command("destroy", decision(&bucket))
        .command("destroy", decision(&secret))
        .command("destroy", decision(&seed))
        .command("destroy", decision(&token))
        .command("destroy", decision(&version))
        .command("destroy", decision(&server))
        .passes(GRACE)
        .command("ignore", decision(&stranger))
        .command("adopt", decision(&stranger))
        .leaves(["vm 10005"])
        .command("destroy", decision(&stranger))
        .leaves([])
}

/// Something of an entity of mary's that a scan found, and no run wants. `MARKER` in its name is the run
/// that made it.
fn orphan(entity: &str, [system, kind, id]: [&str; 3]) -> Value {
    let mary = Owner::new("mary").expect("a good owner");
    let marker = EntityKey::of(entity, &mary, "data").run(1);
    json!({
        "drift": "orphan", "system": system, "kind": kind, "marker": marker,
        "id": id.replace("MARKER", marker.as_str()),
        "holder": { "kind": entity, "owner": "mary", "name": "data", "marker": marker },
    })
}

pub fn decision(found: &Value) -> Value {
    json!({ "why": "a test", "found": found })
}
