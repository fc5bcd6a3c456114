//! The durable inbox: nothing gets lost in it, nothing acts twice, refusals can be read later.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::{Value, json};
use stead_nats::door::run_inbox;
use stead_nats::{ConnectSettings, Connection, SteadClient, connect};
use stead_schemas::dispatch::Caller;
use stead_schemas::subjects::{INBOX_STREAM, REFUSALS_STREAM};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::support::{
    Owned, PARTITIONS, World, catalogue, fields, john, run_of, soon, summary, until,
};

/// A door in a task of its own.
struct Door {
    shutdown: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Door {
    fn open(world: &World, connection: &Connection) -> Self {
        let (shutdown, shut) = watch::channel(false);
        let (connection, platform) = (connection.clone(), world.platform.clone());
        let task = tokio::spawn(async move {
            run_inbox(&connection, &platform, catalogue(), shut).await;
        });
        Self { shutdown, task }
    }

    async fn shut(self) {
        self.shutdown.send_replace(true);
        soon("the door shuts", self.task).await.expect("no panic");
    }
}

async fn give(client: &SteadClient, verb: &str, body: Value) -> u64 {
    let given = client.publish_command(&john(), "workspace", verb, &fields(body)).await;
    given.expect("the inbox takes it")
}

async fn until_empty(world: &World) {
    until("the inbox is empty", || async { world.messages_in(INBOX_STREAM).await == Some(0) })
        .await;
}

/// The kept refusals, oldest first: subject, code and name.
async fn refusals(world: &World) -> Vec<(String, String, Value)> {
    let stream = world.js().get_stream(REFUSALS_STREAM).await.expect("the stream of refusals");
    let mut all = Vec::new();
    for seq in 1..=stream.cached_info().state.last_sequence {
        let message = stream.get_raw_message(seq).await.expect("a refusal");
        let body: Value = serde_json::from_slice(&message.payload).expect("JSON");
        let code = body["code"].as_str().expect("a code").to_string();
        all.push((message.subject.to_string(), code, body["command"]["name"].clone()));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_taken_in_and_refusals_kept() {
    let world = World::new().await;
    let owned = Owned::all(&world.connection).await;
    let client = SteadClient::new(&world.platform);
    let mut told = client.watch("stead.evt.>").await.expect("a subscription");
    let door = Door::open(&world, &world.connection);
    let first = give(&client, "create", json!({ "name": "dev" })).await;
    give(&client, "create", json!({ "name": "bad one" })).await;
    give(&client, "create", json!({ "id": "mine", "name": "dev2" })).await;
    give(&client, "create", json!({})).await;
    give(&client, "fly", json!({ "name": "dev" })).await;
    until_empty(&world).await;
    {
        let taken = owned.taken.lock().expect("no panic");
        assert_eq!(taken.len(), 2, "{taken:?}");
        let dev = taken.iter().find(|command| command.name == "dev").expect("dev");
        assert!(dev.id.starts_with(&format!("inbox-{first}-")), "{}", dev.id);
        assert_eq!(dev.by, Caller::Inbox { message: first, client: None });
        assert!(taken.iter().any(|command| command.id == "mine"));
    }
    let mut kept = refusals(&world).await;
    kept.sort_by(|one, other| one.1.cmp(&other.1));
    let subject = "stead.evt.john%2Edoe.workspace._.refused".to_string();
    let wanted = [
        (subject.clone(), "parameter.missing".to_string(), Value::Null),
        (subject.clone(), "test.bad".to_string(), json!("bad one")),
        (subject, "verb.unknown".to_string(), json!("dev")),
    ];
    assert_eq!(kept, wanted);
    for _ in 0..3 {
        soon("a refusal", told.next()).await.expect("a refusal");
    }
    door.shut().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_is_sent_is_refused_and_not_kept() {
    let world = World::new().await;
    let _owned = Owned::all(&world.connection).await;
    let door = Door::open(&world, &world.connection);
    let bodies: [&[u8]; 6] = [b"", b"{", b"[]", b"\xff\xfe\x00", b"{\"name\":7}", b"null"];
    let mut count = 0;
    for body in bodies {
        for subject in ["stead.cmd.john.workspace.create", "stead.cmd.john", "stead.cmd.%.a.b"] {
            let sent = world.js().publish(subject, body.into()).await.expect("sent");
            sent.await.expect("kept");
            count += 1;
        }
    }
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(900_000));
    let sent = world.js().publish("stead.cmd.john.workspace.create", large.into()).await;
    sent.expect("sent").await.expect("kept");
    until_empty(&world).await;
    assert_eq!(refusals(&world).await.len(), count + 1);
    door.shut().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_to_one_entity_keep_their_order() {
    let world = World::new().await;
    let client = SteadClient::new(&world.platform);
    let door = Door::open(&world, &world.connection);
    let verbs = ["create", "start", "stop"];
    for round in 0..10 {
        for name in ["a", "b", "c"] {
            for verb in verbs {
                let id = format!("{name}{round}{verb}");
                give(&client, verb, json!({ "name": name, "id": id })).await;
            }
        }
    }
    // Nobody owns a partition so far.
    let owned = Owned::all(&world.connection).await;
    until_empty(&world).await;
    for name in ["a", "b", "c"] {
        let wanted: Vec<&str> = verbs.iter().copied().cycle().take(30).collect();
        assert_eq!(owned.verbs_for(name), wanted);
    }
    door.shut().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_put_off_is_given_again() {
    let world = World::new().await;
    let owned = Owned::all(&world.connection).await;
    let client = SteadClient::new(&world.platform);
    let door = Door::open(&world, &world.connection);
    give(&client, "create", json!({ "name": "later", "id": "order-17" })).await;
    until_empty(&world).await;
    let taken = owned.taken.lock().expect("no panic").clone();
    assert_eq!(taken.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["order-17"]);
    door.shut().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_engine_takes_over() {
    let world = World::new().await;
    let owned = Owned::all(&world.connection).await;
    let client = SteadClient::new(&world.platform);
    let (one, two) = (world.server.connect().await, world.server.connect().await);
    let (first, second) = (Door::open(&world, &one), Door::open(&world, &two));
    give(&client, "create", json!({ "name": "a" })).await;
    until_empty(&world).await;
    first.shut().await;
    give(&client, "create", json!({ "name": "b" })).await;
    until_empty(&world).await;
    // This one ends without a word.
    second.task.abort();
    let third = Door::open(&world, &one);
    give(&client, "create", json!({ "name": "c" })).await;
    until_empty(&world).await;
    assert_eq!(owned.taken.lock().expect("no panic").len(), 3);
    third.shut().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_begun_is_left_to_others_when_the_door_shuts() {
    let world = World::new().await;
    let client = SteadClient::new(&world.platform);
    let door = Door::open(&world, &world.connection);
    give(&client, "create", json!({ "name": "a" })).await;
    // Nobody owns the partition, so the command is under way until the door is shut.
    until("the command is under way", || async { under_way(&world).await == 1 }).await;
    door.shut().await;
    let owned = Owned::all(&world.connection).await;
    let next = Door::open(&world, &world.connection);
    until_empty(&world).await;
    assert_eq!(owned.taken.lock().expect("no panic").len(), 1);
    next.shut().await;
}

/// A door that ends as its process would when killed: no task of it lives on, nothing is said.
struct DoomedDoor(Runtime);

impl DoomedDoor {
    fn open(world: &World) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let (url, platform) = (world.server.url(), world.platform.clone());
        runtime.spawn(async move {
            let connection =
                connect(&ConnectSettings::new(url, "doomed")).await.expect("a connection");
            let (_open, shut) = watch::channel(false);
            run_inbox(&connection, &platform, catalogue(), shut).await;
        });
        Self(runtime)
    }

    fn kill(self) {
        self.0.shutdown_background();
    }
}

async fn under_way(world: &World) -> usize {
    let stream = world.js().get_stream(INBOX_STREAM).await.expect("the inbox");
    stream.consumer_info("engines").await.map_or(0, |info| info.num_ack_pending)
}

async fn pulls(world: &World) -> usize {
    let stream = world.js().get_stream(INBOX_STREAM).await.expect("the inbox");
    stream.consumer_info("engines").await.map_or(0, |info| info.num_waiting)
}

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Gives numbered commands to each of three entities.
async fn give_numbers(client: &SteadClient, numbers: std::ops::Range<usize>) {
    for number in numbers {
        for name in NAMES {
            give(client, "start", json!({ "name": name, "id": number.to_string() })).await;
        }
    }
}

fn check_order(owned: &Owned, count: usize) {
    let taken = owned.taken.lock().expect("no panic");
    let wanted: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    for name in NAMES {
        let mine = taken.iter().filter(|command| command.name == name);
        assert_eq!(mine.map(|one| one.id.clone()).collect::<Vec<_>>(), wanted, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_a_killed_engine_had_read_come_before_those_it_had_not() {
    let world = World::new().await;
    let client = SteadClient::new(&world.platform);
    let killed = DoomedDoor::open(&world);
    // Nobody owns a partition, so the engine has in its hands whatever it reads.
    for numbers in [0..30, 30..60] {
        let all = numbers.end * NAMES.len();
        give_numbers(&client, numbers).await;
        until("the commands are read", || async { under_way(&world).await == all }).await;
    }
    killed.kill();
    give_numbers(&client, 60..90).await;
    let owned = Owned::all(&world.connection).await;
    let door = Door::open(&world, &world.connection);
    until_empty(&world).await;
    check_order(&owned, 90);
    door.shut().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_an_engine_gives_back_come_before_those_it_had_not_read() {
    let world = World::new().await;
    let client = SteadClient::new(&world.platform);
    let (one, two) = (world.server.connect().await, world.server.connect().await);
    let first = Door::open(&world, &one);
    give_numbers(&client, 0..30).await;
    until("the commands are read", || async { under_way(&world).await == 90 }).await;
    let second = Door::open(&world, &two);
    until("the second waits for its turn", || async { pulls(&world).await == 2 }).await;
    // What the first is handed in the moment in which it stops, it gives back behind what follows.
    let rest = async {
        until("the first asks for no more", || async { pulls(&world).await < 2 }).await;
        give_numbers(&client, 30..60).await;
    };
    tokio::join!(first.shut(), rest);
    let owned = Owned::all(&world.connection).await;
    until_empty(&world).await;
    check_order(&owned, 60);
    second.shut().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_streams_come_back() {
    let world = World::new().await;
    let owned = Owned::all(&world.connection).await;
    let client = SteadClient::new(&world.platform);
    let door = Door::open(&world, &world.connection);
    let before = give(&client, "create", json!({ "name": "a" })).await;
    until_empty(&world).await;
    world.js().delete_stream(INBOX_STREAM).await.expect("the inbox");
    world.js().delete_stream(REFUSALS_STREAM).await.expect("the refusals");
    until("the inbox is back", || async { world.messages_in(INBOX_STREAM).await == Some(0) }).await;
    let next = give(&client, "create", json!({ "name": "a" })).await;
    assert!(next > before + 1, "no number comes again: {before}, {next}");
    give(&client, "create", json!({ "name": "bad" })).await;
    until_empty(&world).await;
    assert_eq!(owned.verbs_for("a"), ["create", "create"]);
    assert_eq!(refusals(&world).await.len(), 1);
    door.shut().await;
}

/// The end of a command of the lost inbox is none of one in the next inbox.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_inbox_takes_nothing_out_of_the_next_one() {
    let world = World::new().await;
    let client = SteadClient::new(&world.platform);
    let home = |name: &str| run_of(name).partition(PARTITIONS);
    let other = ["b", "c", "d", "e"].into_iter().find(|name| home(name) != home("a"));
    let other = other.expect("one of them is elsewhere");
    let killed = DoomedDoor::open(&world);
    give(&client, "create", json!({ "name": "a", "id": "lost" })).await;
    until("it is under way", || async { under_way(&world).await == 1 }).await;
    world.js().delete_stream(INBOX_STREAM).await.expect("the inbox");
    until("the inbox is back", || async { world.messages_in(INBOX_STREAM).await == Some(0) }).await;
    give(&client, "create", json!({ "name": other, "id": "kept" })).await;
    until("it is under way", || async { under_way(&world).await == 1 }).await;
    // What was lost ends, and so does what waits for that.
    let owned = Owned::of(&world.connection, &[home("a")]).await;
    give(&client, "start", json!({ "name": "a", "id": "behind" })).await;
    let ids = || owned.taken.lock().expect("no panic").iter().map(|one| one.id.clone()).collect();
    until("both are taken in", || async { Vec::len(&ids()) == 2 }).await;
    let taken: Vec<String> = ids();
    assert_eq!(taken, ["lost", "behind"]);
    killed.kill();
    let all = Owned::all(&world.connection).await;
    let door = Door::open(&world, &world.connection);
    until_empty(&world).await;
    assert_eq!(all.verbs_for(other), ["create"], "it was still there");
    door.shut().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_loses_no_command() {
    let mut world = World::new().await;
    let owned = Owned::all(&world.connection).await;
    let client = SteadClient::new(&world.platform);
    for n in 0..100 {
        give(&client, "create", json!({ "name": format!("w{n}") })).await;
    }
    let door = Door::open(&world, &world.connection);
    let some = || async { owned.taken.lock().expect("no panic").len() > 10 };
    until("some commands are taken in", some).await;
    world.server.kill9();
    world.server.restart().await;
    let all = || async { owned.taken.lock().expect("no panic").len() == 100 };
    until("all commands are taken in", all).await;
    door.shut().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_cancelled_by_its_owner_only() {
    let world = World::new().await;
    let owned = Owned::all(&world.connection).await;
    owned.runs.lock().expect("no panic").push(summary(&john(), "dev", 1));
    let door = Door::open(&world, &world.connection);
    let body = json!({ "run": run_of("dev"), "why": "wrong size" }).to_string();
    for owner in ["mallory", "john%2Edoe"] {
        let subject = format!("stead.cmd.{owner}.run.cancel");
        let sent = world.js().publish(subject, body.clone().into()).await.expect("sent");
        sent.await.expect("kept");
    }
    until_empty(&world).await;
    assert_eq!(*owned.ordered.lock().expect("no panic"), [run_of("dev")]);
    let kept = refusals(&world).await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].0, format!("stead.evt.mallory.run.{}.refused", run_of("dev")));
    door.shut().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_shuts_while_the_server_is_away() {
    let mut world = World::new().await;
    let door = Door::open(&world, &world.connection);
    world.server.kill9();
    let shutting = tokio::time::timeout(Duration::from_secs(15), door.shut());
    shutting.await.expect("the door shuts");
}
