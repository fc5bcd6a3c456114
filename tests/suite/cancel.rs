//! A create that is cancelled or deleted on the way is taken back, wherever it stands.

use serde_json::json;
use stead_lab::CallFault;
use stead_schemas::event::Outcome;
use stead_schemas::failure::Class;

use crate::stage::effects::check_once;
use crate::stage::{CALL, Desk, Stage, check_gone, check_ledger_after, check_whole};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_create_is_cancelled_at_every_step_and_taken_back() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    for step in steps_of_a_create(&stage, &john).await {
        let (before, from) = (stage.lab.effects().len(), stage.events.count());
        stage.slow_down(CALL);
        let accepted = john.order("create", json!({})).await;
        let fits = |event: &crate::stage::Seen| event.scheduled() == Some(&step);
        stage.events.first(&step, from, fits).await;
        let cancel = json!({ "run": accepted.run, "why": "the wrong size" });
        john.ask("run", "cancel", cancel.clone()).await.expect("a cancel is let in");
        let again = john.ask("run", "cancel", cancel.clone()).await.expect_err("it is cancelled");
        // It may be over already.
        let refused = ["run.nothing-to-cancel", "run.over"];
        assert!(refused.contains(&again.code.as_str()), "{step}: {again}");
        let Outcome::Failed(failure) = john.outcome(&accepted).await else {
            panic!("a create cancelled at {step} is carried out");
        };
        assert_eq!(failure.class, Class::Cancelled, "{step}: {failure}");
        assert!(failure.words.contains("the wrong size"), "{step}: {failure}");
        stage.lab.mend();
        assert!(stage.lab.inventory().is_empty(), "{step}: {:#?}", stage.lab.inventory());
        check_once(&stage.lab.effects()[before..], &step);
        check_ledger_after(&stage, &step).await;
        let over = john.ask("run", "cancel", cancel).await.expect_err("it is over");
        assert_eq!(over.code, "run.over", "{step}");
    }
    stage.finish().await;
}

/// The steps in the workspace's own run: a cancel is for that run.
async fn steps_of_a_create(stage: &Stage, john: &Desk) -> Vec<String> {
    let from = stage.events.count();
    let accepted = john.carry_out("create", json!({})).await;
    let nothing = json!({ "run": accepted.run, "why": "there is nothing" });
    let refusal = john.ask("run", "cancel", nothing).await.expect_err("nothing is going on");
    assert_eq!(refusal.code, "run.nothing-to-cancel");
    check_whole(&stage.lab, "john");
    let seen = stage.events.since(from);
    let ours = seen.iter().filter(|event| event.kind() == "workspace");
    let steps = ours.filter_map(|event| event.scheduled().map(str::to_owned)).collect();
    john.carry_out("delete", json!({})).await;
    check_gone(&stage.lab, "john");
    steps
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delete_during_a_create_takes_it_back() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    for step in ["vault.pin-secrets", "home.attach", "proxmox.clone-vm", "coder.await-agent"] {
        let (before, from) = (stage.lab.effects().len(), stage.events.count());
        stage.slow_down(CALL);
        let created = john.order("create", json!({})).await;
        let fits = |event: &crate::stage::Seen| event.scheduled() == Some(step);
        stage.events.first(step, from, fits).await;
        let deleted = john.order("delete", json!({})).await;
        assert_eq!(deleted.run, created.run);
        let outcome = john.outcome(&created).await;
        let Outcome::Failed(failure) = outcome else { panic!("{step}: {outcome:?}") };
        assert_eq!(failure.class, Class::Cancelled, "{step}: {failure}");
        let outcome = john.outcome(&deleted).await;
        assert!(matches!(outcome, Outcome::Done(_)), "{step}: {outcome:?}");
        stage.lab.mend();
        assert!(stage.lab.inventory().is_empty(), "{step}: {:#?}", stage.lab.inventory());
        check_once(&stage.lab.effects()[before..], step);
        check_ledger_after(&stage, step).await;
    }
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_cannot_cancel_or_see_somebody_else_s_run() {
    let stage = Stage::start().await;
    let (john, mallory) = (stage.desk("john").await, stage.desk("mallory").await);
    stage.lab.break_call("proxmox", "POST /clone", CallFault::FailPassing).expect("a vendor");
    let accepted = john.order("create", json!({})).await;
    let cancel = json!({ "run": accepted.run, "why": "spite" });
    let refusal = mallory.ask("run", "cancel", cancel).await.expect_err("it is not hers");
    assert_eq!(refusal.code, "run.unknown");
    stage.lab.mend();
    assert!(matches!(john.outcome(&accepted).await, Outcome::Done(_)));
    check_whole(&stage.lab, "john");
    stage.finish().await;
}
