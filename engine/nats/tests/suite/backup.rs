//! Backups of a real server, restored onto another one, and onto three.

use std::path::Path;

use futures_util::StreamExt;
use stead_nats::backup::{self, BackupError};
use stead_nats::testing::{NatsCluster, NatsServer};
use stead_nats::{Connection, NatsArchive, NatsLog, PlatformSettings, open_platform};
use stead_runtime::archive;
use stead_runtime::conformance::log::{append_of, fresh_run, texts};
use stead_runtime::ports::{Archive, EventLog, Lasts};
use stead_schemas::archive::{Blob, Burial, Digests, Segment, VERSION, pack_histories, pack_lines};
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::time::Timestamp;
use stead_schemas::transition::link;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::support::{PARTITIONS, World, soon};

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

/// Segments of histories that may expire, though there are none in them.
async fn segments(archive: &NatsArchive, partition: Partition, many: u64) -> Vec<Segment> {
    let put = async |bytes: &[u8], lasts| {
        let part = archive.put(partition, bytes.to_vec(), lasts).await.expect("it is kept");
        Blob::of(bytes, vec![part])
    };
    let (mut all, mut last, mut prev) = (Vec::new(), 0, String::new());
    for n in 1..=many {
        let segment = Segment {
            v: VERSION,
            partition,
            n,
            at: Timestamp::from_millis(0),
            engine: "e1".into(),
            epoch: 0,
            after: 0,
            to: 0,
            runs: 0,
            messages: 0,
            digests: put(&Digests::default().encode(), Lasts::ForEver).await,
            lines: put(&pack_lines(&[]), Lasts::UntilItExpires).await,
            histories: put(&pack_histories(&[]), Lasts::UntilItExpires).await,
            prev,
        };
        prev = link(&segment.encode());
        last = archive.record(partition, last, segment.encode()).await.expect("it is the next");
        all.push(segment);
    }
    all
}

async fn expire(archive: &NatsArchive, segment: &Segment) {
    let at = Timestamp::from_millis(1);
    let burial = Burial { at, who: "jane", why: "kept for long enough", key: "U" };
    let signed = |_: &[u8]| Ok("signed".to_owned());
    archive::expire(archive, segment, burial, signed).await.expect("it expires");
}

/// In all partitions segments expire from the first look at the archive on, so that some of them do
/// before the shelf is looked at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_during_which_histories_expire_says_of_all_of_them_where_they_are() {
    let world = World::new().await;
    let store = NatsArchive::new(&world.platform).expiring(true);
    let mut looks = world.nats.subscribe("$JS.API.STREAM.SNAPSHOT.STEAD_ARCHIVE").await.unwrap();
    world.nats.flush().await.unwrap();
    let (begin, begun) = watch::channel(false);
    let mut expiring = JoinSet::new();
    for partition in (0..PARTITIONS).map(Partition) {
        let (all, store, mut begun) =
            (segments(&store, partition, 30).await, store.clone(), begun.clone());
        expiring.spawn(async move {
            begun.wait_for(|begun| *begun).await.expect("it begins");
            for segment in &all {
                expire(&store, segment).await;
            }
        });
    }
    expiring.spawn(async move {
        looks.next().await.expect("a look at the archive");
        begin.send_replace(true);
        begin.closed().await;
    });
    drop(begun);
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("backup");
    let made = loop {
        match backup::create(&world.connection, &folder, "a build").await {
            Err(BackupError::Unquiet) => {}
            made => break made.expect("a backup"),
        }
    };
    assert!(made.streams.iter().any(|stream| stream.name == "STEAD_SHELF"));
    soon("all has expired", expiring.join_all()).await;
    let other = NatsServer::start().await;
    let connection = other.connect().await;
    backup::restore(&connection, &folder, None).await.expect("it is restored");
    let settings = PlatformSettings { partitions: None, replicas: 1 };
    let platform = open_platform(&connection, settings).await.expect("a platform");
    let restored = NatsArchive::new(&platform);
    for partition in platform.all_partitions() {
        let mut altered = Vec::new();
        let seen = |verdict: archive::Verdict| altered.extend(verdict.altered);
        archive::verify(&restored, partition, seen).await.expect("it can be read");
        assert_eq!(altered, [], "partition {partition}");
    }
}
