//! An engine's mouth and ears, and a worker's mouth. What an engine says is judged as it says
//! it: nothing may be said that is not in the log yet, and nothing after the lease is over.

use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use stead_runtime::harness_ports::{WorkerInbound, WorkerReplies};
use stead_runtime::inbound::{Inbound, OrderReply};
use stead_runtime::ports::{Bus, InboxError, Inboxes, Outgoing, ReplyTo};
use stead_schemas::dispatch::{
    Caller, CommandReply, OutsideReply, StepAddress, StepReply, StepRequest,
};
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::proof::Proof;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::engine::Fate;
use crate::network::{Kind, Parcel};
use crate::plan::Fault;
use crate::world::{State, World};

/// The rule that is looked at most.
const WRITE_FIRST: &str = "nothing is said before it is in the log";

/// What one engine says and hears.
pub struct EngineBus {
    /// The world.
    pub world: Arc<World>,
    /// The engine's number.
    pub engine: usize,
}

impl Bus for EngineBus {
    fn send(&self, message: Outgoing) {
        let mut state = self.world.lock();
        // A process that has died in this very moment says nothing more.
        if state.machines[self.engine].fate == Fate::Dead {
            return;
        }
        state.judge_saying(self.engine, &message);
        state.dispatch(self.engine, message);
        drop(state);
        self.world.posted.notify_one();
    }
}

#[async_trait]
impl Inboxes for EngineBus {
    async fn open(
        &self,
        partition: Partition,
    ) -> Result<mpsc::UnboundedReceiver<Inbound>, InboxError> {
        let away = self.world.lock().strikes(Fault::Away);
        self.world.pause(1, 5).await;
        if away {
            return Err(InboxError("not now".into()));
        }
        let (ear, inbox) = mpsc::unbounded_channel();
        self.world.lock().network.ears.entry(partition).or_default().push((self.engine, ear));
        Ok(inbox)
    }
}

/// What one worker process says.
pub struct WorkerMouth {
    /// The world.
    pub world: Arc<World>,
}

impl WorkerReplies for WorkerMouth {
    fn reply(
        &self,
        to: Partition,
        address: &StepAddress,
        attempt: u32,
        proof: &Proof,
        reply: &StepReply,
    ) {
        let make = || {
            let (address, reply, proof) = (address.clone(), reply.clone(), Some(proof.clone()));
            Parcel::Partition(to, Inbound::Answer { address, attempt, proof, reply })
        };
        self.world.lock().send(None, Kind::Other, make);
        self.world.posted.notify_one();
    }
}

/// A published transition's event, as far as it is looked at.
#[derive(Deserialize)]
struct Notice {
    run: RunId,
    n: Option<u64>,
}

/// A reply to a client, or to the step that gave the command.
fn reply_of(to: &str, bytes: &[u8]) -> Parcel {
    to_step(to, bytes).unwrap_or_else(|| Parcel::Client(to.to_owned(), bytes.to_owned()))
}

fn to_step(to: &str, bytes: &[u8]) -> Option<Parcel> {
    let mut words = to.strip_prefix("step ")?.split(' ');
    let (home, attempt) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let address =
        StepAddress { run: words.next()?.parse().ok()?, seq: words.next()?.parse().ok()? };
    let reply = serde_json::from_slice(bytes).ok()?;
    Some(Parcel::Partition(
        Partition(home),
        Inbound::Answer { address, attempt, proof: None, reply },
    ))
}

impl State {
    fn judge_saying(&mut self, engine: usize, message: &Outgoing) {
        match message {
            Outgoing::Step(request) => {
                self.must_say(&request.address.run, format!("step {}", request.address.seq));
                self.must_hold(engine, request.partition, "a request");
                self.must_be_current(request);
                self.network.asked.insert((engine, request.address.clone()), request.attempt);
            }
            Outgoing::Command { from, home, attempt, .. } => {
                self.network.asked.insert((engine, from.clone()), *attempt);
                self.must_say(&from.run, format!("step {}", from.seq));
                self.must_hold(engine, *home, "a command");
            }
            Outgoing::Answer { address, reply: StepReply::Done(_), .. } => {
                if !self.log.is_carried_out(address) {
                    let words = format!("that {}:{} is done", address.run, address.seq);
                    self.broken(WRITE_FIRST, words);
                }
            }
            Outgoing::Reply { to, bytes } => self.judge_reply(&to.0, bytes),
            Outgoing::Event { bytes, .. } => self.judge_event(engine, bytes),
            Outgoing::Place { ask, .. } => {
                self.must_say(&ask.step.run, format!("step {}", ask.step.seq));
            }
            Outgoing::Placed { .. }
            | Outgoing::Answer { .. }
            | Outgoing::CancelStep(_)
            | Outgoing::Lease { .. } => {}
        }
    }

    fn must_say(&mut self, run: &RunId, words: String) {
        if !self.log.says(run, &words) {
            self.broken(WRITE_FIRST, format!("{run}: {words}"));
        }
    }

    /// A former owner may not have heard of an edit.
    fn must_be_current(&mut self, request: &StepRequest) {
        let latest = self.outside.epochs.get(&request.partition);
        let is_former = latest.is_some_and(|latest| request.epoch < *latest);
        if !is_former && !self.log.asks(&request.address, &request.request) {
            let StepAddress { run, seq } = &request.address;
            let words = format!("{run}:{seq} is asked for {}", request.request);
            self.broken("a step is asked for as its history says last", words);
        }
    }

    fn must_hold(&mut self, engine: usize, partition: Partition, what: &str) {
        let until = self.leased.get(&(engine, partition));
        if until.is_none_or(|until| Instant::now() >= *until) {
            let name = &self.machines[engine].name;
            let words = format!("{name} sends {what} for partition {partition}");
            self.broken("an engine says nothing once its lease is over", words);
        }
    }

    fn judge_reply(&mut self, to: &str, bytes: &[u8]) {
        let mut of = to.split(' ');
        let (Some(what), Some(run)) = (of.next(), of.next()) else { return };
        let accepted = match what {
            "command" => match serde_json::from_slice(bytes) {
                Ok(CommandReply::Accepted(accepted)) => {
                    return self.must_say(&accepted.run, format!("command {}", accepted.command));
                }
                _ => false,
            },
            "cancel" | "order" => {
                serde_json::from_slice(bytes).is_ok_and(|reply: OrderReply| reply.is_ok())
            }
            "report" => {
                serde_json::from_slice(bytes).is_ok_and(|reply| OutsideReply::Accepted == reply)
            }
            _ => false,
        };
        let (run, word) = (run.parse::<RunId>(), of.next().unwrap_or_default());
        if let (true, Ok(run)) = (accepted, run) {
            self.must_say(&run, format!("{what} {word}"));
        }
    }

    fn judge_event(&mut self, engine: usize, bytes: &[u8]) {
        let Ok(notice) = serde_json::from_slice::<Notice>(bytes) else { return };
        let length = self.log.lengths.get(&notice.run).copied().unwrap_or(0);
        if notice.n.is_some_and(|n| n > length) {
            self.broken(WRITE_FIRST, format!("an event of {}", notice.run));
        }
        let partition = notice.run.partition(self.log.partitions());
        self.must_hold(engine, partition, "an event");
    }

    fn dispatch(&mut self, engine: usize, message: Outgoing) {
        let from = Some(engine);
        match message {
            Outgoing::Step(request) => self.request(engine, &request),
            Outgoing::CancelStep(cancel) => {
                for worker in self.living_workers() {
                    let make = || Parcel::Worker(worker, WorkerInbound::Cancel(cancel.clone()));
                    self.send(from, Kind::Other, make);
                }
            }
            Outgoing::Command { to, command, from: address, home, attempt } => {
                let reply = format!("step {home} {attempt} {} {}", address.run, address.seq);
                let make = || {
                    let to_whom = ReplyTo(reply.clone());
                    Parcel::Partition(to, Inbound::Command(command.clone(), to_whom))
                };
                self.send(from, Kind::Other, make);
            }
            Outgoing::Answer { to, address, reply } => {
                let make = || {
                    let (address, reply) = (address.clone(), reply.clone());
                    Parcel::Partition(
                        to,
                        Inbound::Answer { address, attempt: 0, proof: None, reply },
                    )
                };
                self.send(from, Kind::Other, make);
            }
            Outgoing::Place { to, ask } => {
                self.send(from, Kind::Other, || Parcel::Partition(to, Inbound::Place(ask.clone())));
            }
            Outgoing::Placed { to, reply } => {
                let make = || Parcel::Partition(to, Inbound::Placed(reply.clone()));
                self.send(from, Kind::Other, make);
            }
            Outgoing::Reply { to, bytes } => {
                self.send(from, Kind::Other, || reply_of(&to.0, &bytes));
            }
            Outgoing::Event { subject, bytes } => {
                self.counts.add("events published");
                self.network.tell_watchers(&subject, &bytes);
            }
            Outgoing::Lease { partition, epoch } => {
                self.note_epoch(partition, epoch);
                for worker in self.living_workers() {
                    let news = || Parcel::Worker(worker, WorkerInbound::Lease { partition, epoch });
                    self.send(from, Kind::Lease, news);
                }
            }
        }
    }

    fn request(&mut self, engine: usize, request: &StepRequest) {
        let name = self.machines[engine].name.clone();
        let StepRequest { address, attempt, partition, epoch, step, .. } = request;
        self.tell(format_args!(
            "{name} asks for {step} {}:{} ({attempt}, epoch {epoch})",
            address.run, address.seq
        ));
        self.outside.asked_for(request);
        if self.outside.is_cancelled(request) {
            let words = format!("{}:{}", address.run, address.seq);
            self.broken("what was cancelled is not asked for by the owners that come after", words);
        }
        let living = self.workers_of(step.split('.').next().unwrap_or_default());
        if living.is_empty() {
            let (partition, attempt) = (*partition, *attempt);
            return self.send(None, Kind::Other, || {
                let (address, proof) = (address.clone(), Some(request.proof.clone()));
                Parcel::Partition(partition, Inbound::NoListener { address, attempt, proof })
            });
        }
        let worker = self.chance.one_of(&living);
        let make = || Parcel::Worker(worker, WorkerInbound::Step(request.clone()));
        self.send(Some(engine), Kind::Request, make);
    }

    /// A command for a partition that nobody listens for: whose step gave it is told.
    pub fn nobody_owns(&mut self, by: &Caller, to: &ReplyTo) {
        let Caller::Run(address) = by else { return };
        let attempt = to.0.split(' ').nth(2).and_then(|attempt| attempt.parse().ok());
        let home = address.run.partition(self.log.partitions());
        let attempt = attempt.unwrap_or(0);
        self.send(None, Kind::Other, || {
            let address = address.clone();
            Parcel::Partition(home, Inbound::NoListener { address, attempt, proof: None })
        });
    }
}
