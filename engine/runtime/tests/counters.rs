//! What counters without labels say, and what is in the archive. Each of them is looked up once in a
//! process, wherever it is shown: so this is a process of its own, with one test.

#[expect(dead_code, reason = "the suite needs all of it")]
#[path = "suite/desk.rs"]
mod desk;
#[path = "suite/pages.rs"]
mod pages;
#[expect(dead_code, reason = "the suite needs all of it")]
#[path = "suite/shown.rs"]
mod shown;
#[path = "suite/world.rs"]
mod world;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use desk::{Desk, PARTITION};
use serde_json::json;
use shown::{Shown, shown};
use stead_runtime::env::Tuning;
use stead_runtime::harness::{Harness, HarnessTuning};
use stead_runtime::harness_ports::{WorkerInbound, WorkerReplies};
use stead_runtime::inbound::Inbound;
use stead_runtime::memory::{MemoryArchive, MemoryLog};
use stead_runtime::owner::Stopped;
use stead_runtime::ports::{AppendError, Claim, Closing, Epochs, LogError, Recorded, ReplyTo};
use stead_schemas::dispatch::{StepAddress, StepReply, StepRequest, TurnEpoch};
use stead_schemas::event::{Event, StepCompleted};
use stead_schemas::ids::Partition;
use stead_schemas::proof::Proof;
use tokio::sync::{mpsc, watch};

/// Longer than it takes until runs are counted again.
const COUNTED: Duration = Duration::from_secs(6);

fn turn() -> Inbound {
    Inbound::Turn(TurnEpoch { from: 0, anew: false }, ReplyTo("me".into()))
}

/// A log that can begin no new epoch.
struct Stuck(Arc<MemoryLog>);

#[async_trait]
impl Epochs for Stuck {
    async fn open(&self, _: Partition, _: u32, _: &str) -> Result<Claim, LogError> {
        Err(LogError("there is no room for another epoch".into()))
    }

    async fn copy(
        &self,
        of: Partition,
        epoch: u32,
        after: u64,
        messages: &[Recorded],
    ) -> Result<(), LogError> {
        self.0.copy(of, epoch, after, messages).await
    }

    async fn close(&self, closing: Closing) -> Result<(), AppendError> {
        self.0.close(closing).await
    }

    async fn retire(&self, of: Partition) -> Result<(), LogError> {
        self.0.retire(of).await
    }
}

async fn an_epoch_that_cannot_begin_is_counted(shown: &Shown) {
    let log = Arc::new(MemoryLog::new(1));
    let (stuck, archive) = (Arc::new(Stuck(log.clone())), Arc::new(MemoryArchive::default()));
    let desk = Desk::with(log, stuck, archive, Tuning::default()).await;
    desk.command("pair", "id-1").await;
    desk.done(&desk.step("test.first")).await;
    desk.done(&desk.step("test.second")).await;
    desk.pass(Duration::from_secs(10)).await;
    desk.say(turn()).await;
    desk.pass(COUNTED).await;
    assert_eq!(shown.counts("stead_epochs_not_turned_total"), [1]);
    assert_eq!(shown.counts("stead_epochs_turned_total"), [1], "it is none of those");
    desk.owner.abort();
}

/// Whoever asked does not hear of it.
struct Unheard;

impl WorkerReplies for Unheard {
    fn reply(&self, _: Partition, _: &StepAddress, _: u32, _: &Proof, _: &StepReply) {}
}

async fn a_request_of_a_former_owner_is_counted(shown: &Shown, request: &StepRequest) {
    let (to, inbound) = mpsc::unbounded_channel();
    let (_stop, stopped) = watch::channel(false);
    let harness = Harness::new(Vec::new(), Arc::new(Unheard), HarnessTuning::default());
    tokio::task::spawn_local(harness.run(inbound, stopped));
    let former = StepRequest { epoch: 6, ..request.clone() };
    let told =
        [WorkerInbound::Lease { partition: PARTITION, epoch: 7 }, WorkerInbound::Step(former)];
    told.into_iter().for_each(|message| to.send(message).unwrap());
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(shown.counts("stead_stale_requests_total"), [1]);
}

#[test]
fn whatever_only_grows_has_grown() {
    shown(|shown| async move {
        let desk = Desk::new().await;
        desk.command("nap", "nap-1").await;
        desk.command("pair", "id-1").await;
        let first = desk.step("test.first");
        a_request_of_a_former_owner_is_counted(&shown, &first).await;
        let forged = StepRequest { proof: Proof::new("guessed".into()), ..first.clone() };
        desk.answer(&forged, StepReply::Done(json!({}))).await;
        // Nor is one to an attempt that there never was, or that shows nothing.
        let none = StepRequest { attempt: first.attempt.wrapping_add(7), ..forged.clone() };
        desk.answer(&none, StepReply::Heartbeat { progress: None }).await;
        let mute = StepRequest { proof: Proof::default(), ..none };
        desk.answer(&mute, StepReply::Heartbeat { progress: None }).await;
        assert_eq!(shown.counts("stead_forged_answers_total"), [3]);
        // It is taken for dead, and answers when another one is at it.
        desk.pass(Duration::from_secs(7)).await;
        let second = desk.step("test.first");
        desk.done(&first).await;
        assert_eq!(shown.counts("stead_late_answers_total"), [1]);
        desk.done(&second).await;
        desk.done(&desk.step("test.second")).await;

        // Somebody else writes to the same history.
        desk.command("relay", "relay-1").await;
        let other = StepCompleted { seq: 1, answer: json!({}), attempts: 1, met: None };
        desk.append_of_another_build(&desk.run("relay"), vec![Event::StepCompleted(other)]).await;
        desk.done(&desk.step("test.shape")).await;
        assert_eq!(shown.counts("stead_append_refused_total"), [1]);
        let next = desk.next_owner().await;
        assert_eq!(desk.owner.await.unwrap(), Stopped::Fenced);

        next.pass(Duration::from_secs(20)).await;
        assert_eq!(shown.of("stead_archive_lag_messages").to_string(), "3");
        assert_eq!(shown.of("stead_archive_lag_ratio").to_string(), "0.000003");
        next.say(turn()).await;
        next.pass(COUNTED).await;
        assert_eq!(shown.counts("stead_epochs_turned_total"), [1]);
        assert_eq!(shown.counts("stead_archived_runs_total"), [1]);
        assert_eq!(shown.of("stead_archive_lag_messages").to_string(), "0");

        // The nap was over long before anybody came to end it.
        next.owner.abort();
        next.pass(Duration::from_secs(3_600 + 60)).await;
        let last = next.next_owner().await;
        last.pass(Duration::from_secs(1)).await;
        let late = shown.of("stead_timer_late_seconds");
        assert!((60.0..100.0).contains(&late), "{late}");
        an_epoch_that_cannot_begin_is_counted(&shown).await;
    });
}
