//! A token from outside: made by the real binary, given to Forgejo, proved there, made anew while
//! processes are killed, put back where it cannot be proved, and gone without a trace.

use serde_json::{Value, json};
use stead_schemas::command::token::TokenView;

use crate::metrics::{page, sum};
use crate::stage::{Seen, Setting, Stage, check_ledger, check_ledger_after, free_addresses, until};

const OWNER: &str = "--owner=john";
const REPOSITORY: &str = "john/templates";
const SECRET: &str = "CODER_SESSION_TOKEN";

/// Gives `stead` these words and reads what it prints.
async fn told(stage: &Stage, words: &[&str]) -> (i32, Value) {
    let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
    let told = stage.verb(&words).await;
    let text = if told.stdout.is_empty() { &told.stderr } else { &told.stdout };
    let text = String::from_utf8_lossy(text);
    let last = text.lines().rev().find_map(|line| serde_json::from_str(line).ok());
    let whole = serde_json::from_str(&text).ok();
    let read: Value = whole.or(last).unwrap_or_else(|| panic!("{words:?}: {text}"));
    (told.status.code().expect("it ended by itself"), read)
}

/// What CI would be given now.
fn given(stage: &Stage) -> String {
    stage.lab.forgejo_secret(REPOSITORY, SECRET).expect("a secret")
}

async fn view(stage: &Stage) -> TokenView {
    let (exit, shown) = told(stage, &["token", "status", "ci", OWNER]).await;
    assert_eq!(exit, 0, "{shown}");
    serde_json::from_value(shown["view"].clone()).expect("a view")
}

/// Waits until an alarm knows that the token ends in so many days.
async fn until_days_left(stage: &Stage, fits: impl Fn(f64) -> bool) {
    let engine = stage.metrics()[0];
    until("an alarm knows how many days the token has left", || async {
        let (_, text) = page(engine, "/metrics").await?;
        fits(sum(&text, "stead_token_days_left", &[])).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_made_anew_proved_and_taken_away_while_processes_are_killed() {
    let metrics = Some(free_addresses());
    let mut stage = Stage::with(Setting { metrics, ..Setting::default() }).await;
    stage.desk("john").await;
    let create = ["token", "create", "ci", OWNER, "--repository=templates", "--wait"];
    let (exit, made) = told(&stage, &create).await;
    assert_eq!(exit, 0, "{made}");
    let first = given(&stage);
    assert_eq!(stage.lab.coder_user_of(&first).as_deref(), Some("john"));
    let shown = stage.verb(&["token", "status", "ci", OWNER]).await;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.starts_with("expires in 6 d 23 h; next rotation "), "{shown}");
    assert!(shown.contains("; last proof ok"), "{shown}");
    until_days_left(&stage, |days| (6.9..7.0).contains(&days)).await;
    let (exit, refused) = told(&stage, &create).await;
    assert_eq!((exit, &refused["error"]["code"]), (3, &json!("token.exists")), "{refused}");

    // Engine and worker are killed while the next one waits for its proof.
    stage.lab.break_("forgejo", "run-stuck").expect("a fault");
    let from = stage.events.count();
    let (exit, accepted) = told(&stage, &["token", "rotate", "ci", OWNER, "--id=now"]).await;
    assert_eq!(exit, 0, "{accepted}");
    let waits = |seen: &Seen| seen.scheduled() == Some("forgejo.run-workflow");
    stage.events.first("the proof is asked for", from, waits).await;
    stage.kill_worker();
    stage.kill_engine(0);
    assert_eq!(stage.lab.coder_user_of(&first).as_deref(), Some("john"), "the old one lives");
    stage.lab.mend();
    stage.start_engine(0);
    stage.start_worker();
    let (exit, rotated) =
        told(&stage, &["token", "rotate", "ci", OWNER, "--id=now", "--wait"]).await;
    assert_eq!(exit, 0, "{rotated}");
    let second = given(&stage);
    assert_ne!(first, second);
    for token in [&first, &second] {
        assert_eq!(stage.lab.coder_user_of(token).as_deref(), Some("john"), "they overlap");
    }
    assert_eq!(view(&stage).await.generation, 2);
    let effects =
        |kind: &str| stage.lab.effects().into_iter().filter(|effect| effect.kind == kind).count();
    assert_eq!(["run-dispatched", "token-created"].map(effects), [2, 2]);
    check_ledger_after(&stage, "processes that were killed").await;

    let (exit, gone) = told(&stage, &["token", "delete", "ci", OWNER, "--wait"]).await;
    assert_eq!(exit, 0, "{gone}");
    assert!(stage.lab.inventory().is_empty(), "{:#?}", stage.lab.inventory());
    until_days_left(&stage, f64::is_nan).await;
    check_ledger(&stage).await;
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_not_proved_is_put_back_and_somebody_hears_of_it() {
    let mut stage = Stage::start().await;
    stage.desk("john").await;
    for (vendor, fault) in [("coder", "lost-response"), ("forgejo", "lost-response")] {
        stage.lab.break_times(vendor, fault, 1).expect("a fault");
    }
    let create = ["token", "create", "ci", OWNER, "--repository=templates", "--wait"];
    let (exit, made) = told(&stage, &create).await;
    assert_eq!(exit, 0, "{made}");
    let first = given(&stage);
    assert_eq!(stage.lab.inventory().coder_tokens.len(), 1);
    check_ledger_after(&stage, "lost answers").await;

    stage.lab.break_times("forgejo", "run-failed", 1).expect("a fault");
    let from = stage.events.count();
    let (exit, failed) = told(&stage, &["token", "rotate", "ci", OWNER, "--wait"]).await;
    assert_eq!(exit, 1, "{failed}");
    let noted = |seen: &Seen| {
        seen.name() == "noted" && seen.body["event"]["Noted"]["what"] == "token-at-risk"
    };
    let alarm = stage.events.first("somebody hears of it", from, noted).await;
    let words = alarm.body["event"]["Noted"]["words"].as_str().expect("words").to_owned();
    assert!(words.contains("it ends in 167 h"), "{words}");
    assert_eq!(given(&stage), first, "it is put back");
    assert_eq!(stage.lab.coder_user_of(&first).as_deref(), Some("john"));
    assert_eq!(stage.lab.inventory().coder_tokens.len(), 1, "the other one is revoked");
    let at_risk = view(&stage).await;
    assert_eq!((at_risk.phase.word(), at_risk.failures), ("at-risk", 1));
    check_ledger_after(&stage, "a proof that failed").await;

    stage.kill_engine(0);
    stage.start_engine(0);
    let (exit, rotated) = told(&stage, &["token", "rotate", "ci", OWNER, "--wait"]).await;
    assert_eq!(exit, 0, "{rotated}");
    assert_eq!((view(&stage).await.failures, given(&stage) == first), (0, false));
    for (path, text) in stage.said() {
        for secret in stage.lab.secrets() {
            assert!(!text.contains(&secret), "a secret is in {}", path.display());
        }
    }
    stage.finish().await;
}
