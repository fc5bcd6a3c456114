//! Owners from outside: whoever Authentik disables has his workspace stopped by the real processes, is
//! refused in words, and starts it again when he is back.

use serde_json::{Value, json};
use stead_lab::UserChange;

use crate::stage::{Desk, Setting, Stage, check_gone, check_ledger_after, until};

/// What the command line says, and whether it ended well.
async fn said(stage: &Stage, words: &[&str]) -> (bool, String) {
    let output = stage.verb(words).await;
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

async fn hears(stage: &Stage, name: &str, change: UserChange) {
    assert!(stage.lab.change_user(name, &change), "{name} {change:?}");
    let (is_well, told) = said(stage, &["owner", "look"]).await;
    assert!(is_well, "{told}");
}

async fn until_phase(stage: &Stage, john: &Desk, run: &stead_schemas::ids::RunId, phase: &str) {
    until(&format!("john's workspace is {phase}"), || async {
        (john.view(run).await.summary.phase == phase).then_some(())
    })
    .await;
    let machines = stage.lab.inventory().vms;
    let runs = if phase == "ready" { "running" } else { "stopped" };
    assert_eq!(machines.iter().map(|vm| vm.status.as_str()).collect::<Vec<_>>(), [runs]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_disabled_has_what_he_owns_stopped_and_may_start_it_when_he_is_back() {
    let mut stage = Stage::with(Setting { authentik: true, ..Setting::default() }).await;
    let john = stage.desk("john").await;
    let run = john.carry_out("create", json!({})).await.run;

    hears(&stage, "john", UserChange::Disable).await;
    until_phase(&stage, &john, &run, "stopped").await;
    let refusal = john.ask("workspace", "start", json!({ "name": "dev" })).await;
    let refusal = refusal.expect_err("it is refused");
    assert_eq!(refusal.code, "workspace.held");
    assert!(refusal.words.contains("authentik: user is disabled: john"), "{refusal}");
    let failure = john.fail("create", json!({ "name": "another" })).await;
    assert!(failure.words.contains("user is disabled: john"), "{failure}");
    // Who asked for it, and why, stands in the history.
    let history = john.history(&run).await.expect("a history");
    let held = history.iter().any(|transition| {
        let text = serde_json::to_value(transition).unwrap_or(Value::Null).to_string();
        text.contains("\"verb\":\"hold\"")
            && text.contains("\"people-")
            && text.contains("disabled")
    });
    assert!(held, "nobody can tell who stopped it");

    // An answer that does not come changes nothing, whoever dies meanwhile.
    stage.lab.break_("authentik", "not-in-service").expect("a fault");
    stage.lab.change_user("john", &UserChange::Enable);
    stage.lab.change_user("john", &UserChange::Rename("johnny".to_owned()));
    stage.kill_engine(0);
    stage.start_engine(0);
    until_phase(&stage, &john, &run, "stopped").await;
    stage.lab.mend();
    let (is_well, told) = said(&stage, &["owner", "look"]).await;
    assert!(is_well && told.contains("johnny"), "{told}");
    until("he may start it", || async {
        let asked = john.ask("workspace", "start", json!({ "name": "dev" })).await.ok()?;
        let outcome = john.outcome(&asked).await;
        matches!(outcome, stead_schemas::event::Outcome::Done(_)).then_some(())
    })
    .await;
    until_phase(&stage, &john, &run, "ready").await;
    check_ledger_after(&stage, "an Authentik that did not answer").await;
    let (is_well, told) = said(&stage, &["owner", "show", "john"]).await;
    assert!(is_well && told.contains("active") && told.contains("dev"), "{told}");
    john.carry_out("delete", json!({ "now": true })).await;
    check_gone(&stage.lab, "john");
    stage.finish().await;
}
