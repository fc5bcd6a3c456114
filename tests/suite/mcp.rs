//! MCP servers from outside: deployed by digest, rolled back when the new pods do not answer, never
//! merged with what is somebody else's, and gone without a trace.

use serde_json::Value;
use stead_schemas::command::mcp::McpView;

use crate::stage::{Stage, check_ledger, check_ledger_after};

const NAME: &str = "outline";

/// Gives `stead` these words, expects that it ends like this, and hands on what it prints.
async fn ends(stage: &Stage, words: &[&str], exit: i32) -> String {
    let words: Vec<&str> = ["mcp"].iter().chain(words).copied().chain(["--json"]).collect();
    let told = stage.verb(&words).await;
    let text = [told.stdout, told.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert_eq!(told.status.code(), Some(exit), "{words:?}: {text}");
    text
}

async fn view(stage: &Stage) -> McpView {
    let shown = ends(stage, &["show", NAME], 0).await;
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    serde_json::from_value(shown["view"].clone()).expect("a view")
}

/// The digest that runs.
fn running(stage: &Stage) -> String {
    let there = stage.lab.inventory().kubernetes;
    let found = there.iter().find(|entry| entry.kind == "deployment" && entry.name.ends_with(NAME));
    let image = found.map(|entry| entry.image.clone()).unwrap_or_default();
    image.rsplit_once('@').map(|(_, digest)| digest.to_owned()).unwrap_or_default()
}

fn count(stage: &Stage, kind: &str) -> usize {
    stage.lab.effects().into_iter().filter(|effect| effect.kind == kind).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_deployed_by_digest_and_what_does_not_answer_is_rolled_back() {
    let mut stage = Stage::start().await;
    stage.lab.break_times("kubernetes", "lost-response", 2).expect("a fault");
    stage.lab.break_("kubernetes", "rollout-stuck").expect("a fault");
    let first = stage.lab.push_image(NAME, "latest", true);
    let from = stage.events.count();
    ends(&stage, &["deploy", NAME], 0).await;
    let waits = |seen: &crate::stage::Seen| seen.scheduled() == Some("kubernetes.await-rollout");
    stage.events.first("the rollout is waited for", from, waits).await;
    stage.kill_worker();
    stage.kill_engine(0);
    stage.lab.mend();
    stage.start_engine(0);
    stage.start_worker();
    // Whoever gives it once more waits behind the first, and changes nothing.
    ends(&stage, &["deploy", NAME, "--wait"], 0).await;
    assert_eq!(running(&stage), first);
    let made = ["deployment-created", "service-created", "configmap-created", "deployment-changed"];
    assert_eq!(made.map(|kind| count(&stage, kind)), [1, 1, 1, 0]);
    check_ledger(&stage).await;

    // A tag that moves changes nothing until somebody deploys; and what crashes does not stay.
    stage.lab.push_image(NAME, "latest", false);
    assert_eq!(running(&stage), first);
    let failed = ends(&stage, &["deploy", NAME, "--wait"], 1).await;
    assert!(failed.contains("CrashLoopBackOff"), "{failed}");
    assert_eq!(running(&stage), first);
    let now = view(&stage).await;
    assert_eq!((now.phase.word(), now.releases.len()), ("rejected", 1));
    assert!(now.active.is_some_and(|image| image.ends_with(&first)));

    let second = stage.lab.push_image(NAME, "latest", true);
    ends(&stage, &["deploy", NAME, "--wait"], 0).await;
    assert_eq!(running(&stage), second);
    let shown = stage.verb(&["mcp", "show", NAME]).await;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    for words in ["mcp-servers", "runs", "ran", &second, &first[..19]] {
        assert!(shown.contains(words), "{words}\n{shown}");
    }
    ends(&stage, &["rollback", NAME, "--wait"], 0).await;
    assert_eq!(running(&stage), first);
    check_ledger(&stage).await;
    ends(&stage, &["remove", NAME, "--wait"], 0).await;
    assert!(stage.lab.inventory().kubernetes.is_empty());
    for (path, text) in stage.said() {
        for secret in stage.lab.secrets() {
            assert!(!text.contains(&secret), "a secret is in {}", path.display());
        }
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_have_made_or_set_is_left_as_it_is() {
    let stage = Stage::start().await;
    stage.lab.strange("service", "git");
    let failed = ends(&stage, &["deploy", "git", "--take-over", "--wait"], 1).await;
    assert!(failed.contains("no mark of ours"), "{failed}");
    assert_eq!(count(&stage, "deployment-created"), 0);
    ends(&stage, &["deploy", NAME, "--wait"], 0).await;
    assert!(stage.lab.scale(NAME, 5));
    let failed = ends(&stage, &["deploy", NAME, "--wait"], 1).await;
    assert!(failed.contains(".spec.replicas (kubectl)"), "{failed}");
    assert_eq!(count(&stage, "deployment-changed"), 0, "nothing had to be undone");
    ends(&stage, &["deploy", NAME, "--take-over", "--wait"], 0).await;
    assert_eq!(count(&stage, "deployment-changed"), 1);
    let refused = ends(&stage, &["deploy", "none"], 3).await;
    assert!(refused.contains("appflowy, git, outline, s3, splunk"), "{refused}");
    for name in [NAME, "git"] {
        ends(&stage, &["remove", name, "--wait"], 0).await;
    }
    assert!(stage.lab.inventory().is_empty());
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_fails_at_a_server_the_ledger_says_what_is_there() {
    let stage = Stage::start().await;
    let carry_out = async |verb: &str, name: &str| {
        let words = ["mcp", verb, name, "--wait"];
        stage.verb(&words).await.status.success()
    };
    let faults = stage.lab.faults();
    for fault in faults.iter().filter(|fault| fault.vendor == "kubernetes") {
        // Whoever waits for it to be mended waits in the first story.
        if fault.name == "rollout-stuck" {
            continue;
        }
        let story = format!("kubernetes {}", fault.name);
        // The stranger's stays, and keeps its name.
        let name = if fault.name == "stranger-appears" { "s3" } else { "splunk" };
        let fails = ["image-pull-failed", "rollout-failed", "stranger-appears", "unauthorized"];
        stage.lab.break_times("kubernetes", &fault.name, 1).expect("a fault");
        let made = carry_out("deploy", name).await;
        stage.lab.mend();
        assert_eq!(made, !fails.contains(&fault.name.as_str()), "{story}");
        check_ledger_after(&stage, &format!("{story}: deploy")).await;
        stage.lab.break_times("kubernetes", &fault.name, 1).expect("a fault");
        assert!(carry_out("remove", name).await, "{story}");
        stage.lab.mend();
        check_ledger_after(&stage, &format!("{story}: remove")).await;
        assert!(stage.lab.inventory().is_empty(), "{story}: {:#?}", stage.lab.inventory());
    }
    stage.finish().await;
}
