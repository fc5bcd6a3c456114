//! The ends of a bus: what a test needs to stand at each of them.
//!
//! Who has just begun to listen may not be known everywhere yet, as in a cluster. Whatever matters
//! is sent again, so that nobody waits for that; here, too, greetings are sent again until they
//! are heard, and left out of what is counted afterwards.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use stead_schemas::dispatch::{RunQuery, StepAddress, StepCancel, StepReply, StepRequest};
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::proof::Proof;
use stead_schemas::trace::TraceParent;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::LOOK_EVERY;
use super::log::fresh_run;
use crate::harness_ports::{WorkerInbound, WorkerReplies};
use crate::inbound::Inbound;
use crate::ports::{Bus, Inboxes, Outgoing};

/// How long something may be on its way, on a machine that is busy with other things.
pub(super) const SOON: Duration = Duration::from_secs(60);
/// A partition that no platform has: nobody ever listens for it.
pub(super) const NOBODY_S: Partition = Partition(u16::MAX);

/// What one engine says and hears.
pub struct Engine {
    /// Its mouth.
    pub bus: Arc<dyn Bus>,
    /// Its ears.
    pub inboxes: Arc<dyn Inboxes>,
}

/// What one worker process hears and says.
pub struct Link {
    /// What it is told.
    pub asked: UnboundedReceiver<WorkerInbound>,
    /// Where its answers go.
    pub replies: Arc<dyn WorkerReplies>,
}

/// A bus with all its ends. On a bus of several servers, each that is asked for may be at another
/// one.
#[async_trait]
pub trait Ends: Send + Sync {
    /// One more engine.
    async fn engine(&self) -> Engine;

    /// One more worker process, which carries out the steps of these systems.
    async fn worker(&self, systems: &[&str]) -> Link;

    /// Somebody asks the owner of a partition, and waits for the reply.
    async fn ask(&self, partition: Partition, query: RunQuery) -> oneshot::Receiver<Vec<u8>>;

    /// Somebody watches the events on a subject.
    async fn watch(&self, subject: &str) -> UnboundedReceiver<Vec<u8>>;
}

/// A system that nobody else has.
pub(super) fn fresh_system() -> String {
    format!("probe-{}", Uuid::new_v4())
}

/// A step of a run.
pub(super) fn address(run: &RunId, seq: u32) -> StepAddress {
    StepAddress { run: run.clone(), seq }
}

/// A step of this name on its way to a worker. Every other one is traced.
pub(super) fn request(address: StepAddress, partitions: u16, step: &str) -> StepRequest {
    StepRequest {
        trace: address.seq.is_multiple_of(2).then(|| TraceParent::of_step(&address)),
        attempt: 3,
        partition: address.run.partition(partitions),
        epoch: 7,
        step: step.into(),
        request: json!({ "n": address.seq, "text": "ä\u{0}\n" }),
        proof: proof(&address),
        tell_start: address.seq.is_multiple_of(3),
        address,
    }
}

/// What shows that an attempt at this step is meant.
pub(super) fn proof(address: &StepAddress) -> Proof {
    Proof::new(format!("b79a{}", address.seq))
}

/// Waits until something comes.
pub(super) async fn next<T>(what: &str, from: &mut UnboundedReceiver<T>) -> T {
    let next = timeout(SOON, from.recv()).await;
    next.unwrap_or_else(|_| panic!("nothing came: {what}"))
        .unwrap_or_else(|| panic!("nothing more can come: {what}"))
}

/// Says something again and again until `from` has heard all of it. Some of it may be heard once
/// more later.
pub(super) async fn until_heard<T>(
    what: &str,
    from: &mut UnboundedReceiver<T>,
    say: impl Fn(),
    mut is_all: impl FnMut(&T) -> bool,
) {
    let deadline = Instant::now() + SOON;
    say();
    loop {
        match timeout(LOOK_EVERY, from.recv()).await {
            Ok(Some(heard)) if is_all(&heard) => return,
            Ok(Some(_)) => {}
            Ok(None) => panic!("nothing more can come: {what}"),
            Err(_) => say(),
        }
        assert!(Instant::now() < deadline, "waited {SOON:?} in vain: {what}");
    }
}

/// The owner of a partition, as far as it hears.
pub(super) struct Ear {
    partition: Partition,
    inbox: UnboundedReceiver<Inbound>,
}

impl Ear {
    /// An engine begins to listen for a partition, and is greeted by all who will say something.
    pub(super) async fn open(
        engine: &Engine,
        partition: Partition,
        greeted_by: &[&Engine],
    ) -> Self {
        let mut inbox = engine.inboxes.open(partition).await.expect("an inbox");
        for engine in greeted_by {
            let (greeting, is_it) = greeting();
            let say = || engine.bus.send(to_owner(partition, greeting.clone()));
            until_heard("a greeting", &mut inbox, say, |inbound| is_told(inbound, &is_it)).await;
        }
        Self { partition, inbox }
    }

    /// A worker who will say something greets, too.
    pub(super) async fn greeted_by_worker(&mut self, worker: &Worker) {
        let (greeting, is_it) = greeting();
        let (to, replies) = (self.partition, &worker.link.replies);
        let say = || replies.reply(to, &greeting, 1, &proof(&greeting), &StepReply::Queued);
        let is_all = |inbound: &Inbound| is_told(inbound, &is_it);
        until_heard("a worker's greeting", &mut self.inbox, say, is_all).await;
    }

    /// The next thing that is no greeting.
    pub(super) async fn next(&mut self, what: &str) -> Inbound {
        loop {
            let inbound = next(what, &mut self.inbox).await;
            if !is_told(&inbound, &is_greeting) {
                return inbound;
            }
        }
    }

    /// What has come besides, up to something that an engine says now.
    pub(super) async fn rest(&mut self, engine: &Engine) -> Vec<Inbound> {
        let (last, is_it) = greeting();
        engine.bus.send(to_owner(self.partition, last));
        let mut rest = Vec::new();
        loop {
            let inbound = next("the last word", &mut self.inbox).await;
            if is_told(&inbound, &is_it) {
                return rest;
            }
            if !is_told(&inbound, &is_greeting) {
                rest.push(inbound);
            }
        }
    }
}

/// A worker process, as far as it hears.
pub(super) struct Worker {
    pub(super) link: Link,
}

impl Worker {
    /// A worker begins to listen, and is greeted by all who will say something.
    pub(super) async fn start(ends: &dyn Ends, systems: &[&str], greeted_by: &[&Engine]) -> Self {
        let mut link = ends.worker(systems).await;
        for engine in greeted_by {
            let (cancel, is_it) = greeting();
            let lease = random();
            let say = || {
                engine.bus.send(Outgoing::Lease { partition: NOBODY_S, epoch: lease });
                engine.bus.send(Outgoing::CancelStep(whichever(&cancel)));
            };
            let mut heard = (false, false);
            until_heard("a greeting", &mut link.asked, say, |inbound| {
                heard.0 |= is_lease(inbound, lease);
                heard.1 |= is_cancel(inbound, &is_it);
                heard == (true, true)
            })
            .await;
        }
        Self { link }
    }

    /// The next thing that is no greeting.
    pub(super) async fn next(&mut self, what: &str) -> WorkerInbound {
        loop {
            let inbound = next(what, &mut self.link.asked).await;
            if !is_greeting_of_workers(&inbound) {
                return inbound;
            }
        }
    }

    /// What has come besides, up to something that an engine says now.
    pub(super) async fn rest(&mut self, engine: &Engine) -> Vec<WorkerInbound> {
        let (last, is_it) = greeting();
        engine.bus.send(Outgoing::CancelStep(whichever(&last)));
        let mut rest = Vec::new();
        loop {
            let inbound = next("the last word", &mut self.link.asked).await;
            if is_cancel(&inbound, &is_it) {
                return rest;
            }
            if !is_greeting_of_workers(&inbound) {
                rest.push(inbound);
            }
        }
    }
}

/// Steps count from 1: one with the number 0 is a greeting.
fn greeting() -> (StepAddress, impl Fn(&StepAddress) -> bool) {
    let greeting = address(&fresh_run(), 0);
    (greeting.clone(), move |heard: &StepAddress| *heard == greeting)
}

fn whichever(address: &StepAddress) -> StepCancel {
    StepCancel { address: address.clone(), attempt: 0 }
}

fn is_greeting(address: &StepAddress) -> bool {
    address.seq == 0
}

fn to_owner(partition: Partition, address: StepAddress) -> Outgoing {
    Outgoing::Answer { to: partition, address, reply: StepReply::Queued }
}

fn is_told(inbound: &Inbound, of: &impl Fn(&StepAddress) -> bool) -> bool {
    matches!(inbound, Inbound::Answer { address, .. } if of(address))
}

fn is_cancel(inbound: &WorkerInbound, of: &impl Fn(&StepAddress) -> bool) -> bool {
    matches!(inbound, WorkerInbound::Cancel(cancel) if of(&cancel.address))
}

fn is_lease(inbound: &WorkerInbound, of: u64) -> bool {
    *inbound == WorkerInbound::Lease { partition: NOBODY_S, epoch: of }
}

fn is_greeting_of_workers(inbound: &WorkerInbound) -> bool {
    let is_lease = matches!(inbound, WorkerInbound::Lease { partition: NOBODY_S, .. });
    is_lease || is_cancel(inbound, &is_greeting)
}

fn random() -> u64 {
    Uuid::new_v4().as_u64_pair().0
}
