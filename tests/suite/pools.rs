//! A pool on real processes: it fills, a create takes a machine of it, it is filled again, and one
//! that is taken out of the configuration while no engine runs goes.

use std::collections::BTreeSet;

use serde_json::json;

use crate::metrics::{page, sum};
use crate::stage::{Setting, Stage, check_ledger_after, free_addresses, until};

pub const POOL: &str = "\n[[pool]]\nname = \"debian\"\ntemplate = \"debian-12\"\nready = 2\n";

/// The numbers of the machines that are there.
fn machines(stage: &Stage) -> BTreeSet<u32> {
    stage.lab.inventory().vms.iter().map(|vm| vm.vmid).collect()
}

/// Waits until the pool has so many, of `machines` in all.
async fn until_filled(stage: &Stage, ready: &str, there: usize) {
    until(&format!("the pool has {ready}, and {there} machines are there"), || async {
        let listed = stage.verb(&["pool", "list"]).await;
        let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
        (listed.contains(ready) && machines(stage).len() == there).then_some(())
    })
    .await;
}

/// Waits until metrics say so much of the pool.
async fn until_counted(stage: &Stage, ready: f64, wanted: f64) {
    let engine = stage.metrics()[0];
    until(&format!("{ready} of {wanted} machines are counted"), || async {
        let (_, text) = page(engine, "/metrics").await?;
        let count =
            |state| sum(&text, "stead_pool_machines", &[("pool", "debian"), ("state", state)]);
        ((count("ready"), count("wanted")) == (ready, wanted)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_takes_what_is_ready_and_a_pool_that_is_taken_out_of_the_site_goes() {
    let metrics = Some(free_addresses());
    let mut stage = Stage::with(Setting { site: POOL, metrics, ..Setting::default() }).await;
    until_filled(&stage, "2 of 2", 2).await;
    until_counted(&stage, 2.0, 2.0).await;
    let spares = machines(&stage);
    assert!(stage.lab.inventory().vms.iter().all(|vm| vm.status == "stopped"));

    let john = stage.desk("john").await;
    let run = john.carry_out("create", json!({})).await.run;
    let view = john.view(&run).await.view;
    let vmid = u32::try_from(view["vmid"].as_u64().expect("a number")).expect("a small one");
    assert!(spares.contains(&vmid), "{vmid} is none of {spares:?}");
    until_filled(&stage, "2 of 2", 3).await;
    check_ledger_after(&stage, "a machine that was claimed").await;
    john.carry_out("delete", json!({ "now": true })).await;
    until_filled(&stage, "2 of 2", 2).await;

    stage.kill_engine(0);
    let site = stage.place("site.toml");
    let without = std::fs::read_to_string(&site).expect("a file").replace(POOL, "");
    std::fs::write(&site, without).expect("a file");
    stage.start_engine(0);
    until("its machines are gone", || async { machines(&stage).is_empty().then_some(()) }).await;
    stage.finish().await;
}
