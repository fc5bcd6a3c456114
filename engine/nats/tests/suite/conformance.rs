//! The conformance suite on a real server.

use stead_nats::testing::NatsServer;
use stead_nats::{ConnectSettings, NatsArchive, NatsLeases, NatsLog, connect};
use stead_runtime::conformance::{
    check_archive, check_bus, check_epochs, check_expiry, check_inboxes, check_leases, check_link,
    check_log,
};
use stead_runtime::ports::{Archive, Expiry, Lasts};
use stead_schemas::ids::Partition;

use super::ends::OnServers;
use super::proxy::Proxy;
use super::support::{PARTITIONS, World, platform};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_keeps_its_promises() {
    let server = NatsServer::start().await;
    let proxy = Proxy::start(&server).await;
    let settings = ConnectSettings::new(proxy.url(), "test");
    let connection = connect(&settings).await.expect("a connection");
    let log = NatsLog::new(&platform(&connection).await);
    check_log(&log, PARTITIONS, &proxy).await;
    assert!(proxy.lost() >= 3, "{} acknowledgements were lost", proxy.lost());
    check_epochs(&log, &log, PARTITIONS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_archive_keeps_its_promises() {
    let world = World::new().await;
    check_archive(&NatsArchive::new(&world.platform)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_expires_of_the_archive_keeps_its_promises() {
    let world = World::new().await;
    let safe = NatsArchive::new(&world.platform);
    let kept =
        safe.put(Partition(2), b"for ever".to_vec(), Lasts::ForEver).await.expect("it is kept");
    assert_eq!(world.messages_in("STEAD_SHELF").await, None, "made only where it is needed");
    let archive = NatsArchive::new(&world.platform).expiring(true);
    check_expiry(&archive).await;
    check_archive(&archive).await;
    assert!(!archive.may_expire(kept));
    archive.forget(Partition(2), kept).await.expect_err("nothing expires there");
    let digests = archive.put(Partition(2), b"digests".to_vec(), Lasts::ForEver).await;
    assert!(!archive.may_expire(digests.expect("it is kept")), "an owner needs them for ever");
    assert_eq!(archive.get(Partition(2), kept).await, Ok(b"for ever".to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leases_keep_their_promises() {
    let world = World::new().await;
    check_leases(&NatsLeases::new(&world.platform), Partition(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bus_inboxes_and_link_keep_their_promises() {
    let server = NatsServer::start().await;
    let ends = OnServers::new(vec![server.url()]);
    check_bus(&ends, PARTITIONS).await;
    check_inboxes(&ends, PARTITIONS).await;
    check_link(&ends, PARTITIONS).await;
}

/// Every check of the suite is made on one server, on three, and while they die.
#[test]
fn no_check_of_the_suite_is_left_out() {
    let suite = include_str!("../../../runtime/src/conformance/mod.rs");
    let named = suite.lines().filter(|line| line.starts_with("pub use")).flat_map(|line| {
        let words = line.split(|letter: char| !letter.is_ascii_alphabetic() && letter != '_');
        words.filter(|word| word.starts_with("check_"))
    });
    // The index is no matter of servers.
    let named: Vec<&str> = named.filter(|name| *name != "check_index").collect();
    assert!(named.len() >= 8, "{named:?}");
    for (place, tests) in [
        ("conformance.rs", include_str!("conformance.rs")),
        ("cluster.rs", include_str!("cluster.rs")),
        ("deaths.rs", include_str!("deaths.rs")),
    ] {
        for name in &named {
            // While servers die, the promises of leases are checked one by one.
            let one_by_one = *name == "check_leases" && tests.contains("PROMISES[number](");
            let is_called = one_by_one || tests.contains(&format!("{name}("));
            assert!(is_called, "{place} leaves {name} out");
        }
    }
}
