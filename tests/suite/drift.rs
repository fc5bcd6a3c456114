//! What is really there, beside the ledger: each kind of drift is found, and nothing else is.

use serde_json::{Value, json};
use stead_schemas::event::Outcome;
use stead_schemas::ids::EntityKey;

use crate::metrics::until_said;
use crate::stage::{Desk, Setting, Stage, free_addresses};

mod made;

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
    // A bucket that is nobody's business here is among them.
    assert_eq!(clean["things"], 9, "{clean:#}");

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

/// Decides about a finding, and says how that went.
async fn decide(stage: &Stage, verb: &str, resource: &str, more: &[&str]) -> Result<Value, String> {
    let words = ["drift", verb, resource, "--why=a test", "--json"];
    let words: Vec<&str> = words.iter().chain(more).copied().collect();
    let told = stage.verb(&words).await;
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    match told.status.success() {
        true => Ok(serde_json::from_slice(&told.stdout).expect("JSON")),
        false => Err(said),
    }
}

async fn decided(stage: &Stage, verb: &str, resource: &str) -> String {
    let told = decide(stage, verb, resource, &[]).await;
    let told = told.unwrap_or_else(|said| panic!("{verb} {resource}: {said}"));
    told["decided"].as_str().expect("a word").to_owned()
}

const JOHN: &str = "truenas/dataset/tank/coder-home/john";
const MARY: &str = "truenas/dataset/tank/coder-home/mary";

/// What there is and what the ledger says part in four ways.
async fn part(stage: &Stage, john: &Desk, mary: &Desk) {
    john.carry_out("create", json!({})).await;
    let bucket = john.ask("bucket", "create", json!({ "name": "data" })).await;
    john.outcome(&bucket.expect("it is let in")).await;
    mary.carry_out("create", json!({})).await;
    // A stranger's machine takes the number of mary's next one.
    stage.lab.break_times("proxmox", "vmid-taken", 1).expect("a fault");
    mary.carry_out("rebuild", json!({})).await;
    // Her home is ended by hand, and only then her workspace is deleted.
    end_home(stage, mary).await;
    drift(stage, &["scan"]).await;
    let refused = decide(stage, "destroy", MARY, &[]).await.expect_err("it is mounted");
    assert!(refused.contains("workspace mary/dev lives"), "{refused}");
    mary.carry_out("delete", json!({})).await;
    assert!(stage.lab.lose_machine(10_000), "john's machine was there");
    assert!(stage.lab.limit("tank/coder-home/john", 80 << 30), "his home was there");
}

/// What makes no sense is refused in words, and so is what somebody needs.
async fn check_nonsense(stage: &Stage) {
    for (verb, resource, words) in [
        ("destroy", "proxmox/machine/10002", "adopt it first"),
        ("destroy", "proxmox/machine/10000", "for workspace john/dev"),
        ("destroy", JOHN, "for home john/home"),
        ("repair", "proxmox/machine/10002", "no entity needs it"),
        ("repair", MARY, "no run needs it any more"),
        ("adopt", "proxmox/machine/10000", "it is not there"),
        ("adopt", MARY, "it carries our mark"),
        ("ignore", "s3/bucket/nothing", "found nothing about"),
    ] {
        let refused = decide(stage, verb, resource, &[]).await.expect_err("it is refused");
        assert!(refused.contains(words), "{verb} {resource}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_finding_is_decided_and_the_next_scan_is_clean() {
    let stage = Stage::start().await;
    let (john, mary) = (stage.desk("john").await, stage.desk("mary").await);
    part(&stage, &john, &mary).await;
    let scan = drift(&stage, &["scan"]).await;
    let expected = [
        ("missing", "proxmox/machine/10000"),
        ("changed", JOHN),
        ("stranger", "proxmox/machine/10002"),
        ("orphan", MARY),
        ("orphan", "truenas/share//mnt/tank/coder-home/mary"),
    ];
    let expected = expected.map(|(drift, path)| (drift, path.to_owned()));
    assert_eq!(told(&scan), expected, "{scan:#}");
    check_nonsense(&stage).await;
    check_life_is_asked(&stage, &john).await;
    let plan = decide(&stage, "destroy", MARY, &["--dry-run"]).await.expect("a plan");
    let plan = plan["plan"].to_string();
    assert!(plan.contains("a snapshot is taken") && plan.contains("home mary/home"), "{plan}");
    assert_eq!(told(&drift(&stage, &["list"]).await), expected, "a rehearsal does nothing");

    assert_eq!(decided(&stage, "repair", "proxmox/machine/10000").await, "repaired");
    assert_eq!(decided(&stage, "repair", JOHN).await, "repaired");
    assert_eq!(decided(&stage, "ignore", "proxmox/machine/10002").await, "ignored");
    assert_eq!(decided(&stage, "destroy", MARY).await, "destroyed");
    let listed = drift(&stage, &["list"]).await;
    assert_eq!(listed["ignored"], 1, "{listed:#}");
    let shown = drift(&stage, &["show", MARY]).await;
    let (verb, why) = (&shown["decided"]["verb"], &shown["decided"]["why"]);
    assert_eq!((verb, why), (&json!("destroy"), &json!("a test")), "{shown:#}");

    let scan = drift(&stage, &["scan"]).await;
    assert_eq!(told(&scan), [], "{scan:#}");
    let all = drift(&stage, &["list", "--all"]).await;
    assert_eq!(told(&all), [("stranger", "proxmox/machine/10002".to_owned())], "{all:#}");
    // What was a stranger's is ours once somebody says so, and can go.
    assert_eq!(decided(&stage, "adopt", "proxmox/machine/10002").await, "adopted");
    assert_eq!(told(&drift(&stage, &["scan"]).await), []);
    assert_eq!(decided(&stage, "destroy", "proxmox/machine/10002").await, "destroyed");
    let all = drift(&stage, &["scan"]).await;
    assert_eq!((told(&all), &all["ignored"]), (Vec::new(), &json!(0)), "{all:#}");
    stage.finish().await;
}

/// Ends somebody's home by hand, which leaves its dataset and its share behind.
async fn end_home(stage: &Stage, desk: &Desk) {
    let ended = stage.verb(&["run", "terminate", &home_of(desk), "--why=a test"]).await;
    assert!(ended.status.success(), "{ended:?}");
}

/// The run of somebody's home.
fn home_of(desk: &Desk) -> String {
    EntityKey::of("home", &desk.owner, "home").run(1).to_string()
}

/// Whoever says that a living home's dataset is an orphan is not believed.
async fn check_life_is_asked(stage: &Stage, john: &Desk) {
    let marker = home_of(john);
    let found = json!({
        "drift": "orphan", "system": "truenas", "kind": "dataset", "id": "tank/coder-home/john",
        "marker": marker,
        "holder": { "kind": "home", "owner": "john", "name": "home", "marker": marker },
    });
    let platform = stage.desk("stead").await;
    let order = json!({ "name": "decisions", "why": "a test", "found": found });
    let accepted = platform.ask("drift", "destroy", order).await.expect("it is let in");
    let outcome = platform.outcome(&accepted).await;
    let Outcome::Failed(failure) = outcome else { panic!("{outcome:?}") };
    assert!(failure.words.contains("home john/home lives"), "{failure}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_run_wants_is_counted_until_somebody_decides() {
    let addresses = free_addresses();
    let stage = Stage::with(Setting { metrics: Some(addresses), ..Setting::default() }).await;
    let mary = stage.desk("mary").await;
    mary.carry_out("create", json!({})).await;
    end_home(&stage, &mary).await;
    mary.carry_out("delete", json!({})).await;
    let counted = |number: u32| format!("stead_orphans{{kind=\"truenas/share\"}} {number}\n");
    until_said(addresses[0], "/metrics", 200, &counted(0)).await;
    drift(&stage, &["scan"]).await;
    until_said(addresses[0], "/metrics", 200, &counted(1)).await;
    let share = "truenas/share//mnt/tank/coder-home/mary";
    assert_eq!(decided(&stage, "ignore", share).await, "ignored");
    until_said(addresses[0], "/metrics", 200, &counted(0)).await;
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
