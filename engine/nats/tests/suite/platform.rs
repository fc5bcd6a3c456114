//! Setting a platform up, and refusing one that is not safe.

use async_nats::jetstream::stream::{Config, DiscardPolicy};
use futures_util::future::join_all;
use stead_nats::inspect::inspect_streams;
use stead_nats::testing::NatsServer;
use stead_nats::{NatsArchive, NatsLog, PlatformError, PlatformSettings, open_platform};
use stead_runtime::conformance::log::{append_of, fresh_run, texts};
use stead_runtime::ports::{Archive, EventLog, Lasts};
use stead_schemas::ids::Partition;
use stead_schemas::subjects::SHELF_STREAM;

const AS_CLIENT: PlatformSettings = PlatformSettings { partitions: None, replicas: 1 };

fn engine(partitions: u16) -> PlatformSettings {
    PlatformSettings { partitions: Some(partitions), replicas: 1 }
}

async fn refused(server: &NatsServer, settings: PlatformSettings) -> String {
    let connection = server.connect().await;
    match open_platform(&connection, settings).await {
        Ok(_) => panic!("the platform was opened"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_that_start_at_once_agree() {
    let server = NatsServer::start().await;
    let connections = join_all((0..4).map(|_| server.connect())).await;
    let opened = join_all(connections.iter().map(|one| open_platform(one, engine(8)))).await;
    for platform in &opened {
        assert_eq!(platform.as_ref().expect("a platform").partitions, 8);
    }
    let run = fresh_run();
    let log = NatsLog::new(opened[0].as_ref().expect("a platform"));
    log.append(append_of(&run, 8, 0, "a")).await.expect("a new history");
    let client = open_platform(&connections[1], AS_CLIENT).await.expect("a platform");
    assert_eq!((client.partitions, client.epoch), (8, 0));
    assert_eq!(texts(&NatsLog::new(&client), &run).await, ["a"]);
    assert!(matches!(
        open_platform(&connections[2], engine(16)).await,
        Err(PlatformError::OtherPartitions { found: 8, wanted: 16 })
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_that_differ_at_once_do_not_both_start() {
    let server = NatsServer::start().await;
    let connections = join_all((0..4).map(|_| server.connect())).await;
    let wanted = [4, 8, 4, 8];
    let opened =
        join_all(connections.iter().zip(wanted).map(|(one, n)| open_platform(one, engine(n))))
            .await;
    let first = opened.iter().find_map(|one| one.as_ref().ok()).expect("one wins").partitions;
    for (outcome, wanted) in opened.iter().zip(wanted) {
        assert_eq!(outcome.is_ok(), wanted == first);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_platform_that_nobody_set_up_is_not_opened() {
    let server = NatsServer::start().await;
    let words = refused(&server, AS_CLIENT).await;
    assert_eq!(words, "no engine has set this platform up yet; start one with `stead engine`");
    let words = refused(&server, engine(0)).await;
    assert_eq!(words, "0 partitions cannot be; choose 1 to 1024");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unsafe_log_is_refused_with_every_deviation() {
    let server = NatsServer::start().await;
    let nats = async_nats::connect(server.url()).await.expect("a connection");
    let config = Config {
        name: "STEAD_LOG_0_1".into(),
        subjects: vec!["stead.log.0.1.*".into()],
        max_messages: 1000,
        max_messages_per_subject: -1,
        discard: DiscardPolicy::New,
        allow_message_ttl: true,
        allow_direct: true,
        deny_delete: true,
        num_replicas: 1,
        ..Config::default()
    };
    async_nats::jetstream::new(nats).create_stream(config).await.expect("a stream");
    let words = refused(&server, engine(2)).await;
    assert_eq!(
        words,
        "the stream `STEAD_LOG_0_1` is not safe: the number of messages is limited; \
         it may be purged; messages may carry an end"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn opening_again_changes_nothing() {
    let server = NatsServer::start().await;
    let connection = server.connect().await;
    let run = fresh_run();
    let first = open_platform(&connection, engine(2)).await.expect("a platform");
    NatsLog::new(&first).append(append_of(&run, 2, 0, "a")).await.expect("a new history");
    let second = open_platform(&connection, engine(2)).await.expect("a platform");
    assert_eq!(texts(&NatsLog::new(&second), &run).await, ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_message_of_a_log_can_be_deleted() {
    let server = NatsServer::start().await;
    let connection = server.connect().await;
    let platform = open_platform(&connection, engine(1)).await.expect("a platform");
    let run = fresh_run();
    let log = NatsLog::new(&platform);
    let seq = log.append(append_of(&run, 1, 0, "a")).await.expect("a new history");
    let nats = async_nats::connect(server.url()).await.expect("a connection");
    let stream = async_nats::jetstream::new(nats).get_stream("STEAD_LOG_0_0").await.expect("it");
    assert!(stream.delete_message(seq).await.is_err());
    assert!(stream.purge().await.is_err());
    assert_eq!(texts(&log, &run).await, ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_expire_is_looked_at_like_the_log() {
    let server = NatsServer::start().await;
    let connection = server.connect().await;
    let platform = open_platform(&connection, engine(1)).await.expect("a platform");
    let shelf = async || {
        let seen = inspect_streams(&platform).await;
        seen.into_iter().find(|stream| stream.name == SHELF_STREAM)
    };
    assert_eq!(shelf().await, None, "nothing is to expire");
    let archive = NatsArchive::new(&platform).expiring(true);
    archive.put(Partition(0), b"part".to_vec(), Lasts::UntilItExpires).await.expect("it is kept");
    let seen = shelf().await.expect("it is there");
    assert_eq!((seen.deviations, seen.messages), (Vec::new(), 1));
    open_platform(&connection, engine(1)).await.expect("it is safe");
    // Somebody thinks that it takes too much room.
    let nats = async_nats::connect(server.url()).await.expect("a connection");
    let js = async_nats::jetstream::new(nats);
    let stream = js.get_stream(SHELF_STREAM).await.expect("the shelf");
    let limited = Config { max_bytes: 1 << 20, ..stream.cached_info().config.clone() };
    js.update_stream(limited).await.expect("the server does as it is told");
    assert_eq!(shelf().await.expect("it is there").deviations, ["its size is limited"]);
    let words = refused(&server, engine(1)).await;
    assert_eq!(words, "the stream `STEAD_SHELF` is not safe: its size is limited");
}
