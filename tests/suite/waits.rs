//! Callers who wait for the outcome of their command, and those who only look: spoken through a
//! client that knows nothing but the NATS protocol.

use serde_json::{Value, json};
use stead_schemas::ids::{EntityKey, Partition, RunId};
use stead_schemas::owner::Owner;
use tokio::task::JoinHandle;

use crate::engines::both_own;
use crate::stage::{Stage, Wire, check_gone, check_whole, effects::check_once, until, within};

/// How long the callers of these stories wait: longer than any of them lasts.
const LONG: &str = "55";

/// Gives a command to the workspace `dev` and waits for its outcome, on a connection of its own.
fn ask(stage: &Stage, owner: &str, verb: &str, wait: &'static str) -> JoinHandle<Value> {
    let (port, subject) = (stage.nats.port(), format!("stead.api.{owner}.workspace.{verb}"));
    let body = json!({ "name": "dev", "id": format!("the {verb}") }).to_string();
    tokio::spawn(async move {
        let mut wire = Wire::connect(port).await;
        loop {
            let headers = [("Stead-Wait", wait)];
            let answer = wire.request_with(&subject, &headers, body.as_bytes()).await;
            // Empty: the broker says that no engine listens, as one has only just been started.
            if !answer.body.is_empty() {
                return serde_json::from_slice(&answer.body).expect("JSON");
            }
        }
    })
}

async fn answer(asked: JoinHandle<Value>) -> Value {
    within("the caller is answered", asked).await.expect("no panic")
}

async fn until_retrying(stage: &Stage, run: &RunId) {
    until(&format!("{run} tries again"), || async {
        let view = stage.client.view(run).await.ok().flatten()?;
        view.waiting.iter().any(|waiting| waiting.reason == "retrying").then_some(())
    })
    .await;
}

/// An owner whose workspace `dev` lives in partition 1 of 2, and the run of its first life.
fn owner_of_partition_1() -> (String, RunId) {
    let owners = (0..).map(|number| format!("john-{number}"));
    let run =
        |owner: &str| EntityKey::of("workspace", &Owner::new(owner).expect("a name"), "dev").run(1);
    let mut found = owners.map(|owner| (run(&owner), owner));
    let (run, owner) =
        found.find(|(run, _)| run.partition(2) == Partition(1)).expect("every other one");
    (owner, run)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_waits_hears_the_outcome_whichever_engine_is_killed() {
    let mut stage = Stage::start().await;
    let (owner, run) = owner_of_partition_1();
    stage.desk(&owner).await;
    stage.lab.break_("vault", "sealed").expect("a fault");
    let asked = ask(&stage, &owner, "create", LONG);
    until_retrying(&stage, &run).await;
    let early = answer(ask(&stage, &owner, "create", "1")).await;
    let words = early["accepted"]["waits_for"].as_str().expect("words");
    assert!(words.starts_with("vault.pin-secrets (retrying)"), "{early}");
    assert_eq!(
        (&early["accepted"]["run"], early["accepted"]["outcome"].is_null()),
        (&json!(run), true)
    );

    // The partition goes to a second engine, which is killed, and comes back.
    stage.engines.push(None);
    stage.start_engine(1);
    both_own(&stage).await;
    until_retrying(&stage, &run).await;
    stage.kill_engine(1);
    stage.lab.mend();
    let told = answer(asked).await;
    assert!(told["accepted"]["outcome"]["done"].is_object(), "{told}");
    check_whole(&stage.lab, &owner);
    let again = answer(ask(&stage, &owner, "create", LONG)).await;
    assert_eq!(again["accepted"]["outcome"], told["accepted"]["outcome"], "the same again");
    assert_eq!(again["accepted"]["repeated"], true);

    the_door_is_killed(&mut stage, &owner, &run).await;
    check_once(&stage.lab.effects(), "a create and a delete");
    stage.finish().await;
}

/// The engine that was asked is killed: whoever asks again with the same id hears the outcome.
async fn the_door_is_killed(stage: &mut Stage, owner: &str, run: &RunId) {
    stage.lab.break_("vault", "sealed").expect("a fault");
    let asked = ask(stage, owner, "delete", LONG);
    until_retrying(stage, run).await;
    stage.kill_engine(0);
    stage.start_engine(0);
    until_retrying(stage, run).await;
    assert!(!asked.is_finished(), "nobody is left who knew of it");
    asked.abort();
    stage.lab.mend();
    let told = answer(ask(stage, owner, "delete", LONG)).await;
    assert!(told["accepted"]["outcome"]["done"].is_object(), "{told}");
    assert_eq!(
        (&told["accepted"]["run"], &told["accepted"]["repeated"]),
        (&json!(run), &json!(true))
    );
    check_gone(&stage.lab, owner);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn looking_leaves_no_trace_and_being_refused_none_but_the_refusal() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    let there = john.carry_out("create", json!({ "name": "there" })).await;
    let before = written(&stage).await;
    let mut wire = Wire::connect(stage.nats.port()).await;
    let run = json!({ "run": there.run });
    let order = |more: Value| {
        let mut fields = json!({ "run": there.run, "why": "to look" });
        fields.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        fields
    };
    let mut refused = 0;
    let there = json!({ "name": "there" });
    let small = json!({ "name": "there", "storage_quota_gb": 1 });
    let signal = order(json!({ "signal": "go", "payload": 1 }));
    for (what, fields, says) in [
        ("workspace.list", json!({}), "/runs/0/run"),
        ("workspace.show", there.clone(), "/run/summary/run"),
        ("schedule.list", json!({}), "/runs"),
        ("run.show", run, "/run/summary/run"),
        ("workspace.create", there.clone(), "/refused/code"),
        ("workspace.resize", small, "/refused/code"),
        ("workspace.start", json!({ "name": "nowhere" }), "/refused/code"),
        ("workspace.delete", json!({ "name": "there", "dry_run": true }), "/rehearsed"),
        ("run.signal", signal, "/refused/code"),
        ("run.resume", order(json!({})), "/refused/code"),
        ("run.cancel", order(json!({})), "/refused/code"),
        ("run.retry", order(json!({ "step": 1 })), "/refused/code"),
    ] {
        let (subject, body) = (format!("stead.api.john.{what}"), fields.to_string());
        for headers in [&[][..], &[("Stead-Wait", "5")]] {
            let answer = wire.request_with(&subject, headers, body.as_bytes()).await;
            let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
            assert!(answer.pointer(says).is_some(), "{what}: {answer}");
            refused += u64::from(says == "/refused/code");
        }
    }
    assert_eq!(written(&stage).await, before);
    until("each refusal is kept for the audit", || async {
        (stage.streams().await.last_seq("STEAD_REFUSALS").await == refused).then_some(())
    })
    .await;
    stage.finish().await;
}

/// How many messages were ever written to each stream that engines write, but that of refusals.
async fn written(stage: &Stage) -> Vec<(String, u64)> {
    let mut streams = stage.streams().await;
    let mut names = streams.logs().await;
    names.push("STEAD_INBOX".to_owned());
    let mut all = Vec::new();
    for name in names {
        let count = streams.last_seq(&name).await;
        all.push((name, count));
    }
    all
}
