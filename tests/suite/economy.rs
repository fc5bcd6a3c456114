//! One durable append for each step: that is the floor, and we stand on it.

use serde_json::json;
use stead_schemas::event::Outcome;

use crate::stage::{Stage, histories};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_costs_one_append_to_start_and_one_for_each_step() {
    let stage = Stage::start().await;
    let john = stage.desk("john").await;
    let before = stage.streams().await.transitions().await;
    let probe = john.ask("probe", "start", json!({ "name": "p" })).await.expect("it is let in");
    assert!(matches!(john.outcome(&probe).await, Outcome::Done(_)));
    // The start schedules the first step, each answer the next one, the last one ends the run.
    assert_eq!(stage.streams().await.transitions().await - before, 1 + 6);

    let before = stage.streams().await.transitions().await;
    let created = john.carry_out("create", json!({})).await;
    let all = histories::histories(&mut stage.streams().await).await;
    let of = |kind: &str| {
        let histories = all.iter().filter(|(run, _)| run.kind() == kind);
        histories.map(|(_, history)| history.len()).sum::<usize>()
    };
    assert_eq!(all[&created.run].len(), 1 + 13, "start and thirteen steps");
    assert_eq!(of("home"), 1 + 4, "start and four steps");
    assert_eq!(of("vmids"), 1 + 1, "start and one look at the vendor's");
    assert_eq!(stage.streams().await.transitions().await - before, 14 + 5 + 2);

    let before = stage.streams().await.transitions().await;
    john.carry_out("delete", json!({})).await;
    // The workspace: the command and six steps. The home: the command and four steps. The
    // ledger: the release, which needs no step.
    assert_eq!(stage.streams().await.transitions().await - before, (1 + 6) + (1 + 4) + 1);
    stage.finish().await;
}
