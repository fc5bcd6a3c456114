//! Three servers, each of which keeps every message: whichever of them dies, commands are carried
//! out, and the doctor says which one is away.

use serde_json::{Value, json};

use crate::stage::effects::count;
use crate::stage::{Setting, Stage, check_gone, check_whole, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_is_made_and_taken_away_while_servers_die() {
    let mut stage = Stage::with(Setting { replicas: 3, ..Setting::default() }).await;
    let john = stage.desk("john").await;
    john.carry_out("create", json!({})).await;
    check_whole(&stage.lab, "john");
    assert_eq!(said_of_copies(&stage).await, ["ok: each message is on 3 servers"]);
    stage.others[0].kill9();
    john.carry_out("stop", json!({})).await;
    john.carry_out("start", json!({})).await;
    check_whole(&stage.lab, "john");
    until("the doctor says of each stream which server is away", || async {
        let said = said_of_copies(&stage).await;
        let away = "warning: is away or behind on two";
        (said.len() > 7 && said.iter().filter(|said| *said != away).count() == 1).then_some(())
    })
    .await;
    stage.others[0].restart().await;
    until("the server has caught up", || async {
        (said_of_copies(&stage).await.len() == 1).then_some(())
    })
    .await;
    // What was written meanwhile is on it now, or nothing more could be written.
    stage.others[1].kill9();
    john.carry_out("delete", json!({})).await;
    check_gone(&stage.lab, "john");
    let effects = stage.lab.effects();
    let done = ["vm-cloned", "vm-started", "vm-stopped", "vm-destroyed", "dataset-destroyed"];
    assert_eq!(done.map(|kind| count(&effects, kind)), [1, 2, 2, 1, 1], "{effects:#?}");
    stage.finish().await;
}

/// What the doctor says of streams and their copies, where it says anything.
async fn said_of_copies(stage: &Stage) -> Vec<String> {
    let found = stage.verb(&["doctor", "--json"]).await;
    let found: Vec<Value> = serde_json::from_slice(&found.stdout).expect("findings");
    let is_meant = |check: &str| check == "replicas" || check.starts_with("stream ");
    let word = |finding: &Value, field: &str| finding[field].as_str().expect("a word").to_owned();
    let all = found.iter().filter(|finding| is_meant(&word(finding, "check")));
    all.map(|it| format!("{}: {}", word(it, "verdict"), word(it, "words"))).collect()
}
