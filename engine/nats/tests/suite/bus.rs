//! Engines and workers on the bus.

use futures_util::StreamExt;
use serde_json::json;
use stead_nats::worker_link::WorkerLink;
use stead_nats::{NatsBus, subscribe_partition};
use stead_runtime::harness_ports::WorkerInbound;
use stead_runtime::inbound::Inbound;
use stead_runtime::ports::{Bus, Outgoing};
use stead_schemas::dispatch::{Caller, EntityCommand, StepAddress, StepReply, StepRequest};
use stead_schemas::failure::Class;
use stead_schemas::ids::Partition;
use stead_schemas::proof::Proof;
use stead_schemas::trace::TraceParent;

use super::support::{World, fields, john, run_of, soon};

const HOME: Partition = Partition(1);

fn address(seq: u32) -> StepAddress {
    StepAddress { run: run_of("dev"), seq }
}

fn proof() -> Proof {
    Proof::new("b79a3f".into())
}

fn step(seq: u32, name: &str) -> StepRequest {
    StepRequest {
        // Every other one is traced.
        trace: seq.is_multiple_of(2).then(|| TraceParent::of_step(&address(seq))),
        address: address(seq),
        attempt: 1,
        partition: HOME,
        epoch: 7,
        step: name.into(),
        request: json!({ "n": seq }),
        proof: proof(),
        tell_start: false,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_goes_to_a_worker_and_its_answer_to_the_owner() {
    let world = World::new().await;
    let mut inbox = subscribe_partition(&world.connection, HOME).await.expect("an inbox");
    let worker = world.server.connect().await;
    let (mut asked, replies) =
        WorkerLink::start(&worker, &["probe", "proxmox"]).await.expect("a link");
    let bus = NatsBus::start(&world.connection);
    for seq in 1..=200 {
        bus.send(Outgoing::Step(step(seq, "probe.noop")));
    }
    for seq in 1..=200 {
        let inbound = soon("a step", asked.recv()).await.expect("a step");
        assert_eq!(inbound, WorkerInbound::Step(step(seq, "probe.noop")));
        replies.reply(HOME, &address(seq), 1, &proof(), &StepReply::Done(json!(seq)));
    }
    for seq in 1..=200 {
        let inbound = soon("an answer", inbox.next()).await.expect("an answer");
        let Inbound::Answer { address: of, attempt: 1, proof: shown, reply } = inbound else {
            panic!("{inbound:?}")
        };
        assert_eq!((of, shown), (address(seq), Some(proof())));
        assert_eq!(reply, StepReply::Done(json!(seq)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_nobody_takes_comes_back_at_once() {
    let world = World::new().await;
    let mut inbox = subscribe_partition(&world.connection, HOME).await.expect("an inbox");
    let bus = NatsBus::start(&world.connection);
    bus.send(Outgoing::Step(step(3, "vault.pin-secrets")));
    let inbound = soon("a notice", inbox.next()).await.expect("a notice");
    assert_eq!(not_taken(inbound), (address(3), 1));
    // The same for a command to a partition without an owner.
    let command = command("start");
    let (to, from) = (Partition(2), address(4));
    bus.send(Outgoing::Command { to, command, from, home: HOME, attempt: 9 });
    let inbound = soon("a notice", inbox.next()).await.expect("a notice");
    assert_eq!(not_taken(inbound), (address(4), 9));
}

/// Which attempt nobody took.
fn not_taken(inbound: Inbound) -> (StepAddress, u32) {
    match inbound {
        Inbound::NoListener { address, attempt, .. } => (address, attempt),
        other => panic!("{other:?}"),
    }
}

fn command(verb: &str) -> EntityCommand {
    EntityCommand {
        kind: "workspace".into(),
        owner: john(),
        name: "dev".into(),
        verb: verb.into(),
        fields: fields(json!({ "name": "dev" })),
        id: "a".into(),
        by: Caller::Run(address(4)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_s_command_is_answered_to_its_step() {
    let world = World::new().await;
    let mut home = subscribe_partition(&world.connection, HOME).await.expect("an inbox");
    let other = world.server.connect().await;
    let mut there = subscribe_partition(&other, Partition(2)).await.expect("an inbox");
    let bus = NatsBus::start(&world.connection);
    let (to, from) = (Partition(2), address(4));
    bus.send(Outgoing::Command { to, command: command("start"), from, home: HOME, attempt: 9 });
    let Some(Inbound::Command(received, reply_to)) = soon("a command", there.next()).await else {
        panic!("no command")
    };
    assert_eq!(received, command("start"));
    let heartbeat = StepReply::Heartbeat { progress: None };
    let bytes = serde_json::to_vec(&heartbeat).expect("JSON");
    let theirs = NatsBus::start(&other);
    theirs.send(Outgoing::Reply { to: reply_to, bytes });
    let done = StepReply::Done(json!({}));
    theirs.send(Outgoing::Answer { to: HOME, address: address(4), reply: done.clone() });
    for (wanted, of_attempt) in [(heartbeat, 9), (done, 0)] {
        let inbound = soon("an answer", home.next()).await.expect("an answer");
        let Inbound::Answer { address: of, attempt, proof: None, reply } = inbound else {
            panic!("{inbound:?}")
        };
        assert_eq!((of, attempt, reply), (address(4), of_attempt, wanted));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_workers_hear_of_leases_and_cancels() {
    let world = World::new().await;
    let worker = world.server.connect().await;
    let (mut one, _) = WorkerLink::start(&worker, &["probe"]).await.expect("a link");
    let (mut two, _) = WorkerLink::start(&worker, &["probe"]).await.expect("a link");
    let bus = NatsBus::start(&world.connection);
    bus.send(Outgoing::Lease { partition: HOME, epoch: 8 });
    bus.send(Outgoing::CancelStep(address(5)));
    for asked in [&mut one, &mut two] {
        let mut heard = Vec::new();
        for _ in 0..2 {
            heard.push(soon("a notice", asked.recv()).await.expect("a notice"));
        }
        assert!(heard.contains(&WorkerInbound::Lease { partition: HOME, epoch: 8 }), "{heard:?}");
        assert!(heard.contains(&WorkerInbound::Cancel(address(5))), "{heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_stops_nobody() {
    let world = World::new().await;
    let mut inbox = subscribe_partition(&world.connection, HOME).await.expect("an inbox");
    let answer = format!("stead.part.1.answer.{}.5.1.b79a3f", run_of("dev"));
    let good = serde_json::to_vec(&StepReply::Done(json!(1))).expect("JSON");
    for (subject, body) in [
        ("stead.part.1.answer.x.y.z", &b"{}"[..]),
        ("stead.part.1.answer", b"{}"),
        ("stead.part.1.command", b"{}"),
        ("stead.part.1.dance", b"{}"),
        (&answer, b"\xff"),
        (&answer, b""),
        (&answer, &good),
    ] {
        world.nats.publish(subject.to_string(), body.to_vec().into()).await.expect("sent");
    }
    let inbound = soon("the good one", inbox.next()).await.expect("an answer");
    assert!(matches!(inbound, Inbound::Answer { attempt: 1, .. }), "{inbound:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_step_and_an_answer_too_large_fail_for_good() {
    let world = World::new().await;
    let mut inbox = subscribe_partition(&world.connection, HOME).await.expect("an inbox");
    let (_asked, replies) = WorkerLink::start(&world.connection, &["probe"]).await.expect("a link");
    let large = StepReply::Done(json!("x".repeat(2 << 20)));
    replies.reply(HOME, &address(6), 1, &proof(), &large);
    let reply = format!("stead.part.1.answer.{}.7.1", run_of("dev"));
    let sent = world.nats.publish_with_reply("stead.step.probe.noop", reply, "{}".into()).await;
    sent.expect("sent");
    for _ in 0..2 {
        let inbound = soon("an answer", inbox.next()).await.expect("an answer");
        let Inbound::Answer { reply: StepReply::Failed(failure), .. } = inbound else {
            panic!("{inbound:?}")
        };
        assert_eq!(failure.class, Class::Permanent);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_outlive_a_restart() {
    let mut world = World::new().await;
    let mut inbox = subscribe_partition(&world.connection, HOME).await.expect("an inbox");
    let (mut asked, replies) =
        WorkerLink::start(&world.connection, &["probe"]).await.expect("a link");
    let bus = NatsBus::start(&world.connection);
    world.server.kill9();
    world.server.restart().await;
    // What is sent while the server is away may be lost; the owner sends it again.
    let heard = async {
        loop {
            bus.send(Outgoing::Step(step(1, "probe.noop")));
            let wait = std::time::Duration::from_millis(200);
            if let Ok(inbound) = tokio::time::timeout(wait, asked.recv()).await {
                return inbound;
            }
        }
    };
    assert!(soon("a step", heard).await.is_some());
    replies.reply(HOME, &address(1), 1, &proof(), &StepReply::Done(json!(1)));
    let answered = async {
        while let Some(inbound) = inbox.next().await {
            if matches!(inbound, Inbound::Answer { .. }) {
                return;
            }
        }
    };
    soon("an answer", answered).await;
}
