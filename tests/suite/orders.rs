//! What people do to runs by hand, with the real binary: it is done, it stays in the history with
//! its reason, and it outlives the engine.

use serde_json::json;
use stead_schemas::event::{Event, Outcome};
use stead_schemas::ids::RunId;
use stead_schemas::public::RunState;

use crate::stage::{Desk, Stage, check_gone, check_whole, until};

/// A create that waits for Vault, which is sealed.
async fn stuck_create(stage: &Stage, john: &Desk) -> stead_schemas::dispatch::Accepted {
    stage.lab.break_("vault", "sealed").expect("a fault");
    let accepted = john.order("create", json!({})).await;
    waits_because(john, &accepted.run, "retrying").await;
    accepted
}

async fn waits_because(john: &Desk, run: &RunId, reason: &str) {
    until(&format!("{run} waits because of {reason}"), || async {
        let view = john.view(run).await;
        view.waiting.iter().any(|waiting| waiting.reason == reason).then_some(())
    })
    .await;
}

async fn says(stage: &Stage, words: &[&str], expected: &str) {
    let told = stage.verb(words).await;
    let said =
        String::from_utf8_lossy(&told.stdout).into_owned() + &String::from_utf8_lossy(&told.stderr);
    assert!(said.contains(expected), "{words:?}: {said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paused_create_outlives_its_engine_and_is_carried_out_once_it_is_resumed() {
    let mut stage = Stage::start().await;
    let john = stage.desk("john").await;
    let accepted = stuck_create(&stage, &john).await;
    let run = accepted.run.as_str();
    says(&stage, &["run", "why", run], "tries now").await;
    says(&stage, &["run", "resume", run, "--why=x"], "[run.not-paused]").await;
    says(&stage, &["run", "pause", run, "--why=Vault is rebuilt"], "is in its history").await;
    says(&stage, &["run", "pause", run, "--why=x"], "[run.paused-already]").await;
    stage.lab.mend();
    stage.kill_engine(0);
    stage.start_engine(0);
    waits_because(&john, &accepted.run, "paused").await;
    says(&stage, &["run", "why", run], "it is paused: Vault is rebuilt").await;
    says(&stage, &["run", "list"], "paused").await;
    says(&stage, &["run", "retry", run, "--why=Vault is back"], "is in its history").await;
    let outcome = john.outcome(&accepted).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    check_whole(&stage.lab, "john");
    let history = john.history(&accepted.run).await.expect("a history");
    let resumed = history.iter().flat_map(|one| &one.events).find_map(|event| match event {
        Event::RunResumed(resumed) => Some(resumed.order.why.clone()),
        _ => None,
    });
    assert_eq!(resumed.as_deref(), Some("Vault is back"));
    says(&stage, &["replay", run], "decides the same at each of them").await;
    rehearse(&stage, run).await;
    stage.finish().await;
}

/// Every run that lives is decided again, and one that this build would not go on with is named.
async fn rehearse(stage: &Stage, run: &str) {
    says(stage, &["replay", "--all"], "decides the same in 3 runs").await;
    let told = stage.verb(&["run", "history", run, "--json"]).await;
    let history = String::from_utf8(told.stdout).expect("text");
    let folder = tempfile::tempdir().expect("a folder");
    let other = history.replace("vault.pin-secrets", "vault.pin-others");
    assert_ne!(other, history);
    std::fs::write(folder.path().join("other.jsonl"), other).expect("it is ours");
    let golden = folder.path().to_str().expect("a path");
    let words = ["replay", "--all", "--golden", golden];
    says(stage, &words, "decides otherwise at transition 1").await;
    says(stage, &words, "the history has").await;
    says(stage, &words, "would not go on with 1 run of 4").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminated_create_frees_its_name_and_says_what_it_leaves() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    let accepted = stuck_create(&stage, &john).await;
    let run = accepted.run.as_str();
    says(&stage, &["run", "terminate", run, "--why=x", "--dry-run"], "vault.pin-secrets").await;
    assert_eq!(john.view(&accepted.run).await.summary.state, RunState::Running);
    says(&stage, &["run", "terminate", run, "--why=the wrong site"], "is in its history").await;
    let Outcome::Failed(failure) = john.outcome(&accepted).await else {
        panic!("a terminated create is done");
    };
    assert!(failure.words.contains("terminated"), "{failure}");
    let view = john.view(&accepted.run).await;
    assert_eq!(view.summary.state, RunState::Terminated);
    assert_eq!(view.left[0].why, "step under way");
    says(&stage, &["run", "signal", run, "go", "--why=x"], "[run.over]").await;
    stage.lab.mend();
    check_gone(&stage.lab, "john");
    john.carry_out("create", json!({})).await;
    check_whole(&stage.lab, "john");
    stage.finish().await;
}
