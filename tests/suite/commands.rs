//! A command acts once, however often it comes.

use serde_json::{Map, Value, json};
use stead_schemas::dispatch::Accepted;

use crate::stage::{Desk, Stage, check_gone, check_whole, until};

fn create() -> Value {
    json!({ "id": "monday", "name": "dev", "cpu_cores": 4 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_of_the_same_id_acts_once() {
    let mut stage = Stage::start().await;
    let john = stage.desk("john").await;
    let at_once = (0..5).map(|_| john.ask("workspace", "create", create()));
    let replies = futures_util::future::join_all(at_once).await;
    let replies: Vec<Accepted> =
        replies.into_iter().map(|reply| reply.expect("it is let in")).collect();
    let first = replies[0].clone();
    assert!(replies.iter().all(|reply| reply.run == first.run), "{replies:?}");
    john.outcome(&first).await;
    check_whole(&stage.lab, "john");
    check_repeated(&john, &first).await;
    check_reused(&john).await;

    stage.stop_engine(0).await;
    stage.start_engine(0);
    check_repeated(&john, &first).await;
    check_reused(&john).await;

    let delete = json!({ "id": "friday", "name": "dev" });
    let deleted = john.ask("workspace", "delete", delete.clone()).await.expect("it is let in");
    john.outcome(&deleted).await;
    check_gone(&stage.lab, "john");
    check_repeated(&john, &first).await;
    let again = john.ask("workspace", "delete", delete).await.expect("it is known");
    assert_eq!((again.run, again.repeated), (deleted.run, true));
    check_reused(&john).await;
    check_repeated_in_the_inbox(&stage, &john).await;

    let runs = stage.client.list_all().await.expect("a list");
    assert_eq!(runs.iter().filter(|line| line.kind == "workspace").count(), 1, "{runs:#?}");
    assert!(stage.lab.inventory().is_empty());
    stage.finish().await;
}

/// The same command again is answered with the same run.
async fn check_repeated(john: &Desk, first: &Accepted) {
    let again = john.ask("workspace", "create", create()).await.expect("it is known");
    assert_eq!((&again.run, again.repeated), (&first.run, true));
}

/// The same id with another body, or on another verb, is refused.
async fn check_reused(john: &Desk) {
    let other = json!({ "id": "monday", "name": "dev", "cpu_cores": 8 });
    for (verb, fields) in [("create", other), ("stop", json!({ "id": "monday", "name": "dev" }))] {
        let refusal = john.ask("workspace", verb, fields).await.expect_err("it is another one");
        assert_eq!(refusal.code, "command.id-reused", "{refusal}");
        assert_eq!(refusal.field.as_deref(), Some("id"), "{refusal}");
    }
}

async fn check_repeated_in_the_inbox(stage: &Stage, john: &Desk) {
    let fields: Map<_, _> = serde_json::from_value(create()).expect("fields");
    for _ in 0..3 {
        let kept = stage.client.publish_command(&john.owner, "workspace", "create", &fields);
        kept.await.expect("the inbox takes it");
    }
    until("the inbox is empty", || async {
        let left = stage.streams().await.count("STEAD_INBOX").await;
        (left == 0).then_some(())
    })
    .await;
}
