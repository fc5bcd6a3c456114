//! One life of a workspace's resources, with every single call once dropped before it arrives,
//! once carried out and its answer lost, once refused for a passing reason. Each time everything
//! happens exactly once and nothing is left behind.

use stead_lab::CallFault;
use stead_schemas::site::{CloneKind, Network, StorageBackend};
use stead_schemas::step::coder::{DeleteWorkspace, StartWorkspace, StopWorkspace};
use stead_schemas::step::proxmox::{
    CheckTemplate, CloneVm, ConfigureVm, DestroyVm, Machine, ResizeDisk, ShutdownVm, StartVm,
};
use stead_schemas::step::s3::{
    DeleteBucket, DeleteKey, EmptyBucket, EnsureBucket, EnsureKey, Limits, Place,
};
use stead_schemas::step::truenas::{
    DestroyDataset, EnsureDataset, EnsureShare, RemoveShare, SetPermissions, SnapshotDataset,
    UpdateQuota,
};
use stead_schemas::step::vault::PinSecrets;

use super::{Stage, marker};

const NAS: &str = "vault:secret/data/truenas/api";
const PVE: &str = "vault:secret/data/proxmox/api";
const CODER: &str = "vault:secret/data/coder/api";
const S3: &str = "vault:secret/data/s3/admin";
const DATASET: &str = "tank/coder-home/john";
const SNAPSHOT: &str = "farewell";

/// Every call that the steps make.
const CALLS: [(&str, &[&str]); 5] = [
    ("vault", &["/login", "GET /data/", "GET /metadata/", "POST /data/", "POST /destroy/"]),
    (
        "s3",
        &[
            "GetKeyInfo",
            "GetBucketInfo",
            "ImportKey",
            "CreateBucket",
            "AddBucketAlias",
            "UpdateBucket",
            "CleanupIncompleteUploads",
            "GET /john-data",
            "POST /john-data",
            "DeleteBucket",
            "DeleteKey",
        ],
    ),
    (
        "truenas",
        &[
            "auth.login_ex",
            "core.subscribe",
            "core.get_jobs",
            "pool.dataset.query",
            "pool.dataset.create",
            "pool.dataset.update",
            "pool.dataset.delete",
            "filesystem.stat",
            "filesystem.setperm",
            "sharing.nfs.query",
            "sharing.nfs.create",
            "sharing.nfs.update",
            "sharing.nfs.delete",
            "pool.snapshot.query",
            "pool.snapshot.create",
            "pool.snapshot.delete",
        ],
    ),
    (
        "proxmox",
        &[
            "GET /cluster/resources",
            "GET /network",
            "GET /config",
            "GET /tasks/",
            "GET /status/current",
            "POST /clone",
            "POST /config",
            "PUT /resize",
            "POST /status/start",
            "POST /status/shutdown",
            "DELETE /qemu/",
        ],
    ),
    (
        "coder",
        &[
            "GET /workspace/",
            "GET /templates/",
            "GET /parameters",
            "GET /workspaces/",
            "POST /users/",
            "POST /builds",
        ],
    ),
];

/// What must have happened, each once.
const EFFECTS: [&str; 23] = [
    "dataset-created",
    "permissions-set",
    "share-created",
    "vm-cloned",
    "workspace-created",
    "coder-build-start",
    "vm-started",
    "vm-stopped",
    "vm-destroyed",
    "coder-build-stop",
    "coder-build-delete",
    "share-removed",
    "snapshot-created",
    "dataset-destroyed",
    "secret-written",
    "key-imported",
    "bucket-created",
    "bucket-named",
    "bucket-limited",
    "objects-deleted",
    "bucket-deleted",
    "key-deleted",
    "secret-destroyed",
];

async fn life(stage: &Stage) {
    let secrets = [NAS, PVE, CODER, S3].map(str::to_owned).to_vec();
    let pinned = stage.insist(PinSecrets { secrets }).await;
    let (nas, pve, coder, s3) = (pinned.of(NAS), pinned.of(PVE), pinned.of(CODER), pinned.of(S3));
    let (login, dataset, marker) = (nas.clone(), DATASET.to_owned(), marker());
    let home = EnsureDataset { login, dataset, refquota_gb: 20, marker };
    let path = stage.insist(home).await.mountpoint;
    furnish(stage, &nas, &path).await;
    machine(stage, pve).await;
    workspace(stage, coder).await;
    take_away(stage, nas, path).await;
    bucket(stage, s3).await;
}

async fn bucket(stage: &Stage, login: String) {
    let place = Place {
        login,
        bucket: "john-data".to_owned(),
        credentials: "vault:secret/data/stead/buckets/john-data".to_owned(),
        marker: marker(),
    };
    let at = || place.clone();
    stage
        .insist(EnsureKey { place: at(), endpoint: "https://s3.lan".to_owned(), user: None })
        .await;
    let limits = Limits { quota_gb: 10, objects_max: None };
    stage.insist(EnsureBucket { place: at(), limits }).await;
    stage.lab.put_objects("john-data", &[("a", 1), ("b", 1)]);
    stage.insist(EmptyBucket { place: at() }).await;
    stage.insist(DeleteBucket { place: at() }).await;
    stage.insist(DeleteKey { place: at() }).await;
}

async fn furnish(stage: &Stage, nas: &str, path: &str) {
    let (login, dataset) = (nas.to_owned(), DATASET.to_owned());
    let (uid, gid, mode) = (1000, 1000, "700".to_owned());
    stage.insist(SetPermissions { login, dataset, marker: marker(), uid, gid, mode }).await;
    let (login, path) = (nas.to_owned(), path.to_owned());
    let share = EnsureShare { login, path, marker: marker(), networks: Vec::new() };
    stage.insist(share.clone()).await;
    stage.insist(EnsureShare { networks: ["10.0.0.0/8".to_owned()].into(), ..share }).await;
    let (login, dataset) = (nas.to_owned(), DATASET.to_owned());
    stage.insist(UpdateQuota { login, dataset, marker: marker(), refquota_gb: 30 }).await;
}

async fn machine(stage: &Stage, login: String) {
    let machine = Machine { login, node: "pve1".to_owned(), vmid: 10_000, marker: marker() };
    let at = || machine.clone();
    let network = Some(Network { bridge: "vmbr1".to_owned(), vlan: Some(20) });
    let (template, storage, clone_kind) = (9002, StorageBackend::Nvme, CloneKind::Linked);
    let (login, nodes) = (at().login, ["pve1".to_owned()].into());
    let seed_storage = Some("isos".to_owned());
    let (network_of, storage_network) = (network.clone(), network.clone());
    let check = CheckTemplate {
        login,
        nodes,
        template,
        storage,
        clone_kind,
        network: network_of,
        seed_storage,
        storage_network: storage_network.clone(),
        rights_at: Some(at().vmid),
    };
    stage.insist(check).await;
    let name = "john-dev".to_owned();
    stage.insist(CloneVm { machine: at(), template, name, storage, clone_kind }).await;
    let (cores, memory_mib, owner, name) = (4, 8192, "john".to_owned(), None);
    let seed_in_drive = true;
    let set = ConfigureVm {
        machine: at(),
        cores,
        memory_mib,
        owner,
        name,
        network,
        seed_in_drive,
        storage_network,
    };
    stage.insist(set).await;
    stage.insist(ResizeDisk { machine: at(), disk: "scsi0".to_owned(), size_gb: 40 }).await;
    stage.insist(StartVm { machine: at() }).await;
    stage.insist(ShutdownVm { machine: at(), timeout_seconds: 60 }).await;
    stage.insist(DestroyVm { machine: at() }).await;
}

async fn workspace(stage: &Stage, login: String) {
    let (user, name) = ("john".to_owned(), "dev".to_owned());
    let start = StartWorkspace {
        login: login.clone(),
        organization: "default".to_owned(),
        user: user.clone(),
        name: name.clone(),
        template: "stead-machine".to_owned(),
        marker: marker(),
        joined: None,
        version: None,
    };
    let id = stage.insist(start).await.id;
    stage.insist(StopWorkspace { login: login.clone(), id }).await;
    stage.insist(DeleteWorkspace { login, user, name, marker: marker(), joined: None }).await;
}

async fn take_away(stage: &Stage, login: String, path: String) {
    stage.insist(RemoveShare { login: login.clone(), path, marker: marker() }).await;
    let (dataset, snapshot) = (DATASET.to_owned(), SNAPSHOT.to_owned());
    let last = SnapshotDataset { login, dataset, marker: marker(), snapshot };
    stage.insist(last.clone()).await;
    let SnapshotDataset { login, dataset, marker, snapshot } = last;
    stage.insist(DestroyDataset { login, dataset, marker, snapshot }).await;
}

async fn weather(vendor: &str, call: &str, fault: CallFault) {
    let stage = Stage::open().await;
    stage.lab.break_call_times(vendor, call, fault, 1).unwrap();
    life(&stage).await;
    for kind in EFFECTS {
        assert_eq!(stage.count(kind), 1, "{kind} after {fault:?} at {vendor} {call}");
    }
    let struck = stage.lab.faults().iter().any(|rule| rule.vendor == vendor && rule.fired > 0);
    assert!(struck, "nobody calls {vendor} {call}");
    assert!(stage.lab.inventory().is_empty(), "left behind by {fault:?} at {vendor} {call}");
}

#[tokio::test]
async fn whatever_single_call_goes_wrong_everything_happens_once() {
    for (vendor, calls) in CALLS {
        for call in calls {
            for fault in [CallFault::DropBefore, CallFault::LoseResponse, CallFault::FailPassing] {
                weather(vendor, call, fault).await;
            }
        }
    }
}
