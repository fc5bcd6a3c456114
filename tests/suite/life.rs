//! One life of a workspace, and two workspaces that share a home.

use serde_json::json;

use crate::stage::{Stage, check_gone, check_whole};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_lives_and_leaves_nothing_behind() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    john.carry_out("create", json!({ "cpu_cores": 4, "memory_gb": 8 })).await;
    check_whole(&stage.lab, "john");
    john.carry_out("resize", json!({ "cpu_cores": 8, "storage_quota_gb": 80 })).await;
    let inventory = stage.lab.inventory();
    assert_eq!((inventory.vms[0].cores, inventory.vms[0].memory_mib), (8, 8 * 1024));
    assert_eq!(inventory.datasets[0].refquota_bytes, 80 << 30);
    john.carry_out("stop", json!({})).await;
    assert_eq!(stage.lab.inventory().vms[0].status, "stopped");
    john.carry_out("start", json!({})).await;
    check_whole(&stage.lab, "john");
    john.carry_out("restart", json!({})).await;
    check_whole(&stage.lab, "john");
    john.carry_out("delete", json!({})).await;
    check_gone(&stage.lab, "john");
    assert!(stage.lab.inventory().is_empty(), "{:#?}", stage.lab.inventory());
    stage.finish().await;
}
