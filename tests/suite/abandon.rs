//! What is given up by hand: it is listed, and everything else is still done.

use serde_json::{Value, json};
use stead_schemas::dispatch::Accepted;
use stead_schemas::event::Outcome;
use stead_schemas::ids::RunId;

use crate::stage::ledger::ledger;
use crate::stage::{Desk, Setting, Stage, check_gone, check_ledger, until};

/// Gives up a step of a run, once it has been tried in vain.
pub async fn abandon(stage: &Stage, john: &Desk, run: &RunId, step: &str) {
    let seq = until(&format!("{step} of {run} is tried in vain"), || async {
        let view = john.view(run).await;
        let mut tried = view.waiting.iter().filter(|waiting| waiting.attempts > 0);
        tried.find(|waiting| waiting.what == step).map(|waiting| waiting.seq.to_string())
    })
    .await;
    let words = ["run", "abandon", run.as_str(), "--step", &seq, "--why=a test"];
    let told = stage.verb(&words).await;
    assert!(told.status.success(), "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_of_which_a_part_is_given_up_does_the_rest_and_says_what_stays() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    let created = john.carry_out("create", json!({})).await;
    stage.lab.break_("coder", "unauthorized").expect("a fault");
    let accepted = john.order("delete", json!({})).await;
    abandon(&stage, &john, &created.run, "coder.delete-workspace").await;
    let outcome = john.outcome(&accepted).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    let view = john.view(&created.run).await;
    assert_eq!(view.summary.phase, "deleted");
    let debts = view.view["debts"].as_array().expect("debts");
    assert_eq!(debts.len(), 1, "{debts:?}");
    assert_eq!(debts[0]["what"], "the Coder workspace dev");
    let there = stage.lab.inventory();
    assert_eq!((there.vms.len(), there.datasets.len()), (0, 0), "{there:#?}");
    check_left(&stage).await;
    until("the run is in the archive", || async {
        stage.verb(&["archive", "now"]).await;
        let in_log = stage.verb(&["ledger", "--no-archive", "--json"]).await;
        let book: Value = serde_json::from_slice(&in_log.stdout).ok()?;
        book["held"].as_array().is_some_and(Vec::is_empty).then_some(())
    })
    .await;
    check_left(&stage).await;
    stage.finish().await;
}

/// What was given up stands in the ledger, and is there.
async fn check_left(stage: &Stage) {
    let held = ledger(stage).await;
    let told: Vec<_> = held.iter().map(|held| (held.resource.path(), held.why.as_str())).collect();
    assert_eq!(told, [("coder/workspace/john/dev".to_owned(), "given up by hand: a test")]);
    check_ledger(stage).await;
    let shown = stage.verb(&["ledger", "show", "coder/workspace/john/dev"]).await;
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("left: nobody takes it away"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_whose_destruction_is_given_up_stays_and_can_be_deleted_again() {
    for bucket_grace_seconds in [0, 1] {
        let setting = Setting { bucket_grace_seconds, ..Setting::default() };
        let stage = Stage::with(setting).await;
        let john = stage.desk("john").await;
        let made = ask(&john, "create", json!({ "name": "data" })).await;
        john.outcome(&made).await;
        stage.lab.put_objects("john-data", &[("a", 1)]);
        let refused = stead_lab::CallFault::FailLasting;
        stage.lab.break_call_times("s3", "CleanupIncomplete", refused, 1_000).expect("a vendor");
        let confirmed = json!({ "name": "data", "confirm": "data" });
        let deleted = ask(&john, "delete", confirmed.clone()).await;
        abandon(&stage, &john, &made.run, "s3.empty-bucket").await;
        let outcome = john.outcome(&deleted).await;
        // With a grace period it was carried out before, and the run goes on after it.
        assert_eq!(matches!(outcome, Outcome::Done(_)), bucket_grace_seconds > 0, "{outcome:?}");
        until("the bucket is ready", || async {
            (john.view(&made.run).await.summary.phase == "ready").then_some(())
        })
        .await;
        assert_eq!(stage.lab.inventory().buckets.len(), 1);
        check_ledger(&stage).await;
        stage.lab.mend();
        let again = ask(&john, "delete", confirmed).await;
        assert_eq!(again.run, made.run, "it has not ended");
        john.outcome(&again).await;
        until("the bucket is gone", || async { stage.lab.inventory().is_empty().then_some(()) })
            .await;
        check_gone(&stage.lab, "john");
        check_ledger(&stage).await;
        stage.finish().await;
    }
}

async fn ask(john: &Desk, verb: &str, fields: Value) -> Accepted {
    john.ask("bucket", verb, fields).await.expect("it is let in")
}
