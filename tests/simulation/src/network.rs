//! Everything that travels: appends and acknowledgements, and messages between engines, workers
//! and clients, which get lost, come late, come twice and overtake each other.
//!
//! What is not simulated, since nothing here is promised to stand it: a request to a worker is
//! at most a fifth of a second late unless its sender is frozen, it comes twice to one worker
//! only and at once, and the news that a partition has a new owner reach every worker.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use std::cell::RefCell;

use stead_runtime::harness_ports::WorkerInbound;
use stead_runtime::inbound::Inbound;
use stead_runtime::ports::{Append, AppendError};
use stead_schemas::dispatch::{StepAddress, StepReply};
use stead_schemas::ids::Partition;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::engine::Fate;
use crate::judge::{Judge, Said};
use crate::plan::Fault;
use crate::world::{State, World};

/// Something on its way.
pub enum Parcel {
    /// A transition on its way into the log.
    Append {
        /// The writer.
        engine: usize,
        /// What is to be kept.
        append: Append,
        /// Where the writer waits.
        answer: oneshot::Sender<Result<u64, AppendError>>,
    },
    /// What the writer hears.
    Acknowledgement {
        /// The writer.
        engine: usize,
        /// What it wanted to keep.
        append: Append,
        /// Where it waits.
        answer: oneshot::Sender<Result<u64, AppendError>>,
        /// What became of it.
        result: Result<u64, AppendError>,
    },
    /// To everyone who listens for a partition.
    Partition(Partition, Inbound),
    /// To one worker process.
    Worker(usize, WorkerInbound),
    /// To a client.
    Client(String, Vec<u8>),
}

/// A parcel and who sent it, where an engine did.
struct Sent {
    from: Option<usize>,
    parcel: Parcel,
}

/// See the module's head.
#[derive(Default)]
pub struct Network {
    on_its_way: BTreeMap<(Instant, u64), Sent>,
    number: u64,
    /// Who listens for which partition.
    pub ears: BTreeMap<Partition, Vec<(usize, mpsc::UnboundedSender<Inbound>)>>,
    /// Clients that wait for a reply.
    pub clients: BTreeMap<String, oneshot::Sender<Vec<u8>>>,
    /// Who watches which subject.
    pub watchers: Vec<(String, mpsc::UnboundedSender<Vec<u8>>)>,
    /// Which answers have reached which engine while the attempt was the latest.
    pub heard: BTreeSet<(usize, StepAddress, Said)>,
    /// The attempt that each engine made last at a step.
    pub asked: BTreeMap<(usize, StepAddress), u32>,
    /// What frozen engines had on their lips.
    held: Vec<(usize, Parcel)>,
}

/// What kind of message it is: the kinds are not equally late.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A request to a worker.
    Request,
    /// The news of a new owner.
    Lease,
    /// Everything else.
    Other,
}

impl Network {
    /// Sends a parcel on its way.
    pub fn post(&mut self, from: Option<usize>, span: Duration, parcel: Parcel) {
        self.number += 1;
        let when = Instant::now() + span;
        self.on_its_way.insert((when, self.number), Sent { from, parcel });
    }

    fn next(&self) -> Option<Instant> {
        self.on_its_way.first_key_value().map(|((when, _), _)| *when)
    }

    fn due(&mut self) -> Option<Sent> {
        let first = self.on_its_way.first_entry()?;
        (first.key().0 <= Instant::now()).then(|| first.remove())
    }

    /// Whoever watches an event's subject, the last token of which may be any, hears of it.
    pub fn tell_watchers(&self, subject: &str, event: &[u8]) {
        for (watched, watcher) in &self.watchers {
            let rest = watched.strip_suffix('*').and_then(|all| subject.strip_prefix(all));
            if watched == subject || rest.is_some_and(|rest| !rest.contains('.')) {
                // Whoever is gone hears nothing.
                watcher.send(event.to_owned()).ok();
            }
        }
    }

    /// What an engine had on its lips is gone with it.
    pub fn forget(&mut self, engine: usize) {
        self.held.retain(|(from, _)| *from != engine);
    }

    /// What a thawed engine had on its lips is said.
    pub fn release(&mut self, engine: usize) {
        for (from, parcel) in std::mem::take(&mut self.held) {
            if from == engine {
                self.post(Some(from), Duration::from_millis(1), parcel);
            } else {
                self.held.push((from, parcel));
            }
        }
    }
}

impl State {
    /// Sends a message as unreliably as this world is.
    pub fn send(&mut self, from: Option<usize>, kind: Kind, make: impl Fn() -> Parcel) {
        if kind == Kind::Lease {
            return self.network.post(from, Duration::from_millis(1), make());
        }
        if self.strikes(Fault::LostMessage) {
            self.counts.add("lost messages");
            return;
        }
        let first = self.message_span(kind);
        self.network.post(from, first, make());
        if self.strikes(Fault::TwinMessage) {
            self.counts.add("messages twice");
            let second = match kind {
                Kind::Request => first,
                _ => self.span(1, 12_000),
            };
            self.network.post(from, second, make());
        }
    }

    fn message_span(&mut self, kind: Kind) -> Duration {
        let late = self.strikes(Fault::LateMessage);
        if !late {
            return self.span(2, 5);
        }
        self.counts.add("late messages");
        match kind {
            Kind::Request => self.span(5, 200),
            _ => self.span(5, 12_000),
        }
    }
}

/// Delivers what is on its way, for ever.
pub async fn deliver(world: Arc<World>, judge: Rc<RefCell<Judge>>) {
    loop {
        let next = world.lock().network.next();
        let far = || Instant::now() + Duration::from_secs(3_600);
        tokio::select! {
            biased;
            () = world.posted.notified() => {}
            () = tokio::time::sleep_until(next.unwrap_or_else(far)) => {}
        }
        let mut state = world.lock();
        while let Some(sent) = state.network.due() {
            arrive(&mut state, &mut judge.borrow_mut(), sent);
        }
    }
}

fn arrive(state: &mut State, judge: &mut Judge, sent: Sent) {
    if let Some(from) = sent.from {
        let machine = &state.machines[from];
        if machine.fate == Fate::Frozen && machine.holds {
            return state.network.held.push((from, sent.parcel));
        }
    }
    match sent.parcel {
        Parcel::Append { engine, append, answer } => {
            let kept = state.append_arrives(engine, append.clone(), answer);
            // What comes into a closed epoch is void: nobody may act on it.
            if let Some(seq) = kept.filter(|seq| state.log.counts(&append, *seq)) {
                judge.kept(state, engine, &append, seq);
            }
        }
        Parcel::Acknowledgement { engine, append, answer, result } => {
            let words = match &result {
                Ok(seq) => format!("kept at {seq}"),
                Err(error) => format!("{error}"),
            };
            let heard = answer.send(result.clone()).is_ok();
            let name = state.machines[engine].name.clone();
            state.tell(format_args!("{name} hears of {} (waits: {heard}): {words}", append.run));
            let counts = |seq: &u64| state.log.counts(&append, *seq);
            if let (Some(seq), true) = (result.ok().filter(counts), heard) {
                state.log.acknowledge(&append, seq);
            }
        }
        Parcel::Partition(partition, message) => to_partition(state, partition, &message),
        Parcel::Worker(worker, message) => state.to_worker(worker, message),
        Parcel::Client(to, bytes) => {
            if let Some(client) = state.network.clients.remove(&to) {
                state.tell(format_args!("{to} hears {}", String::from_utf8_lossy(&bytes)));
                // A client that waits no longer has asked again.
                client.send(bytes).ok();
            }
        }
    }
}

fn to_partition(state: &mut State, partition: Partition, message: &Inbound) {
    let ears = state.network.ears.entry(partition).or_default();
    ears.retain(|(_, ear)| !ear.is_closed());
    let listening: Vec<usize> = ears.iter().map(|(engine, _)| *engine).collect();
    for (_, ear) in ears {
        // Closed ones have just been left out.
        ear.send(message.clone()).ok();
    }
    state.tell(format_args!("{partition} {listening:?} gets {}", shown(message)));
    match message {
        Inbound::Answer { address, attempt, reply, .. } => {
            let said = match reply {
                StepReply::Heartbeat { .. } | StepReply::Queued => return,
                StepReply::Done(_) => Said::Done,
                StepReply::Failed(_) => Said::Failed,
            };
            for engine in listening {
                let asked = state.network.asked.get(&(engine, address.clone()));
                if *attempt == 0 || asked == Some(attempt) {
                    state.network.heard.insert((engine, address.clone(), said));
                }
            }
        }
        Inbound::Place(ask) if !listening.is_empty() => state.outside.keeper_hears(ask),
        Inbound::Command(command, to) if listening.is_empty() => {
            state.nobody_owns(&command.by, to);
        }
        _ => {}
    }
}

fn shown(message: &Inbound) -> String {
    match message {
        Inbound::Answer { address, attempt, reply, .. } => {
            let reply = match reply {
                StepReply::Queued => "queued".to_owned(),
                StepReply::Heartbeat { .. } => "heartbeat".to_owned(),
                StepReply::Done(_) => "done".to_owned(),
                StepReply::Failed(failure) => format!("failed: {failure}"),
            };
            format!("answer {}:{} ({attempt}) {reply}", address.run, address.seq)
        }
        Inbound::NoListener { address, attempt, .. } => {
            format!("no listener {}:{} ({attempt})", address.run, address.seq)
        }
        Inbound::Command(command, _) => {
            format!(
                "command {} {}.{} for {}",
                command.id,
                command.kind,
                command.verb,
                command.key()
            )
        }
        Inbound::Rehearse(command, _) => format!("rehearsal of {}.{}", command.kind, command.verb),
        Inbound::Query(query, _) => format!("query {}", query.run),
        Inbound::Outcome(query, _) => format!("outcome of {} of {}", query.command, query.run),
        Inbound::List(..) => "list".to_owned(),
        Inbound::Order(order, _) => {
            format!("order {:?} to {}: {}", order.order, order.run, order.by.why)
        }
        Inbound::Outside(answer, _) => format!("report for {}", answer.run),
        Inbound::Turn(asked, _) => format!("to leave epoch {}", asked.from),
        Inbound::Place(ask) => {
            format!(
                "{}:{} wants {:?} of {} {}",
                ask.step.run, ask.step.seq, ask.wants, ask.limit, ask.key
            )
        }
        Inbound::Placed(reply) => {
            let line = reply.line.as_ref().map(|line| line.position);
            format!(
                "{}:{} stands {line:?} in {} {}",
                reply.step.run, reply.step.seq, reply.limit, reply.key
            )
        }
        Inbound::Limits(_) => "limits".to_owned(),
    }
}
