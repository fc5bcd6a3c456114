//! Reading in bulk, and what strangers leave in the log.

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::Config;
use futures_util::stream;
use futures_util::{StreamExt, TryStreamExt};
use stead_nats::testing::NatsServer;
use stead_nats::{ConnectSettings, NatsLog, connect};
use stead_runtime::conformance::log::{append_of, fresh_run_in, read_partition};
use stead_runtime::ports::{EventLog, Recorded};
use stead_schemas::ids::{Partition, RunId};

use super::proxy::Proxy;
use super::support::{PARTITIONS, World, platform};

/// Some run that lives in `partition`.
fn run_in(partition: Partition) -> RunId {
    fresh_run_in(partition, PARTITIONS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_of_many_pages_is_read_whole() {
    let world = World::new().await;
    let log = NatsLog::new(&world.platform);
    let long = run_in(Partition(1));
    let mut last = 0;
    for n in 0..1500 {
        let append = append_of(&long, PARTITIONS, last, &n.to_string());
        last = log.append(append).await.expect("it goes on");
    }
    stream::iter(0..2500)
        .for_each_concurrent(128, |n| {
            let log = &log;
            async move {
                let append = append_of(&run_in(Partition(1)), PARTITIONS, 0, &n.to_string());
                log.append(append).await.expect("a new history");
            }
        })
        .await;
    let whole = read_partition(&log, Partition(1), 0).await;
    let seqs: Vec<u64> = whole.iter().map(|recorded| recorded.seq).collect();
    assert_eq!(seqs, (1..=4000).collect::<Vec<u64>>());
    let history = log.read_run(&long).await.expect("the log can be read");
    assert_eq!(history, whole[..1500]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_leaves_no_hole() {
    let server = NatsServer::start().await;
    let proxy = Proxy::start(&server).await;
    let settings = ConnectSettings::new(proxy.url(), "test");
    let log = NatsLog::new(&platform(&connect(&settings).await.expect("a connection")).await);
    let run = run_in(Partition(1));
    let mut last = 0;
    for n in 0..600 {
        let text = body_of(&run, &format!("{n:0>4000}"));
        last = log.append(append_of(&run, PARTITIONS, last, &text)).await.expect("it goes on");
    }
    for cut_after in [100_000, 500_000, 1_000_000, 2_000_000] {
        proxy.cut_after(cut_after);
        let whole = read_partition(&log, Partition(1), 0).await;
        assert!(proxy.has_cut());
        assert_eq!(whole.len(), 600);
        proxy.cut_after(cut_after);
        assert_eq!(log.read_run(&run).await.as_ref(), Ok(&whole));
        assert!(proxy.has_cut());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_messages_come_in_several_pages() {
    let world = World::new().await;
    let log = NatsLog::new(&world.platform);
    let run = run_in(Partition(2));
    let mut last = 0;
    for letter in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"] {
        let append = append_of(&run, PARTITIONS, last, &letter.repeat(900 * 1024));
        last = log.append(append).await.expect("it goes on");
    }
    let history = log.read_run(&run).await.expect("the log can be read");
    let firsts: String = history.iter().map(|recorded| char::from(recorded.bytes[0])).collect();
    assert_eq!(firsts, "abcdefghijkl");
    assert_eq!(read_partition(&log, Partition(2), 0).await, history);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_ends_where_the_log_ended_when_it_began() {
    let world = World::new().await;
    let log = NatsLog::new(&world.platform);
    assert_eq!(read_partition(&log, Partition(0), 0).await, []);
    log.claim(Partition(0), "engine-a").await.expect("a claim");
    assert_eq!(read_partition(&log, Partition(0), 0).await, []);
    let (first, second) = (run_in(Partition(0)), run_in(Partition(0)));
    log.append(append_of(&first, PARTITIONS, 0, "a")).await.expect("a new history");
    let begun = log.read_partition(Partition(0), 0, 0).await.expect("the log can be read");
    log.append(append_of(&second, PARTITIONS, 0, "b")).await.expect("a new history");
    let read: Vec<_> = begun.try_collect().await.expect("the log can be read");
    assert_eq!(read.iter().map(|recorded| &recorded.run).collect::<Vec<_>>(), [&first]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_leaves_no_consumer_behind() {
    let world = World::new().await;
    let log = NatsLog::new(&world.platform);
    let run = run_in(Partition(3));
    log.append(append_of(&run, PARTITIONS, 0, "a")).await.expect("a new history");
    for _ in 0..20 {
        read_partition(&log, Partition(3), 0).await;
        log.read_run(&run).await.expect("the log can be read");
    }
    let stream = world.js().get_stream("STEAD_LOG_0_3").await.expect("the log");
    assert_eq!(stream.cached_info().state.consumer_count, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_s_message_is_no_history() {
    let world = World::new().await;
    let log = NatsLog::new(&world.platform);
    let sent = world.js().publish("stead.log.0.0.stranger", "hello".into()).await;
    sent.expect("sent").await.expect("kept");
    let run = run_in(Partition(0));
    log.append(append_of(&run, PARTITIONS, 0, "a")).await.expect("a new history");
    assert_eq!(read_partition(&log, Partition(0), 0).await.len(), 1);
}

/// Appends to a thousand new histories of one partition at once. Returns how many of the messages
/// came in a batch.
async fn a_thousand_at_once(world: &World) -> usize {
    let log = NatsLog::new(&world.platform);
    let runs: Vec<RunId> = std::iter::repeat_with(|| run_in(Partition(1))).take(1_000).collect();
    let appends = runs.iter().map(|run| log.append(append_of(run, PARTITIONS, 0, "a")));
    let seqs = futures_util::future::join_all(appends).await;
    assert!(seqs.iter().all(Result::is_ok), "{seqs:?}");
    assert_eq!(read_partition(&log, Partition(1), 0).await.len(), 1_000);
    let stream = world.js().get_stream("STEAD_LOG_0_1").await.expect("the log");
    let messages = stream::iter(1..=1_000).map(|seq| stream.get_raw_message(seq));
    let messages: Vec<_> = messages.buffered(32).try_collect().await.expect("they can be read");
    let has_batch = |it: &&StreamMessage| it.headers.get("Nats-Batch-Id").is_some();
    messages.iter().filter(has_batch).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_many_wait_they_go_together() {
    let world = World::new().await;
    let together = a_thousand_at_once(&world).await;
    assert!(together >= 96, "{together} of 1,000 went together");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_whose_acknowledgement_is_lost_is_kept_once_and_told_to_each() {
    let server = NatsServer::start().await;
    let proxy = Proxy::start(&server).await;
    let settings = ConnectSettings::new(proxy.url(), "test");
    let log = NatsLog::new(&platform(&connect(&settings).await.expect("a connection")).await);
    let runs: Vec<RunId> = std::iter::repeat_with(|| run_in(Partition(1))).take(1_000).collect();
    proxy.lose_next_batch();
    let appends = runs.iter().map(|run| log.append(append_of(run, PARTITIONS, 0, "a")));
    let told = futures_util::future::join_all(appends).await;
    assert_eq!(proxy.lost(), 1);
    let mut told: Vec<(&RunId, u64)> =
        runs.iter().zip(told.into_iter().map(Result::unwrap)).collect();
    told.sort_unstable_by_key(|(_, seq)| *seq);
    let whole = read_partition(&log, Partition(1), 0).await;
    let there: Vec<(&RunId, u64)> = whole.iter().map(|it| (&it.run, it.seq)).collect();
    assert_eq!(told, there);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_stream_takes_no_batch_each_goes_alone() {
    let world = World::new().await;
    let stream = world.js().get_stream("STEAD_LOG_0_1").await.expect("the log");
    let config = stream.cached_info().config.clone();
    let config = Config { allow_atomic_publish: false, ..config };
    world.js().update_stream(config).await.expect("an older stead's stream");
    assert_eq!(a_thousand_at_once(&world).await, 0);
}

/// What a transition of this run looks like to whoever only glances at it.
fn body_of(run: &RunId, text: &str) -> String {
    format!(r#"{{"v":1,"run":"{run}","n":1,"text":"{text}"}}"#)
}

/// A partition in which plain transitions, owners' claims and what is no transition lie mixed.
async fn mixed(log: &NatsLog, world: &World) -> Vec<(u64, RunId, String)> {
    let mut expected = Vec::new();
    for n in 0..300 {
        let run = run_in(Partition(1));
        let text = match n % 100 {
            // Nothing of whose beginning one can tell whose it is.
            57 => "no transition".to_owned(),
            _ => body_of(&run, &n.to_string()),
        };
        if n % 50 == 0 {
            log.claim(Partition(1), "engine-a").await.expect("a claim");
        }
        if n == 130 {
            let sent = world.js().publish("stead.log.0.1.stranger", "hello".into()).await;
            sent.expect("sent").await.expect("kept");
        }
        let seq = log.append(append_of(&run, PARTITIONS, 0, &text)).await.expect("a new history");
        expected.push((seq, run, text));
    }
    expected
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_without_headers_is_the_same() {
    let world = World::new().await;
    let log = NatsLog::new(&world.platform);
    let expected = mixed(&log, &world).await;
    let there = |whole: Vec<Recorded>| -> Vec<(u64, RunId, String)> {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        whole.into_iter().map(|it| (it.seq, it.run, text(it.bytes))).collect()
    };
    assert_eq!(there(read_partition(&log, Partition(1), 0).await), expected);
    let rest = log.read_partition(Partition(1), 0, expected[200].0).await.expect("it can be read");
    assert_eq!(there(rest.try_collect().await.expect("it can be read")), expected[201..]);
    for (seq, run, text) in expected.into_iter().step_by(57) {
        let history = log.read_run(&run).await.expect("the log can be read");
        assert_eq!(there(history), [(seq, run, text)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_s_pages_are_asked_for_without_headers() {
    let world = World::new().await;
    let log = NatsLog::new(&world.platform);
    let runs: Vec<RunId> = std::iter::repeat_with(|| run_in(Partition(1))).take(3).collect();
    for run in &runs {
        log.append(append_of(run, PARTITIONS, 0, &body_of(run, "x"))).await.expect("it is kept");
    }
    let spy = async_nats::connect(world.server.url()).await.expect("a connection");
    let mut asked = spy.subscribe("$JS.API.DIRECT.GET.STEAD_LOG_0_1").await.expect("ears");
    spy.flush().await.expect("the server listens");
    assert_eq!(read_partition(&log, Partition(1), 0).await.len(), 3);
    let first = asked.next().await.expect("a page is asked for");
    let first: serde_json::Value = serde_json::from_slice(&first.payload).expect("a request");
    assert_eq!(first["no_hdr"], true);
}
