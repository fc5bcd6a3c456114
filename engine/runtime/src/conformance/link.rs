//! The promises of the workers' way to the engines and back.

use std::collections::BTreeMap;

use serde_json::json;
use stead_schemas::dispatch::{StepAddress, StepReply};
use stead_schemas::failure::{Class, Failure};

use super::ends::{Ear, Ends, Worker, address, fresh_system, proof, request, until_heard};
use super::log::fresh_run;
use crate::harness_ports::WorkerInbound;
use crate::inbound::Inbound;
use crate::ports::Outgoing;

/// How many answers are sent where one might be lost or come twice.
const MANY: u32 = 200;

/// Checks every promise of the link between workers and the engines of a platform that has
/// `partitions` partitions.
pub async fn check_link(ends: &dyn Ends, partitions: u16) {
    a_worker_hears_the_steps_of_all_its_systems(ends, partitions).await;
    an_answer_reaches_the_owner_with_what_shows_which_attempt_it_is(ends, partitions).await;
    a_worker_that_is_gone_is_asked_nothing(ends, partitions).await;
}

/// And of no other.
pub async fn a_worker_hears_the_steps_of_all_its_systems(ends: &dyn Ends, partitions: u16) {
    let (engine, run) = (ends.engine().await, fresh_run());
    let (one, two, other) = (fresh_system(), fresh_system(), fresh_system());
    let mut worker = Worker::start(ends, &[&one, &two], &[&engine]).await;
    let ask = |seq, system: &str, step: &str| {
        let request = request(address(&run, seq), partitions, &format!("{system}.{step}"));
        engine.bus.send(Outgoing::Step(request.clone()));
        WorkerInbound::Step(request)
    };
    ask(1, &other, "noop");
    for (seq, system, step) in [(2, &one, "noop"), (3, &two, "noop"), (4, &one, "another")] {
        let asked = ask(seq, system, step);
        assert_eq!(worker.next("a step").await, asked);
    }
    assert_eq!(worker.rest(&engine).await, []);
}

/// Each once, unchanged, whatever it says.
pub async fn an_answer_reaches_the_owner_with_what_shows_which_attempt_it_is(
    ends: &dyn Ends,
    partitions: u16,
) {
    let (engine, run) = (ends.engine().await, fresh_run());
    let home = run.partition(partitions);
    let mut owner = Ear::open(&engine, home, &[&engine]).await;
    let system = fresh_system();
    let worker = Worker::start(ends, &[&system], &[&engine]).await;
    owner.greeted_by_worker(&worker).await;
    let said = |seq: u32| match seq % 4 {
        0 => StepReply::Queued,
        1 => StepReply::Heartbeat { progress: Some(format!("{seq} ä\u{0}\n")) },
        2 => StepReply::Done(json!({ "n": seq })),
        _ => StepReply::Failed(Failure::new(Class::Retry, format!("{seq}"))),
    };
    let said: BTreeMap<StepAddress, StepReply> =
        (1..=MANY).map(|seq| (address(&run, seq), said(seq))).collect();
    for (address, reply) in &said {
        worker.link.replies.reply(home, address, address.seq + 7, &proof(address), reply);
    }
    let mut heard = BTreeMap::new();
    while heard.len() < said.len() {
        let inbound = owner.next("an answer").await;
        let Inbound::Answer { address, attempt, proof: shown, reply } = inbound else {
            panic!("{inbound:?}")
        };
        assert_eq!((attempt, shown), (address.seq + 7, Some(proof(&address))));
        assert_eq!(heard.insert(address, reply), None, "one came twice");
    }
    assert_eq!(heard, said);
    assert_eq!(owner.rest(&engine).await, []);
}

/// Its steps come back, as others might carry them out.
pub async fn a_worker_that_is_gone_is_asked_nothing(ends: &dyn Ends, partitions: u16) {
    let (engine, run) = (ends.engine().await, fresh_run());
    let home = run.partition(partitions);
    let mut inbox = engine.inboxes.open(home).await.expect("an inbox");
    let system = fresh_system();
    let request = request(address(&run, 1), partitions, &format!("{system}.noop"));
    let say = || engine.bus.send(Outgoing::Step(request.clone()));
    let mut worker = Worker::start(ends, &[&system], &[&engine]).await;
    say();
    assert_eq!(worker.next("a step").await, WorkerInbound::Step(request.clone()));
    drop(worker);
    let (address, proof) = (request.address.clone(), Some(request.proof.clone()));
    let comes_back = Inbound::NoListener { address, attempt: request.attempt, proof };
    until_heard("a system without workers", &mut inbox, say, |heard| *heard == comes_back).await;
}
