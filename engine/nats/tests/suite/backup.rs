//! Backups of a real server, restored onto another one, and onto three.

use std::path::Path;

use stead_nats::backup::{self, BackupError};
use stead_nats::testing::{NatsCluster, NatsServer};
use stead_nats::{Connection, NatsLog, PlatformSettings, open_platform};
use stead_runtime::conformance::log::{append_of, fresh_run, texts};
use stead_runtime::ports::EventLog;
use stead_schemas::ids::RunId;

use super::support::{PARTITIONS, soon};

/// Transitions of each history.
const TRANSITIONS: usize = 60;

async fn log(connection: &Connection, partitions: Option<u16>, replicas: usize) -> NatsLog {
    let settings = PlatformSettings { partitions, replicas };
    NatsLog::new(&open_platform(connection, settings).await.expect("a platform"))
}

/// Histories of some size: each has more than a piece of a snapshot.
async fn written(log: &NatsLog) -> Vec<(RunId, u64)> {
    let mut runs: Vec<_> = (0..8).map(|_| (fresh_run(), 0)).collect();
    for (run, last) in &mut runs {
        for n in 0..TRANSITIONS {
            let append = append_of(run, PARTITIONS, *last, &n.to_string());
            *last = log.append(append).await.expect("nobody else writes");
        }
    }
    runs
}

async fn restored(
    connection: &Connection,
    folder: &Path,
    replicas: Option<usize>,
    runs: &[(RunId, u64)],
) {
    backup::restore(connection, folder, replicas).await.expect("it is restored");
    let log = log(connection, Some(PARTITIONS), replicas.unwrap_or(1)).await;
    let wanted: Vec<String> = (0..TRANSITIONS).map(|n| n.to_string()).collect();
    for (run, last) in runs {
        assert_eq!(texts(&log, run).await, wanted);
        // It goes on behind the very message that was the last one.
        let append = append_of(run, PARTITIONS, *last, "more");
        soon("an append", log.append(append)).await.expect("the sequences are as they were");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_goes_to_one_server_or_to_three() {
    let server = NatsServer::start().await;
    let connection = server.connect().await;
    let runs = written(&log(&connection, Some(PARTITIONS), 1).await).await;
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("backup");
    let made = backup::create(&connection, &folder, "a build").await.expect("a backup");
    assert!(made.at_one_moment, "nobody wrote meanwhile");
    assert_eq!(backup::verify(&folder).expect("it is whole"), made);
    let left = std::fs::read_dir(place.path()).expect("a folder").count();
    assert_eq!(left, 1, "nothing of the draft is left");
    let refused = backup::restore(&connection, &folder, None).await;
    assert!(matches!(refused, Err(BackupError::NotEmpty { .. })), "{refused:?}");

    let other = NatsServer::start().await;
    restored(&other.connect().await, &folder, None, &runs).await;
    let cluster = NatsCluster::start().await;
    restored(&cluster.connect().await, &folder, Some(3), &runs).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_a_whole_backup_or_none() {
    let server = NatsServer::start().await;
    let connection = server.connect().await;
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("backup");
    let nothing = backup::create(&connection, &folder, "a build").await;
    assert!(matches!(nothing, Err(BackupError::NoPlatform)), "{nothing:?}");
    log(&connection, Some(PARTITIONS), 1).await;
    backup::create(&connection, &folder, "a build").await.expect("a backup");
    let taken = backup::create(&connection, &folder, "a build").await;
    assert!(matches!(taken, Err(BackupError::Taken { .. })), "{taken:?}");

    // One file is gone, another one is longer than it was.
    std::fs::remove_file(folder.join("STEAD_ARCHIVE.snapshot")).expect("a file");
    let inbox = folder.join("STEAD_INBOX.snapshot");
    let mut bytes = std::fs::read(&inbox).expect("a file");
    bytes.push(0);
    std::fs::write(&inbox, bytes).expect("a file");
    let other = NatsServer::start().await;
    let other = other.connect().await;
    let Err(BackupError::Damaged { faults }) = backup::restore(&other, &folder, None).await else {
        panic!("a damaged backup is restored");
    };
    assert_eq!(faults.len(), 2, "{faults:?}");
    let left = std::fs::read_dir(place.path()).expect("a folder").count();
    assert_eq!(left, 1, "nothing of any draft is left");
}
