//! What is really there, beside the ledger: each kind of drift is found, and nothing else is.

use serde_json::{Value, json};

use crate::stage::Stage;

/// Gives `stead drift` these words and reads what it prints.
async fn drift(stage: &Stage, words: &[&str]) -> Value {
    let words: Vec<&str> = ["drift"].iter().chain(words).chain(&["--json"]).copied().collect();
    let told = stage.verb(&words).await;
    let said = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{words:?}: {said}");
    serde_json::from_slice(&told.stdout).expect("JSON")
}

/// What was found: the kind of drift, and with what.
fn told(scan: &Value) -> Vec<(&str, String)> {
    let findings = scan["findings"].as_array().expect("findings").iter();
    let text = |finding: &'_ Value, field: &str| finding[field].as_str().unwrap_or("").to_owned();
    findings
        .map(|finding| {
            let drift = finding["drift"].as_str().expect("a word");
            let path = ["system", "kind", "id"].map(|field| text(finding, field)).join("/");
            (drift, path)
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_drift_is_found_and_nothing_else() {
    let stage = Stage::start().await;
    let (john, mary) = (stage.desk("john").await, stage.desk("mary").await);
    john.carry_out("create", json!({})).await;
    mary.carry_out("create", json!({})).await;
    let clean = drift(&stage, &["scan"]).await;
    assert_eq!(told(&clean), [], "{clean:#}");
    assert_eq!(clean["things"], 8, "{clean:#}");

    // A stranger's machine takes the number of mary's next one.
    stage.lab.break_times("proxmox", "vmid-taken", 1).expect("a fault");
    mary.carry_out("rebuild", json!({})).await;
    assert!(stage.lab.lose_machine(10_000), "john's machine was there");
    assert!(stage.lab.mark_dataset("tank/coder-home/john", "somebody-else"));
    // Mary's Coder workspace is given up.
    stage.lab.break_("coder", "unauthorized").expect("a fault");
    let deleted = mary.order("delete", json!({})).await;
    crate::abandon::abandon(&stage, &mary, &deleted.run, "coder.delete-workspace").await;
    mary.outcome(&deleted).await;
    stage.lab.mend();

    let scan = drift(&stage, &["scan"]).await;
    let expected = [
        ("missing", "proxmox/machine/10000".to_owned()),
        ("changed", "truenas/dataset/tank/coder-home/john".to_owned()),
        ("stranger", "proxmox/machine/10002".to_owned()),
        ("orphan", "coder/workspace/mary/dev".to_owned()),
    ];
    assert_eq!(told(&scan), expected, "{scan:#}");
    // It follows from the log alone, whenever it is asked for.
    john.ask("probe", "start", json!({ "name": "later" })).await.expect("it is let in");
    assert_eq!(drift(&stage, &["list"]).await, scan);
    let shown = drift(&stage, &["show", "coder/workspace/mary/dev"]).await;
    assert_eq!(shown["held"]["standing"], "left", "{shown:#}");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_under_way_while_somebody_looks_is_no_drift() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    for verb in ["create", "rebuild", "delete"] {
        stage.slow_down(crate::stage::CALL);
        let accepted = john.order(verb, json!({})).await;
        let over = tokio::spawn({
            let john = john.clone();
            async move { john.outcome(&accepted).await }
        });
        while !over.is_finished() {
            let scan = drift(&stage, &["scan"]).await;
            assert_eq!(told(&scan), [], "{verb}: {scan:#}");
        }
        over.await.expect("it ends");
        stage.lab.mend();
    }
    stage.finish().await;
}
