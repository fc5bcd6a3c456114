//! One life of a workspace, and two workspaces that share a home.

use serde_json::json;

use crate::stage::{
    Belongings, Stage, Wire, belongings, check_gone, check_whole, effects, until, within,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_lives_and_leaves_nothing_behind() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    let created = john.carry_out("create", json!({ "cpu_cores": 4, "memory_gb": 8 })).await;
    check_whole(&stage.lab, "john");
    assert!(john.view(&created.run).await.view["address"].is_string(), "the guest has said it");
    john.carry_out("resize", json!({ "cpu_cores": 8, "storage_quota_gb": 80 })).await;
    let inventory = stage.lab.inventory();
    assert_eq!((inventory.vms[0].cores, inventory.vms[0].memory_mib), (8, 8 * 1024));
    assert_eq!(inventory.datasets[0].refquota_bytes, 80 << 30);
    john.carry_out("stop", json!({})).await;
    assert_eq!(stage.lab.inventory().vms[0].status, "stopped");
    assert!(john.view(&created.run).await.view["address"].is_null(), "it may have another next");
    john.carry_out("start", json!({})).await;
    check_whole(&stage.lab, "john");
    john.carry_out("restart", json!({})).await;
    check_whole(&stage.lab, "john");
    john.carry_out("delete", json!({})).await;
    check_gone(&stage.lab, "john");
    assert!(stage.lab.inventory().is_empty(), "{:#?}", stage.lab.inventory());
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_far_the_guest_is_shows_while_it_boots() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    stage.lab.break_("guest", "home-never-mounts").expect("a fault");
    let created = john.order("create", json!({})).await;
    until("the stage of its boot shows", || async {
        let waiting = john.view(&created.run).await.waiting;
        let shows = |words: &str| words.contains("so far: cloud-init: modules-final");
        waiting.iter().any(|waiting| shows(&waiting.words)).then_some(())
    })
    .await;
    stage.lab.mend();
    john.outcome(&created).await;
    check_whole(&stage.lab, "john");
    john.carry_out("delete", json!({})).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_published_while_no_engine_runs_is_carried_out_later() {
    let mut stage = Stage::start().await;
    let _john = stage.desk("john").await;
    stage.stop_engine(0).await;
    let mut wire = Wire::connect(stage.nats.port()).await;
    for (verb, body) in [
        ("create", json!({ "name": "dev", "cpu_cores": 2 })),
        ("stop", json!({ "name": "dev" })),
        ("resize", json!({ "name": "dev", "cpu_cores": 6 })),
        ("start", json!({ "name": "dev" })),
    ] {
        let subject = format!("stead.cmd.john.workspace.{verb}");
        wire.publish(&subject, body.to_string().as_bytes()).await;
    }
    until("the inbox keeps them", || async {
        (stage.streams().await.count("STEAD_INBOX").await == 4).then_some(())
    })
    .await;
    stage.start_engine(0);
    let six = |inventory: &stead_lab::Inventory| {
        inventory.vms.iter().any(|vm| vm.cores == 6 && vm.guest_stage == "agent-ready")
    };
    within("the commands are carried out in order", stage.lab.until(six)).await;
    check_whole(&stage.lab, "john");
    wire.publish("stead.cmd.john.workspace.delete", br#"{"name":"dev"}"#).await;
    within("it is deleted", stage.lab.until(stead_lab::Inventory::is_empty)).await;
    until("the inbox is empty", || async {
        (stage.streams().await.count("STEAD_INBOX").await == 0).then_some(())
    })
    .await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workspaces_of_one_owner_share_a_home() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    john.carry_out("create", json!({ "name": "one" })).await;
    john.carry_out("create", json!({ "name": "two" })).await;
    let have =
        |vms, homes| Belongings { vms, datasets: homes, shares: homes, coder_workspaces: vms };
    assert_eq!(belongings(&stage.lab.inventory(), "john"), have(2, 1));
    john.carry_out("delete", json!({ "name": "one" })).await;
    assert_eq!(belongings(&stage.lab.inventory(), "john"), have(1, 1));
    let inventory = stage.lab.inventory();
    assert_eq!(inventory.vms[0].guest_stage, "agent-ready", "{inventory:#?}");
    assert_eq!(effects::count(&stage.lab.effects(), "dataset-created"), 1);
    assert_eq!(effects::count(&stage.lab.effects(), "snapshot-created"), 0);
    john.carry_out("delete", json!({ "name": "two" })).await;
    check_gone(&stage.lab, "john");
    stage.finish().await;
}
