//! The conformance suite on a real server.

use stead_nats::testing::NatsServer;
use stead_nats::{
    ConnectSettings, Connection, NatsLeases, NatsLog, Platform, PlatformSettings, connect,
    open_platform,
};
use stead_runtime::conformance::{check_leases, check_log};
use stead_schemas::ids::Partition;

use super::proxy::Proxy;

const PARTITIONS: u16 = 4;

async fn platform(connection: &Connection) -> Platform {
    let settings = PlatformSettings { partitions: Some(PARTITIONS), replicas: 1 };
    open_platform(connection, settings).await.expect("a platform")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_keeps_its_promises() {
    let server = NatsServer::start().await;
    let proxy = Proxy::start(&server).await;
    let connection =
        connect(&ConnectSettings::new(proxy.url(), "test")).await.expect("a connection");
    let log = NatsLog::new(&platform(&connection).await);
    check_log(&log, PARTITIONS, &proxy).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leases_keep_their_promises() {
    let server = NatsServer::start().await;
    let connection = server.connect().await;
    check_leases(&NatsLeases::new(&platform(&connection).await), Partition(0)).await;
}
