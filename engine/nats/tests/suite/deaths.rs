//! The conformance suite while the servers of a cluster die, one after the other.
//!
//! Held meanwhile is all that the suite asks for; but calls may be refused and are made again
//! (`patient.rs`), a lease may end since nobody can renew it, and a message may be lost.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use futures_util::{FutureExt, TryStreamExt};
use serde_json::json;
use stead_nats::testing::{NatsCluster, NatsServer};
use stead_nats::worker_link::WorkerLink;
use stead_nats::{
    ConnectSettings, Connection, NatsArchive, NatsBus, NatsInboxes, NatsLeases, NatsLog, connect,
};
use stead_runtime::conformance::leases::PROMISES;
use stead_runtime::conformance::log::fresh_run_in;
use stead_runtime::conformance::{
    LosesAcknowledgements, check_archive, check_bus, check_epochs, check_expiry, check_inboxes,
    check_link, check_log,
};
use stead_runtime::env::LEASE;
use stead_runtime::harness_ports::WorkerInbound;
use stead_runtime::inbound::Inbound;
use stead_runtime::ports::{Bus, Inboxes, Leases, Outgoing};
use stead_schemas::dispatch::{StepAddress, StepReply, StepRequest};
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::proof::Proof;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::cluster::platform;
use super::ends::OnServers;
use super::patient::{PATIENCE, Patient};
use super::proxy::Proxy;
use super::support::{self, PARTITIONS};

/// So much each part of the work does before a server dies, and so much without that server.
const ENOUGH: u64 = 10;
/// The pause before a step or a lease is asked for again.
const PAUSE: Duration = Duration::from_millis(100);

/// How far the work is.
#[derive(Default)]
struct Work {
    leases: AtomicU64,
    steps: AtomicU64,
    /// How many servers have died and come back.
    deaths: AtomicU64,
    is_over: AtomicBool,
}

impl Work {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }
}

/// A proxy in front of each server: acknowledgements are lost as servers die, and when they are to be.
struct Proxies(Vec<Proxy>);

impl Proxies {
    async fn start(cluster: &NatsCluster) -> Self {
        Self(join_all(cluster.servers.iter().map(Proxy::start)).await)
    }

    async fn connect(&self) -> Connection {
        let urls: Vec<String> = self.0.iter().map(Proxy::url).collect();
        connect(&ConnectSettings::new(urls.join(","), "test")).await.expect("a connection")
    }
}

#[async_trait]
impl LosesAcknowledgements for Proxies {
    async fn lose_next(&self) {
        for proxy in &self.0 {
            proxy.lose_next().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_promise_is_kept_while_servers_die() {
    let mut cluster = NatsCluster::start().await;
    let connection = cluster.connect().await;
    let platform = platform(&connection).await;
    let proxies = Proxies::start(&cluster).await;
    let behind = super::cluster::platform(&proxies.connect().await).await;
    let log = Patient::new(NatsLog::new(&behind));
    let archive = Patient::new(NatsArchive::new(&platform).expiring(true));
    let work = Work::default();
    let duel = Duel { holder: Mutex::new(None), work: &work };
    let (engine, worker) = (cluster.connect().await, cluster.connect().await);
    let (one, other) = (NatsLeases::new(&platform), NatsLeases::new(&platform));
    let renewed = Patient::new(NatsLeases::new(&platform));
    let counts = [&log.done, &archive.done, &renewed.done, &work.leases, &work.steps];
    tokio::join!(
        async {
            // The log is asked in its first epoch, which is gone once epochs are turned.
            while work.deaths.load(Ordering::Relaxed) < 2 {
                check_log(&log, PARTITIONS, &proxies).await;
            }
            while !work.is_over() {
                check_epochs(&log, &log, PARTITIONS).await;
            }
        },
        async {
            while !work.is_over() {
                check_archive(&archive).await;
                check_expiry(&archive).await;
            }
        },
        duel.fight(&one, "one"),
        duel.fight(&other, "other"),
        steps_are_answered(&engine, &worker, &work),
        async {
            each_dies(&mut cluster, &work, &counts).await;
            work.is_over.store(true, Ordering::Relaxed);
        },
        leases_are_kept(&renewed, &work),
    );
    let lost: u32 = proxies.0.iter().map(Proxy::lost).sum();
    assert!(lost >= 3, "{lost} acknowledgements were lost");
}

/// Checks the promises of leases one by one, each with a lease of its own, again and again, until each has
/// been kept. Nobody keeps a lease while he is refused, or heard late: where that happened, a broken
/// promise says nothing, and neither does one that is kept.
async fn leases_are_kept(port: &Patient<NatsLeases>, work: &Work) {
    let (partitions, mut kept) = (100.., [0; PROMISES.len()]);
    for (partition, number) in partitions.map(Partition).zip((0..PROMISES.len()).cycle()) {
        if work.is_over() && kept.iter().all(|times| *times > 0) {
            return;
        }
        port.begin();
        let ended = AssertUnwindSafe(PROMISES[number](port, partition)).catch_unwind().await;
        match ended {
            Ok(()) => kept[number] += u32::from(port.was_well()),
            Err(broken) if port.was_well() => resume_unwind(broken),
            Err(_) => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_said_from_server_to_server_is_heard_while_the_third_one_dies() {
    let mut cluster = NatsCluster::start().await;
    let [ref one, ref other, ref mut third] = cluster.servers[..] else { panic!("three servers") };
    let ends = OnServers::new(vec![one.url(), other.url()]);
    let (checked, deaths) = (AtomicU64::new(0), AtomicU64::new(0));
    let count = |it: &AtomicU64| it.load(Ordering::Relaxed);
    tokio::join!(
        async {
            while count(&deaths) < 3 {
                check_bus(&ends, PARTITIONS).await;
                check_inboxes(&ends, PARTITIONS).await;
                check_link(&ends, PARTITIONS).await;
                checked.fetch_add(1, Ordering::Relaxed);
            }
        },
        async {
            while count(&deaths) < 3 || count(&checked) == 0 {
                third.kill9();
                tokio::time::sleep(PAUSE).await;
                third.restart().await;
                deaths.fetch_add(1, Ordering::Relaxed);
            }
        },
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn epochs_and_archive_keep_their_promises_while_their_only_server_dies() {
    let mut server = NatsServer::start().await;
    let platform = support::platform(&server.connect().await).await;
    let log = Patient::new(NatsLog::new(&platform));
    let archive = Patient::new(NatsArchive::new(&platform).expiring(true));
    let counts = [&log.done, &archive.done];
    let work = Work::default();
    tokio::join!(
        async {
            while !work.is_over() {
                check_epochs(&log, &log, PARTITIONS).await;
            }
        },
        async {
            while !work.is_over() {
                check_archive(&archive).await;
                check_expiry(&archive).await;
            }
        },
        async {
            for _ in 0..5 {
                goes_on(&counts).await;
                server.restart().await;
            }
            goes_on(&counts).await;
            work.is_over.store(true, Ordering::Relaxed);
        },
    );
}

/// Kills each server once. It comes back, and has what the others have, before the next one dies.
async fn each_dies(cluster: &mut NatsCluster, work: &Work, counts: &[&AtomicU64]) {
    for number in 0..cluster.servers.len() {
        goes_on(counts).await;
        cluster.servers[number].kill9();
        goes_on(counts).await;
        cluster.servers[number].restart().await;
        has_caught_up(cluster).await;
        work.deaths.fetch_add(1, Ordering::Relaxed);
    }
}

/// Waits until each part of the work has done some more.
async fn goes_on(counts: &[&AtomicU64]) {
    let look = || counts.iter().map(|count| count.load(Ordering::Relaxed)).collect::<Vec<_>>();
    let before = look();
    let deadline = Instant::now() + PATIENCE;
    while look().iter().zip(&before).any(|(now, before)| *now < before + ENOUGH) {
        assert!(Instant::now() < deadline, "it stands: {before:?}, {:?}", look());
        tokio::time::sleep(PAUSE).await;
    }
}

/// Waits until each stream has a leader and two others that have everything.
async fn has_caught_up(cluster: &NatsCluster) {
    let nats = async_nats::connect(cluster.servers[0].url()).await.expect("a connection");
    let js = async_nats::jetstream::new(nats);
    let deadline = Instant::now() + PATIENCE;
    let mut behind: Option<Vec<String>> = None;
    while behind.as_ref().is_none_or(|names| !names.is_empty()) {
        assert!(Instant::now() < deadline, "these are behind: {behind:?}");
        let names = match behind.take() {
            Some(names) => Ok(names),
            None => js.stream_names().try_collect().await,
        };
        if let Ok(names) = names {
            behind = Some(are_behind(&js, names).await);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn are_behind(js: &async_nats::jetstream::Context, names: Vec<String>) -> Vec<String> {
    let mut behind = Vec::new();
    for name in names {
        let is_behind = match js.get_stream(&name).await {
            Ok(stream) => stream.cached_info().cluster.as_ref().is_none_or(|peers| {
                let mut others = peers.replicas.iter();
                peers.leader.is_none() || others.any(|peer| !peer.current || peer.offline)
            }),
            // An epoch that was retired meanwhile is no more.
            Err(error) => !error.to_string().contains("not found"),
        };
        if is_behind {
            behind.push(name);
        }
    }
    behind
}

/// Engines that take one lease from each other.
struct Duel<'a> {
    work: &'a Work,
    /// Who believes that he has it, and until when.
    holder: Mutex<Option<(&'static str, Instant)>>,
}

impl Duel<'_> {
    /// Takes the lease and renews it some times; then gives it back, or lets it end.
    async fn fight(&self, leases: &NatsLeases, name: &'static str) {
        let partition = Partition(0);
        let mut gives_back = false;
        while !self.work.is_over() {
            let mut asked = Instant::now();
            let mut held = leases.acquire(partition, name).await;
            for _ in 0..5 {
                if held != Ok(true) {
                    break;
                }
                self.believes(name, asked);
                tokio::time::sleep(PAUSE).await;
                asked = Instant::now();
                held = leases.renew(partition, name).await;
            }
            gives_back = !gives_back;
            if gives_back {
                self.lock().take_if(|(holder, _)| *holder == name);
                // One that cannot be given back ends.
                leases.release(partition, name).await.ok();
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Whoever has a lease counts from when he asked for it.
    fn believes(&self, name: &'static str, asked: Instant) {
        let (now, until) = (Instant::now(), asked + LEASE);
        if until <= now {
            return;
        }
        let mut holder = self.lock();
        if let Some((other, theirs)) = *holder {
            assert!(other == name || theirs <= now, "{name} and {other} have it at once");
        }
        *holder = Some((name, until));
        self.work.leases.fetch_add(1, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Option<(&'static str, Instant)>> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An owner that asks for one step after the other, each until it is answered, in one inbox.
struct Asker {
    run: RunId,
    bus: NatsBus,
    inbox: mpsc::UnboundedReceiver<Inbound>,
}

const HOME: Partition = Partition(1);

async fn steps_are_answered(engine: &Connection, worker: &Connection, work: &Work) {
    let (mut asked, replies) = WorkerLink::start(worker, &["probe"]).await.expect("a link");
    tokio::spawn(async move {
        while let Some(inbound) = asked.recv().await {
            let WorkerInbound::Step(StepRequest { partition, address, attempt, proof, .. }) =
                inbound
            else {
                panic!("{inbound:?}")
            };
            replies.reply(partition, &address, attempt, &proof, &done_of(&address));
        }
    });
    let inbox = NatsInboxes::new(engine).open(HOME).await.expect("an inbox");
    let run = fresh_run_in(HOME, PARTITIONS);
    let mut asker = Asker { run, bus: NatsBus::start(engine), inbox };
    for seq in 1.. {
        if work.is_over() {
            return;
        }
        asker.until_answered(seq).await;
        work.steps.fetch_add(1, Ordering::Relaxed);
    }
}

fn done_of(address: &StepAddress) -> StepReply {
    StepReply::Done(json!({ "n": address.seq }))
}

fn proof_of(address: &StepAddress, attempt: u32) -> Proof {
    Proof::new(format!("b{}x{attempt}", address.seq))
}

impl Asker {
    /// Sends a step until it is answered; what comes is what somebody said, and of an attempt
    /// that was made.
    async fn until_answered(&mut self, seq: u32) {
        let address = StepAddress { run: self.run.clone(), seq };
        let deadline = Instant::now() + PATIENCE;
        for attempt in 1.. {
            assert!(Instant::now() < deadline, "step {seq} is not answered");
            self.bus.send(Outgoing::Step(StepRequest {
                address: address.clone(),
                attempt,
                partition: HOME,
                epoch: 1,
                step: "probe.noop".into(),
                request: json!({}),
                proof: proof_of(&address, attempt),
                tell_start: false,
                trace: None,
            }));
            while let Ok(inbound) = timeout(PAUSE, self.inbox.recv()).await {
                match inbound.expect("the inbox outlives every server") {
                    Inbound::Answer { address: of, attempt: to, proof, reply } => {
                        assert_eq!((proof, reply), (Some(proof_of(&of, to)), done_of(&of)));
                        assert!(of.seq < seq || of == address && to <= attempt, "{of:?}, {to}");
                        if of == address {
                            return;
                        }
                    }
                    Inbound::NoListener { address: of, attempt: to, proof } => {
                        assert_eq!(proof, Some(proof_of(&of, to)));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}
