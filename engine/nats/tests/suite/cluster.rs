//! Three servers that keep three copies: the same promises.

use stead_nats::testing::{NatsCluster, NatsServer};
use stead_nats::{
    ConnectSettings, Connection, NatsArchive, NatsLeases, NatsLog, Platform, PlatformSettings,
    connect, open_platform,
};
use stead_runtime::conformance::{
    check_archive, check_bus, check_epochs, check_expiry, check_inboxes, check_leases, check_link,
    check_log,
};
use stead_schemas::ids::Partition;

use super::ends::OnServers;
use super::proxy::Proxy;
use super::support::PARTITIONS;

/// Sets a platform up that keeps three copies.
pub async fn platform(connection: &Connection) -> Platform {
    let settings = PlatformSettings { partitions: Some(PARTITIONS), replicas: 3 };
    open_platform(connection, settings).await.expect("a platform")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_keeps_its_promises() {
    let cluster = NatsCluster::start().await;
    let proxy = Proxy::start(&cluster.servers[0]).await;
    let settings = ConnectSettings::new(proxy.url(), "test");
    let connection = connect(&settings).await.expect("a connection");
    let log = NatsLog::new(&platform(&connection).await);
    check_log(&log, PARTITIONS, &proxy).await;
    assert!(proxy.lost() >= 3, "{} acknowledgements were lost", proxy.lost());
    check_epochs(&log, &log, PARTITIONS).await;
    let archive = NatsArchive::new(&platform(&connection).await).expiring(true);
    check_archive(&archive).await;
    check_expiry(&archive).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leases_keep_their_promises() {
    let cluster = NatsCluster::start().await;
    let connection = cluster.connect().await;
    check_leases(&NatsLeases::new(&platform(&connection).await), Partition(0)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bus_inboxes_and_link_keep_their_promises_from_server_to_server() {
    let cluster = NatsCluster::start().await;
    let ends = OnServers::new(cluster.servers.iter().map(NatsServer::url).collect());
    check_bus(&ends, PARTITIONS).await;
    check_inboxes(&ends, PARTITIONS).await;
    check_link(&ends, PARTITIONS).await;
}
