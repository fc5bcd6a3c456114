//! Runs that are over leave the log while the engine is killed again and again, and are known all
//! the same.

use serde_json::{Value, json};
use stead_schemas::dispatch::{Accepted, TurnEpoch};
use stead_schemas::event::{Event, Outcome};
use stead_schemas::ids::Partition;
use stead_schemas::public::RunState;

use crate::stage::chance::Chance;
use crate::stage::{Desk, Setting, Stage, until};

/// How often the engine is killed in the middle of it.
const KILLS: usize = 5;
/// Looks at the log between the beginning of a turn and the kill, at most: a turn of so few runs
/// takes about as many.
const LOOKS_MAX: usize = 60;
/// The only partition.
const PARTITION: Partition = Partition(0);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_is_killed_while_runs_go_into_the_archive() {
    let mut chance = Chance::new();
    let mut stage = Stage::with(Setting { partitions: 1, ..Setting::default() }).await;
    let john = stage.desk("john").await;
    john.carry_out("create", json!({})).await;
    let mut over = vec![probe(&john, 0).await];
    for kill in 1..=KILLS {
        over.push(probe(&john, kill).await);
        begin_turn(&stage).await;
        for _ in 0..chance.below(LOOKS_MAX) {
            stage.client.epoch(PARTITION).await.expect("the log can be read");
        }
        stage.kill_engine(0);
        stage.start_engine(0);
    }
    // Some of the turns were cut short. What is over goes into the archive for all that.
    until("everything is in the archive", || async {
        stage.verb(&["archive", "now"]).await;
        (archived(&stage).await == over.len()).then_some(())
    })
    .await;
    check_known(&john, &over).await;
    // An owner that has read the archive's digests only still lists everything.
    stage.kill_engine(0);
    stage.start_engine(0);
    let lines = until("the list", || async { stage.client.list_all().await.ok() }).await;
    for accepted in &over {
        let line = lines.iter().find(|line| line.run == accepted.run).expect("it is listed");
        assert_eq!(line.state, RunState::Completed, "{line:?}");
    }
    let replayed = stage.verb(&["replay", over[0].run.as_str()]).await;
    assert!(replayed.status.success(), "{replayed:?}");
    let told = String::from_utf8_lossy(&replayed.stderr);
    assert!(told.contains("archive"), "where it comes from is not said: {told}");
    john.carry_out("delete", json!({})).await;
    stage.finish().await;
}

/// A run that is over, and that nothing else shares its name with.
async fn probe(john: &Desk, number: usize) -> Accepted {
    let accepted = john.ask("probe", "start", fields(number)).await.expect("it is let in");
    assert!(matches!(john.outcome(&accepted).await, Outcome::Done(_)));
    accepted
}

fn fields(number: usize) -> Value {
    json!({ "name": format!("probe-{number}"), "id": format!("id-{number}") })
}

/// Asks until a turn has begun: what ended only just now stays a little.
async fn begin_turn(stage: &Stage) {
    until("a turn begins", || async {
        let from = stage.client.epoch(PARTITION).await.ok()?;
        stage.client.turn(PARTITION, TurnEpoch { from, anew: true }).await.ok()?.under_way
    })
    .await;
}

/// How many runs are in the archive, all of it as it was written.
async fn archived(stage: &Stage) -> usize {
    let verified = stage.verb(&["archive", "verify", "--json"]).await;
    assert!(verified.status.success(), "{verified:?}");
    let said: Value = serde_json::from_slice(&verified.stdout).expect("JSON");
    usize::try_from(said["runs"].as_u64().expect("a number")).expect("a small one")
}

/// Histories are whole, ids are known, and names are free.
async fn check_known(john: &Desk, over: &[Accepted]) {
    for (number, accepted) in over.iter().enumerate() {
        let history = john.history(&accepted.run).await.expect("it can be read");
        assert!((1..).zip(&history).all(|(n, transition)| transition.n == n), "{}", accepted.run);
        let last = history.last().and_then(|transition| transition.events.last());
        assert!(matches!(last, Some(Event::RunCompleted(_))), "{last:?}");
        let again = john.ask("probe", "start", fields(number)).await.expect("it is known");
        assert!(again.repeated, "{again:?}");
        assert_eq!(again.run, accepted.run);
    }
    let name = json!({ "name": "probe-0", "id": "another" });
    let next = john.ask("probe", "start", name).await.expect("the name is free");
    assert_eq!(next.run, over[0].run.key().run(2));
    assert!(matches!(john.outcome(&next).await, Outcome::Done(_)));
}
