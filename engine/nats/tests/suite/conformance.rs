//! The conformance suite on a real server.

use stead_nats::testing::NatsServer;
use stead_nats::{ConnectSettings, NatsArchive, NatsLeases, NatsLog, connect};
use stead_runtime::conformance::{check_archive, check_epochs, check_leases, check_log};
use stead_schemas::ids::Partition;

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
async fn the_leases_keep_their_promises() {
    let world = World::new().await;
    check_leases(&NatsLeases::new(&world.platform), Partition(0)).await;
}
