//! Leases when their stream is deleted, the server restarts, or answers half.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use serde_json::{Value, json};
use stead_nats::{ConnectSettings, NatsLeases, connect};
use stead_runtime::ports::Leases;
use stead_schemas::ids::Partition;
use stead_schemas::subjects::LEASE_BUCKET;

use super::support::{World, platform, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_leases_can_be_taken_again() {
    let world = World::new().await;
    let (one, other) = (NatsLeases::new(&world.platform), NatsLeases::new(&world.platform));
    assert_eq!(one.acquire(Partition(0), "a").await, Ok(true));
    assert_eq!(one.present("a").await, Ok(1));
    world.js().delete_stream(LEASE_BUCKET).await.expect("a stream to delete");
    assert_eq!(one.renew(Partition(0), "a").await, Ok(false));
    assert_eq!(other.acquire(Partition(0), "b").await, Ok(true));
    assert_eq!(one.acquire(Partition(0), "a").await, Ok(false));
    assert_eq!(other.renew(Partition(0), "b").await, Ok(true));
    world.js().delete_stream(LEASE_BUCKET).await.expect("a stream to delete");
    assert_eq!(other.present("b").await, Ok(1));
    assert_eq!(one.present("a").await, Ok(2));
    world.js().delete_stream(LEASE_BUCKET).await.expect("a stream to delete");
    one.release(Partition(0), "a").await.expect("nothing to release");
    one.leave("a").await.expect("nothing to leave");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_of_before_a_restart_ends_too() {
    let mut world = World::new().await;
    let leases = NatsLeases::new(&world.platform);
    assert_eq!(leases.acquire(Partition(0), "a").await, Ok(true));
    world.server.kill9();
    world.server.restart().await;
    until("the lease ends", || async { leases.acquire(Partition(0), "b").await == Ok(true) }).await;
    assert_eq!(leases.renew(Partition(0), "a").await, Ok(false));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_engine_asks_twice() {
    let world = World::new().await;
    let leases = NatsLeases::new(&world.platform);
    assert_eq!(leases.acquire(Partition(0), "engine.with dots").await, Ok(true));
    assert_eq!(leases.acquire(Partition(0), "engine.with dots").await, Ok(true));
    assert_eq!(leases.present("engine.with dots").await, Ok(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_says_what_its_clock_reads() {
    let world = World::new().await;
    let leases = NatsLeases::new(&world.platform);
    assert_eq!(leases.present("a").await, Ok(1));
    let behind = async |engine: &str| {
        let owners = leases.owners().await.expect("they can be read");
        let seen = owners.engines.into_iter().find(|seen| seen.engine == engine);
        seen.expect("it is there").behind_ms
    };
    // Both clocks are this machine's, and the way to the server takes no hour.
    let hour = 3_600_000;
    assert!(behind("a").await.is_some_and(|behind| behind.abs() < hour));
    let say = async |holder: Value| {
        let said = world.js().publish("stead.lease.engine.b", holder.to_string().into()).await;
        said.expect("it is sent").await.expect("it is kept");
        behind("b").await
    };
    let ahead = say(json!({ "engine": "b", "at": "2999-01-01T00:00:00Z" })).await;
    assert!(ahead.is_some_and(|behind| behind < -hour), "{ahead:?}");
    let older = say(json!({ "engine": "b", "build": "of before" })).await;
    assert_eq!(older, None);
}

/// Where the server's API is reached in [`a_count_that_breaks_off_is_no_count`].
const FAR: &str = "far.API";

/// What is listed in pages may fail after the first one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_count_that_breaks_off_is_no_count() {
    static WELL: AtomicBool = AtomicBool::new(true);
    let world = World::new().await;
    let nats = world.nats.clone();
    let mut asked = nats.subscribe(format!("{FAR}.>")).await.expect("a subscription");
    nats.flush().await.expect("the server knows of it");
    tokio::spawn(async move {
        while let Some(message) = asked.next().await {
            let request: Value = serde_json::from_slice(&message.payload).unwrap_or_default();
            let is_another_page = request["offset"].as_u64() > Some(0);
            let answer = if is_another_page && !WELL.load(Ordering::Relaxed) {
                r#"{"error":{"code":503,"description":"away"}}"#.into()
            } else {
                let subject = message.subject.replacen(FAR, "$JS.API", 1);
                nats.request(subject, message.payload).await.expect("an answer").payload
            };
            let reply = message.reply.expect("somebody waits");
            nats.publish(reply, answer).await.expect("an answer is sent");
        }
    });
    let mut settings = ConnectSettings::new(world.server.url(), "far");
    settings.js_prefix = Some(FAR.to_owned());
    let connection = connect(&settings).await.expect("a connection");
    let leases = NatsLeases::new(&platform(&connection).await);
    assert_eq!(leases.present("a").await, Ok(1));
    WELL.store(false, Ordering::Relaxed);
    assert!(leases.present("a").await.is_err());
    WELL.store(true, Ordering::Relaxed);
    assert_eq!(leases.present("a").await, Ok(1));
}
