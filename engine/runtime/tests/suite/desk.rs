//! An owner on ports in memory, on simulated time.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use stead_core::definition::Definition;
use stead_runtime::env::{Env, Tuning};
use stead_runtime::inbound::{Inbound, OrderReply};
use stead_runtime::lease::LeaseClock;
use stead_runtime::memory::{MemoryArchive, MemoryIndex, MemoryLeases, MemoryLog};
use stead_runtime::owner::{Owner, Stopped};
use stead_runtime::ports::{Append, Archive, Epochs, EventLog, Outgoing, Ports, ReplyTo};
use stead_schemas::dispatch::{
    Caller, EntityCommand, ListRuns, OrderRun, RunOrder, RunQuery, StepAddress, StepReply,
    StepRequest,
};
use stead_schemas::event::{ByHand, Event};
use stead_schemas::failure::{Class, Failure};
use stead_schemas::ids::{EntityKey, Partition, RunId};
use stead_schemas::limit::Limit;
use stead_schemas::origin::Origin;
use stead_schemas::owner;
use stead_schemas::public::{RunPage, RunView, StepRetrying};
use stead_schemas::site::Site;
use stead_schemas::time::Timestamp;
use stead_schemas::transition::{Transition, VERSION, link};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::pages::PAGES;
use crate::world::{NoInboxes, Sent, SimulatedClock, flood};

pub const PARTITION: Partition = Partition(0);

/// The ports that owners of one log may share.
type OwnPorts = (Arc<MemoryLog>, Arc<dyn Epochs>, Arc<dyn Archive>, Arc<SimulatedClock>);

fn new_clock() -> Arc<SimulatedClock> {
    SimulatedClock::since(Instant::now())
}

pub struct Desk {
    pub log: Arc<MemoryLog>,
    clock: Arc<SimulatedClock>,
    site: Site,
    pub sent: Arc<Sent>,
    pub lease: Rc<LeaseClock>,
    pub owner: JoinHandle<Stopped>,
    inbox: mpsc::UnboundedSender<Inbound>,
    pub stop: watch::Sender<bool>,
}

impl Desk {
    /// An owner of an empty log.
    pub async fn new() -> Self {
        Self::on(Arc::new(MemoryLog::new(1))).await
    }

    /// An owner of this log.
    pub async fn on(log: Arc<MemoryLog>) -> Self {
        let archive = Arc::new(MemoryArchive::default());
        Self::with(log.clone(), log, archive, Tuning::default()).await
    }

    /// An owner of this log and this archive.
    pub async fn with(
        log: Arc<MemoryLog>,
        epochs: Arc<dyn Epochs>,
        archive: Arc<dyn Archive>,
        tuning: Tuning,
    ) -> Self {
        let ports = (log, epochs, archive, new_clock());
        Self::at(ports, tuning, Site::default()).await
    }

    /// The owner that follows this one, when it is gone; time goes on.
    pub async fn next_owner(&self) -> Self {
        let (log, archive) = (Arc::clone(&self.log), Arc::new(MemoryArchive::default()));
        let ports: OwnPorts = (log.clone(), log, archive, Arc::clone(&self.clock));
        Self::at(ports, Tuning::default(), self.site.clone()).await
    }

    /// An owner of this log, where the site has these limits.
    pub async fn limited(log: Arc<MemoryLog>, limits: &[Limit]) -> Self {
        let archive = Arc::new(MemoryArchive::default());
        let site = Site { limits: limits.to_vec(), ..Site::default() };
        Self::at((log.clone(), log, archive, new_clock()), Tuning::default(), site).await
    }

    /// An owner of this log whose build has these workflows only.
    pub async fn knowing(
        log: Arc<MemoryLog>,
        archive: Arc<MemoryArchive>,
        definitions: &'static [Definition],
    ) -> Self {
        let ports: OwnPorts = (log.clone(), log, archive, new_clock());
        Self::of_build(definitions, ports, Tuning::default(), Site::default()).await
    }

    async fn at(ports: OwnPorts, tuning: Tuning, site: Site) -> Self {
        Self::of_build(PAGES, ports, tuning, site).await
    }

    async fn of_build(
        definitions: &'static [Definition],
        (log, epochs, archive, clock): OwnPorts,
        tuning: Tuning,
        site: Site,
    ) -> Self {
        let sent = Arc::new(Sent::default());
        let ports = Ports {
            log: log.clone(),
            epochs,
            archive,
            bus: sent.clone(),
            inboxes: Arc::new(NoInboxes),
            leases: Arc::new(MemoryLeases::new()),
            index: Arc::new(MemoryIndex::new()),
            clock: clock.clone(),
            aside: Handle::current(),
        };
        let env = Rc::new(Env {
            engine: "engine".into(),
            build: "test".into(),
            partitions: 1,
            definitions,
            site: site.clone().into(),
            ports,
            tuning,
        });
        let (inbox, messages) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let lease = Rc::new(LeaseClock::new(Instant::now() + Duration::from_secs(1_000_000)));
        let claim = log.claim(PARTITION, "engine").await.unwrap();
        let owner = Owner::run(env, PARTITION, claim, lease.clone(), messages, stopped);
        let owner = tokio::task::spawn_local(owner);
        Self { log, clock, site, sent, lease, owner, inbox, stop }
    }

    /// Lets everything happen that can happen now.
    pub async fn settle(&self) {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    }

    /// Whoever listens for it is gone.
    pub fn hang_up(&mut self) {
        self.inbox = mpsc::unbounded_channel().0;
    }

    /// The wall clock jumps.
    pub fn jump(&self, by_ms: i64) {
        self.clock.jump(by_ms);
    }

    /// Lets time pass.
    pub async fn pass(&self, span: Duration) {
        tokio::time::sleep(span).await;
        self.settle().await;
    }

    pub async fn say(&self, message: Inbound) {
        self.inbox.send(message).unwrap();
        self.settle().await;
    }

    /// From now on the inbox is never empty.
    pub async fn flood(&self) {
        self.sent.flood.set(self.inbox.clone()).expect("one flood");
        self.say(flood()).await;
    }

    pub async fn start(&self, kind: &str) -> RunId {
        self.command(kind, "id-1").await;
        self.run(kind)
    }

    pub fn run(&self, kind: &str) -> RunId {
        EntityKey::of(kind, &owner::Owner::new("john").unwrap(), "x").run(1)
    }

    /// Writes an empty transition behind the last one of a run, with this number and digest.
    pub async fn append_forged(&self, run: &RunId, n: u64, prev: &str) {
        let recorded = self.log.read_run(run).await.unwrap().pop().expect("a transition");
        let transition = Transition::decode(&recorded.bytes).unwrap();
        let forged = Transition { n, prev: prev.into(), events: Vec::new(), ..transition };
        self.append_behind(recorded.seq, &forged).await;
    }

    async fn append_behind(&self, expected: u64, transition: &Transition) {
        let append = Append {
            partition: PARTITION,
            epoch: 0,
            run: transition.run.clone(),
            expected,
            commit: "other".into(),
            bytes: transition.encode(),
        };
        self.log.append(append).await.unwrap();
    }

    /// Writes the second transition of a run as another build would.
    pub async fn append_of_another_build(&self, run: &RunId, events: Vec<Event>) {
        let recorded = self.log.read_run(run).await.unwrap();
        let transition = Transition {
            v: VERSION,
            run: run.clone(),
            n: 2,
            at: Timestamp::from_millis(1_800_000_000_000),
            engine: "other".into(),
            prev: link(&recorded[0].bytes),
            events,
        };
        self.append_behind(recorded[0].seq, &transition).await;
    }

    pub async fn command(&self, kind: &str, id: &str) {
        self.command_by(Caller::Api, kind, id).await;
    }

    pub async fn command_by(&self, by: Caller, kind: &str, id: &str) {
        self.command_to(by, kind, "x", id).await;
    }

    /// The same, to an entity of this name.
    pub async fn command_to(&self, by: Caller, kind: &str, name: &str, id: &str) {
        self.command_of_fields(by, (kind, name), id, Map::new()).await;
    }

    /// The same with these fields, from outside.
    pub async fn command_with(&self, kind: &str, name: &str, fields: Value) {
        let fields = fields.as_object().expect("fields").clone();
        self.command_of_fields(Caller::Api, (kind, name), name, fields).await;
    }

    pub async fn command_of_fields(
        &self,
        by: Caller,
        (kind, name): (&str, &str),
        id: &str,
        fields: Map<String, Value>,
    ) {
        let command = EntityCommand {
            kind: kind.into(),
            owner: owner::Owner::new("john").unwrap(),
            name: name.into(),
            verb: "start".into(),
            fields,
            id: id.into(),
            by,
        };
        self.say(Inbound::Command(command, ReplyTo("caller".into()))).await;
    }

    /// A step of another run gives a command.
    pub async fn command_of(&self, kind: &str, step: &StepAddress) {
        let command = EntityCommand {
            kind: kind.into(),
            owner: owner::Owner::new("john").unwrap(),
            name: "x".into(),
            verb: "start".into(),
            fields: Map::new(),
            id: format!("{}:{}", step.run, step.seq),
            by: Caller::Run(step.clone()),
        };
        self.say(Inbound::Command(command, ReplyTo("nobody".into()))).await;
    }

    pub async fn answer(&self, request: &StepRequest, reply: StepReply) {
        let address = request.address.clone();
        let (attempt, proof) = (request.attempt, Some(request.proof.clone()));
        self.say(Inbound::Answer { address, attempt, proof, reply }).await;
    }

    /// The broker says that nobody listens where the request was sent.
    pub async fn unheard(&self, request: &StepRequest) {
        let (address, attempt) = (request.address.clone(), request.attempt);
        let proof = Some(request.proof.clone());
        self.say(Inbound::NoListener { address, attempt, proof }).await;
    }

    pub async fn done(&self, request: &StepRequest) {
        self.answer(request, StepReply::Done(json!({}))).await;
    }

    pub async fn failed(&self, request: &StepRequest, class: Class) {
        let failure = Failure::new(class, "made to fail");
        self.answer(request, StepReply::Failed(failure)).await;
    }

    pub async fn cancel(&self, run: &RunId) {
        assert_eq!(self.order(run, RunOrder::Cancel).await, "done");
    }

    /// The same, where nobody can answer yet.
    pub async fn cancel_unanswered(&self, run: &RunId) {
        self.order_unanswered(run, RunOrder::Cancel).await;
    }

    /// Gives an order where nobody can answer yet.
    pub async fn order_unanswered(&self, run: &RunId, order: RunOrder) {
        let by = by_hand(None);
        let order = OrderRun { run: run.clone(), by, order };
        self.say(Inbound::Order(order, ReplyTo("operator".into()))).await;
    }

    /// Does something to the run by hand; the reply is `done`, or the refusal's code.
    pub async fn order(&self, run: &RunId, order: RunOrder) -> String {
        self.order_as(run, order, None).await
    }

    /// The same, under an id of its own.
    pub async fn order_as(&self, run: &RunId, order: RunOrder, id: Option<&str>) -> String {
        let by = by_hand(id);
        let order = OrderRun { run: run.clone(), by, order };
        self.say(Inbound::Order(order, ReplyTo("operator".into()))).await;
        let replies = self.replies("operator");
        let reply: OrderReply =
            serde_json::from_slice(replies.last().expect("a reply")).expect("a reply's JSON");
        reply.map_or_else(|refusal| refusal.code, |()| "done".into())
    }

    /// What the run shows of itself.
    pub async fn view(&self, run: &RunId) -> RunView {
        self.say(Inbound::Query(RunQuery { run: run.clone() }, ReplyTo("asker".into()))).await;
        let replies = self.replies("asker");
        let view: Option<RunView> = serde_json::from_slice(replies.last().unwrap()).unwrap();
        view.unwrap()
    }

    /// The runs that do not go on by themselves.
    pub async fn held_up(&self) -> Vec<RunId> {
        let query = ListRuns { held_up: true, ..ListRuns::default() };
        self.say(Inbound::List(query, ReplyTo("asker".into()))).await;
        let replies = self.replies("asker");
        let page: RunPage = serde_json::from_slice(replies.last().unwrap()).unwrap();
        page.lines.into_iter().map(|line| line.run).collect()
    }

    /// The requests to workers that were sent since the last look.
    pub fn steps(&self) -> Vec<StepRequest> {
        self.take(|message| match message {
            Outgoing::Step(request) => Some(request.clone()),
            _ => None,
        })
    }

    /// The one request that was sent since the last look.
    pub fn step(&self, name: &str) -> StepRequest {
        let mut steps = self.steps();
        assert_eq!(steps.len(), 1, "{steps:?}");
        let step = steps.remove(0);
        assert_eq!(step.step, name);
        step
    }

    /// The commands to entities that were sent since the last look, as verb and sender.
    pub fn commands(&self) -> Vec<(EntityCommand, StepAddress, u32)> {
        self.take(|message| match message {
            Outgoing::Command { command, from, attempt, .. } => {
                Some((command.clone(), from.clone(), *attempt))
            }
            _ => None,
        })
    }

    /// Brings what was sent from run to run where it is to go, until nothing more is.
    pub async fn carry_over(&self) {
        loop {
            let (commands, answers) = (self.commands(), self.answers());
            if commands.is_empty() && answers.is_empty() {
                return;
            }
            for (command, _, _) in commands {
                self.say(Inbound::Command(command, ReplyTo("step".into()))).await;
            }
            for (address, reply) in answers {
                self.say(Inbound::Answer { address, attempt: 0, proof: None, reply }).await;
            }
        }
    }

    /// What was said about places since the last look, as it reaches a partition.
    pub fn places(&self) -> Vec<Inbound> {
        self.take(|message| match message {
            Outgoing::Place { ask, .. } => Some(Inbound::Place(ask.clone())),
            Outgoing::Placed { reply, .. } => Some(Inbound::Placed(reply.clone())),
            _ => None,
        })
    }

    /// Brings what is said about places where it is to go, until nothing more is.
    pub async fn carry_places(&self) {
        self.settle().await;
        loop {
            let places = self.places();
            if places.is_empty() {
                return;
            }
            for message in places {
                self.say(message).await;
            }
        }
    }

    /// Lets time pass, while what is said about places comes where it is to go.
    pub async fn pass_in_line(&self, span: Duration) {
        let end = Instant::now() + span;
        while Instant::now() < end {
            self.pass(Duration::from_millis(250)).await;
            self.carry_places().await;
        }
    }

    /// The subjects of the events that were published since the last look.
    pub fn published(&self) -> Vec<String> {
        self.take(|message| match message {
            Outgoing::Event { subject, .. } => Some(subject.clone()),
            _ => None,
        })
    }

    /// The pauses before the next attempts that were published since the last look, in milliseconds.
    pub fn pauses(&self) -> Vec<u64> {
        self.take(|message| match message {
            Outgoing::Event { subject, bytes } if subject.ends_with(".step-retrying") => {
                let retrying: StepRetrying = serde_json::from_slice(bytes).expect("its JSON");
                Some(retrying.pause_ms)
            }
            _ => None,
        })
    }

    pub fn cancels(&self) -> Vec<StepAddress> {
        self.take(|message| match message {
            Outgoing::CancelStep(cancel) => Some(cancel.address.clone()),
            _ => None,
        })
    }

    /// What was said to the steps of other runs since the last look.
    pub fn answers(&self) -> Vec<(StepAddress, StepReply)> {
        self.take(|message| match message {
            Outgoing::Answer { address, reply, .. } => Some((address.clone(), reply.clone())),
            _ => None,
        })
    }

    pub fn replies(&self, who: &str) -> Vec<Vec<u8>> {
        self.take(|message| match message {
            Outgoing::Reply { to, bytes } if to.0 == who => Some(bytes.clone()),
            _ => None,
        })
    }

    /// The events in the log, by name.
    pub async fn events(&self, run: &RunId) -> Vec<&'static str> {
        self.history(run).await.iter().map(Event::name).collect()
    }

    /// The events in the log.
    pub async fn history(&self, run: &RunId) -> Vec<Event> {
        let recorded = self.log.read_run(run).await.unwrap();
        let transitions = recorded.iter().map(|one| Transition::decode(&one.bytes).unwrap());
        transitions.flat_map(|one| one.events).collect()
    }

    fn take<T>(&self, pick: impl Fn(&Outgoing) -> Option<T>) -> Vec<T> {
        let mut sent = self.sent.all.lock().unwrap();
        let picked = sent.iter().filter_map(&pick).collect();
        sent.retain(|message| pick(message).is_none());
        picked
    }
}

/// Who gives the orders of these tests, and why.
pub fn by_hand(id: Option<&str>) -> ByHand {
    let olga = Origin { user: Some("OLGA".into()), ..Origin::default() };
    ByHand { by: Caller::User(olga), why: "a test".into(), id: id.map(str::to_owned) }
}

/// Runs a story on simulated time.
pub fn on_simulated_time(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, story);
}
