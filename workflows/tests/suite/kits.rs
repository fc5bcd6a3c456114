//! What each workflow is asked to do: a life that passes through everything it can.

use std::time::Duration;

use serde_json::{Value, json};
use stead_schemas::notice::{By, Route, Topic};
use stead_schemas::owner::Owner;
use stead_schemas::site::{
    Allowance, AuthentikSite, CoderSite, Deployment, ForgejoSite, KubernetesSite, Lifetime,
    McpServer, ProxmoxSite, S3Site, Site, Template, TrueNasSite,
};
use stead_schemas::step::notify::Tell;
use stead_schemas::step::people::Hold;
use stead_schemas::step::{home, vmids};
use stead_testkit::Kit;
use stead_workflows::WORKFLOWS;

use crate::world::World;

/// How long a home is kept where a kit waits for its end.
pub const GRACE: Duration = Duration::from_secs(60 * 60);
pub const HOME: [&str; 2] = ["dataset tank/home/john", "share /mnt/tank/home/john"];
pub const WORKSPACE: [&str; 4] =
    ["coder dev", "dataset tank/home/john", "share /mnt/tank/home/john", "vm 10000"];

/// Coder's id of a workspace that its developer made there.
pub const CODER_ID: &str = "4c9a0d4e-7a53-4e0a-9d3f-1b1a2c3d4e5f";
const SECRET: &str = "secret john/templates CODER_SESSION_TOKEN";
const BUCKET: [&str; 2] = ["bucket john-data", "key john-data"];

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

/// A machine whose seed is laid into its drive is made, exchanged and started again.
pub fn remote() -> Kit<World> {
    let mut site = site();
    site.proxmox.seed_storage = Some("isos".into());
    Kit::of(WORKFLOWS)
        .site(site)
        .entity("workspace", "john", "dev")
        .command("create", json!({}))
        .leaves(WORKSPACE)
        .command("rebuild", json!({}))
        .command("restart", json!({}))
        .leaves(["coder dev", HOME[0], HOME[1], "vm 10001"])
        .command("delete", json!({}))
        .leaves([])
}

/// A workspace whose home another one uses, too, gets other machines, is deleted, brought back
/// and deleted for good.
pub fn changes() -> Kit<World> {
    let mut site = site();
    let attach = home::Attach {
        owner: john(),
        workspace: "another".into(),
        quota_gb: 50,
        site: site.truenas.clone(),
        only_if_there: false,
    };
    // The home has no grace of its own: what fails is gone at once.
    site.truenas.grace_seconds = GRACE.as_secs();
    site.allowance = Allowance { workspaces: Some(3), cpu_cores: Some(20), memory_gb: None };
    let with = |machine| ["coder dev", HOME[0], HOME[1], machine];
    Kit::of(WORKFLOWS)
        .site(site)
        .entity("workspace", "john", "dev")
        .asks(attach)
        .leaves(HOME)
        .command("create", json!({}))
        .leaves(with("vm 10000"))
        .command("resize", json!({ "cpu_cores": 8, "disk_gb": 60 }))
        .command("rebuild", json!({}))
        .leaves(with("vm 10001"))
        .command("stop", json!({}))
        .command("rebuild", json!({ "template": "debian-13" }))
        .leaves(with("vm 10000"))
        .command("delete", json!({}))
        .leaves(HOME)
        .command("undelete", json!({}))
        .leaves(with("vm 10001"))
        .command("delete", json!({ "now": true }))
        .leaves(HOME)
}

/// A workspace that nobody uses is stopped, and deleted when its time is over.
pub fn ends() -> Kit<World> {
    let mut site = site();
    site.templates[0].lifetime =
        Lifetime { autostop_minutes: Some(60), ttl_hours: Some(48), ..Lifetime::default() };
    let kit = Kit::of(WORKFLOWS).site(site).entity("workspace", "john", "dev");
    kit.command("create", json!({}))
        .leaves(WORKSPACE)
        .passes(GRACE * 2)
        .leaves(WORKSPACE)
        .passes(GRACE * 48)
        .leaves([])
}

/// A workspace looks for its next start, is dormant when nobody has used it, and goes at last.
pub fn rest() -> Kit<World> {
    let mut site = site();
    site.templates[0].lifetime =
        Lifetime { dormant_days: Some(1), dormant_delete_days: Some(1), ..Lifetime::default() };
    let kit = Kit::of(WORKFLOWS).site(site).entity("workspace", "john", "dev");
    kit.command("create", json!({}))
        .command("configure", json!({ "autostart": "0 0 1 1 *" }))
        .passes(GRACE * 25)
        .leaves(WORKSPACE)
        // What fails on the way is looked at again a day later.
        .passes(GRACE * 25 * 3)
        .leaves([])
}

/// A workspace that its developer made in Coder is joined, gets another machine, is stopped, started
/// and deleted.
pub fn pressed() -> Kit<World> {
    create_with(json!({ "coder_id": CODER_ID, "coder_template": "stead-machine" }))
        .leaves([HOME[0], HOME[1], "vm 10000"])
        .command("rebuild", json!({}))
        .command("stop", json!({}))
        .command("start", json!({}))
        .leaves([HOME[0], HOME[1], "vm 10001"])
        .command("delete", json!({}))
        .leaves([])
}

/// A workspace is made that waits when something fails.
pub fn patient() -> Kit<World> {
    let kit = Kit::of(WORKFLOWS).site(site()).entity("workspace", "john", "dev");
    kit.command("create", json!({ "on_failure": "wait" })).leaves(WORKSPACE)
}

/// A workspace is made.
pub fn create() -> Kit<World> {
    create_with(json!({}))
}

/// A workspace is made, as this says.
pub fn create_with(order: Value) -> Kit<World> {
    let kit = Kit::of(WORKFLOWS).site(site()).entity("workspace", "john", "dev");
    kit.command("create", order)
}

/// A schedule deletes a bucket: not while it is paused, and at last.
pub fn schedule() -> Kit<World> {
    let gives = json!({ "kind": "bucket", "name": "data", "verb": "delete" });
    make_bucket()
        .entity("schedule", "john", "tidy")
        .command("create", json!({ "cron": "0 * * * *", "command": gives }))
        .command("pause", json!({}))
        .passes(GRACE * 2)
        .leaves(BUCKET)
        .command("resume", json!({}))
        .passes(GRACE * 4)
        .leaves([])
        .command("delete", json!({}))
        .leaves([])
}

/// A home is used by two workspaces and outlives them by its grace period.
pub fn home() -> Kit<World> {
    let site = TrueNasSite { grace_seconds: GRACE.as_secs(), ..site().truenas };
    let attach = |workspace: &str, quota_gb| home::Attach {
        owner: john(),
        workspace: workspace.into(),
        quota_gb,
        site: site.clone(),
        only_if_there: false,
    };
    let detach = |workspace: &str| home::Detach {
        owner: john(),
        workspace: workspace.into(),
        now: false,
        grace_seconds: None,
    };
    Kit::of(WORKFLOWS)
        .asks(attach("one", 50))
        .leaves(HOME)
        .asks(attach("two", 80))
        .asks(home::Resize { owner: john(), quota_gb: 100 })
        .asks(home::Repair { owner: john() })
        .entity("home", "john", "home")
        .command("snapshot", json!({ "snapshot": "monday" }))
        .command("snapshots", json!({}))
        .command("drop", json!({ "snapshot": "monday" }))
        .asks(detach("one"))
        .passes(GRACE)
        .leaves(HOME)
        .asks(detach("two"))
        .leaves(HOME)
        .passes(GRACE)
        .leaves([])
}

/// A home is used by a workspace.
pub fn home_of(workspace: &str) -> Kit<World> {
    Kit::of(WORKFLOWS).asks(home::Attach {
        owner: john(),
        workspace: workspace.into(),
        quota_gb: 50,
        site: site().truenas,
        only_if_there: false,
    })
}

/// A bucket is made, changed, used, and taken away while nothing is in it.
pub fn bucket() -> Kit<World> {
    make_bucket()
        .leaves(BUCKET)
        .command("resize", json!({ "quota_gb": 20 }))
        .command("attach", json!({ "workspace": "dev" }))
        .command("detach", json!({ "workspace": "dev" }))
        .leaves(BUCKET)
        .command("delete", json!({}))
        .leaves([])
}

/// A bucket that somebody has filled outlives its delete by its grace period.
pub fn full_bucket() -> Kit<World> {
    let kit = Kit::of(WORKFLOWS).site(site()).entity("bucket", "john", "full");
    let there = ["bucket john-full", "key john-full"];
    kit.command("create", json!({}))
        .command("resize", json!({ "quota_gb": 20 }))
        .command("delete", json!({ "confirm": "full" }))
        .leaves(there)
        .command("restore", json!({}))
        .passes(GRACE)
        .leaves(there)
        .command("delete", json!({ "confirm": "full" }))
        .passes(GRACE)
        .leaves([])
}

/// A bucket is made.
pub fn make_bucket() -> Kit<World> {
    let kit = Kit::of(WORKFLOWS).site(site()).entity("bucket", "john", "data");
    kit.command("create", json!({}))
}

/// A token is made, made anew by itself and by hand, and taken away.
pub fn token() -> Kit<World> {
    let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(86_400));
    make_token()
        .leaves([SECRET, "token john/ci/a"])
        .command("rotate", json!({}))
        .leaves([SECRET, "token john/ci/a", "token john/ci/b"])
        .passes(hour * 7)
        .leaves([SECRET, "token john/ci/b"])
        .passes(day * 6 - hour * 6)
        .leaves([SECRET, "token john/ci/a", "token john/ci/b"])
        .command("delete", json!({}))
        .leaves([])
}

/// A token is made.
pub fn make_token() -> Kit<World> {
    let kit = Kit::of(WORKFLOWS).site(site()).entity("token", "john", "ci");
    kit.command("create", json!({ "repository": "templates" }))
}

/// A version is made and promoted, the branch looked at again, and somebody goes back and forth.
pub fn template() -> Kit<World> {
    let deployed = ["active a", "version a"];
    push_template()
        .leaves(deployed)
        .command("check", json!({}))
        .leaves(deployed)
        .command("rollback", json!({}))
        .leaves(["version a"])
        .command("promote", json!({}))
        .leaves(deployed)
        .command("push", json!({}))
        .leaves(deployed)
}

/// A version is made and promoted.
pub fn push_template() -> Kit<World> {
    let kit = Kit::of(WORKFLOWS).site(site()).entity("template", "platform", "stead-machine");
    kit.command("push", json!({}))
}

/// A server is deployed, deployed anew of another image, gone back with, and taken away.
pub fn mcp() -> Kit<World> {
    deploy_mcp()
        .leaves(["server outline a"])
        .command("deploy", json!({ "tag": "b" }))
        .leaves(["server outline b"])
        .command("rollback", json!({}))
        .leaves(["server outline a"])
        .command("remove", json!({}))
        .leaves([])
}

/// A server is deployed.
pub fn deploy_mcp() -> Kit<World> {
    let kit = Kit::of(WORKFLOWS).site(site()).entity("mcp", vmids::PLATFORM, "outline");
    kit.command("deploy", json!({}))
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

/// People are told, by mail and by webhook.
pub fn notices() -> Kit<World> {
    let tell = |about: &str| Tell {
        topic: Topic::VendorDown,
        about: about.into(),
        words: "it cannot be reached".into(),
    };
    Kit::of(WORKFLOWS)
        .site(Site { notify: routes(), ..site() })
        .asks(tell("proxmox"))
        .asks(tell("coder"))
        .passes(GRACE)
        .leaves([])
}

/// Operators are mailed, a chat is called.
pub fn routes() -> Vec<Route> {
    let topics = || vec![Topic::VendorDown, Topic::Paused, Topic::Dormant, Topic::Owner];
    let (to, from) = (vec!["ops@example.org".into()], "stead@example.org".into());
    let (url, secret) = ("https://chat.lan/hook".into(), "vault:secret/data/stead/hook".into());
    [("chat", By::Webhook { url, secret }), ("ops", By::Mail { to, from, login: None })]
        .map(|(name, by)| Route { name: name.into(), topics: topics(), by, every_minutes: 240 })
        .into()
}

/// Authentik knows the owner of a workspace, which may not run for a while, and is looked at meanwhile.
pub fn people() -> Kit<World> {
    let site = Site { authentik: Some(authentik()), ..site() };
    let hold = |why: Option<&str>| Hold::to(&john(), "dev", why.map(Into::into));
    let kit = Kit::of(WORKFLOWS).site(site).entity("workspace", "john", "dev");
    kit.command("create", json!({}))
        .leaves(WORKSPACE)
        .passes(Duration::from_secs(6 * 60))
        .asks(hold(Some("a test")))
        .leaves(WORKSPACE)
        .passes(Duration::from_secs(60))
        .asks(hold(None))
        .command("start", json!({}))
        .leaves(WORKSPACE)
        .command("delete", json!({}))
        .leaves([])
}

pub fn authentik() -> AuthentikSite {
    let secret = "vault:secret/data/authentik/api".into();
    AuthentikSite { secret, every_minutes: 5, allowances: Vec::new() }
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
    let template = |name, vmid, coder_template| {
        let template = json!({
            "name": name, "vmid": vmid, "disk_gb": 40, "coder_template": coder_template,
        });
        serde_json::from_value::<Template>(template).expect("a good template")
    };
    Site {
        templates: vec![
            template("debian-12", 9000, "stead-machine"),
            template("debian-13", 9001, "stead-machine-13"),
        ],
        proxmox: ProxmoxSite {
            node: "pve1".into(),
            nodes: vec!["pve1".into(), "pve2".into()],
            secret: "vault:secret/data/proxmox/api".into(),
            vmid_first: 10_000,
            vmid_last: 10_009,
            ..ProxmoxSite::default()
        },
        truenas: TrueNasSite {
            parent: "tank/home".into(),
            nfs_server: "10.0.0.2".into(),
            networks: Vec::new(),
            secret: "vault:secret/data/truenas/api".into(),
            grace_seconds: 0,
            volumes: None,
        },
        coder: CoderSite {
            organization: "default".into(),
            secret: "vault:secret/data/coder/api".into(),
        },
        s3: Some(S3Site {
            endpoint: "https://s3.lan".into(),
            secret: "vault:secret/data/s3/admin".into(),
            credentials: "vault:secret/data/stead/buckets".into(),
            quota_gb: 10,
            grace_seconds: GRACE.as_secs(),
            ..S3Site::default()
        }),
        deployments: vec![Deployment {
            template: "stead-machine".into(),
            repository: "platform/templates".into(),
            branch: "main".into(),
            path: "machine".into(),
            ..Deployment::default()
        }],
        kubernetes: Some(KubernetesSite {
            secret: "vault:secret/data/kubernetes/api".into(),
            namespace: "mcp-servers".into(),
            registry_secret: None,
            vault_address: "http://vault.vault.svc.cluster.local:8200".into(),
        }),
        mcp_servers: vec![McpServer {
            name: "outline".into(),
            image: "registry.lan/outline:a".into(),
            port: 8080,
            replicas: 2,
            env: [("OUTLINE_URL".into(), "https://wiki.lan".into())].into(),
            vault_path: "secret/mcp/outline/{username}".into(),
        }],
        forgejo: Some(ForgejoSite {
            secret: "vault:secret/data/forgejo/api".into(),
            credentials: "vault:secret/data/stead/tokens".into(),
        }),
        ..Site::default()
    }
}
