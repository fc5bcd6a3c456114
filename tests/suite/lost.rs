//! Everything but the log may be lost at any moment: it costs time, never facts.

use std::collections::BTreeSet;

use serde_json::{Map, json};
use stead_schemas::event::Outcome;
use stead_schemas::public::RunState;

use crate::stage::effects::check_once;
use crate::stage::{CALL, Stage, check_whole, histories, until};

/// Workspaces made at once.
const CROWD: usize = 6;
/// How often everything is lost.
const LOSSES: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_and_index_are_lost_while_runs_are_in_the_middle() {
    let stage = Stage::start().await;
    stage.slow_down(CALL);
    let mut all = Vec::new();
    for number in 0..CROWD {
        let desk = stage.desk(&format!("owner-{number}")).await;
        let accepted = desk.order("create", json!({})).await;
        all.push((desk, accepted));
    }
    let mut streams = stage.streams().await;
    for loss in 1..=LOSSES {
        let enough = stage.events.count() + 20;
        let more = || async { (stage.events.count() >= enough).then_some(()) };
        stage.events.until("the middle", more).await;
        for stream in ["STEAD_LEASES", "STEAD_REFUSALS", "STEAD_INBOX"] {
            assert!(streams.delete(stream).await || loss > 1, "{stream} is there");
        }
        std::fs::remove_dir_all(stage.index(0)).or_else(gone_already).expect("it can be deleted");
    }
    for (desk, accepted) in &all {
        assert!(matches!(desk.outcome(accepted).await, Outcome::Done(_)));
        check_whole(&stage.lab, desk.owner.as_str());
    }
    stage.lab.mend();
    check_once(&stage.lab.effects(), "everything was lost");
    check_claims(&stage).await;
    check_list(&stage).await;
    check_inbox(&stage).await;
    let consumers = stage.streams().await.consumers().await;
    assert_eq!(consumers, 1, "the one that all engines share in the inbox, whatever was done");
    stage.finish().await;
}

fn gone_already(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// An engine that loses its leases takes its partitions again, and then has them.
async fn check_claims(stage: &Stage) {
    let mut streams = stage.streams().await;
    for stream in streams.logs().await {
        let kept = streams.messages(&stream).await;
        let claims = kept.iter().filter(|message| message.subject.ends_with(".owner")).count();
        assert!(claims <= 1 + 2 * LOSSES, "{stream} was taken over {claims} times");
    }
}

/// The list shows every run that has a history, as it stands there.
async fn check_list(stage: &Stage) {
    std::fs::remove_dir_all(stage.index(0)).or_else(gone_already).expect("it can be deleted");
    let lines = until("the list", || async { stage.client.list_all().await.ok() }).await;
    let all = histories::histories(&mut stage.streams().await).await;
    let listed: BTreeSet<_> = lines.iter().map(|line| line.run.clone()).collect();
    assert_eq!(listed, all.keys().cloned().collect());
    for line in lines {
        let replayed = histories::check(&line.run, &all[&line.run]);
        assert_eq!(line.transitions, replayed.transitions(), "{line:?}");
        assert_eq!(line.state == RunState::Running, replayed.folded().ended.is_none(), "{line:?}");
        let is_over = line.state != RunState::Running;
        let phase = if is_over { String::new() } else { replayed.phase() };
        assert_eq!(line.phase, phase, "{line:?}");
    }
}

/// The inbox and the refusals are there again and work.
async fn check_inbox(stage: &Stage) {
    let desk = stage.desk("owner-0").await;
    let fields = |value| serde_json::from_value::<Map<_, _>>(value).expect("fields");
    let delete = fields(json!({ "name": "dev", "id": "late" }));
    until("the inbox is there again", || async {
        stage.client.publish_command(&desk.owner, "workspace", "delete", &delete).await.ok()
    })
    .await;
    let gone = || async { (stage.lab.inventory().vms.len() == CROWD - 1).then_some(()) };
    until("the delete is carried out", gone).await;
    let bad = fields(json!({ "name": "dev", "colour": "red" }));
    let published = stage.client.publish_command(&desk.owner, "workspace", "create", &bad).await;
    published.expect("it is taken");
    let mut streams = stage.streams().await;
    let kept = async {
        while !streams.names().await.contains(&"STEAD_REFUSALS".to_owned())
            || streams.count("STEAD_REFUSALS").await == 0
        {}
    };
    crate::stage::within("the refusal is kept", kept).await;
}
