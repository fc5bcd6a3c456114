//! What each workflow is asked to do: a life that passes through everything it can.

use std::time::Duration;

use serde_json::json;
use stead_schemas::owner::Owner;
use stead_schemas::site::{CoderSite, ProxmoxSite, Site, Template, TrueNasSite};
use stead_schemas::step::{home, vmids};
use stead_testkit::Kit;
use stead_workflows::WORKFLOWS;

use crate::world::World;

/// How long a home is kept where a kit waits for its end.
const GRACE: Duration = Duration::from_secs(60 * 60);
const HOME: [&str; 2] = ["dataset tank/home/john", "share /mnt/tank/home/john"];
const WORKSPACE: [&str; 4] =
    ["coder dev", "dataset tank/home/john", "share /mnt/tank/home/john", "vm 10000"];

/// A workspace is made, changed, stopped, started and deleted.
pub fn workspace() -> Kit<World> {
    create()
        .leaves(WORKSPACE)
        .command("resize", json!({ "storage_quota_gb": 60, "cpu_cores": 2 }))
        .command("stop", json!({}))
        .command("start", json!({}))
        .leaves(WORKSPACE)
        .command("delete", json!({}))
        .leaves([])
}

/// A workspace is made.
pub fn create() -> Kit<World> {
    let kit = Kit::of(WORKFLOWS).site(site()).entity("workspace", "john", "dev");
    kit.command("create", json!({}))
}

/// A home is used by two workspaces and outlives them by its grace period.
pub fn home() -> Kit<World> {
    let site = TrueNasSite { grace_seconds: GRACE.as_secs(), ..site().truenas };
    let attach = |workspace: &str, quota_gb| home::Attach {
        owner: john(),
        workspace: workspace.into(),
        quota_gb,
        site: site.clone(),
    };
    let detach = |workspace: &str| home::Detach { owner: john(), workspace: workspace.into() };
    Kit::of(WORKFLOWS)
        .asks(attach("one", 50))
        .leaves(HOME)
        .asks(attach("two", 80))
        .asks(home::Resize { owner: john(), quota_gb: 100 })
        .asks(detach("one"))
        .passes(GRACE)
        .leaves(HOME)
        .asks(detach("two"))
        .leaves(HOME)
        .passes(GRACE)
        .leaves([])
}

/// The ledger gives numbers out and takes one back.
pub fn vmids() -> Kit<World> {
    let reserve = |workspace: &str| vmids::Reserve {
        workspace: workspace.into(),
        not: Vec::new(),
        site: site().proxmox,
    };
    Kit::of(WORKFLOWS)
        .asks(reserve("one"))
        .asks(reserve("two"))
        .asks(vmids::Release { workspace: "one".into() })
        .asks(reserve("three"))
        .leaves([])
}

/// The probe makes its steps.
pub fn probe() -> Kit<World> {
    let kit = Kit::of(WORKFLOWS).entity("probe", "john", "p");
    kit.command("start", json!({})).leaves([])
}

pub fn john() -> Owner {
    Owner::new("john").expect("a good owner")
}

pub fn site() -> Site {
    let template = json!({
        "name": "debian-12", "vmid": 9000, "disk_gb": 40, "coder_template": "stead-machine",
    });
    Site {
        templates: vec![serde_json::from_value::<Template>(template).expect("a good template")],
        proxmox: ProxmoxSite {
            node: "pve1".into(),
            secret: "vault:secret/data/proxmox/api".into(),
            vmid_first: 10_000,
            vmid_last: 10_009,
        },
        truenas: TrueNasSite {
            parent: "tank/home".into(),
            nfs_server: "10.0.0.2".into(),
            secret: "vault:secret/data/truenas/api".into(),
            grace_seconds: 0,
        },
        coder: CoderSite {
            organization: "default".into(),
            secret: "vault:secret/data/coder/api".into(),
        },
    }
}
