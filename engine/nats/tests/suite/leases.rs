//! Leases when their stream is deleted or the server restarts.

use stead_nats::NatsLeases;
use stead_runtime::ports::Leases;
use stead_schemas::ids::Partition;
use stead_schemas::subjects::LEASE_BUCKET;

use super::support::{World, until};

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
