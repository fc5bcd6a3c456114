//! scratch
#![expect(clippy::print_stdout, reason = "scratch")]
use stead_nats::testing::NatsServer;
use stead_nats::*;
use stead_runtime::conformance::log::*;
use stead_runtime::ports::EventLog;
use futures_util::*;
use std::time::Instant;
#[tokio::main(worker_threads = 2)]
async fn main() {
    let server = NatsServer::start().await;
    let connection = server.connect().await;
    let platform = open_platform(&connection, PlatformSettings { partitions: Some(8), replicas: 1 }).await.unwrap();
    let log = NatsLog::new(&platform);
    let run = fresh_run();
    let mut last = 0;
    let mut times = vec![];
    for n in 0..2000 {
        let a = append_of(&run, 8, last, &format!("{n:0>300}"));
        let t = Instant::now();
        last = log.append(a).await.unwrap();
        times.push(t.elapsed());
    }
    times.sort();
    println!("sequential p50 {:?} p99 {:?}", times[1000], times[1980]);
    let t = Instant::now();
    let h = log.read_run(&run).await.unwrap();
    println!("read_run {} in {:?}", h.len(), t.elapsed());
    let t = Instant::now();
    let h = read_partition(&log, run.partition(8)).await;
    println!("read_partition {} in {:?}", h.len(), t.elapsed());
    let t = Instant::now();
    let n = 20000;
    futures_util::stream::iter(0..n).for_each_concurrent(256, |_| { let log = log.clone(); async move { log.append(append_of(&fresh_run(), 8, 0, &format!("{:0>300}", 1))).await.unwrap(); } }).await;
    println!("256 in flight: {:.0}/s", n as f64 / t.elapsed().as_secs_f64());
    let t = Instant::now();
    let mut all = 0;
    for p in platform.all_partitions() { all += read_partition(&log, p).await.len(); }
    println!("read all {} in {:?}: {:.0}/s", all, t.elapsed(), all as f64 / t.elapsed().as_secs_f64());
    let client = async_nats::connect(server.url()).await.unwrap();
    let inbox = client.new_inbox();
    let mut sub = client.subscribe(inbox.clone()).await.unwrap();
    let p = run.partition(8);
    client.publish_with_reply(format!("$JS.API.DIRECT.GET.STEAD_LOG_0_{p}"), inbox, format!(r#"{{"seq":3,"next_by_subj":"stead.log.0.{p}.{run}","batch":3}}"#).into()).await.unwrap();
    for _ in 0..4 { let m = sub.next().await.unwrap(); println!("{:?} {:?} {:?}", m.status, m.description, m.headers); }
}
