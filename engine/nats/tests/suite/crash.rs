//! The server dies or stops while appends are under way: what was acknowledged is there, nothing
//! is there twice, and every writer learns the truth.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use stead_nats::NatsLog;
use stead_runtime::conformance::log::{append_of, fresh_run, read_partition, texts};
use stead_runtime::ports::{EventLog, Recorded};
use stead_schemas::ids::RunId;

use super::support::{PARTITIONS, World, soon, until};

/// Writers that append one after the other, each to a run of its own.
const WRITERS: usize = 32;

/// One writer's run, and what it was told: the sequence of each append in turn.
type Told = (RunId, Vec<u64>);

async fn write(log: NatsLog, appends: u32, done: Arc<AtomicU32>) -> Told {
    let run = fresh_run();
    let mut told: Vec<u64> = Vec::new();
    for n in 0..appends {
        let expected = told.last().copied().unwrap_or(0);
        let append = append_of(&run, PARTITIONS, expected, &n.to_string());
        told.push(log.append(append).await.expect("nobody else writes"));
        done.fetch_add(1, Ordering::SeqCst);
    }
    (run, told)
}

async fn check_all(log: &NatsLog, world: &World, told: &[Told]) {
    let mut by_run: HashMap<RunId, Vec<Recorded>> = HashMap::new();
    for partition in world.platform.all_partitions() {
        for recorded in read_partition(log, partition, 0).await {
            by_run.entry(recorded.run.clone()).or_default().push(recorded);
        }
    }
    for (run, seqs) in told {
        let history = by_run.remove(run).unwrap_or_default();
        let kept: Vec<u64> = history.iter().map(|recorded| recorded.seq).collect();
        assert_eq!(&kept, seqs, "{run}");
        assert_eq!(log.read_run(run).await.as_ref(), Ok(&history), "{run}");
    }
    assert!(by_run.is_empty(), "nobody wrote {by_run:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_killed_server() {
    let mut world = World::new().await;
    let log = NatsLog::new(&world.platform);
    let done = Arc::new(AtomicU32::new(0));
    let writers: Vec<_> =
        (0..WRITERS).map(|_| tokio::spawn(write(log.clone(), 120, Arc::clone(&done)))).collect();
    for round in 1..=3 {
        let so_far = || done.load(Ordering::SeqCst) >= round * 600;
        until("appends are under way", || std::future::ready(so_far())).await;
        world.server.kill9();
        world.server.restart().await;
    }
    let mut told = Vec::new();
    for writer in writers {
        told.push(soon("a writer ends", writer).await.expect("no writer panics"));
    }
    check_all(&log, &world, &told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_waits_for_a_server_that_hangs() {
    let world = World::new().await;
    let log = NatsLog::new(&world.platform);
    let run = fresh_run();
    world.server.pause();
    let append = append_of(&run, PARTITIONS, 0, "a");
    let mut waiting = tokio::spawn({
        let log = log.clone();
        async move { log.append(append).await }
    });
    // Longer than an acknowledgement is waited for, so that the outcome is unknown at first.
    let too_early = tokio::time::timeout(Duration::from_secs(5), &mut waiting).await;
    assert!(too_early.is_err(), "nobody can know yet");
    world.server.resume();
    let seq = soon("the append ends", waiting).await.expect("no panic").expect("it is kept");
    let second = log.append(append_of(&run, PARTITIONS, seq, "b")).await.expect("it goes on");
    assert!(second > seq);
    assert_eq!(texts(&log, &run).await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_of_one_run_agree_after_a_killed_server() {
    let mut world = World::new().await;
    let log = NatsLog::new(&world.platform);
    let run = fresh_run();
    let race = |who: &'static str| {
        let (log, run) = (log.clone(), run.clone());
        tokio::spawn(async move {
            let mut won = Vec::new();
            for n in 0..200 {
                let last = log.read_run(&run).await.unwrap_or_default().last().map_or(0, |l| l.seq);
                let append = append_of(&run, PARTITIONS, last, &format!("{who}{n}"));
                if let Ok(seq) = log.append(append).await {
                    won.push((seq, format!("{who}{n}")));
                }
            }
            won
        })
    };
    let writers = [race("a"), race("b")];
    until("the race is on", || async { log.read_run(&run).await.unwrap_or_default().len() > 40 })
        .await;
    world.server.kill9();
    world.server.restart().await;
    let mut told = Vec::new();
    for writer in writers {
        told.extend(soon("a writer ends", writer).await.expect("no writer panics"));
    }
    told.sort();
    let history = log.read_run(&run).await.expect("the log can be read");
    let kept: Vec<(u64, String)> = history
        .iter()
        .map(|recorded| (recorded.seq, String::from_utf8_lossy(&recorded.bytes).into_owned()))
        .collect();
    assert_eq!(kept, told);
}
