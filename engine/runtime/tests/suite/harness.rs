//! The worker harness: what it refuses, what it answers, and when.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use stead_runtime::harness::{Harness, HarnessTuning};
use stead_runtime::harness_ports::{WorkerInbound, WorkerReplies};
use stead_runtime::worker::{AnyWorker, StepContext, Worker};
use stead_schemas::dispatch::{StepAddress, StepCancel, StepReply, StepRequest};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::Partition;
use stead_schemas::proof::Proof;
use stead_schemas::step::{ANSWER_BYTES_MAX, Done, Step};
use tokio::sync::{Notify, mpsc, watch};

use crate::desk::on_simulated_time;
use crate::pages::{First, Second};
use crate::shown::shown;

/// The number of a step that says how far it is.
const HALF_WAY: u32 = 50;

#[derive(Default)]
struct Heard(Mutex<Vec<(u32, StepReply)>>);

impl WorkerReplies for Heard {
    fn reply(&self, _: Partition, _: &StepAddress, attempt: u32, proof: &Proof, reply: &StepReply) {
        assert_eq!(proof.word(), format!("proof-{attempt}"), "each attempt has its own");
        self.0.lock().unwrap().push((attempt, reply.clone()));
    }
}

/// A worker whose first step says that it is half-way and ends when it is told to, whose second
/// panics, and whose third answers with more than a history takes.
struct Bench {
    heard: Arc<Heard>,
    go_on: Arc<Notify>,
    begun: Arc<Mutex<u32>>,
    to: mpsc::UnboundedSender<WorkerInbound>,
    _stop: watch::Sender<bool>,
}

type Client = (Arc<Notify>, Arc<Mutex<u32>>);

async fn first(client: Client, cx: StepContext, _: First) -> Result<Done, Failure> {
    *client.1.lock().unwrap() += 1;
    if cx.address().seq == HALF_WAY {
        cx.progress("half-way");
    }
    tokio::select! {
        () = client.0.notified() => Ok(Done {}),
        () = cx.cancelled() => Err(cx.still_wanted().unwrap_err()),
    }
}

async fn second(_: Client, _: StepContext, _: Second) -> Result<Done, Failure> {
    panic!("a bug of ours")
}

/// A step that asks for more than is answered.
#[derive(Serialize, Deserialize)]
struct Flood {}

impl Step for Flood {
    const NAME: &'static str = "test.flood";
    type Answer = String;
}

async fn flood(_: Client, _: StepContext, _: Flood) -> Result<String, Failure> {
    Ok("x".repeat(ANSWER_BYTES_MAX))
}

fn address(seq: u32) -> StepAddress {
    StepAddress { run: "pair-27ytv97dprxd6njw-1".parse().unwrap(), seq }
}

fn request(step: &str, seq: u32, attempt: u32, epoch: u64) -> StepRequest {
    StepRequest {
        trace: None,
        address: address(seq),
        attempt,
        partition: Partition(0),
        epoch,
        step: step.into(),
        request: json!({}),
        proof: Proof::new(format!("proof-{attempt}")),
        tell_start: false,
    }
}

impl Bench {
    fn new() -> Self {
        Self::of(HarnessTuning::default())
    }

    /// A worker that does one step at a time.
    fn narrow() -> Self {
        Self::of(HarnessTuning { at_once: 1, ..HarnessTuning::default() })
    }

    fn of(tuning: HarnessTuning) -> Self {
        let (heard, go_on, begun) = (Arc::default(), Arc::new(Notify::new()), Arc::default());
        let worker = Worker::new("test", (Arc::clone(&go_on), Arc::clone(&begun)));
        let worker: Arc<dyn AnyWorker> = Arc::new(worker.on(first).on(second).on(flood));
        let (to, inbound) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let replies: Arc<Heard> = Arc::clone(&heard);
        let harness = Harness::new(vec![worker], replies, tuning);
        tokio::task::spawn_local(harness.run(inbound, stopped));
        Self { heard, go_on, begun, to, _stop: stop }
    }

    async fn ask(&self, step: &str, seq: u32, attempt: u32, epoch: u64) -> StepAddress {
        let request = request(step, seq, attempt, epoch);
        let address = request.address.clone();
        self.say(WorkerInbound::Step(request)).await;
        address
    }

    async fn say(&self, message: WorkerInbound) {
        self.to.send(message).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Nobody waits for attempts at this step, up to this one.
    async fn cancel(&self, seq: u32, attempt: u32) {
        self.say(WorkerInbound::Cancel(StepCancel { address: address(seq), attempt })).await;
    }

    /// The step that is at work ends.
    async fn go_on(&self) {
        self.go_on.notify_one();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    fn begun(&self) -> u32 {
        *self.begun.lock().unwrap()
    }

    /// What the attempts were told, in words.
    fn told(&self) -> Vec<String> {
        let word = |reply: &StepReply| match reply {
            StepReply::Queued => "queued".to_owned(),
            StepReply::Heartbeat { .. } => "alive".to_owned(),
            StepReply::Done(_) => "done".to_owned(),
            StepReply::Failed(failure) => failure.class.word().to_owned(),
        };
        self.heard().iter().map(|(attempt, reply)| format!("{attempt} {}", word(reply))).collect()
    }

    fn heard(&self) -> Vec<(u32, StepReply)> {
        std::mem::take(&mut self.heard.0.lock().unwrap())
    }
}

#[test]
fn a_step_is_carried_out_once_at_a_time_and_the_latest_attempt_is_answered() {
    on_simulated_time(async {
        let bench = Bench::new();
        bench.ask("test.first", 1, 1, 5).await;
        bench.ask("test.first", 1, 2, 5).await;
        bench.go_on.notify_one();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(*bench.begun.lock().unwrap(), 1);
        assert_eq!(bench.heard().last(), Some(&(2, StepReply::Done(json!({})))));
    });
}

#[test]
fn a_request_of_a_former_owner_is_refused() {
    on_simulated_time(async {
        let bench = Bench::new();
        let notice = WorkerInbound::Lease { partition: Partition(0), epoch: 7 };
        bench.to.send(notice).unwrap();
        bench.ask("test.first", 1, 1, 6).await;
        assert_eq!(*bench.begun.lock().unwrap(), 0);
        bench.ask("test.first", 1, 1, 7).await;
        assert_eq!(*bench.begun.lock().unwrap(), 1);
    });
}

#[test]
fn a_long_step_says_that_it_is_alive() {
    on_simulated_time(async {
        let bench = Bench::new();
        bench.ask("test.first", 1, 1, 1).await;
        assert!(bench.heard().is_empty(), "a quick step would say nothing but its answer");
        tokio::time::sleep(Duration::from_secs(7)).await;
        let beats = bench.heard();
        assert_eq!(beats.len(), 3, "{beats:?}");
    });
}

#[test]
fn how_far_a_step_is_leaves_the_worker_at_once() {
    on_simulated_time(async {
        let bench = Bench::new();
        bench.ask("test.first", HALF_WAY, 1, 1).await;
        let beat = StepReply::Heartbeat { progress: Some("half-way".into()) };
        assert_eq!(bench.heard(), [(1, beat)]);
    });
}

#[test]
fn an_answer_that_no_history_takes_is_refused_with_the_limit() {
    on_simulated_time(async {
        let bench = Bench::new();
        bench.ask("test.flood", 1, 1, 1).await;
        let heard = bench.heard();
        let [(1, StepReply::Failed(failure))] = &heard[..] else { panic!("{heard:?}") };
        assert_eq!(failure.class, Class::Permanent);
        let limit = format!("the limit for a step is {ANSWER_BYTES_MAX}");
        assert!(failure.words.contains(&limit), "{failure}");
    });
}

#[test]
fn a_cancel_reaches_the_step() {
    on_simulated_time(async {
        let bench = Bench::new();
        bench.ask("test.first", 1, 1, 1).await;
        bench.cancel(1, 0).await;
        assert_eq!(bench.told(), ["1 cancelled"]);
        bench.ask("test.first", 2, 1, 1).await;
        bench.cancel(2, 1).await;
        assert_eq!(bench.told(), ["1 cancelled"]);
    });
}

#[test]
fn a_cancel_reaches_a_step_that_waits_for_its_turn() {
    on_simulated_time(async {
        let bench = Bench::narrow();
        bench.ask("test.first", 1, 1, 1).await;
        bench.ask("test.first", 2, 2, 1).await;
        bench.cancel(2, 2).await;
        assert_eq!(bench.told(), ["2 queued", "2 cancelled"]);
        bench.go_on().await;
        assert_eq!((bench.told(), bench.begun()), (vec!["1 done".to_owned()], 1));
    });
}

#[test]
fn a_cancel_that_is_quicker_than_its_step_forbids_it_and_no_later_attempt() {
    on_simulated_time(async {
        let bench = Bench::new();
        bench.cancel(1, 5).await;
        for attempt in [5, 4] {
            bench.ask("test.first", 1, attempt, 1).await;
            assert_eq!(bench.told(), [format!("{attempt} cancelled")]);
        }
        assert_eq!(bench.begun(), 0);
        bench.ask("test.first", 1, 6, 1).await;
        bench.cancel(1, 5).await;
        bench.go_on().await;
        assert_eq!((bench.told(), bench.begun()), (vec!["6 done".to_owned()], 1));
        tokio::time::sleep(HarnessTuning::default().grace).await;
        bench.ask("test.first", 1, 5, 1).await;
        assert_eq!(bench.begun(), 2, "nobody waits for whoever may be at it any more");
    });
}

#[test]
fn what_waits_for_its_turn_is_not_begun_for_a_former_owner() {
    on_simulated_time(async {
        let bench = Bench::narrow();
        bench.ask("test.first", 1, 1, 5).await;
        bench.ask("test.first", 2, 2, 5).await;
        bench.ask("test.first", 3, 3, 5).await;
        bench.say(WorkerInbound::Lease { partition: Partition(0), epoch: 7 }).await;
        bench.ask("test.first", 3, 4, 7).await;
        bench.go_on().await;
        assert_eq!(bench.begun(), 2, "the new owner asks for the third");
        bench.go_on().await;
        let told =
            ["2 queued", "3 queued", "4 alive", "1 done", "2 cancelled", "4 alive", "4 done"];
        assert_eq!(bench.told(), told);
    });
}

#[test]
fn what_is_at_work_and_what_waits_for_its_turn_is_counted() {
    shown(|shown| async move {
        let bench = Bench::narrow();
        let open = || ["running", "queued"].map(|it| shown.gauge("stead_worker_steps_open", it));
        for (seq, wanted) in [(1, [1.0, 0.0]), (2, [1.0, 1.0])] {
            bench.ask("test.first", seq, seq, 1).await;
            assert_eq!(open(), wanted);
        }
        for wanted in [[1.0, 0.0], [0.0, 0.0]] {
            bench.go_on().await;
            assert_eq!(open(), wanted);
        }
    });
}

/// Asks again as soon as it hears that the step is done, and lets that be heard first.
struct Impatient {
    to: mpsc::UnboundedSender<WorkerInbound>,
    /// Somebody has begun, or says that he has been at it for a while.
    taken_up: Mutex<std::sync::mpsc::Receiver<()>>,
    begun: std::sync::mpsc::Sender<()>,
}

impl WorkerReplies for Impatient {
    fn reply(&self, _: Partition, _: &StepAddress, attempt: u32, _: &Proof, reply: &StepReply) {
        match reply {
            StepReply::Done(_) if attempt == 1 => {
                self.to.send(WorkerInbound::Step(request("test.first", 1, 2, 1))).unwrap();
                tokio::task::block_in_place(|| self.taken_up.lock().unwrap().recv().unwrap());
            }
            StepReply::Heartbeat { .. } => self.begun.send(()).unwrap(),
            _ => {}
        }
    }
}

type Counter = (watch::Sender<u32>, std::sync::mpsc::Sender<()>);

/// Counts how often it begins.
async fn counted((times, begun): Counter, _: StepContext, _: First) -> Result<Done, Failure> {
    times.send_modify(|times| *times += 1);
    if *times.borrow() > 1 {
        begun.send(()).unwrap();
    }
    Ok(Done {})
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_for_behind_an_answer_is_begun_anew() {
    let (begun, taken_up) = std::sync::mpsc::channel();
    let (to, inbound) = mpsc::unbounded_channel();
    let (times, mut changed) = watch::channel(0);
    let worker = Worker::new("test", (times, begun.clone()));
    let worker: Arc<dyn AnyWorker> = Arc::new(worker.on(counted));
    let replies = Arc::new(Impatient { to: to.clone(), taken_up: Mutex::new(taken_up), begun });
    let harness = Harness::new(vec![worker], replies, HarnessTuning::default());
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(harness.run(inbound, stopped));
    to.send(WorkerInbound::Step(request("test.first", 1, 1, 1))).unwrap();
    let begun_anew = changed.wait_for(|times| *times == 2);
    let begun_anew = tokio::time::timeout(Duration::from_secs(30), begun_anew).await;
    assert!(begun_anew.is_ok_and(|times| times.is_ok()), "nobody is at work on it any more");
}

#[test]
fn a_bug_in_a_step_leaves_its_outcome_unknown_and_the_worker_alive() {
    on_simulated_time(async {
        let bench = Bench::new();
        bench.ask("test.second", 1, 1, 1).await;
        let heard = bench.heard();
        let [(1, StepReply::Failed(failure))] = &heard[..] else { panic!("{heard:?}") };
        assert_eq!(failure.class, stead_schemas::failure::Class::Ambiguous);
        bench.ask("test.unheard-of", 2, 1, 1).await;
        assert!(matches!(&bench.heard()[..], [(1, StepReply::Failed(_))]));
    });
}
