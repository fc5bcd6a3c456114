//! What copies are made of: the steps that make one, prove it, and remove those that are old.

use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

use stead_core::context::Context;
use stead_schemas::command::backup::BackupOrder;
use stead_schemas::failure::Failure;
use stead_schemas::site::{BackupOf, GuestBackup, JobBackup, ZfsBackup};
use stead_schemas::step::backup::{
    DumpGuest, Dumps, JobPlace, Nas, Old, Proof, ProveDump, ProveReplica, RemoveDumps,
    RemoveReplicas, Removed, Replica, Replicate, RunJob, SnapshotTree, Work,
};
use stead_schemas::step::vault::{PinSecrets, PinnedSecrets};

/// How long a copy may be under way.
const COPY_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// For how long a copy is tried: its time is over before a person would have to resume it.
const TRIED_MAX: Duration = Duration::from_secs(25 * 60 * 60);
/// How long everything else may take before it counts as failed: a backup that waits for a person
/// makes no copies.
const STEP_MAX: Duration = Duration::from_secs(15 * 60);

/// The name of a copy that is made now. A second backup of this name, when the first one is
/// long over, must not take its copies for its own.
pub(super) fn name(cx: &Context) -> String {
    let now = cx.now().to_string().to_lowercase().replace([':', '.'], "-");
    format!("{}{now}", series(cx))
}

/// What the names of all copies of this backup begin with.
fn series(cx: &Context) -> String {
    format!("stead-{}-", cx.name())
}

/// Makes a copy, and proves it.
pub(super) async fn make(cx: &Context, order: &BackupOrder, copy: &str) -> Result<Proof, Failure> {
    let (logins, copy) = (logins(cx, order).await?, copy.to_string());
    match &order.backup.of {
        BackupOf::Zfs(zfs) => {
            let of = replica(cx, order, zfs, &logins);
            let snapshot = SnapshotTree { of: of.clone(), copy: copy.clone() };
            cx.step(snapshot).within(STEP_MAX).await?;
            cx.step(Replicate { of: of.clone() }).within(COPY_MAX).retry_for(TRIED_MAX).await?;
            cx.step(ProveReplica { of, copy }).within(STEP_MAX).await
        }
        BackupOf::Job(job) => {
            let make = run_job(cx, order, job, &logins, copy);
            cx.step(make.clone()).within(COPY_MAX).retry_for(TRIED_MAX).await?;
            cx.step(RunJob { work: Work::Prove, ..make })
                .within(COPY_MAX)
                .retry_for(TRIED_MAX)
                .await
        }
        BackupOf::Guest(guest) => {
            let of = dumps(cx, order, guest, &logins);
            let dump = DumpGuest { of: of.clone(), copy: copy.clone() };
            cx.step(dump).within(COPY_MAX).retry_for(TRIED_MAX).await?;
            cx.step(ProveDump { of, copy }).within(STEP_MAX).await
        }
    }
}

/// Removes those that have had their time, when this one is there.
pub(super) async fn remove(
    cx: &Context,
    order: &BackupOrder,
    copy: &str,
    old: Old,
) -> Result<Removed, Failure> {
    let logins = logins(cx, order).await?;
    match &order.backup.of {
        BackupOf::Zfs(zfs) => {
            let of = replica(cx, order, zfs, &logins);
            cx.step(RemoveReplicas { of, old }).within(STEP_MAX).await
        }
        BackupOf::Job(job) => {
            let make = run_job(cx, order, job, &logins, copy.to_string());
            let remove = RunJob { work: Work::Remove, old: Some(old), ..make };
            // Only the Job knows how many there were.
            cx.step(remove).within(STEP_MAX).await.map(|_| Removed::default())
        }
        BackupOf::Guest(guest) => {
            let of = dumps(cx, order, guest, &logins);
            cx.step(RemoveDumps { of, old }).within(STEP_MAX).await
        }
    }
}

async fn logins(cx: &Context, order: &BackupOrder) -> Result<PinnedSecrets, Failure> {
    let secrets = [&order.secret].into_iter().chain(&order.target_secret);
    let secrets = secrets.cloned().collect();
    cx.step(PinSecrets { secrets }).within(STEP_MAX).await
}

fn replica(cx: &Context, order: &BackupOrder, zfs: &ZfsBackup, logins: &PinnedSecrets) -> Replica {
    let target_secret = order.target_secret.as_ref().unwrap_or(&order.secret);
    let target_nas = zfs.target_nas.as_ref().or(zfs.nas.as_ref());
    Replica {
        from: Nas { name: zfs.nas.clone(), login: logins.of(&order.secret) },
        dataset: zfs.dataset.clone(),
        to: Nas { name: target_nas.cloned(), login: logins.of(target_secret) },
        target: zfs.target.clone(),
        ssh_credentials: zfs.ssh_credentials,
        series: series(cx),
        marker: marker(cx),
    }
}

fn run_job(
    cx: &Context,
    order: &BackupOrder,
    job: &JobBackup,
    logins: &PinnedSecrets,
    copy: String,
) -> RunJob {
    let place = JobPlace {
        login: logins.of(&order.secret),
        namespace: job.namespace.clone().unwrap_or_default(),
        cron_job: job.cron_job.clone(),
        series: series(cx),
        marker: marker(cx),
    };
    RunJob { place, copy, work: Work::Make, old: None }
}

fn dumps(cx: &Context, order: &BackupOrder, guest: &GuestBackup, logins: &PinnedSecrets) -> Dumps {
    let (vmid, storage) = (guest.vmid, guest.storage.clone());
    Dumps { login: logins.of(&order.secret), vmid, storage, series: series(cx), marker: marker(cx) }
}

/// The backup's key: copies outlive its runs.
fn marker(cx: &Context) -> String {
    cx.run().key().as_str().to_string()
}
