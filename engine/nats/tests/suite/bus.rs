//! Engines and workers on the bus, where more is at stake than what any bus promises.

use futures_util::StreamExt;
use serde_json::json;
use stead_nats::worker_link::WorkerLink;
use stead_nats::{NatsBus, subscribe_partition};
use stead_runtime::inbound::Inbound;
use stead_runtime::ports::{Bus, Outgoing};
use stead_schemas::dispatch::{StepAddress, StepReply, StepRequest};
use stead_schemas::failure::Class;
use stead_schemas::ids::Partition;
use stead_schemas::proof::Proof;

use super::support::{World, run_of, soon};

const HOME: Partition = Partition(1);

fn address(seq: u32) -> StepAddress {
    StepAddress { run: run_of("dev"), seq }
}

fn proof() -> Proof {
    Proof::new("b79a3f".into())
}

fn step(seq: u32, name: &str) -> StepRequest {
    StepRequest {
        trace: None,
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
