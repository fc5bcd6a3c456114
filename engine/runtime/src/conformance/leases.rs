//! The promises of the leases.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join_all};
use stead_schemas::ids::Partition;
use uuid::Uuid;

use super::until;
use crate::ports::Leases;

/// Longer than any lease lasts, with room for a busy machine.
const LONG_AFTER: Duration = Duration::from_secs(15);
/// How long a lease is kept alive by renewing it: longer than it lasts by itself.
const KEPT_FOR: Duration = Duration::from_secs(5);
/// How often.
const RENEWED_EVERY: Duration = Duration::from_millis(500);

/// One promise, with the lease of a partition of its own.
pub type Promise = for<'a> fn(&'a dyn Leases, Partition) -> BoxFuture<'a, ()>;

/// All of them, for whoever checks them one by one.
pub const PROMISES: [Promise; 7] = [
    |port, of| a_free_lease_is_given_to_one_engine_only(port, of).boxed(),
    |port, of| a_released_lease_is_free_at_once(port, of).boxed(),
    |port, of| only_the_holder_renews_and_releases(port, of).boxed(),
    |port, of| a_lease_that_is_renewed_lasts(port, of).boxed(),
    |port, of| a_lease_that_is_not_renewed_ends(port, of).boxed(),
    |port, of| what_its_holder_takes_again_lasts_anew(port, of).boxed(),
    |port, _| an_engine_is_counted_while_it_is_present(port).boxed(),
];

/// Checks every promise, for partitions from `first` on.
pub async fn check_leases(leases: &dyn Leases, first: Partition) {
    for (number, promise) in (first.0..).zip(PROMISES) {
        promise(leases, Partition(number)).await;
    }
}

fn engine() -> String {
    format!("engine-{}", Uuid::new_v4())
}

/// However many ask at once.
pub async fn a_free_lease_is_given_to_one_engine_only(leases: &dyn Leases, partition: Partition) {
    let engines: Vec<String> = (0..8).map(|_| engine()).collect();
    let asked = join_all(engines.iter().map(|engine| leases.acquire(partition, engine))).await;
    let won = asked.iter().filter(|outcome| **outcome == Ok(true)).count();
    assert_eq!(won, 1, "{asked:?}");
}

/// The next owner need not wait.
pub async fn a_released_lease_is_free_at_once(leases: &dyn Leases, partition: Partition) {
    let (one, other) = (engine(), engine());
    assert_eq!(leases.acquire(partition, &one).await, Ok(true));
    assert_eq!(leases.acquire(partition, &other).await, Ok(false));
    leases.release(partition, &one).await.expect("a release");
    assert_eq!(leases.acquire(partition, &other).await, Ok(true));
    assert_eq!(leases.renew(partition, &one).await, Ok(false));
}

/// A lease obeys nobody else.
pub async fn only_the_holder_renews_and_releases(leases: &dyn Leases, partition: Partition) {
    let (one, other) = (engine(), engine());
    assert_eq!(leases.renew(partition, &one).await, Ok(false));
    assert_eq!(leases.acquire(partition, &one).await, Ok(true));
    assert_eq!(leases.renew(partition, &other).await, Ok(false));
    leases.release(partition, &other).await.expect("a release of nothing");
    assert_eq!(leases.acquire(partition, &other).await, Ok(false));
    assert_eq!(leases.renew(partition, &one).await, Ok(true));
}

/// A lease is as good as new after each renewal.
pub async fn a_lease_that_is_renewed_lasts(leases: &dyn Leases, partition: Partition) {
    let (one, other) = (engine(), engine());
    assert_eq!(leases.acquire(partition, &one).await, Ok(true));
    let mut kept = Duration::ZERO;
    while kept < KEPT_FOR {
        tokio::time::sleep(RENEWED_EVERY).await;
        kept += RENEWED_EVERY;
        assert_eq!(leases.renew(partition, &one).await, Ok(true), "after {kept:?}");
        assert_eq!(leases.acquire(partition, &other).await, Ok(false), "after {kept:?}");
    }
}

/// Also one that was renewed before, and one that was held and lost before.
pub async fn a_lease_that_is_not_renewed_ends(leases: &dyn Leases, partition: Partition) {
    let (one, other) = (engine(), engine());
    assert_eq!(leases.acquire(partition, &one).await, Ok(true));
    assert_eq!(leases.renew(partition, &one).await, Ok(true));
    let freed = || async { leases.acquire(partition, &other).await == Ok(true) };
    until("a renewed lease ends", LONG_AFTER, freed).await;
    assert_eq!(leases.renew(partition, &one).await, Ok(false));
    let freed_again = || async { leases.acquire(partition, &one).await == Ok(true) };
    until("a second lease ends", LONG_AFTER, freed_again).await;
    assert_eq!(leases.renew(partition, &other).await, Ok(false));
}

/// An engine that was killed and started again goes on with what it has.
pub async fn what_its_holder_takes_again_lasts_anew(leases: &dyn Leases, partition: Partition) {
    let (one, other) = (engine(), engine());
    let mut kept = Duration::ZERO;
    while kept < KEPT_FOR {
        assert_eq!(leases.acquire(partition, &one).await, Ok(true), "after {kept:?}");
        assert_eq!(leases.acquire(partition, &other).await, Ok(false), "after {kept:?}");
        tokio::time::sleep(RENEWED_EVERY).await;
        kept += RENEWED_EVERY;
    }
    assert_eq!(leases.renew(partition, &one).await, Ok(true));
}

/// Engines come, stay, go, and die.
pub async fn an_engine_is_counted_while_it_is_present(leases: &dyn Leases) {
    let (one, other) = (engine(), engine());
    let before = leases.present(&one).await.expect("a count");
    assert_eq!(leases.present(&one).await, Ok(before), "an engine counts once");
    assert_eq!(leases.present(&other).await, Ok(before + 1));
    leases.leave(&other).await.expect("a farewell");
    assert_eq!(leases.present(&one).await, Ok(before));
    leases.present(&other).await.expect("a count");
    let gone = || async { leases.present(&one).await == Ok(before) };
    until("an engine that is silent is not counted", LONG_AFTER, gone).await;
}
