//! What the command line asks.

use futures_util::StreamExt;
use serde_json::json;
use stead_nats::client::ClientError;
use stead_nats::{NatsBus, NatsLog, SteadClient};
use stead_runtime::conformance::log::append_of;
use stead_runtime::ports::{Bus, EventLog, Outgoing};
use stead_runtime::worker::Engines;
use stead_schemas::dispatch::{Caller, OrderRun, OutsideAnswer, OutsideReply, RunOrder, StepReply};
use stead_schemas::event::ByHand;

use super::support::{Owned, PARTITIONS, World, john, run_of, soon, summary};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_are_listed_shown_and_cancelled() {
    let world = World::new().await;
    let engine = world.server.connect().await;
    let owned = Owned::all(&engine).await;
    let lines: Vec<_> = (0..20).map(|n| summary(&john(), &format!("w{n}"), 1)).collect();
    owned.runs.lock().expect("no panic").extend(lines.clone());
    let client = SteadClient::new(&world.platform);
    let mut listed = client.list_all().await.expect("a list");
    listed.sort_by(|one, other| one.run.cmp(&other.run));
    let mut all = lines;
    all.sort_by(|one, other| one.run.cmp(&other.run));
    assert_eq!(listed, all);
    let view = client.view(&run_of("w7")).await.expect("an answer").expect("a run");
    assert_eq!(view.summary.name, "w7");
    assert_eq!(client.view(&run_of("none")).await, Ok(None));
    let by = ByHand { by: Caller::Api, why: "wrong size".into(), id: None };
    let order = OrderRun { run: run_of("w7"), by, order: RunOrder::Cancel };
    assert_eq!(client.order(&order).await, Ok(Ok(())));
    assert_eq!(*owned.ordered.lock().expect("no panic"), [run_of("w7")]);
    let answer = OutsideAnswer {
        run: run_of("w7"),
        step: "guest.await-home".into(),
        reply: StepReply::Done(json!({})),
    };
    assert_eq!(Engines::answer(&client, answer).await, Ok(OutsideReply::Accepted));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_engine_the_client_says_so() {
    let world = World::new().await;
    let client = SteadClient::new(&world.platform);
    let failed = client.view(&run_of("dev")).await;
    assert!(matches!(failed, Err(ClientError::NoOwner { .. })), "{failed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_partition_that_changes_hands_is_waited_for() {
    let world = World::new().await;
    let client = SteadClient::new(&world.platform);
    let asking = tokio::spawn(async move { client.view(&run_of("dev")).await });
    let engine = world.server.connect().await;
    let _owned = Owned::all(&engine).await;
    assert_eq!(soon("an answer", asking).await.expect("no panic"), Ok(None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn histories_and_events_can_be_watched() {
    let world = World::new().await;
    let client = SteadClient::new(&world.platform);
    let log = NatsLog::new(&world.platform);
    let append = append_of(&run_of("dev"), PARTITIONS, 0, "a");
    let seq = log.append(append).await.expect("a new history");
    let history = client.history(&run_of("dev")).await.expect("a history");
    assert_eq!(history.messages.iter().map(|recorded| recorded.seq).collect::<Vec<_>>(), [seq]);
    let mut events = client.watch("stead.evt.>").await.expect("a subscription");
    let bus = NatsBus::start(&world.connection);
    for bytes in [br#"{"a":1}"#.to_vec(), b"plain".to_vec()] {
        bus.send(Outgoing::Event { subject: "stead.evt.john.workspace.x.ready".into(), bytes });
    }
    let (subject, body) = soon("an event", events.next()).await.expect("an event");
    assert_eq!((subject.as_str(), body), ("stead.evt.john.workspace.x.ready", json!({ "a": 1 })));
    let (_, body) = soon("an event", events.next()).await.expect("an event");
    assert_eq!(body, json!("plain"));
}
