//! Payloads at rest: the ports keep their promises with keys, too, and no disk holds what is sealed.

use std::path::Path;

use stead_nats::seal::{KeyState, inspect_keys, new_line};
use stead_nats::testing::NatsServer;
use stead_nats::{
    ConnectSettings, Connection, Keys, NatsArchive, NatsLog, PlatformError, PlatformSettings,
    connect, open_platform,
};
use stead_runtime::conformance::log::{append_of, fresh_run, texts};
use stead_runtime::conformance::{check_archive, check_epochs, check_log};
use stead_runtime::ports::{Archive, EventLog, Lasts};
use stead_schemas::ids::Partition;

use super::proxy::Proxy;
use super::support::{PARTITIONS, platform};

/// Is in payloads only.
const CANARY: &str = "canary-in-a-payload";

fn key(id: &str) -> String {
    new_line(id).expect("a key")
}

fn keys(lines: &[&str]) -> Keys {
    Keys::read(&lines.join("\n")).expect("keys")
}

async fn with_keys(url: String, keys: Keys) -> Connection {
    let settings = ConnectSettings { keys, ..ConnectSettings::new(url, "test") };
    connect(&settings).await.expect("a connection")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_and_archive_keep_their_promises_sealed() {
    let server = NatsServer::start().await;
    let proxy = Proxy::start(&server).await;
    let connection = with_keys(proxy.url(), keys(&[&key("k1")])).await;
    let platform = platform(&connection).await;
    let log = NatsLog::new(&platform);
    check_log(&log, PARTITIONS, &proxy).await;
    check_epochs(&log, &log, PARTITIONS).await;
    check_archive(&NatsArchive::new(&platform)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_disk_holds_nothing_of_what_is_sealed() {
    let mut server = NatsServer::start().await;
    let plain = NatsLog::new(&platform(&server.connect().await).await);
    let sealing = platform(&with_keys(server.url(), keys(&[&key("k1")])).await).await;
    let (log, archive) = (NatsLog::new(&sealing), NatsArchive::new(&sealing));
    let run = fresh_run();
    let said = format!("{CANARY} one");
    let seq = log.append(append_of(&run, PARTITIONS, 0, &said)).await.expect("appended");
    let body = CANARY.as_bytes().to_vec();
    let part =
        archive.put(Partition(0), body.clone(), Lasts::ForEver).await.expect("a part is kept");
    archive.record(Partition(0), 0, body.clone()).await.expect("a record is kept");
    assert_eq!(texts(&log, &run).await, [said]);
    assert_eq!(archive.get(Partition(0), part).await.expect("it opens"), body);
    assert!(!is_on_disk(&server.store(), CANARY), "it is on the disk");
    // The search would find it, as it finds what is said without keys.
    let error = plain.read_run(&run).await.expect_err("it has no key").to_string();
    assert!(error.contains("`k1`, which is not among the keys"), "{error}");
    let next = append_of(&run, PARTITIONS, seq, CANARY);
    plain.append(next).await.expect("the log does not know of keys");
    server.kill9();
    assert!(is_on_disk(&server.store(), CANARY), "the search finds nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_is_read_on_across_a_beginning_and_a_rotation() {
    let server = NatsServer::start().await;
    let run = fresh_run();
    let (first, second) = (key("k1"), key("k2"));
    let stages = [Keys::default(), keys(&[&first]), keys(&[&second, &first])];
    let (mut seq, mut wanted) = (0, Vec::new());
    for (keys, said) in stages.into_iter().zip(["plain", "first", "second"]) {
        let log = NatsLog::new(&platform(&with_keys(server.url(), keys).await).await);
        seq = log.append(append_of(&run, PARTITIONS, seq, said)).await.expect("appended");
        wanted.push(said.to_owned());
        assert_eq!(texts(&log, &run).await, wanted);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_platform_is_refused_to_whoever_lacks_a_key_or_has_another() {
    let server = NatsServer::start().await;
    let (first, second) = (key("k1"), key("k2"));
    platform(&with_keys(server.url(), keys(&[&first])).await).await;
    platform(&with_keys(server.url(), keys(&[&second, &first])).await).await;
    let missing = "`k1`, which is not among the keys";
    let another = "does not open with the key `k1`";
    let refused = [
        (Keys::default(), missing),
        (keys(&[&second]), missing),
        (keys(&[&second, &key("k1")]), another),
    ];
    let settings = PlatformSettings { partitions: Some(PARTITIONS), replicas: 1 };
    for (keys, words) in refused {
        let connection = with_keys(server.url(), keys).await;
        match open_platform(&connection, settings).await {
            Err(PlatformError::Keys { words: said }) => assert!(said.contains(words), "{said}"),
            other => panic!("{:?}", other.map(|_| "a platform")),
        }
    }
    // Who only looks is told which key is missing.
    let looks = PlatformSettings { partitions: None, replicas: 1 };
    let connection = with_keys(server.url(), keys(&[&second])).await;
    let seen = inspect_keys(&open_platform(&connection, looks).await.expect("a platform")).await;
    let seen = seen.expect("the records");
    let states: Vec<_> =
        seen.iter().map(|key| (key.id.as_str(), key.state == KeyState::Ours)).collect();
    assert_eq!(states, [("k1", false), ("k2", true)]);
}

/// Whether any file beneath a folder holds this text.
fn is_on_disk(folder: &Path, text: &str) -> bool {
    // What the server takes away while we look holds nothing.
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|path| {
        if path.is_dir() {
            return is_on_disk(&path, text);
        }
        let bytes = std::fs::read(&path).unwrap_or_default();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    })
}
