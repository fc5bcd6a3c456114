//! What the tests share: a platform, and an owner of partitions that answers as it is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Map, Value, json};
use stead_nats::door::{Catalogue, PublicVerb};
use stead_nats::testing::NatsServer;
use stead_nats::{
    Connection, NatsBus, Platform, PlatformSettings, open_platform, subscribe_partition,
};
use stead_runtime::inbound::Inbound;
use stead_runtime::ports::{Bus, Outgoing, ReplyTo};
use stead_schemas::dispatch::{Accepted, CommandReply, EntityCommand, Rehearsal, RehearsalReply};
use stead_schemas::event::Outcome;
use stead_schemas::ids::{EntityKey, Partition, RunId};
use stead_schemas::owner::Owner;
use stead_schemas::public::{RunPage, RunState, RunSummary, RunView};
use stead_schemas::refusal::Refusal;
use stead_schemas::time::Timestamp;
use tokio::time::Instant;

/// How many partitions the tests' platforms have.
pub const PARTITIONS: u16 = 4;
/// How long a condition may take to hold.
pub const SOON: Duration = Duration::from_secs(20);

/// A server and a platform on it.
pub struct World {
    pub server: NatsServer,
    pub connection: Connection,
    pub platform: Platform,
    /// For looking at the server and for doing what no adapter does.
    pub nats: async_nats::Client,
}

impl World {
    /// A fresh one.
    pub async fn new() -> Self {
        let server = NatsServer::start().await;
        let connection = server.connect().await;
        let platform = platform(&connection).await;
        let nats = async_nats::connect(server.url()).await.expect("a connection");
        Self { server, connection, platform, nats }
    }

    /// JetStream, past the adapters.
    pub fn js(&self) -> async_nats::jetstream::Context {
        async_nats::jetstream::new(self.nats.clone())
    }

    /// How many messages a stream holds; nothing if it is not there.
    pub async fn messages_in(&self, stream: &str) -> Option<u64> {
        let stream = self.js().get_stream(stream).await.ok()?;
        Some(stream.cached_info().state.messages)
    }
}

/// Sets a platform up.
pub async fn platform(connection: &Connection) -> Platform {
    let settings = PlatformSettings { partitions: Some(PARTITIONS), replicas: 1 };
    open_platform(connection, settings).await.expect("a platform")
}

/// Waits until something holds.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + SOON;
    while !holds().await {
        assert!(Instant::now() < deadline, "waited {SOON:?} in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What comes within [`SOON`].
pub async fn soon<T>(what: &str, coming: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, coming).await.unwrap_or_else(|_| panic!("nothing came: {what}"))
}

/// John.
pub fn john() -> Owner {
    Owner::new("john.doe").expect("a good owner")
}

/// The public verbs of the tests.
pub fn catalogue() -> Arc<Catalogue> {
    let verb = |verb: &str| PublicVerb {
        kind: "workspace".into(),
        verb: verb.into(),
        about: format!("{verb}s a workspace"),
        schema: r#"{"type":"object"}"#.into(),
    };
    Arc::new(Catalogue { verbs: vec![verb("create"), verb("start"), verb("stop")] })
}

/// The fields of a command.
pub fn fields(value: Value) -> Map<String, Value> {
    value.as_object().expect("an object").clone()
}

/// John's workspace of this name, in its first life.
pub fn run_of(name: &str) -> RunId {
    EntityKey::of("workspace", &john(), name).run(1)
}

/// A line of a list.
pub fn summary(owner: &Owner, name: &str, life: u32) -> RunSummary {
    RunSummary {
        run: EntityKey::of("workspace", owner, name).run(life),
        kind: "workspace".into(),
        owner: owner.clone(),
        name: name.into(),
        state: RunState::Running,
        phase: "ready".into(),
        waiting: String::new(),
        started: Timestamp::from_millis(i64::from(life)),
        updated: Timestamp::from_millis(i64::from(life)),
        transitions: 1,
    }
}

/// An engine that owns partitions and has no workflows: it accepts every command but those whose
/// name begins with `bad`, and those that begin with `later` only when asked for the third time;
/// it remembers what it took in, and shows the runs it is given.
#[derive(Clone)]
pub struct Owned {
    bus: NatsBus,
    pub runs: Arc<Mutex<Vec<RunSummary>>>,
    pub taken: Arc<Mutex<Vec<EntityCommand>>>,
    pub ordered: Arc<Mutex<Vec<RunId>>>,
    /// How commands ended, by their ids.
    pub ended: Arc<Mutex<HashMap<String, Outcome>>>,
    /// Who waits for the end of a command.
    pub waiting: Arc<Mutex<Vec<(String, ReplyTo)>>>,
    put_off: Arc<Mutex<u32>>,
}

impl Owned {
    /// Owns all partitions.
    pub async fn all(connection: &Connection) -> Self {
        let all: Vec<Partition> = (0..PARTITIONS).map(Partition).collect();
        Self::of(connection, &all).await
    }

    /// Owns these partitions.
    pub async fn of(connection: &Connection, partitions: &[Partition]) -> Self {
        let owned = Self {
            bus: NatsBus::start(connection),
            runs: Arc::default(),
            taken: Arc::default(),
            ordered: Arc::default(),
            ended: Arc::default(),
            waiting: Arc::default(),
            put_off: Arc::default(),
        };
        for partition in partitions.iter().copied() {
            let mut inbox = subscribe_partition(connection, partition).await.expect("an inbox");
            let owned = owned.clone();
            tokio::spawn(async move {
                while let Some(inbound) = inbox.next().await {
                    owned.answer(partition, inbound);
                }
            });
        }
        owned
    }

    /// The verbs that were taken in for an entity, in order.
    pub fn verbs_for(&self, name: &str) -> Vec<String> {
        let taken = self.taken.lock().expect("no panic");
        taken.iter().filter(|command| command.name == name).map(|one| one.verb.clone()).collect()
    }

    fn answer(&self, partition: Partition, inbound: Inbound) {
        let (to, reply) = match inbound {
            Inbound::Command(command, to) => (to, json!(self.take_in(command))),
            Inbound::Rehearse(command, to) => {
                let plan = vec![format!("{} of {}", command.verb, command.name)];
                let order = Value::Object(command.fields);
                let rehearsal = Rehearsal { run: None, interrupts: false, plan, order };
                (to, json!(RehearsalReply::Rehearsed(rehearsal)))
            }
            Inbound::Query(query, to) => {
                let runs = self.runs.lock().expect("no panic");
                let found = runs.iter().find(|line| line.run == query.run).cloned();
                (to, json!(found.map(view)))
            }
            Inbound::Outcome(query, to) => {
                let ended = self.ended.lock().expect("no panic").get(&query.command).cloned();
                let Some(outcome) = ended else {
                    self.waiting.lock().expect("no panic").push((query.command, to));
                    return;
                };
                (to, json!(outcome))
            }
            Inbound::List(query, to) => {
                let runs = self.runs.lock().expect("no panic");
                let mut here: Vec<RunSummary> = runs
                    .iter()
                    .filter(|line| line.run.partition(PARTITIONS) == partition)
                    .filter(|line| query.after.as_ref().is_none_or(|after| line.run > *after))
                    .cloned()
                    .collect();
                here.sort_by(|one, other| one.run.cmp(&other.run));
                let more = here.len() > 1;
                here.truncate(1);
                (to, json!(RunPage { lines: here, more, upto: None }))
            }
            Inbound::Order(order, to) => {
                self.ordered.lock().expect("no panic").push(order.run);
                (to, json!(Ok::<(), Refusal>(())))
            }
            Inbound::Outside(_, to) => (to, json!("accepted")),
            Inbound::Turn(..)
            | Inbound::Answer { .. }
            | Inbound::NoListener { .. }
            | Inbound::Place(_)
            | Inbound::Placed(_)
            | Inbound::Limits(_) => return,
        };
        let bytes = serde_json::to_vec(&reply).expect("JSON");
        self.bus.send(Outgoing::Reply { to, bytes });
    }

    /// A command has ended; whoever waits for that is told.
    pub fn end(&self, id: &str, outcome: Outcome) {
        self.ended.lock().expect("no panic").insert(id.to_owned(), outcome.clone());
        for (command, to) in &*self.waiting.lock().expect("no panic") {
            if command == id {
                let bytes = serde_json::to_vec(&outcome).expect("JSON");
                self.bus.send(Outgoing::Reply { to: to.clone(), bytes });
            }
        }
    }

    fn puts_off(&self) -> bool {
        let mut put_off = self.put_off.lock().expect("no panic");
        *put_off += 1;
        *put_off <= 2
    }

    fn take_in(&self, command: EntityCommand) -> CommandReply {
        if command.name.starts_with("bad") {
            return CommandReply::Refused(Refusal::new("test.bad", "bad names are refused"));
        }
        if command.name.starts_with("later") && self.puts_off() {
            return CommandReply::Unavailable { words: "not now".into() };
        }
        let mut taken = self.taken.lock().expect("no panic");
        let is_it = |one: &EntityCommand| (&one.name, &one.id) == (&command.name, &command.id);
        let repeated = taken.iter().any(is_it);
        let reply = Accepted::new(command.key().run(1), command.id.clone(), repeated);
        if !repeated {
            taken.push(command);
        }
        CommandReply::Accepted(reply)
    }
}

/// What a run of this line shows.
pub fn view(summary: RunSummary) -> RunView {
    RunView {
        summary,
        view: json!({}),
        waiting: vec![],
        commands: vec![],
        outcome: None,
        left: vec![],
        warnings: vec![],
    }
}
