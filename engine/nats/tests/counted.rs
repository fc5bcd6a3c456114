//! What the adapters count on a real nats-server. Counters without labels are looked up once in a process,
//! wherever they are shown: so this is a process of its own, with one test.

mod suite {
    #[expect(dead_code, reason = "the suite needs all of it")]
    pub mod proxy;
    #[expect(dead_code, reason = "the suite needs all of it")]
    pub mod support;
}

use futures_util::future::join_all;
use serde_json::json;
use stead_nats::door::run_inbox;
use stead_nats::{ConnectSettings, NatsLog, SteadClient, connect};
use stead_runtime::conformance::LosesAcknowledgements;
use stead_runtime::conformance::log::{append_of, fresh_run, fresh_run_in};
use stead_runtime::metric::kept::Kept;
use stead_runtime::ports::{AppendError, EventLog};
use stead_schemas::ids::Partition;
use tokio::sync::watch;

use suite::proxy::Proxy;
use suite::support::{Owned, PARTITIONS, World, catalogue, fields, john, platform, soon, until};

/// The sum of the counters of this name.
fn count(kept: &Kept, name: &str) -> u64 {
    kept.counts(name).iter().sum()
}

async fn a_command_that_waits_is_counted_with_its_age(kept: &Kept, world: &World) {
    let (shutdown, shut) = watch::channel(false);
    let (connection, platform) = (world.connection.clone(), world.platform.clone());
    let door = tokio::spawn(async move {
        run_inbox(&connection, &platform, catalogue(), shut).await;
    });
    let client = SteadClient::new(&world.platform);
    let command = fields(json!({ "name": "a" }));
    let given = client.publish_command(&john(), "workspace", "create", &command).await;
    given.expect("the inbox takes it");
    // Nobody owns any partition.
    until("it is counted as one that waits", || async {
        kept.of("stead_inbox_waiting") >= 1.0 && kept.of("stead_inbox_oldest_seconds") > 1.0
    })
    .await;
    assert_eq!(kept.of("stead_inbox_waiting").to_string(), "1");
    let _owned = Owned::all(&world.connection).await;
    until("it is counted no more, but for how long it took", || async {
        kept.of("stead_inbox_waiting") < 1.0
            && kept.of("stead_inbox_oldest_seconds") < 0.001
            && kept.of("stead_inbox_seconds") > 1.0
    })
    .await;
    shutdown.send_replace(true);
    soon("the door shuts", door).await.expect("no panic");
}

async fn appends_are_counted_by_what_becomes_of_them(kept: &Kept, world: &World) {
    let log = NatsLog::new(&world.platform);
    let run = fresh_run();
    log.append(append_of(&run, PARTITIONS, 0, "a")).await.expect("a new history");
    assert_eq!(count(kept, "stead_append_conflicts_total"), 0);
    let lost = log.append(append_of(&run, PARTITIONS, 0, "b")).await;
    assert_eq!(lost, Err(AppendError::Conflict));
    assert_eq!(count(kept, "stead_append_conflicts_total"), 1);

    let runs: Vec<_> = (0..1_000).map(|_| fresh_run_in(Partition(1), PARTITIONS)).collect();
    let appends = runs.iter().map(|run| log.append(append_of(run, PARTITIONS, 0, "a")));
    assert!(join_all(appends).await.iter().all(Result::is_ok));
    assert!(count(kept, "stead_appends_together_total") > 0);
    assert!(kept.of("stead_append_seconds") > 0.0);
}

async fn an_acknowledgement_that_is_lost_is_counted_with_the_connection(
    kept: &Kept,
    world: &World,
) {
    let proxy = Proxy::start(&world.server).await;
    let connection = connect(&ConnectSettings::new(proxy.url(), "test")).await;
    let log = NatsLog::new(&platform(&connection.expect("a connection")).await);
    let settled = count(kept, "stead_append_settled_by_reading_total");
    proxy.lose_next().await;
    log.append(append_of(&fresh_run(), PARTITIONS, 0, "a")).await.expect("it is kept");
    assert_eq!(count(kept, "stead_append_settled_by_reading_total"), settled + 1);
    let both = ["stead_nats_disconnects_total", "stead_nats_connects_total"];
    let [disconnects, connects] = both.map(|name| count(kept, name));
    proxy.cut_after(1);
    log.append(append_of(&fresh_run(), PARTITIONS, 0, "a")).await.expect("it is kept");
    until("the connection that broke is counted, and the next one", || async {
        count(kept, both[0]) > disconnects && count(kept, both[1]) > connects
    })
    .await;
}

async fn what_nobody_can_read_is_counted(kept: &Kept, world: &World) {
    let _owned = Owned::of(&world.connection, &[Partition(2)]).await;
    assert_eq!(count(kept, "stead_inbound_unreadable_total"), 0);
    world.nats.publish("stead.part.2.whatever", "{".into()).await.expect("it is sent");
    until("it is counted", || async { count(kept, "stead_inbound_unreadable_total") == 1 }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_commands_appends_and_connections_is_counted() {
    let kept = Kept::of_this_process();
    let world = World::new().await;
    what_nobody_can_read_is_counted(&kept, &world).await;
    a_command_that_waits_is_counted_with_its_age(&kept, &world).await;
    appends_are_counted_by_what_becomes_of_them(&kept, &world).await;
    an_acknowledgement_that_is_lost_is_counted_with_the_connection(&kept, &world).await;
}
