//! The promises of the bus: what engines send.

use std::collections::BTreeMap;

use serde_json::{Map, json};
use stead_schemas::dispatch::{
    Caller, EntityCommand, RunQuery, StepAddress, StepCancel, StepReply,
};
use stead_schemas::ids::Partition;
use stead_schemas::limit::{Line, PlaceAsk, PlaceReply, PlaceWanted};
use stead_schemas::owner::Owner;
use stead_schemas::subjects;
use tokio::time::timeout;

use super::ends::{
    Ear, Ends, NOBODY_S, SOON, Worker, address, fresh_system, next, request, until_heard,
};
use super::log::{fresh_run, fresh_run_in};
use crate::harness_ports::WorkerInbound;
use crate::inbound::{Inbound, encoded};
use crate::ports::{Outgoing, ReplyTo};

/// How many messages are sent where one might be lost or come twice.
const MANY: u32 = 200;

/// Checks every promise of a bus of a platform that has `partitions` partitions, at least two.
pub async fn check_bus(ends: &dyn Ends, partitions: u16) {
    a_step_goes_to_one_worker_of_its_system(ends, partitions).await;
    a_step_that_nobody_takes_comes_back(ends, partitions).await;
    all_workers_hear_of_leases_and_cancels(ends).await;
    a_command_goes_to_the_owner_and_what_he_says_to_its_step(ends, partitions).await;
    a_command_that_no_owner_hears_comes_back(ends, partitions).await;
    what_is_said_of_a_place_goes_to_the_one_who_is_meant(ends, partitions).await;
    a_reply_reaches_whoever_asked(ends, partitions).await;
    an_event_is_heard_by_all_who_watch(ends).await;
}

/// Each request once, unchanged; and to nobody else.
pub async fn a_step_goes_to_one_worker_of_its_system(ends: &dyn Ends, partitions: u16) {
    let (engine, run) = (ends.engine().await, fresh_run());
    let (system, other) = (fresh_system(), fresh_system());
    let mut one = Worker::start(ends, &[&system], &[&engine]).await;
    let mut two = Worker::start(ends, &[&system], &[&engine]).await;
    let mut foreign = Worker::start(ends, &[&other], &[&engine]).await;
    let step = format!("{system}.noop");
    let sent: BTreeMap<StepAddress, _> = (1..=MANY)
        .map(|seq| (address(&run, seq), request(address(&run, seq), partitions, &step)))
        .collect();
    for request in sent.values() {
        engine.bus.send(Outgoing::Step(request.clone()));
    }
    let mut asked = BTreeMap::new();
    while asked.len() < sent.len() {
        let inbound = tokio::select! {
            inbound = one.next("a step") => inbound,
            inbound = two.next("a step") => inbound,
        };
        let WorkerInbound::Step(request) = inbound else { panic!("{inbound:?}") };
        let again = asked.insert(request.address.clone(), request);
        assert_eq!(again, None, "one was asked twice");
    }
    assert_eq!(asked, sent);
    for worker in [&mut one, &mut two, &mut foreign] {
        assert_eq!(worker.rest(&engine).await, []);
    }
}

/// With what shows which attempt it was, so that its owner need not wait for an answer.
pub async fn a_step_that_nobody_takes_comes_back(ends: &dyn Ends, partitions: u16) {
    let (engine, run) = (ends.engine().await, fresh_run());
    let mut owner = Ear::open(&engine, run.partition(partitions), &[&engine]).await;
    let request = request(address(&run, 4), partitions, &format!("{}.noop", fresh_system()));
    engine.bus.send(Outgoing::Step(request.clone()));
    let address = request.address;
    let proof = Some(request.proof);
    let comes_back = Inbound::NoListener { address, attempt: request.attempt, proof };
    assert_eq!(owner.next("a step that nobody takes").await, comes_back);
    assert_eq!(owner.rest(&engine).await, []);
}

/// Of whatever system they are.
pub async fn all_workers_hear_of_leases_and_cancels(ends: &dyn Ends) {
    let (engine, step) = (ends.engine().await, address(&fresh_run(), 5));
    let cancel = StepCancel { address: step, attempt: 7 };
    let mut workers = Vec::new();
    let (system, other) = (fresh_system(), fresh_system());
    for system in [&system, &system, &other] {
        workers.push(Worker::start(ends, &[system], &[&engine]).await);
    }
    engine.bus.send(Outgoing::Lease { partition: Partition(1), epoch: 1 << 40 });
    engine.bus.send(Outgoing::CancelStep(cancel.clone()));
    let lease = WorkerInbound::Lease { partition: Partition(1), epoch: 1 << 40 };
    for worker in &mut workers {
        let heard = [worker.next("a notice").await, worker.next("a notice").await];
        assert!(heard.contains(&lease), "{heard:?}");
        assert!(heard.contains(&WorkerInbound::Cancel(cancel.clone())), "{heard:?}");
        assert_eq!(worker.rest(&engine).await, []);
    }
}

fn command(by: &StepAddress) -> EntityCommand {
    let mut fields = Map::new();
    fields.insert("name".into(), json!("ä\u{0}\n"));
    EntityCommand {
        kind: "probe".into(),
        owner: Owner::new("john.doe").expect("a good owner"),
        name: "dev".into(),
        verb: "start".into(),
        fields,
        id: "a".into(),
        by: Caller::Run(by.clone()),
    }
}

/// A reply counts for the attempt that asked, and what is said of its own accord for whichever is
/// under way.
pub async fn a_command_goes_to_the_owner_and_what_he_says_to_its_step(
    ends: &dyn Ends,
    partitions: u16,
) {
    let (ours, theirs) = (ends.engine().await, ends.engine().await);
    let (home, to) = (Partition(0), Partition(1));
    let mut home_ear = Ear::open(&ours, home, &[&ours, &theirs]).await;
    let mut to_ear = Ear::open(&theirs, to, &[&ours, &theirs]).await;
    let from = address(&fresh_run_in(home, partitions), 4);
    let given =
        Outgoing::Command { to, command: command(&from), from: from.clone(), home, attempt: 9 };
    ours.bus.send(given);
    let inbound = to_ear.next("a command").await;
    let Inbound::Command(heard, reply_to) = inbound else { panic!("{inbound:?}") };
    assert_eq!(heard, command(&from));
    let reply = StepReply::Heartbeat { progress: Some("half-way".into()) };
    theirs.bus.send(Outgoing::Reply { to: reply_to, bytes: encoded(&reply) });
    let answer =
        |attempt, reply| Inbound::Answer { address: from.clone(), attempt, proof: None, reply };
    assert_eq!(home_ear.next("a reply").await, answer(9, reply));
    let reply = StepReply::Done(json!({ "n": 1 }));
    theirs.bus.send(Outgoing::Answer { to: home, address: from.clone(), reply: reply.clone() });
    assert_eq!(home_ear.next("an answer").await, answer(0, reply));
    assert_eq!(home_ear.rest(&theirs).await, []);
    assert_eq!(to_ear.rest(&ours).await, []);
}

/// As with a step.
pub async fn a_command_that_no_owner_hears_comes_back(ends: &dyn Ends, partitions: u16) {
    let engine = ends.engine().await;
    let home = Partition(0);
    let mut owner = Ear::open(&engine, home, &[&engine]).await;
    let from = address(&fresh_run_in(home, partitions), 4);
    let command = command(&from);
    let given = Outgoing::Command { to: NOBODY_S, command, from: from.clone(), home, attempt: 9 };
    engine.bus.send(given);
    let comes_back = Inbound::NoListener { address: from, attempt: 9, proof: None };
    assert_eq!(owner.next("a command that no owner hears").await, comes_back);
}

/// What is wanted to the keeper, and where it stands to the step's owner.
pub async fn what_is_said_of_a_place_goes_to_the_one_who_is_meant(
    ends: &dyn Ends,
    partitions: u16,
) {
    let (ours, theirs) = (ends.engine().await, ends.engine().await);
    let (home, to) = (Partition(0), Partition(1));
    let mut owner = Ear::open(&ours, home, &[&theirs]).await;
    let mut keeper = Ear::open(&theirs, to, &[&ours]).await;
    let step = address(&fresh_run_in(home, partitions), 4);
    let ask = PlaceAsk {
        limit: "clones".into(),
        key: "node-1".into(),
        step: step.clone(),
        what: "probe.noop".into(),
        owner: Owner::new("john.doe").expect("a good owner"),
        name: "dev".into(),
        number: 3,
        wants: PlaceWanted::Stay,
    };
    let line = Line { position: 2, of: 5, ..Line::default() };
    let (limit, key) = (ask.limit.clone(), ask.key.clone());
    let reply = PlaceReply { limit, key, step, number: 3, line: Some(line) };
    ours.bus.send(Outgoing::Place { to, ask: ask.clone() });
    theirs.bus.send(Outgoing::Placed { to: home, reply: reply.clone() });
    assert_eq!(keeper.next("what is wanted").await, Inbound::Place(ask));
    assert_eq!(owner.next("where it stands").await, Inbound::Placed(reply));
    assert_eq!(keeper.rest(&ours).await, []);
    assert_eq!(owner.rest(&theirs).await, []);
}

/// And nobody else.
pub async fn a_reply_reaches_whoever_asked(ends: &dyn Ends, partitions: u16) {
    let (engine, run) = (ends.engine().await, fresh_run());
    let partition = run.partition(partitions);
    let mut owner = Ear::open(&engine, partition, &[&engine]).await;
    let query = RunQuery { run };
    let mut askers = Vec::new();
    for n in 0..10_u8 {
        let heard = ends.ask(partition, query.clone()).await;
        let to = asked(&mut owner, &query).await;
        askers.push((to, heard, vec![n, 0, b'\n']));
    }
    for (to, _, bytes) in &askers {
        engine.bus.send(Outgoing::Reply { to: to.clone(), bytes: bytes.clone() });
    }
    for (_, heard, bytes) in askers {
        let heard = timeout(SOON, heard).await.expect("a reply comes");
        assert_eq!(heard, Ok(bytes));
    }
}

async fn asked(owner: &mut Ear, wanted: &RunQuery) -> ReplyTo {
    let inbound = owner.next("a query").await;
    let Inbound::Query(query, to) = inbound else { panic!("{inbound:?}") };
    assert_eq!(query, *wanted);
    to
}

/// Nobody who watches takes it from another.
pub async fn an_event_is_heard_by_all_who_watch(ends: &dyn Ends) {
    let (engine, run) = (ends.engine().await, fresh_run());
    let owner = Owner::new("john.doe").expect("a good owner");
    let subject = |event| subjects::event(&owner, "probe", run.as_str(), event);
    let (mut one, mut other) =
        (ends.watch(&subject("*")).await, ends.watch(&subject("started")).await);
    let say = |word: &str| {
        let subject = subject("started");
        engine.bus.send(Outgoing::Event { subject, bytes: word.as_bytes().to_vec() });
    };
    for (watcher, greeting) in [(&mut one, "one"), (&mut other, "other")] {
        until_heard("an event", watcher, || say(greeting), |heard| *heard == greeting.as_bytes())
            .await;
    }
    say("news");
    for watcher in [&mut one, &mut other] {
        while next("news", watcher).await != b"news" {}
    }
}
