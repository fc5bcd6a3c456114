//! Bugs: of workflows, which park their run, and of an owner, which is followed by another.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use stead_runtime::inbound::Inbound;
use stead_runtime::ports::{Index, ReplyTo};
use stead_schemas::dispatch::{Caller, CommandReply, ListRuns, StepAddress, StepReply};
use stead_schemas::failure::Class;
use stead_schemas::ids::{Partition, RunId};
use stead_schemas::public::{RunPage, RunSummary};
use stead_schemas::refusal::Refusal;
use tokio::time::sleep;

use crate::desk::{Desk, on_simulated_time};
use crate::shares::{House, PARTITIONS};

#[test]
fn a_workflow_that_panics_parks_its_run_and_others_go_on() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.start("fragile").await;
        let step = desk.step("test.shape");
        let nap = desk.start("nap").await;
        desk.answer(&step, StepReply::Done(json!({ "made": 9 }))).await;
        let words = "it is parked: the workflow has a bug, and panicked: 9 is too much";
        let waiting = desk.view(&run).await.waiting.remove(0);
        assert_eq!((waiting.reason.as_str(), waiting.words.as_str()), ("human", words));
        desk.pass(Duration::from_secs(1)).await;
        desk.say(Inbound::List(ListRuns::default(), ReplyTo("asker".into()))).await;
        let listed: RunPage = serde_json::from_slice(&desk.replies("asker")[0]).unwrap();
        let line = listed.lines.iter().find(|line| line.run == run).expect("it is listed");
        assert!(line.waiting.contains("panicked: 9 is too much"), "{}", line.waiting);
        desk.pass(Duration::from_secs(3600)).await;
        assert_eq!(desk.view(&nap).await.summary.state.word(), "completed");
        assert_eq!(desk.events(&run).await, ["run-started", "command-accepted", "step-scheduled"]);
        // A build without the bug goes on where this one could not.
        let mended = Desk::on(desk.log.clone()).await;
        mended.settle().await;
        mended.answer(&mended.step("test.shape"), StepReply::Done(json!({ "made": 8 }))).await;
        assert_eq!(mended.view(&run).await.summary.state.word(), "completed");
    });
}

#[test]
fn whoever_asks_for_what_panics_is_told() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let told = async |kind: &str, name: &str| -> CommandReply {
            desk.command_to(Caller::Api, kind, name, "id-1").await;
            let reply = desk.replies("caller").pop().expect("an answer");
            serde_json::from_slice(&reply).unwrap()
        };
        let refused = async |kind: &str, name: &str| -> Refusal {
            match told(kind, name).await {
                CommandReply::Refused(refusal) => refusal,
                other => panic!("{other:?}"),
            }
        };
        let refusal = refused("stillborn", "x").await;
        assert_eq!(refusal.code, "command.bug");
        assert!(refusal.words.contains("panicked: it is never born"), "{}", refusal.words);
        let refusal = refused("pair", "trap").await;
        assert_eq!(refusal.code, "command.bug");
        assert!(refusal.words.contains("panicked: not that name"), "{}", refusal.words);
        desk.start("nap").await;
    });
}

#[test]
fn a_run_that_panics_at_its_first_turn_leaves_its_name_free() {
    on_simulated_time(async {
        let desk = Desk::new().await;
        let run = desk.run("stillborn");
        for id in ["id-1", "id-1", "id-2"] {
            desk.command("stillborn", id).await;
            let reply = desk.replies("caller").pop().expect("an answer");
            let reply: CommandReply = serde_json::from_slice(&reply).unwrap();
            assert!(matches!(reply, CommandReply::Refused(_)), "{id}: {reply:?}");
        }
        assert_eq!(desk.held_up().await, []);
        // A page that waits for this one's outcome waits for another build.
        let step = StepAddress { run: desk.run("parent"), seq: 2 };
        desk.command_of("stillborn", &step).await;
        let told = desk.answers().pop().expect("an answer");
        assert!(matches!(&told.1, StepReply::Failed(failure) if failure.class == Class::Wait));
        // In a build without the bug it would have begun with its first life.
        desk.command_with("stillborn", "x", json!({ "born": true })).await;
        assert_eq!(desk.events(&run).await[..2], ["run-started", "command-accepted"]);
    });
}

/// An index that breaks each owner's first looks at it.
struct Cracks {
    times: usize,
    cleared: Mutex<BTreeMap<Partition, usize>>,
}

impl Cracks {
    fn each_time_up_to(times: usize) -> Arc<Self> {
        Arc::new(Self { times, cleared: Mutex::default() })
    }

    /// How often each partition was taken over.
    fn cleared(&self) -> Vec<usize> {
        self.cleared.lock().unwrap().values().copied().collect()
    }
}

impl Index for Cracks {
    fn put(&self, _: Partition, _: Vec<RunSummary>) -> bool {
        true
    }

    fn list(&self, _: Partition, _: Option<&RunId>, _: usize) -> Option<Vec<RunSummary>> {
        None
    }

    fn clear(&self, partition: Partition) {
        let mut cleared = self.cleared.lock().unwrap();
        let times = cleared.entry(partition).or_default();
        *times += 1;
        let breaks = *times <= self.times;
        drop(cleared);
        assert!(!breaks, "it cracks");
    }
}

#[test]
fn an_owner_that_panics_is_followed_by_another() {
    on_simulated_time(async {
        let (house, index) = (House::new(), Cracks::each_time_up_to(1));
        let _engine = house.engine_with("one", index.clone());
        sleep(Duration::from_secs(5)).await;
        let cleared = index.cleared();
        assert_eq!(cleared.len(), usize::from(PARTITIONS));
        assert!(cleared.iter().all(|times| *times == 2), "{cleared:?}");
    });
}

#[test]
fn owners_that_panic_again_and_again_leave_longer_and_longer_rests() {
    on_simulated_time(async {
        let (house, index) = (House::new(), Cracks::each_time_up_to(usize::MAX));
        let _engine = house.engine_with("one", index.clone());
        sleep(Duration::from_secs(10)).await;
        let cleared = index.cleared();
        assert_eq!(cleared.len(), usize::from(PARTITIONS));
        // After a half, one, two and four seconds.
        assert!(cleared.iter().all(|times| (4..=5).contains(times)), "{cleared:?}");
    });
}
