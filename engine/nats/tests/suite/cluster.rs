//! Three servers that keep three copies: the same promises, also when one of them dies.

use stead_nats::testing::{NatsCluster, NatsServer};
use stead_nats::{
    ConnectSettings, Connection, NatsArchive, NatsLeases, NatsLog, Platform, PlatformSettings,
    connect, open_platform,
};
use stead_runtime::conformance::log::{append_of, fresh_run, texts};
use stead_runtime::conformance::{
    check_archive, check_bus, check_epochs, check_expiry, check_inboxes, check_leases, check_link,
    check_log,
};
use stead_runtime::ports::EventLog;
use stead_schemas::ids::Partition;

use super::ends::OnServers;
use super::proxy::Proxy;
use super::support::{PARTITIONS, soon};

async fn platform(connection: &Connection) -> Platform {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_go_on_when_a_server_dies() {
    let mut cluster = NatsCluster::start().await;
    let connection = cluster.connect().await;
    let log = NatsLog::new(&platform(&connection).await);
    let mut runs: Vec<_> = (0..8).map(|_| (fresh_run(), 0)).collect();
    for round in 0..40 {
        // Each of the three dies once and comes back.
        if round % 10 == 5 && round < 30 {
            cluster.servers[round / 10].kill9();
        }
        if round % 10 == 9 && round < 30 {
            cluster.servers[round / 10].restart().await;
        }
        for (run, last) in &mut runs {
            let append = append_of(run, PARTITIONS, *last, &round.to_string());
            *last = soon("an append", log.append(append)).await.expect("nobody else writes");
        }
    }
    let wanted: Vec<String> = (0..40).map(|round| round.to_string()).collect();
    for (run, _) in &runs {
        assert_eq!(texts(&log, run).await, wanted);
    }
}
