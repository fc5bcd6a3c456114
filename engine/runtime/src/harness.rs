//! Takes requests off the bus and lets workers carry them out, many at a time.
//!
//! It keeps nothing: a request that is lost is sent again. It refuses requests of an owner that
//! it knows to have been followed by another, carries each step out once at a time, tells the
//! owner that it is alive, and passes cancels on. What was cancelled, or belongs to a former owner by
//! the time its turn comes, is not begun; `harness_cancels.rs` remembers cancels that come first.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use serde_json::Value;
use stead_schemas::dispatch::{StepAddress, StepCancel, StepReply, StepRequest};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::Partition;
use stead_schemas::proof::Proof;
use stead_schemas::step::{ANSWER_BYTES_MAX, system};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::env::GRACE;
use crate::harness_cancels::Cancels;
use crate::harness_ports::{WorkerInbound, WorkerReplies};
use crate::metric::{self, what};
use crate::trace;
use crate::worker::{AnyWorker, StepContext, StepResult};

/// How a harness behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HarnessTuning {
    /// How often a step that takes longer says that it is alive; well below the engine's silence.
    pub heartbeat: Duration,
    /// How many steps of one system are carried out at once; more wait, and say so.
    pub at_once: usize,
    /// For how long a step that was cancelled is not begun if it comes only then: as long as its
    /// owner waits for who may be at it.
    pub grace: Duration,
}

impl Default for HarnessTuning {
    fn default() -> Self {
        Self { heartbeat: Duration::from_secs(2), at_once: 64, grace: GRACE }
    }
}

/// See the module's head.
pub struct Harness {
    shared: Arc<Shared>,
    cancels: Cancels,
    steps: JoinSet<()>,
}

struct Shared {
    workers: HashMap<&'static str, (Arc<dyn AnyWorker>, Semaphore)>,
    replies: Arc<dyn WorkerReplies>,
    tuning: HarnessTuning,
    at_work: Mutex<HashMap<StepAddress, AtWork>>,
    /// The latest owner of each partition, as far as one heard.
    epochs: Mutex<HashMap<Partition, u64>>,
}

/// A step that is being carried out.
struct AtWork {
    /// The latest attempt that asked for it: that one is answered.
    attempt: u32,
    /// What shows that.
    proof: Proof,
    /// The latest owner that asked for it.
    epoch: u64,
    cancelled: watch::Sender<bool>,
}

impl Harness {
    /// A harness for these workers.
    #[must_use]
    pub fn new(
        workers: Vec<Arc<dyn AnyWorker>>,
        replies: Arc<dyn WorkerReplies>,
        tuning: HarnessTuning,
    ) -> Self {
        let workers = workers.into_iter();
        let workers = workers.map(|w| (w.system(), (w, Semaphore::new(tuning.at_once)))).collect();
        let (at_work, epochs) = (Mutex::default(), Mutex::default());
        let shared = Arc::new(Shared { workers, replies, tuning, at_work, epochs });
        Self { shared, cancels: Cancels::new(tuning.grace), steps: JoinSet::new() }
    }

    /// Works until `stop` turns true or the bus is gone. Steps that are under way are given up
    /// then; the owner sends them to somebody else.
    pub async fn run(
        mut self,
        mut inbound: mpsc::UnboundedReceiver<WorkerInbound>,
        mut stop: watch::Receiver<bool>,
    ) {
        loop {
            // In this order, so that a simulation sees the same again: each step ends once only, so
            // that none of these can keep the others waiting.
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                Some(carried_out) = self.steps.join_next() => {
                    // Workers' panics are answers. This one is ours, and would be answered by nobody.
                    if let Err(panicked) = carried_out
                        && panicked.is_panic()
                    {
                        resume_unwind(panicked.into_panic());
                    }
                }
                message = inbound.recv() => match message {
                    Some(message) => self.take(message),
                    None => break,
                },
            }
        }
    }

    fn take(&mut self, message: WorkerInbound) {
        match message {
            WorkerInbound::Step(request) => self.step(request),
            WorkerInbound::Cancel(cancel) => {
                self.shared.cancel(&cancel);
                self.cancels.hear(cancel);
            }
            WorkerInbound::Lease { partition, epoch } => {
                self.shared.note_owner(partition, epoch);
            }
        }
    }

    fn step(&mut self, request: StepRequest) {
        if !self.shared.note_owner(request.partition, request.epoch) {
            // A frozen owner has woken up. Whoever follows it asks for what is really wanted.
            tracing::warn!(run = %request.address.run, step = request.step, "refused a request of a former owner");
            metric::STALE.count([]);
            return;
        }
        if self.cancels.forbid(&request) {
            return self.shared.turn_away(&request);
        }
        if let Some(context) = self.shared.begin(&request) {
            self.steps.spawn(Arc::clone(&self.shared).carry_out(request, context));
        }
    }
}

/// What the harness sees of a step while it is carried out.
struct Watch {
    context: StepContext,
    progress: watch::Receiver<Option<String>>,
}

impl Shared {
    /// Notes that a step is being carried out; nothing if it is already: then the running one
    /// will answer to this attempt.
    fn begin(&self, request: &StepRequest) -> Option<Watch> {
        let mut at_work = self.at_work();
        if let Some(running) = at_work.get_mut(&request.address) {
            // One that was told to stop answers to the attempt that was stopped. The new attempt
            // is taken up by whoever hears of it once the old one has ended.
            if *running.cancelled.borrow() {
                return None;
            }
            running.attempt = request.attempt;
            running.proof = request.proof.clone();
            running.epoch = request.epoch;
            drop(at_work);
            self.reply(request, &StepReply::Heartbeat { progress: None });
            return None;
        }
        let (cancelled, watch_cancelled) = watch::channel(false);
        let (progress, watch_progress) = watch::channel(None);
        let context = StepContext::new(request.address.clone(), progress, watch_cancelled);
        let (attempt, proof) = (request.attempt, request.proof.clone());
        let epoch = request.epoch;
        at_work.insert(request.address.clone(), AtWork { attempt, proof, epoch, cancelled });
        Some(Watch { context, progress: watch_progress })
    }

    fn cancel(&self, cancel: &StepCancel) {
        let at_work = self.at_work();
        let running = at_work.get(&cancel.address);
        if let Some(running) = running.filter(|running| cancel.stops(running.attempt)) {
            running.cancelled.send_replace(true);
        }
    }

    /// A request whose cancel was quicker. Where another attempt at the step is under way, that one
    /// answers.
    fn turn_away(&self, request: &StepRequest) {
        if !self.at_work().contains_key(&request.address) {
            self.reply(request, &StepReply::Failed(not_begun("it was cancelled")));
        }
    }

    /// Notes an owner of a partition. Returns whether nobody has followed it, as far as one heard.
    fn note_owner(&self, partition: Partition, epoch: u64) -> bool {
        let mut epochs = self.epochs.lock().unwrap_or_else(PoisonError::into_inner);
        let known = epochs.entry(partition).or_default();
        *known = epoch.max(*known);
        *known == epoch
    }

    /// Whether a step whose turn has come is to be begun.
    fn is_wanted(&self, request: &StepRequest) -> Result<(), Failure> {
        let asked = self.at_work().get(&request.address).map(|running| running.epoch);
        if !self.note_owner(request.partition, asked.unwrap_or(request.epoch)) {
            metric::STALE.count([]);
            return Err(not_begun("another owner has followed"));
        }
        Ok(())
    }

    async fn carry_out(self: Arc<Self>, request: StepRequest, watch: Watch) {
        let begun = Instant::now();
        let work = async { self.work(&request, watch).await.and_then(small_enough) };
        let result = trace::attempt(&request, work).await;
        self.count(&request.step, &result, begun.elapsed());
        let reply = match result {
            Ok(answer) => StepReply::Done(answer),
            Err(failure) => {
                let (run, step) = (&request.address.run, &request.step);
                tracing::info!(%run, step, %failure, "a step is not done");
                StepReply::Failed(failure)
            }
        };
        // A request that comes from here on is another attempt: told that one is at work on it, its
        // owner would wait for an answer in vain.
        let ended = self.at_work().remove(&request.address);
        self.answer(&request, ended.map(|ended| (ended.attempt, ended.proof)), &reply);
    }

    async fn work(&self, request: &StepRequest, watch: Watch) -> StepResult {
        let Some((worker, permits)) = self.workers.get(system(&request.step)) else {
            let words = "this process has no worker of that system";
            return Err(Failure::new(Class::Permanent, words));
        };
        let begun = AtomicBool::new(false);
        let mut open = Open::queued(worker.system());
        let work = async {
            let _permit = self.place(request, permits, &watch.context, &begun).await?;
            open.runs();
            worker.begin(&request.step, watch.context, request.request.clone()).await
        };
        let work = AssertUnwindSafe(work).catch_unwind();
        let beats = self.heartbeats(request, watch.progress, &begun);
        tokio::select! {
            biased;
            result = work => result.unwrap_or_else(|_| Err(bug())),
            () = beats => unreachable!("heartbeats never end"),
        }
    }

    /// Counts a step that is over. A name that no worker here knows is not counted by itself:
    /// whoever may send requests could make up any number of them.
    fn count(&self, step: &str, result: &StepResult, took: Duration) {
        let worker = self.workers.get(system(step)).map(|(worker, _)| worker);
        let known = worker.and_then(|worker| worker.name_of(step)).unwrap_or("unknown.unknown");
        let outcome = result.as_ref().map_or_else(|failure| failure.class.word(), |_| "done");
        metric::WORK_SECONDS.took(took, [system(known), what(known), outcome]);
    }

    /// A place among the steps that are carried out at once. While there is none the owner is
    /// told, and again when there is one. Meanwhile it may have been cancelled.
    async fn place<'a>(
        &self,
        request: &StepRequest,
        places: &'a Semaphore,
        context: &StepContext,
        begun: &AtomicBool,
    ) -> Result<Option<SemaphorePermit<'a>>, Failure> {
        let free = places.try_acquire().ok();
        let waited = free.is_none();
        let place = match free {
            Some(place) => Some(place),
            None => {
                self.reply(request, &StepReply::Queued);
                tokio::select! {
                    biased;
                    () = context.cancelled() => None,
                    place = places.acquire() => place.ok(),
                }
            }
        };
        context.still_wanted()?;
        self.is_wanted(request)?;
        begun.store(true, Ordering::Relaxed);
        if waited || request.tell_start {
            self.reply(request, &StepReply::Heartbeat { progress: None });
        }
        Ok(place)
    }

    async fn heartbeats(
        &self,
        request: &StepRequest,
        mut progress: watch::Receiver<Option<String>>,
        begun: &AtomicBool,
    ) {
        let mut watched = true;
        loop {
            tokio::select! {
                biased;
                changed = progress.changed(), if watched => watched = changed.is_ok(),
                () = tokio::time::sleep(self.tuning.heartbeat) => {}
            }
            let progress = progress.borrow_and_update().clone();
            let alive = match begun.load(Ordering::Relaxed) {
                true => StepReply::Heartbeat { progress },
                false => StepReply::Queued,
            };
            self.reply(request, &alive);
        }
    }

    fn reply(&self, request: &StepRequest, reply: &StepReply) {
        let latest = self.at_work().get(&request.address).map(|w| (w.attempt, w.proof.clone()));
        self.answer(request, latest, reply);
    }

    /// Answers the latest attempt that asked for this, or the request itself.
    fn answer(&self, request: &StepRequest, latest: Option<(u32, Proof)>, reply: &StepReply) {
        let (attempt, proof) = latest.unwrap_or_else(|| (request.attempt, request.proof.clone()));
        self.replies.reply(request.partition, &request.address, attempt, &proof, reply);
    }

    fn at_work(&self) -> MutexGuard<'_, HashMap<StepAddress, AtWork>> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A step that this process has, as metrics show it.
struct Open {
    system: &'static str,
    state: &'static str,
}

impl Open {
    fn queued(system: &'static str) -> Self {
        metric::WORK_OPEN.step(1.0, [system, "queued"]);
        Self { system, state: "queued" }
    }

    fn runs(&mut self) {
        metric::WORK_OPEN.step(-1.0, [self.system, self.state]);
        self.state = "running";
        metric::WORK_OPEN.step(1.0, [self.system, self.state]);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metric::WORK_OPEN.step(-1.0, [self.system, self.state]);
    }
}

/// An answer has to fit into the history of its run.
fn small_enough(answer: Value) -> StepResult {
    let size = serde_json::to_vec(&answer).map_or(usize::MAX, |bytes| bytes.len());
    if size <= ANSWER_BYTES_MAX {
        return Ok(answer);
    }
    let words = format!(
        "the answer has {size} bytes, the limit for a step is {ANSWER_BYTES_MAX}; the step should \
         answer with a reference to what is large"
    );
    Err(Failure::new(Class::Permanent, words))
}

fn not_begun(why: &str) -> Failure {
    Failure::new(Class::Cancelled, format!("{why} before the step was begun"))
}

fn bug() -> Failure {
    let words = "the worker met a bug of ours in this step; its log has the details";
    Failure::new(Class::Ambiguous, words)
}
